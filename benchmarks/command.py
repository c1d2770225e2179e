"""The command: measure on each device, and write a Markdown table, a JSON file and a picture of it."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import time
from pathlib import Path

# One thread compiles: the workers of torch.compile would wait for work while others are timed.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import torch

from benchmarks import accuracy, machine, memory, picture, report
from benchmarks.cells import Cell, Clock, measure_cell
from benchmarks.contenders import Contender, find
from benchmarks.heap import set_heap
from benchmarks.tasks import BOTH

RESULTS = Path(__file__).resolve().parent / "results"
PARTS = ("timing", "accuracy", "memory", "windows", "kept-heap", "compile")

# Per device: sizes; seconds of a contender in a cell, of a call, of the whole; of compiling, and how many forms.
_DEFAULTS = {
    "cpu": ((512, 1024, 4096), 0.4, 10.0, 1800.0, 60.0, 1),
    "cuda": ((512, 1024, 2048, 4096, 8192), 0.1, 2.0, 220.0, 70.0, 4),
}
_MAIN_WINDOW = 11
# Off the main window a contender is measured only where a call takes less than this share of the limit.
_WINDOWS_SHARE = 1 / 8
# Memory and torch.compile are looked at where the differences show, and every contender still fits.
_HEADLINE_SIZE = 4096


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    options = _parser().parse_args(arguments)
    present = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    absent = [name for name in options.devices or () if name not in present]
    if absent:
        print(f"--devices: {', '.join(absent)} is not here; there is {', '.join(present)}", file=sys.stderr)
        return 2
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.allow_tf32 = False  # a convolution in float32, as all the others
    for name in options.devices or present:
        result = _measure(torch.device(name), options)
        for file in report.write(result, options.out):
            print(file)
        print(picture.write(result, options.out))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks/operator.py", description=__doc__)
    parser.add_argument("--devices", nargs="+", choices=("cpu", "cuda"), help="default: all that are here")
    parser.add_argument("--sizes", nargs="+", type=int, help="sides of the square images; default: by device")
    parser.add_argument("--windows", nargs="+", type=int, default=[5, 11, 31, 101], help="sides of the windows")
    parser.add_argument("--threads", type=int, default=1, help="threads on the CPU, of torch and of OpenCV")
    parser.add_argument("--rounds", type=int, default=30, help="most samples of a contender in a cell")
    parser.add_argument("--budget", type=float, help="seconds that a contender may take in a cell")
    parser.add_argument("--limit", type=float, help="seconds of a call above which a contender is left out")
    parser.add_argument("--seconds", type=float, help="after this nothing new is begun")
    parser.add_argument("--compile-seconds", type=float, help="seconds that torch.compile may take in all")
    parser.add_argument("--accuracy-size", type=int, default=256)
    parser.add_argument("--accuracy-windows", nargs="+", type=int, default=[11, 31])
    parser.add_argument("--only", nargs="+", help="contenders whose name contains one of these")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    return parser


def _measure(device: torch.device, options: argparse.Namespace) -> report.Result:
    started = time.monotonic()
    sizes, budget, limit, seconds, compile_seconds, forms = _DEFAULTS[device.type]
    sizes = tuple(sorted(options.sizes or sizes))
    limit = limit if options.limit is None else options.limit
    clock = Clock(
        budget=budget if options.budget is None else options.budget,
        most_samples=options.rounds,
        deadline=started + (seconds if options.seconds is None else options.seconds),
        window=_MAIN_WINDOW if _MAIN_WINDOW in options.windows else options.windows[0],
        compile_seconds=compile_seconds if options.compile_seconds is None else options.compile_seconds,
    )
    found, missing = find(options.threads)
    missing |= {c.name: f"it does not run on {device.type}" for c in found if device.type not in c.devices}
    contenders = [c for c in found if device.type in c.devices and _is_chosen(c, options.only)]
    facts = machine.describe(device, options.threads)
    window = clock.window
    headline = max([s for s in sizes if s <= _HEADLINE_SIZE], default=sizes[0])

    cells: list[Cell] = []
    if "timing" in options.parts:
        for size in [s for s in sizes if s >= window]:
            _say(device, f"{size}x{size}, window {window}")
            compiling = forms if "compile" in options.parts and size == headline else 0
            cells.append(measure_cell(contenders, size, window, device, clock, limit, compiling=compiling))
    errors = []
    if "accuracy" in options.parts:
        for w in options.accuracy_windows:
            _say(device, f"errors, window {w}")
            errors += accuracy.errors(contenders, options.accuracy_size, w, device)
    peaks = []
    if "memory" in options.parts:
        peaks = _peaks(contenders, headline, window, device, clock, limit, options.threads)
    if "windows" in options.parts:
        for size in sizes:
            for w in [w for w in options.windows if w != window and w <= size]:
                _say(device, f"{size}x{size}, window {w}")
                cells.append(measure_cell(contenders, size, w, device, clock, limit * _WINDOWS_SHARE))
    # After all that is timed with fresh memory, which is not to be had again once much has been freed and kept.
    if "kept-heap" in options.parts and device.type == "cpu":
        if set_heap(keep=True):
            for size in [s for s in sizes if s >= window]:
                _say(device, f"{size}x{size}, window {window}, memory reused")
                cells.append(measure_cell(contenders, size, window, device, clock, limit, kept_heap=True))
        else:
            missing["time with reused memory"] = (
                "this C library's allocator cannot be told; nor is it kept from it above"
            )
    return report.Result(
        date=datetime.date.today().isoformat(),
        device=device,
        threads=options.threads,
        window=window,
        machine={**facts, "load average after": machine.describe(device, options.threads)["load average"]},
        missing=missing,
        cells=cells,
        peaks=peaks,
        errors=errors,
        accuracy_size=options.accuracy_size,
        seconds=time.monotonic() - started,
    )


def _peaks(
    contenders: list[Contender],
    size: int,
    window: int,
    device: torch.device,
    clock: Clock,
    limit: float,
    threads: int,
) -> list[report.Peak]:
    peaks = []
    for contender in contenders:
        expected, mib = clock.expected((contender.task, contender.name, BOTH), size), None
        if clock.is_over():
            note = "not measured: the time given by --seconds was spent"
        elif expected > limit:
            note = f"not measured: about {expected:.1f} s a call, over the limit of {limit:.1f} s"
        else:
            _say(device, f"memory, {contender.name} ({contender.task})")
            try:
                mib, note = memory.peak_mib(contender, size, window, device, threads), ""
            except memory.UnmeasuredError as error:
                note = str(error)
        peaks.append(report.Peak(contender.task, contender.name, size, window, mib, note))
    return peaks


def _is_chosen(contender: Contender, only: list[str] | None) -> bool:
    return not only or any(part in contender.name for part in only)


def _say(device: torch.device, text: str) -> None:
    print(f"{device.type}: {text}", file=sys.stderr, flush=True)
