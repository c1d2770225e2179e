"""Registrations beside the tools that a user could take instead: all register the same pairs in one run."""

from __future__ import annotations

from benchmarks.common import one_thread  # noqa: F401  numpy reads the settings when it is imported

# isort: split

import argparse
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch

from benchmarks.common import machine
from benchmarks.common.command_line import make_parser, show_progress
from benchmarks.registration import report
from benchmarks.registration.pairs.damage import DAMAGES
from benchmarks.registration.pairs.motion import MODELS
from benchmarks.registration.pairs.plans import border_plans, large_pair, make, plans
from benchmarks.registration.passes import (
    DAMAGE,
    PEERS,
    Effort,
    Passes,
    Refusal,
    passes,
    prepare,
    refusal,
    refusal_sides,
)
from benchmarks.registration.processes import Process, batch_overhead, processes
from benchmarks.registration.speed import speeds
from benchmarks.registration.stages import StageTimes, stage_times
from benchmarks.registration.tools import registry
from benchmarks.registration.tools.contender import Contender
from benchmarks.registration.tools.opencv import SIFT_ECC
from benchmarks.registration.trials import trials

_SAMPLES_PER_PROCESS = 4  # a registration in memory takes less than a process
_T = TypeVar("_T")
PARTS = ("time", "processes", "borders", "pairs", "stages")


def main() -> None:
    """Run the benchmark."""
    options = _parser().parse_args()
    torch.set_num_threads(1)
    for name in options.devices:
        result = _measure(torch.device(name), options)
        print(*report.write(result, options.out), sep="\n")


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("registration", __doc__, devices=True)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, help="of pairs, borders and times")
    parser.add_argument("--damages", nargs="+", choices=tuple(DAMAGES), default=tuple(DAMAGES), help="of the pairs")
    parser.add_argument("--only", nargs="+", help="contenders whose name contains one of these")
    parser.add_argument("--side", type=int, default=512, help="of the images that time is measured on")
    parser.add_argument(
        "--sides", nargs="+", type=int, default=[512, 1024, 2048, 4096], help="of the images for the stages"
    )
    parser.add_argument("--budget", type=float, default=1.5, help="seconds for timing a contender on a model")
    parser.add_argument(
        "--limit", type=float, default=60.0, help="seconds of a call, beyond which the stages are without a peer"
    )
    parser.add_argument("--repeats", type=int, default=5, help="processes of each kind")
    parser.add_argument(
        "--seconds", type=float, default=600.0, help="after this no further model is timed, and no further pair begun"
    )
    return parser


def _measure(device: torch.device, options: argparse.Namespace) -> report.Result:
    began = time.monotonic()
    installed, missing = registry.find(device)
    contenders = [c for c in installed if not options.only or any(part in c.name for part in options.only)]
    with_peer = any(contender.name == SIFT_ECC for contender in contenders)
    facts = machine.describe(device, threads=1)

    def in_time(wanted: Sequence[_T], what: str) -> Iterator[_T]:
        for index, each in enumerate(wanted):
            if index and time.monotonic() - began > options.seconds:
                left_out = f"{len(wanted) - index} of {len(wanted)} {what}"
                missing[left_out] = f"not begun within the {options.seconds:.0f} s of --seconds"
                break
            yield each

    parts, models = options.parts, options.models
    max_samples = _SAMPLES_PER_PROCESS * options.repeats
    to_time = in_time(models, "models to time") if "time" in parts else []
    timed = speeds(contenders, to_time, options.side, options.budget, max_samples)
    whole, overhead = list[Process](), None
    if "processes" in parts:
        show_progress("whole processes")
        whole = processes(options.side, options.repeats, device.type, with_peer=with_peer)
        show_progress("a batch")
        overhead = batch_overhead(options.side, max_samples, device.type)
    with_border = [plan for plan in border_plans() if plan.model in models]
    borders = trials(contenders, map(make, with_border)) if "borders" in parts else []
    wanted = [plan for plan in plans() if plan.model in models and plan.damage in options.damages]
    tried = trials(contenders, map(make, in_time(wanted, "pairs") if "pairs" in parts else []))
    # Last, for these keep freed memory, which the command does and a program that calls `register` does not.
    stages, passed, refusals = list[StageTimes](), list[Passes](), list[Refusal]()
    if "stages" in parts:
        effort = Effort(options.budget, max_samples, options.limit)
        stages, passed, refusals = _measure_stages(options.sides, device, installed[0], contenders, effort)
        missing |= {name: reason for each in passed for name, reason in each.missing.items()}
    return report.Result(
        device=device,
        machine={**facts, "load average after": machine.load_average()},
        models={contender.name: contender.models for contender in contenders},
        missing=missing,
        side=options.side,
        trials=tried,
        borders=borders,
        speeds=timed,
        stages=stages,
        passes=passed,
        refusals=refusals,
        processes=whole,
        batch=overhead,
        seconds=time.monotonic() - began,
    )


def _measure_stages(
    sides: list[int], device: torch.device, ours: Contender, contenders: list[Contender], effort: Effort
) -> tuple[list[StageTimes], list[Passes], list[Refusal]]:
    """Measure every size, the smallest first; ours takes part even if ``contenders`` is without it."""
    peers = [contender for contender in contenders if contender.name in PEERS]
    stages, passed, refusals = [], [], []
    prepare([ours, *peers])
    for side in sorted(sides):
        pair = large_pair(side, DAMAGE)
        passed.append(passes(pair, device, ours, peers, effort, on_threads=side == max(sides)))
        stages.append(stage_times(pair, device))
        if side in refusal_sides(sides):
            refusals.append(refusal(side, ours))
    return stages, passed, refusals


if __name__ == "__main__":
    main()
