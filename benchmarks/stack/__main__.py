"""`zncc stack` on a movie with known drift, beside pystackreg in the same run: error, frames per second, peak memory.

By default 500 frames of 512 x 512 pixels: some minutes.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from benchmarks.common import machine, report
from benchmarks.common.command_line import make_parser
from benchmarks.common.processes import measure_python
from benchmarks.stack.movie import DriftMovie

_STACK = "from zncc_cli.cli.main import main; main()"
_IMPORTS = "import torch, zncc_cli.jobs.stack.align"


@dataclass(frozen=True)
class Run:
    """One run of a tool: seconds a frame of the processor and of the clock, and the drift (n, 2), (x, y) pixels."""

    cpu: float
    wall: float
    drift: np.ndarray


def main() -> None:
    """Run the benchmark."""
    parser = make_parser("stack", __doc__)
    parser.add_argument("--side", type=int, default=512, help="pixels")
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--peer-frames", type=int, default=40, help="how many of them pystackreg is given each time")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--noise", type=float, default=300.0, help="grey values; the scene's deviation is 1500")
    options = parser.parse_args()
    movie = DriftMovie.walk(options.frames, options.side, noise=options.noise)
    runs: dict[str, list[Run]] = {}
    peaks, summary = [], {}
    with tempfile.TemporaryDirectory() as name:
        file, out = Path(name) / "movie.tif", Path(name) / "out"
        shape = (options.frames, options.side, options.side)
        with tifffile.TiffWriter(file, bigtiff=True) as writer:
            writer.write(
                movie.frames(), shape=shape, dtype=np.uint16, photometric="minisblack", metadata={"axes": "TYX"}
            )
        imports_peak = measure_python(_IMPORTS).peak_kib
        for _ in range(options.rounds):
            for model in ("translation", "rigid"):
                run, peak, printed = _ours(out, file, model, options.frames)
                runs.setdefault(f"zncc stack, {model}", []).append(run)
                if model == "translation":
                    peaks.append(peak)
                    summary = printed
            for label, peer in _peers(file, options.peer_frames).items():
                runs.setdefault(label, []).append(peer())
    body = _lines(movie, runs, summary, max(peaks), imports_peak, options)
    times = {label: [(run.cpu, run.wall) for run in each] for label, each in runs.items()}
    content = {"cpu_and_wall_seconds_per_frame": times, "peak_kib": peaks, "imports_peak_kib": imports_peak}
    title = f"A movie of {options.frames} frames of {options.side} x {options.side}"
    facts = machine.describe(threads=os.cpu_count() or 1)
    print(*report.write(options.out, f"stack-{machine.slug()}-{options.side}", title, facts, body, content), sep="\n")


def _ours(out: Path, file: Path, model: str, frames: int) -> tuple[Run, int, dict]:
    """Run `zncc stack` on ``file``; return the run, the peak in KiB and the summary that the command prints."""
    arguments = ["stack", str(file), "--model", model, "--out", str(out), "--overwrite", "--json"]
    usage = measure_python(_STACK, arguments)
    with (out / "drift.csv").open() as table:
        drift = np.array([[float(row["dx"]), float(row["dy"])] for row in csv.DictReader(table)])
    return Run(usage.cpu / frames, usage.wall / frames, drift), usage.peak_kib, json.loads(usage.output)


def _peers(file: Path, count: int) -> dict[str, Callable[[], Run]]:
    """Return runs of pystackreg with each model and reference on the first ``count`` frames, in memory."""
    from pystackreg import StackReg

    frames = tifffile.imread(file, key=range(count))
    kinds = {"TRANSLATION": StackReg.TRANSLATION, "RIGID_BODY": StackReg.RIGID_BODY}

    def run(kind: int, reference: str) -> Run:
        tool = StackReg(kind)
        cpu, wall = time.process_time(), time.perf_counter()
        tool.register_transform_stack(frames, reference=reference)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        # The drift of the frame's centre, as in drift.csv.
        c = np.array([(frames.shape[2] - 1) / 2, (frames.shape[1] - 1) / 2, 1.0])
        return Run(cpu / count, wall / count, (tool._tmats @ c)[:, :2] - c[:2])

    return {
        f"pystackreg, {name}, {reference}": lambda kind=kind, reference=reference: run(kind, reference)
        for name, kind in kinds.items()
        for reference in ("first", "previous")
    }


def _lines(
    movie: DriftMovie,
    runs: dict[str, list[Run]],
    summary: dict,
    peak: int,
    imports_peak: int,
    options: argparse.Namespace,
) -> Iterator[str]:
    frames, side, few = options.frames, options.side, options.peer_frames
    yield (
        "16 bit, random walk (0.4 px a frame and axis) with one jump of 11.5 px, blank frames "
        f"{', '.join(map(str, movie.blank))}; noise of {options.noise:g}, the scene's deviation is 1500. "
        f"All in turn, {options.rounds} rounds, medians. `zncc stack`: the whole process from the shell, file to file, "
        f"all {frames} frames. pystackreg: its first {few} frames, in memory, `register_transform_stack`. The error is "
        "the RMS distance between the measured and the true drift of the frames that are not blank."
    )
    yield ""
    not_blank = np.array([number not in movie.blank for number in range(frames)])
    rows = []
    for label, each in runs.items():
        wall, cpu = (1e3 * statistics.median(getattr(run, what) for run in each) for what in ("wall", "cpu"))
        drift = each[-1].drift
        errors = np.linalg.norm(drift - movie.drift[: len(drift)], axis=1)
        of_all, of_first = errors[not_blank[: len(drift)]], errors[:few][not_blank[:few]]
        whole = (_rms(of_all), f"{of_all.max():.4f}") if len(drift) == frames else ("", "")
        rows.append((label, f"{1e3 / wall:.1f}", f"{wall:.1f}", f"{cpu:.1f}", *whole, _rms(of_first)))
    head = ("tool", "frames a second", "ms a frame, wall", "ms a frame, processor", "RMS error, px", "largest, px")
    yield from report.table((*head, f"RMS of the first {few}, px"), rows)
    seconds = summary["seconds"]
    yield (
        f"Named blank: {summary['blank']}; outliers: {summary['outliers']}; status {summary['status']}. Expected RMS "
        f"error of a frame, at most: {summary['metrics']['largest_expected_error']:.4f} px. The last run with "
        f"translations took {seconds['total']:.1f} s, of which the import of torch took {seconds['import']:.1f}."
    )
    yield ""
    yield (
        f"Peak memory {peak / 1024:.0f} MiB, {(peak - imports_peak) / 1024:.0f} MiB beyond the interpreter with torch "
        f"({imports_peak / 1024:.0f} MiB); the pixels are {frames * side * side * 2 / 2**20:.0f} MiB."
    )


def _rms(lengths: np.ndarray) -> str:
    return f"{np.sqrt((lengths**2).mean()):.4f}"


if __name__ == "__main__":
    main()
