"""The commands in the documents run, one after the other, and print what the documents show."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import typer

from zncc_cli.cli import align, batch, main, stdmap
from zncc_cli.errors import ZnccError
from zncc_cli.jobs.batch import run as run_module

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "sample_data" / "batch"
DOCUMENTS = (
    *("README.md", "docs/tutorial.md", "docs/stack.md", "docs/check.md", "docs/strain.md", "docs/nonrigid.md"),
    *("docs/batch.md", "docs/align.md", "docs/transforms.md", "docs/rounds.md"),
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "howto").glob("*.md")),
)
APPS = {"zncc": main.app, "zncc-align": align.app, "zncc-batch": batch.app, "zncc-stdmap": stdmap.app}
# What other programs do, and commands for other machines: they are not run.
OTHERS = ("python3", ".", "pip", "srun", "sbatch", "docker", "make")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    (zncc\S* (?:(?!: ).)+)$", re.MULTILINE)

NUMBER = r"-?\d+\.?\d*"

FIXED = """fixed.tif dapi.tif section1.png tile1.tif unloaded.tif electron.tif before.tif spring.tif optical.tif
    scene1.tif night1.tif sun1.tif visit1.png t1.tif drawing.png golden.png left.tif camera1.tif"""
MOVING = """moving.tif actin.tif other_actin.tif section2.png tile2.tif loaded.tif pattern_quality.png
    orientation_labels.png after.tif autumn.tif radar.tif scene2.tif night2.tif sun2.tif visit2.png t2.tif
    photograph.png part.png channel2.tif image.png right.tif camera2.tif"""
CHANNELS = "round1.ome.tif round2.ome.tif round3.ome.tif beads.ome.tif cells.ome.tif"
ALIGNED = "aligned.tif result/aligned.tif"
MASKS = "field.png disc.png result/mask.tif"
MOVIES = "movie.tif slices.tif test.tif sem.tif exposures.tif"
POINTS = """points.csv landmarks.csv fixed.csv fixed_points.csv moving.csv moving_points.csv section1_points.csv
    section2_points.csv visit1_points.csv visit2_points.csv"""


def commands(document: str) -> list[tuple[str, list[str], str]]:
    """Return the lines of shell of a document: as it stands, in words, and what it prints by the document."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found: list[tuple[str, list[str], str]] = []
    lines: list[str] = []
    for kind, content in BLOCK.findall(text):
        if kind == "sh":
            lines = content.replace("\\\n", " ").splitlines()
            found += [(line, shlex.split(line, comments=True), "") for line in lines if line.strip(" ")]
        elif kind == "text" and found and lines:
            found[-1] = (*found[-1][:2], content)
    found += [(line, shlex.split(line, comments=True), "") for line in INDENTED.findall(BLOCK.sub("", text))]
    return [command for command in found if command[1] and command[1][0] not in OTHERS and "$" not in command[0]]


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a file for each name that the documents use."""
    folder = tmp_path_factory.mktemp("things")
    fixed, moving = (iio.imread(SAMPLES / f"cells_{role}.png") for role in ("fixed", "moving"))
    frames = np.stack([fixed[k : 72 + k, 2 * k : 88 + 2 * k] for k in range(3)])

    def write(names: str, image: np.ndarray, **how: object) -> None:
        for name in names.split():
            if name.endswith(".tif"):
                tifffile.imwrite(folder / name, image, photometric="minisblack", **how)  # type: ignore[arg-type]
            else:
                iio.imwrite(folder / name, image)

    write(FIXED, fixed)
    write(MOVING, moving)
    (folder / "result").mkdir()
    write(ALIGNED, fixed)
    write(MASKS, np.full_like(fixed, 255))
    write(MOVIES, frames, metadata={"axes": "TYX"})
    both = np.stack([fixed, moving])
    write(CHANNELS, both, metadata={"axes": "CYX", "Channel": {"Name": ["DAPI", "actin"]}})
    for name in POINTS.split():
        (folder / name).write_text("x,y\n30,40\n100,30\n60,90\n120,100\n")
    for name, scene in (("folder", ("a_fixed", "a_moving", "first")), ("parts", ("1", "2")), ("bands", ("red", "nir"))):
        (folder / name).mkdir()
        for k, stem in enumerate(scene):
            tifffile.imwrite(folder / name / f"{stem}.tif", moving if k == 1 else fixed, photometric="minisblack")
    for well in ("A1", "A2"):
        (folder / "plate" / well).mkdir(parents=True)
        for channel, image in enumerate((fixed, moving)):
            tifffile.imwrite(folder / "plate" / well / f"s1_ch{channel}.tif", image, photometric="minisblack")
    (folder / "pairs.csv").write_text("fixed,moving\nfixed.tif,moving.tif\n")
    for name in ("transform.json", "first.json", "second.json"):
        shutil.copy(ROOT / "sample_data" / "rigid" / "truth.json", folder / name)
    return folder


@pytest.fixture
def here(things: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder: the things, and the sample data."""
    work = tmp_path / "work"
    shutil.copytree(things, work)
    (work / "sample_data").symlink_to(ROOT / "sample_data")
    monkeypatch.chdir(work)
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.setattr(run_module, "usable_cores", lambda: 1)  # one process for each batch
    return work


def run(line: str, words: list[str], *, again: bool) -> int:
    """Run a command, ours in this process, and return its exit code; ``again`` replaces what one before has written."""
    if words[:2] == ["zncc", "samples"]:
        Path("sample_data").unlink()  # the link to those of the checkout
    if words[0] not in APPS:
        line = line.replace("python ", f"{shlex.quote(sys.executable)} ", 1)
        return subprocess.run(["sh", "-c", line], timeout=60, check=False, capture_output=True).returncode
    command = typer.main.get_command(APPS[words[0]])
    inner = getattr(command, "commands", {}).get(words[1], command)
    replaces = any(parameter.name == "overwrite" for parameter in inner.params)
    if again and replaces and not {"evaluate", "--overwrite", "--resume"} & set(words):
        words = [*words, "--overwrite"]
    try:
        code = command.main(words[1:], prog_name=words[0], standalone_mode=False)
    except ZnccError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    return int(code or 0)


def is_alike(found: str, shown: str) -> bool:
    """Tell whether two lines have the same words, and numbers that differ in the last digits at most.

    They may, from one processor to another. The fifth column of a batch is seconds.
    """
    words, others = found.split(), shown.split()
    seconds = 4 if len(others) == 8 and others[1] == "ok" else None
    return len(words) == len(others) and all(
        number == seconds
        or (
            _numbers(one) == pytest.approx(_numbers(other), rel=0.02, abs=0.002)
            and re.sub(NUMBER, "", one) == re.sub(NUMBER, "", other)
        )
        for number, (one, other) in enumerate(zip(words, others, strict=True))
    )


def _numbers(word: str) -> list[float]:
    return [float(number) for number in re.findall(NUMBER, word)]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_commands_of_a_document_run(document: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The tutorial runs as it stands. Of others the files are stand-ins, so that a verdict may be another one."""
    literal = document == "docs/tutorial.md"
    printed = ""
    for line, words, shown in commands(document):
        expected = int(code[1]) if (code := re.search(r"# exit code (\d)", line)) else 0
        found = run(line, words, again=not literal)
        output = capsys.readouterr()
        printed += output.out
        assert found in ({expected} if literal or expected else {0, 3}), f"{line}: exit code {found}: {output.err}"
        for shown_line in shown.splitlines() if words[0] != "python" else ():
            assert any(is_alike(printed_line, shown_line) for printed_line in printed.splitlines()), (line, shown_line)
