"""The operator beside everything that a user could take instead: time, errors and memory on each device."""

from __future__ import annotations

import argparse
import os
import time

# One thread compiles: the workers of torch.compile would wait for work while others are timed.
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import torch

from benchmarks.common import machine
from benchmarks.common.command_line import make_parser, show_progress
from benchmarks.operator import accuracy, memory, report
from benchmarks.operator.cells import Cell, Clock, measure_cell
from benchmarks.operator.contenders import Contender, find
from benchmarks.operator.heap import set_heap
from benchmarks.operator.tasks import BOTH

PARTS = ("timing", "accuracy", "memory", "windows", "kept-heap", "compile")

# Per device: sizes; limits in seconds of a contender in a cell, of a call, of the whole run and of compiling; how many
# plain forms are compiled.
_DEFAULTS = {
    "cpu": ((512, 1024, 4096), 0.4, 10.0, 1800.0, 60.0, 1),
    "cuda": ((512, 1024, 2048, 4096, 8192), 0.1, 2.0, 220.0, 70.0, 4),
}
_MAIN_WINDOW = 11
# At other windows a contender is measured only where a call takes less than this share of the limit.
_WINDOWS_LIMIT_SHARE = 1 / 8
# Memory and torch.compile are measured where the differences show, and every contender still fits.
_MAX_HEADLINE_SIZE = 4096


def main() -> None:
    """Run the benchmark."""
    options = _parser().parse_args()
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.allow_tf32 = False  # a convolution in float32, as all the others
    for name in options.devices:
        result = _measure(torch.device(name), options)
        print(*report.write(result, options.out), sep="\n")


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("operator", __doc__, devices=True)
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
    return parser


def _measure(device: torch.device, options: argparse.Namespace) -> report.Result:
    started = time.monotonic()
    sizes, budget, limit, seconds, compile_seconds, forms = _DEFAULTS[device.type]
    sizes = tuple(sorted(options.sizes or sizes))
    limit = limit if options.limit is None else options.limit
    clock = Clock(
        budget=budget if options.budget is None else options.budget,
        max_samples=options.rounds,
        deadline=started + (seconds if options.seconds is None else options.seconds),
        window=_MAIN_WINDOW if _MAIN_WINDOW in options.windows else options.windows[0],
        compile_seconds=compile_seconds if options.compile_seconds is None else options.compile_seconds,
    )
    installed, missing = find(options.threads)
    missing |= {c.name: f"it does not run on {device.type}" for c in installed if device.type not in c.devices}
    contenders = [c for c in installed if device.type in c.devices and _is_chosen(c, options.only)]
    facts = machine.describe(device, options.threads)
    window = clock.window
    headline = max([s for s in sizes if s <= _MAX_HEADLINE_SIZE], default=sizes[0])

    cells: list[Cell] = []
    if "timing" in options.parts:
        for size in [s for s in sizes if s >= window]:
            show_progress(f"{size}x{size}, window {window}")
            compiling = forms if "compile" in options.parts and size == headline else 0
            cells.append(measure_cell(contenders, size, window, device, clock, limit, compiling=compiling))
    errors = []
    if "accuracy" in options.parts:
        for w in options.accuracy_windows:
            show_progress(f"errors, window {w}")
            errors += accuracy.errors(contenders, options.accuracy_size, w, device)
    peaks = []
    if "memory" in options.parts:
        peaks = _peaks(contenders, headline, window, device, clock, limit, options.threads)
    if "windows" in options.parts:
        for size in sizes:
            for w in [w for w in options.windows if w != window and w <= size]:
                show_progress(f"{size}x{size}, window {w}")
                cells.append(measure_cell(contenders, size, w, device, clock, limit * _WINDOWS_LIMIT_SHARE))
    # Last, because memory that was freed and kept is never all given back, and the parts above need fresh memory.
    if "kept-heap" in options.parts and device.type == "cpu":
        if set_heap(keep=True):
            for size in [s for s in sizes if s >= window]:
                show_progress(f"{size}x{size}, window {window}, memory reused")
                cells.append(measure_cell(contenders, size, window, device, clock, limit, kept_heap=True))
        else:
            missing["time with reused memory"] = (
                "this C library's allocator cannot be told; nor is it kept from it above"
            )
    return report.Result(
        device=device,
        threads=options.threads,
        window=window,
        machine={**facts, "load average after": machine.load_average()},
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
            show_progress(f"memory, {contender.name} ({contender.task})")
            try:
                mib, note = memory.peak_mib(contender, size, window, device, threads), ""
            except memory.UnmeasuredError as error:
                note = str(error)
        peaks.append(report.Peak(contender.task, contender.name, size, window, mib, note))
    return peaks


def _is_chosen(contender: Contender, only: list[str] | None) -> bool:
    return not only or any(part in contender.name for part in only)


if __name__ == "__main__":
    main()
