"""`zncc stack` on a movie with known drift, beside pystackreg in the same run: error, frames per second, peak memory.

python benchmarks/stack.py                      # 500 frames of 512 x 512; some minutes
python benchmarks/stack.py --side 256 --frames 200
"""

import sys

# Run as a script, this folder would come first on the path, and hide the standard library's operator.
sys.path[0] = __file__.rpartition("benchmarks")[0] or "."

import argparse  # noqa: E402
import csv  # noqa: E402
import datetime  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import tifffile  # noqa: E402
import torch  # noqa: E402

from benchmarks import machine  # noqa: E402
from benchmarks.movie import DriftMovie  # noqa: E402

_ROOT = Path(__file__).resolve().parent.parent
# Runs a command and tells the most memory that its process held; argv[1] is the file for that.
_PEAK = """
import re, sys
from pathlib import Path
told = sys.argv.pop(1)
try:
    {body}
finally:
    Path(told).write_text(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""
_STACK = _PEAK.format(body="from zncc_cli.cli.main import main; main()")
_NOTHING = _PEAK.format(body="import torch, zncc_cli.jobs.stack.align")


@dataclass(frozen=True)
class Run:
    """One run of a tool: what its processor took, what the clock says, seconds a frame; its drift (n, 2) or None."""

    cpu: float
    wall: float
    drift: np.ndarray


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="benchmarks/stack.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--side", type=int, default=512, help="pixels")
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--peer-frames", type=int, default=40, help="how many of them pystackreg is given each time")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--noise", type=float, default=300.0, help="grey values; the scene's deviation is 1500")
    parser.add_argument("--out", type=Path, default=_ROOT / "benchmarks" / "results", help="folder of the results")
    options = parser.parse_args()
    movie = DriftMovie.walk(options.frames, options.side, noise=options.noise)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "movie.tif"
        with tifffile.TiffWriter(file, bigtiff=True) as writer:
            shape = (options.frames, options.side, options.side)
            writer.write(
                movie.frames(), shape=shape, dtype=np.uint16, photometric="minisblack", metadata={"axes": "TYX"}
            )
        base = _child(_NOTHING, folder, [])[2]
        runs: dict[str, list[Run]] = {}
        peaks, report = [], {}
        for _ in range(options.rounds):
            for model in ("translation", "rigid"):
                run, peak, found = _ours(folder, file, model, options.frames)
                runs.setdefault(f"zncc stack, {model}", []).append(run)
                if model == "translation":
                    peaks.append(peak)
                    report = found
            for label, peer in _peers(file, options.peer_frames).items():
                runs.setdefault(label, []).append(peer())
    lines = _lines(movie, runs, report, max(peaks), base, options)
    text = "\n".join(lines) + "\n"
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    date = datetime.date.today().isoformat()
    (options.out / f"stack-{machine.slug(torch.device('cpu'))}-{options.side}-{date}.md").write_text(text)
    return 0


def _child(program: str, folder: Path, arguments: list[str]) -> tuple[float, float, int, str]:
    """Return processor and wall seconds of a process, its peak in kB and what it printed."""
    told = folder / "peak"
    command = [sys.executable, "-c", program, str(told), *arguments]
    before, began = os.times(), time.perf_counter()
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu, time.perf_counter() - began, int(told.read_text()), done.stdout


def _ours(folder: Path, file: Path, model: str, frames: int) -> tuple[Run, int, dict]:
    out = folder / "out"
    arguments = ["stack", str(file), "--model", model, "--out", str(out), "--overwrite", "--json"]
    cpu, wall, peak, printed = _child(_STACK, folder, arguments)
    with (out / "drift.csv").open() as table:
        drift = np.array([[float(row["dx"]), float(row["dy"])] for row in csv.DictReader(table)])
    return Run(cpu / frames, wall / frames, drift), peak, json.loads(printed)


def _peers(file: Path, count: int) -> dict[str, Callable[[], Run]]:
    """Return pystackreg in its models and references, on the first frames, in memory, with what it gives back."""
    from pystackreg import StackReg

    frames = tifffile.imread(file, key=range(count))
    kinds = {"TRANSLATION": StackReg.TRANSLATION, "RIGID_BODY": StackReg.RIGID_BODY}

    def run(kind: int, reference: str) -> Run:
        tool = StackReg(kind)
        cpu, wall = time.process_time(), time.perf_counter()
        tool.register_transform_stack(frames, reference=reference)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        # Where the centre goes, as in drift.csv.
        c = np.array([(frames.shape[2] - 1) / 2, (frames.shape[1] - 1) / 2, 1.0])
        return Run(cpu / count, wall / count, (tool._tmats @ c)[:, :2] - c[:2])

    return {
        f"pystackreg, {name}, {reference}": lambda kind=kind, reference=reference: run(kind, reference)
        for name, kind in kinds.items()
        for reference in ("first", "previous")
    }


def _lines(
    movie: DriftMovie, runs: dict[str, list[Run]], report: dict, peak: int, base: int, options: argparse.Namespace
) -> list[str]:
    frames, side, few = options.frames, options.side, options.peer_frames
    shown = np.array([number not in movie.blank for number in range(frames)])
    lines = [
        f"# A movie of {frames} frames of {side} x {side}, {datetime.date.today().isoformat()}",
        "",
        "16 bit, random walk (0.4 px a frame and axis) with one jump of 11.5 px, blank frames "
        f"{', '.join(map(str, movie.blank))}; noise of {options.noise:g}, the scene's deviation is 1500. "
        f"All in turn, {options.rounds} rounds, medians. `zncc stack`: the whole process from the shell, file to file, "
        f"all {frames} frames. pystackreg: its first {few} frames, in memory, `register_transform_stack`. The error is "
        "the RMS length by which a frame that is not blank lies elsewhere, against frame 0.",
        "",
        "| tool | frames a second | ms a frame, wall | ms a frame, processor | RMS error, px | largest, px | "
        f"RMS of the first {few}, px |",
        "|---|---|---|---|---|---|---|",
    ]
    for label, each in runs.items():
        wall, cpu = (1e3 * statistics.median(getattr(run, what) for run in each) for what in ("wall", "cpu"))
        found = each[-1].drift
        error = np.linalg.norm(found - movie.drift[: len(found)], axis=1)
        good, first = error[shown[: len(found)]], error[:few][shown[:few]]
        whole = (_rms(good), f"{good.max():.4f}") if len(found) == frames else ("", "")
        lines.append(
            f"| {label} | {1e3 / wall:.1f} | {wall:.1f} | {cpu:.1f} | {whole[0]} | {whole[1]} | {_rms(first)} |"
        )
    lines += [
        "",
        f"Named blank: {report['blank']}; outliers: {report['outliers']}; status {report['status']}. Expected RMS "
        f"error of a frame, at most: {report['metrics']['largest_expected_error']:.4f} px. Of the last shift-only run's "
        f"{report['seconds']['total']:.1f} s, {report['seconds']['import']:.1f} went into loading torch.",
        f"Peak memory {peak / 1024:.0f} MiB, {(peak - base) / 1024:.0f} MiB beyond the interpreter with torch "
        f"({base / 1024:.0f} MiB); the pixels are {frames * side * side * 2 / 2**20:.0f} MiB.",
        "",
    ]
    return lines + [
        f"- {key}: {value}" for key, value in machine.describe(torch.device("cpu"), os.cpu_count() or 1).items()
    ]


def _rms(lengths: np.ndarray) -> str:
    return f"{np.sqrt((lengths**2).mean()):.4f}"


if __name__ == "__main__":
    sys.exit(main())
