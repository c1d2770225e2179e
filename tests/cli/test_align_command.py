"""``zncc-align FIXED MOVING`` from the shell: files, numbers, exit codes, messages."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from conftest import SAMPLES, SCRIPTS, Run, assert_one_line_error

from zncc_cli.files.transforms.transform_json import write_transform
from zncc_cli.operators import toolchain

sys.path.insert(0, str(SAMPLES))
from corner_error import corner_error

FILES = {
    "aligned.tif",
    "transform.json",
    "std_fixed.tif",
    "std_aligned.tif",
    "zncc.tif",
    "overlay.png",
    "mask.tif",
    "report.html",
    "report.json",
}
MODELS = ("translation", "rigid", "similarity", "affine", "homography")


def sample(model: str) -> tuple[Path, Path]:
    (fixed,) = (SAMPLES / model).glob("fixed.*")
    return fixed, fixed.with_name("moving" + fixed.suffix)


def test_auto_prints_the_model_and_the_reason(run: Run) -> None:
    fixed, moving = sample("rigid")
    got = run("zncc-align", fixed, moving, "--model", "auto", "--out", "out")
    assert got.returncode == 0, got.stderr
    (line,) = [line for line in got.stdout.splitlines() if line.startswith("model")]
    assert "rigid: translation explains held-out windows worse than" in line
    transform = json.loads((run.folder / "out" / "transform.json").read_text())
    report = json.loads((run.folder / "out" / "report.json").read_text())
    for content in (transform, report):
        assert (content["model"], content["model_asked"]) == ("rigid", "auto")
    assert report["selection"]["reason"] in line
    held_out = report["selection"]["held_out_zncc"]
    assert held_out["rigid"] > held_out["translation"]
    truth = json.loads((SAMPLES / "rigid" / "truth.json").read_text())
    assert corner_error(truth["matrix"], transform["matrix"], truth["fixed_shape"]).max < 0.1  # as with the model known


@pytest.fixture(scope="module")
def textured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 96 x 128 image of smooth 16-bit noise."""
    path = tmp_path_factory.mktemp("images") / "textured.tif"
    noise = np.random.default_rng(0).normal(size=(100, 132))
    smooth = sum(noise[i : i + 96, j : j + 128] for i in range(5) for j in range(5))
    tifffile.imwrite(path, (30000 + 200 * smooth).astype(np.uint16))
    return path


@pytest.mark.parametrize("model", MODELS)
def test_aligns_the_sample_pair_and_writes_every_file(run: Run, model: str) -> None:
    fixed, moving = sample(model)
    got = run("zncc-align", fixed, moving, "--model", model, "--out", "out", fresh=model == "affine")
    assert got.returncode == 0, got.stderr
    assert got.stdout.split()[:2] == ["status", "ok:"]
    out = run.folder / "out"
    assert {p.name for p in out.iterdir()} == FILES

    truth = json.loads((SAMPLES / model / "truth.json").read_text())
    transform = json.loads((out / "transform.json").read_text())
    for key in ("format", "version", "model", "fixed_shape", "moving_shape", "direction", "axis_order", "pixel_origin"):
        assert transform[key] == truth[key]
    # The demo promises a tenth of a pixel; these pairs are noisy.
    assert corner_error(truth["matrix"], transform["matrix"], truth["fixed_shape"]).max < 0.1

    aligned, original = iio.imread(out / "aligned.tif"), iio.imread(moving)
    height, width = truth["fixed_shape"]
    assert aligned.dtype == original.dtype
    assert aligned.shape == (height, width, *original.shape[2:])
    for name in ("std_fixed.tif", "std_aligned.tif", "zncc.tif"):
        image = tifffile.imread(out / name)
        assert (image.dtype, image.shape) == (np.float32, (height, width))
        assert np.isnan(image[:5]).all()  # a window of 11 leaves the frame there
    z = tifffile.imread(out / "zncc.tif")
    assert np.nanmax(np.abs(z)) <= 1

    report = json.loads((out / "report.json").read_text())
    assert report["status"] == "ok"
    assert 0.9 < report["probability"] < 1
    assert f"probability     {report['probability']:.3f} of being right" in got.stdout
    assert report["metrics"]["zncc_after"] > report["metrics"]["zncc_before"]
    assert set(report["seconds"]) == {"import", "read", "registration", "write", "total"}
    assert report["backend"]["used"] in ("native", "reference")
    assert report["backend"]["reason"]
    assert all(level["seconds"] > 0 for level in report["levels"])
    assert (report["registered_by"]["window"], report["registered_by"]["min_overlap"]) == (11, 0.25)
    assert report["versions"]["torch"]


def test_identical_images_come_back_pixel_for_pixel(run: Run, textured: Path) -> None:
    got = run("zncc-align", textured, textured, "--model", "translation", "--json")
    assert got.returncode == 0, got.stderr
    out = run.folder / "textured_aligned"  # the folder that is documented as the default
    matrix = json.loads((out / "transform.json").read_text())["matrix"]
    np.testing.assert_array_equal(matrix, np.eye(3))
    np.testing.assert_array_equal(tifffile.imread(out / "aligned.tif"), tifffile.imread(textured))
    assert json.loads(got.stdout)["status"] == "ok"


def test_json_prints_the_report_and_nothing_else(run: Run, textured: Path) -> None:
    got = run("zncc-align", textured, textured, "--out", "out", "--json")
    assert json.loads(got.stdout) == json.loads((run.folder / "out" / "report.json").read_text())


def test_quiet_prints_nothing_not_even_while_building(
    run: Run, textured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = run.folder / "quick-compiler"
    compiler.write_text(f'#!/bin/sh\nexec {toolchain.cxx_compiler()} "$@" -O0\n')  # half the time
    compiler.chmod(0o755)
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("ZNCC_CACHE_DIR", str(run.folder / "cache"))
    got = run("zncc-align", textured, textured, "--quiet", "--write", "transform")
    assert (got.returncode, got.stdout, got.stderr) == (0, "", "")
    assert list((run.folder / "cache").glob("zncc_cpu-*/*.so"))


def test_reference_backend_gives_the_same_transform(run: Run) -> None:
    fixed, moving = sample("rigid")
    matrices = []
    for backend in ("auto", "reference"):
        got = run("zncc-align", fixed, moving, "-m", "rigid", "-o", backend, "--backend", backend)
        assert got.returncode == 0, got.stderr
        matrices.append(json.loads((run.folder / backend / "transform.json").read_text())["matrix"])
    # The arithmetic differs in the last bits; the search ends within its tolerance of 0.002 px either way.
    np.testing.assert_allclose(matrices[0], matrices[1], atol=0.005)


def test_masks_are_read_from_files(run: Run) -> None:
    fixed, moving = sample("translation")
    mask = np.full(tifffile.imread(fixed).shape, 255, np.uint8)
    mask[:120] = 0
    iio.imwrite(run.folder / "mask.png", mask)
    got = run("zncc-align", fixed, moving, "-m", "translation", "-o", "out", "--fixed-mask", "mask.png")
    assert got.returncode == 0, got.stderr
    z = tifffile.imread(run.folder / "out" / "zncc.tif")
    assert np.isnan(z[:120]).all()
    assert np.isfinite(z[140:360, 30:480]).all()


def test_mask_of_another_size_is_refused(run: Run, textured: Path) -> None:
    iio.imwrite(run.folder / "mask.png", np.full((5, 6), 255, np.uint8))
    got = run("zncc-align", textured, textured, "--moving-mask", "mask.png")
    assert_one_line_error(got, 1, "mask.png", "expected a mask of 128 x 96", "found 6 x 5")
    assert list(run.folder.iterdir()) == [run.folder / "mask.png"]


def test_images_that_do_not_overlap_end_with_exit_code_3(run: Run) -> None:
    scene = tifffile.imread(sample("affine")[0])
    tifffile.imwrite(run.folder / "a.tif", scene[:, :230])
    tifffile.imwrite(run.folder / "b.tif", scene[:, -230:])
    line = "zncc-align", "a.tif", "b.tif", "-m", "translation", "--out"
    got = run(*line, "out")
    assert got.returncode == 3, got.stderr
    assert "no agreement found" in got.stdout
    quiet = run(*line, "quiet", "--quiet")
    assert (quiet.returncode, quiet.stdout) == (3, "")
    (said,) = quiet.stderr.splitlines()
    assert said.startswith("zncc-align: failed: no agreement found")
    for name in ("report.json", "transform.json"):
        assert json.loads((run.folder / "out" / name).read_text())["status"] == "failed"


def bad_inputs(folder: Path) -> dict[str, tuple[Path, int, tuple[str, ...]]]:
    """Write one file per mistake; return for each: the file, the exit code, words of the message."""
    (folder / "text.tif").write_text("no image\n" * 50)
    tifffile.imwrite(folder / "one.tif", np.ones((1, 1), np.uint16))
    tifffile.imwrite(folder / "constant.tif", np.full((96, 128), 500, np.uint16))
    tifffile.imwrite(folder / "nan.tif", np.full((96, 128), np.nan, np.float32))
    return {
        "missing": (folder / "missing.tif", 1, ("missing.tif",)),
        "text named .tif": (folder / "text.tif", 1, ("text.tif", "expected")),
        "1x1": (folder / "one.tif", 1, ("moving", "16 x 16", "1 x 1")),
        "constant": (folder / "constant.tif", 1, ("moving", "all equal")),
        "NaN": (folder / "nan.tif", 1, ("moving", "none that are finite")),
        "folder": (folder, 1, (folder.name,)),
    }


@pytest.mark.parametrize("mistake", ["missing", "text named .tif", "1x1", "constant", "NaN", "folder"])
def test_a_bad_input_ends_with_one_line(run: Run, textured: Path, tmp_path: Path, mistake: str) -> None:
    path, code, words = bad_inputs(tmp_path)[mistake]
    got = run("zncc-align", textured, path, "--out", "out")
    assert_one_line_error(got, code, *words)
    assert list(run.folder.iterdir()) == []


def test_some_nan_pixels_are_left_out_and_stay_nan(run: Run, textured: Path) -> None:
    image = tifffile.imread(textured).astype(np.float32)
    image[40:50, 60:70] = np.nan
    tifffile.imwrite(run.folder / "holes.tif", image)
    got = run("zncc-align", textured, "holes.tif", "-m", "translation", "--out", "out")
    assert got.returncode == 0, got.stderr
    aligned = tifffile.imread(run.folder / "out" / "aligned.tif")
    assert aligned.dtype == np.float32
    assert np.isnan(aligned[41:49, 61:69]).all()
    assert np.isfinite(aligned[10:35, 10:110]).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--window", "4000"), ("--window", "at most 48", "4000")),
        (("--window", "2"), ("--window", "at least 3")),
        (("--window", "many"), ("--window", "integer", "got 'many'")),
        (("--model", "wobbly"), ("--model' / '-m': 'wobbly' is not one of", "translation")),
        (("--min-overlap", "1.5"), ("--min-overlap", "1.5")),
        (("--max-motion", "0"), ("--max-motion", "pixels above 0")),
        (("--max-iterations", "0"), ("--max-iterations",)),
        (("--nonsense",), ("--nonsense",)),
    ],
)
def test_a_bad_option_ends_with_one_line(run: Run, textured: Path, options: tuple[str, ...], words: tuple[str]) -> None:
    assert_one_line_error(run("zncc-align", textured, textured, *options), 2, *words)
    assert list(run.folder.iterdir()) == []


def test_init_takes_a_transform_file(run: Run) -> None:
    fixed, moving = sample("rigid")
    truth = SAMPLES / "rigid" / "truth.json"  # has the form of a transform.json
    got = run("zncc-align", fixed, moving, "-m", "rigid", "-o", "out", "--init", truth, "--json")
    assert got.returncode == 0, got.stderr
    report = json.loads(got.stdout)
    assert (report["settings"]["init"], report["inverted"]) == (str(truth), False)
    matrix = json.loads((run.folder / "out" / "transform.json").read_text())["matrix"]
    content = json.loads(truth.read_text())
    assert corner_error(content["matrix"], matrix, content["fixed_shape"]).max < 0.1  # as without


def test_a_motion_beyond_max_motion_is_not_trusted_and_neither_is_its_rerun(run: Run) -> None:
    pair = SAMPLES / "translation" / "fixed.tif", SAMPLES / "translation" / "moving.tif"
    got = run("zncc-align", *pair, "-m", "translation", "--max-motion", 2, "--write", "report", "--out", "out")
    assert got.returncode == 3, got.stderr
    assert "within a --max-motion of 2 px" in got.stdout
    assert "--max-motion" in got.stderr  # what was done is told
    report = json.loads((run.folder / "out" / "report.json").read_text())
    assert report["settings"]["registration"]["max_motion"] == 2.0
    assert "--max-motion=2.0" in report["command"]
    assert report["metrics"]["distance_beyond_bound"] > 2
    again = run("zncc-align", "--rerun", "out/report.json", "--out", "again")
    assert again.returncode == 3
    assert json.loads((run.folder / "again" / "report.json").read_text())["reasons"] == report["reasons"]


def test_a_small_pair_gets_a_smaller_window_and_a_note(run: Run) -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(21, 31))
    tifffile.imwrite(run.folder / "a.tif", noise[:20, :30])
    tifffile.imwrite(run.folder / "b.tif", noise[1:, 1:])
    got = run("zncc-align", "a.tif", "b.tif", "-m", "translation", "--accept", "suspect", "--out", "out")
    assert got.returncode == 0, got.stderr
    report = json.loads((run.folder / "out" / "report.json").read_text())
    window = report["registered_by"]["window"]
    assert window < 11
    assert f"windows of {window} pixels" in got.stderr
    assert np.isfinite(tifffile.imread(run.folder / "out" / "std_fixed.tif")[window:-window, window:-window]).all()


def test_init_identity_searches_nothing(run: Run, textured: Path) -> None:
    tifffile.imwrite(run.folder / "turned.tif", np.ascontiguousarray(tifffile.imread(textured)[::-1, ::-1]))
    got = run("zncc-align", textured, "turned.tif", "-m", "rigid", "-o", "out", "-q", "--init", "identity")
    assert got.returncode == 3, got.stderr


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("[[1, 0, 0], [0, 1, 0]]", 1, ("init.json", "3 rows of 3 finite numbers")),
        ("[[1e-4, 0, 0], [0, 1, 0], [0, 0, 1]]", 2, ("--init", "an invertible matrix")),
    ],
)
def test_a_bad_init_ends_with_one_line(
    run: Run, textured: Path, tmp_path: Path, text: str, code: int, words: tuple[str]
) -> None:
    (tmp_path / "init.json").write_text(text)
    got = run("zncc-align", textured, textured, "--init", tmp_path / "init.json")
    assert_one_line_error(got, code, *words)
    assert list(run.folder.iterdir()) == []


def test_inverted_contrast_is_reported_and_the_maps_agree(run: Run, textured: Path) -> None:
    image = tifffile.imread(textured)
    tifffile.imwrite(run.folder / "negative.tif", image.max() - image)
    got = run("zncc-align", textured, "negative.tif", "-m", "translation", "-o", "out")
    assert got.returncode == 0, got.stderr
    assert "inverted bright in one image is dark in the other" in " ".join(got.stdout.split())
    assert json.loads((run.folder / "out" / "report.json").read_text())["inverted"] is True
    # The aligned image keeps its own values; the map shows how the images agree, one being the other's negative.
    assert np.nanmin(tifffile.imread(run.folder / "out" / "zncc.tif")) > 0.99
    np.testing.assert_array_equal(tifffile.imread(run.folder / "out" / "aligned.tif"), image.max() - image)


@pytest.mark.parametrize(
    "words",
    [
        "zncc-align {} missing.tif --out .",
        "zncc-align {} {} --moving-mask missing.tif --out .",
        "zncc apply transform.json missing.tif --out .",
        "zncc stack missing.tif --out .",
        "zncc-stdmap missing.tif",
        "zncc convert missing.json a.tfm",
        "zncc compose transform.json missing.json a.tfm",
        "zncc points transform.json missing.csv --out a.tfm",
    ],
)
def test_a_missing_input_is_reported_before_an_existing_output(run: Run, textured: Path, words: str) -> None:
    write_transform(run.folder / "transform.json", model="m", matrix=np.eye(3), fixed_shape=(9, 9), moving_shape=(9, 9))
    for name in ("report.json", "missing_aligned.tif", "missing_std.tif", "stack.tif", "a.tfm"):
        (run.folder / name).write_text("mine")
    assert_one_line_error(
        run(*words.format(textured, textured).split()), 1, "missing.", "expected a file, found nothing"
    )


def test_missing_argument_is_a_usage_error(run: Run, textured: Path) -> None:
    assert_one_line_error(run("zncc-align", textured), 2, "MOVING", "--help")


def test_existing_files_are_refused_without_overwrite(run: Run, textured: Path) -> None:
    assert run("zncc-align", textured, textured, "-o", "out", "-q").returncode == 0
    before = (run.folder / "out" / "report.json").read_bytes()
    assert_one_line_error(run("zncc-align", textured, textured, "-o", "out"), 1, "exists", "--overwrite")
    assert (run.folder / "out" / "report.json").read_bytes() == before
    assert run("zncc-align", textured, textured, "-o", "out", "-q", "--overwrite").returncode == 0
    assert {p.name for p in (run.folder / "out").iterdir()} == FILES


def test_a_read_only_output_folder_ends_with_one_line(run: Run, textured: Path) -> None:
    locked = run.folder / "locked"
    locked.mkdir(mode=0o555)
    wrap: tuple[str, ...] = ()
    if os.geteuid() == 0:  # root writes everywhere unless the kernel is told to check
        if shutil.which("setpriv") is None:
            pytest.skip("root without setpriv: permissions cannot be tested")
        wrap = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")
    got = run("zncc-align", textured, textured, "--out", "locked/out", wrap=wrap)
    assert_one_line_error(got, 1, "locked/out", "--out")
    assert list(locked.iterdir()) == []


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_no_files_behind(run: Run, sent: signal.Signals, code: int) -> None:
    fixed, moving = sample("homography")
    line = [SCRIPTS / "zncc-align", fixed, moving, "-m", "homography", "-o", "out"]
    process = subprocess.Popen(line, cwd=run.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(run.folder.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)  # until the hidden staging folder shows that the work has begun
    process.send_signal(sent)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert ("interrupted" in err) == (sent is signal.SIGINT)
    assert "Traceback" not in err
    assert list(run.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "window", "code"), [((), 7, 0), (("--json",), 47, 3)], ids=["summary, ok", "JSON, suspect"]
)
def test_a_closed_pipe_does_not_change_the_exit_code(
    run: Run, textured: Path, options: tuple[str, ...], window: int, code: int
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    line = ["zncc-align", textured, textured, "-w", str(window), "-m", "translation", *options]
    got = subprocess.run(
        [SCRIPTS / line[0], *line[1:]], cwd=run.folder, stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (got.returncode, got.stderr) == (code, "")
    assert run(*line, "--overwrite").returncode == code


def test_debug_shows_the_traceback(run: Run, textured: Path) -> None:
    got = run("zncc-align", textured, "missing.tif", "--debug")
    assert got.returncode == 1
    assert "\nTraceback (most recent call last):\n" in got.stderr
    assert "InputError" in got.stderr


def test_what_draws_pictures_and_terminals_is_loaded_only_where_it_is_used() -> None:
    program = (
        "import sys, zncc_cli.cli.align, zncc_cli.jobs.pair.align, zncc_cli.jobs.summary\n"
        "assert not {'PIL', 'imageio', 'jinja2', 'rich', 'psutil', 'zarr'} & set(sys.modules)"
    )
    got = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert got.returncode == 0, got.stderr


def test_help_does_not_load_torch() -> None:
    program = (
        "import sys\nsys.argv = ['zncc-align', '--help']\n"
        "from zncc_cli.cli.align import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert 'torch' not in sys.modules"
    )
    got = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert got.returncode == 0, got.stderr
    assert "--model" in got.stdout
