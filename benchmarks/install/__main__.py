"""Seconds and megabytes of a fresh installation and of the first aligned image, beside other tools.

Each tool is installed by pip, without a cache, into an empty virtual environment of its own. Then a pair of 512 x 384
pixels is aligned by an affine transform in processes of their own, on one thread, with nothing on PATH but the
environment: no compiler. torch is installed first where it is needed, and is named on a line of its own.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import tifffile

from benchmarks.common import machine, report
from benchmarks.common.command_line import make_parser, show_progress
from benchmarks.common.processes import ROOT
from benchmarks.install.tools import OTHERS, Tool
from sample_data.corner_error import corner_error

_MEGABYTES = {"bytes": 1e-6, "kB": 1e-3, "MB": 1, "GB": 1e3}
_PAIR = ROOT / "sample_data" / "affine"
_HEAD = (
    "",
    "download, MB",
    "on disk, MB",
    "pip install, s",
    "its CPU s",
    "first alignment, s",
    "its CPU s",
    "later ones, s",
    "their CPU s",
    "error, px",
)


@dataclass(frozen=True)
class Installed:
    """What an installation took: megabytes (10^6 bytes) of archives and on the disk, seconds, and the CPU's seconds."""

    name: str
    download_mb: float
    disk_mb: float
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True)
class Aligned:
    """Seconds of the first alignment and of those that follow, the CPU's of all, and the largest error at a corner."""

    first: float
    later: tuple[float, ...]
    cpu: tuple[float, ...]
    error: float


def main() -> None:
    """Run the benchmark."""
    parser = make_parser("install", __doc__)
    parser.add_argument("--torch", default="torch", help="what pip is asked for, such as torch==2.13.0+cpu")
    parser.add_argument("--repeats", type=int, default=5, help="alignments after the first")
    options = parser.parse_args()
    rows, content = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_arrays(folder)
        for tool in OTHERS:
            show_progress(tool.name)
            home = _environment(folder / tool.name)
            installed = _install(home, tool.name, [tool.requirement])
            aligned = _align(home, _program(home, tool, folder), options.repeats)
            rows.append(_row(installed, aligned))
            content.append(asdict(installed) | asdict(aligned))
        show_progress("zncc-cli")
        wheel, home = _built_wheel(folder), _environment(folder / "zncc-cli")
        torch_alone = _install(home, "torch, which zncc-cli needs", [options.torch])
        installed = _install(home, "zncc-cli beside torch", [str(wheel)])
        aligned = _align(home, None, options.repeats)
        rows += [_row(torch_alone, None), _row(installed, aligned)]
        content += [asdict(torch_alone), asdict(installed) | asdict(aligned)]
        version = _output(home, "-c", "import torch; print(torch.__version__)")
    facts = machine.describe() | {"torch of the environment": version}
    title = f"A fresh installation and the first alignment on {facts['device']}"
    paths = report.write(options.out, f"install-{machine.slug()}", title, facts, _body(rows), {"tools": content})
    print(*paths, sep="\n")


def _body(rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        *report.table(_HEAD, rows),
        "Seconds are of the clock, and hold the way from the package index, or from this disk where an archive lies",
        "there; megabytes are 10^6 bytes. Alignments are whole processes, reading and writing included, on one thread;",
        "later ones are medians. The sample is `sample_data/affine`, 16 bits with noise; the error is the largest of",
        "the corners.",
    ]


def _environment(home: Path) -> Path:
    venv.create(home, with_pip=True, symlinks=True)
    return home


def _write_arrays(folder: Path) -> None:
    for name in ("fixed", "moving"):
        np.save(folder / f"{name}.npy", tifffile.imread(_PAIR / f"{name}.tif"))


def _built_wheel(folder: Path) -> Path:
    """Return a wheel with the CPU kernels for all processors of this kind."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "wheel")]
    subprocess.run(build, cwd=ROOT, env={**os.environ, "ZNCC_WHEEL_KERNELS": "all"}, check=True, capture_output=True)
    (wheel,) = (folder / "wheel").glob("*.whl")
    return wheel


def _install(home: Path, name: str, requirements: Sequence[str]) -> Installed:
    """Install into an environment, and return what that took."""
    before, log = _size(home), home.parent / "report.json"
    pip = [home / "bin" / "python", "-m", "pip", "install", "--no-cache-dir", "--report", log, *requirements]
    said, seconds, cpu = _timed([str(word) for word in pip], dict(os.environ))
    archives = _downloaded_mb(said) + _local_bytes(log) / 1e6
    return Installed(name, archives, (_size(home) - before) / 1e6, seconds, cpu)


def _timed(command: Sequence[str], environment: dict[str, str], folder: Path | None = None) -> tuple[str, float, float]:
    """Return what a command prints, the clock's seconds and the CPU's."""
    times, began = os.times(), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    seconds, after = time.perf_counter() - began, os.times()
    cpu = after.children_user + after.children_system - times.children_user - times.children_system
    return done.stdout, seconds, cpu


def _downloaded_mb(said: str) -> float:
    """Return the megabytes of the archives that pip says it downloads."""
    found = re.findall(r"Downloading \S+\.(?:whl|gz|zip) \(([0-9.]+) (bytes|kB|MB|GB)\)", said)
    return sum(float(number) * _MEGABYTES[unit] for number, unit in found)


def _local_bytes(log: Path) -> int:
    """Return the bytes of the archives that pip took from this machine's disk."""
    urls = (urlsplit(item["download_info"]["url"]) for item in json.loads(log.read_text())["install"])
    return sum(Path(unquote(url.path)).stat().st_size for url in urls if url.scheme == "file")


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def _program(home: Path, tool: Tool, folder: Path) -> list[str]:
    suffix, images = ("npy", folder) if tool.takes_arrays else ("tif", _PAIR)
    return [
        str(home / "bin" / "python"),
        "-c",
        tool.program,
        *(str(images / f"{n}.{suffix}") for n in ("fixed", "moving")),
    ]


def _align(home: Path, program: list[str] | None, repeats: int) -> Aligned:
    """Align the pair by a program, or by our command, again and again."""
    ours = [str(home / "bin" / "zncc-align"), *(str(_PAIR / f"{n}.tif") for n in ("fixed", "moving"))]
    ours += ["--model", "affine", "--out", "result", "--overwrite", "--quiet"]
    environment = {"PATH": str(home / "bin"), "HOME": str(home), "ZNCC_CACHE_DIR": str(home / "cache")}
    environment |= {"OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}
    runs = [_timed(program or ours, environment, home) for _ in range(1 + repeats)]
    if program is None:
        found = json.loads((home / "result" / "transform.json").read_text())["matrix"]
    else:
        found = json.loads(runs[-1][0].splitlines()[-1])
    truth = json.loads((_PAIR / "truth.json").read_text())
    height, width = truth["fixed_shape"]
    error = corner_error(truth["matrix"], found, (height, width)).max
    seconds, cpu = tuple(wall for _, wall, _ in runs), tuple(cpu for *_, cpu in runs)
    return Aligned(seconds[0], seconds[1:], cpu, error)


def _row(installed: Installed, aligned: Aligned | None) -> list[str]:
    sizes = [
        f"{installed.download_mb:.0f}",
        f"{installed.disk_mb:.0f}",
        f"{installed.seconds:.0f}",
        f"{installed.cpu_seconds:.0f}",
    ]
    if aligned is None:
        return [installed.name, *sizes, *[""] * 5]
    times = aligned.first, aligned.cpu[0], statistics.median(aligned.later), statistics.median(aligned.cpu[1:])
    return [installed.name, *sizes, *(f"{seconds:.1f}" for seconds in times), report.pixels(aligned.error)]


def _output(home: Path, *arguments: str) -> str:
    return subprocess.run(
        [home / "bin" / "python", *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    main()
