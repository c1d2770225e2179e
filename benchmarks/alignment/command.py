"""The command: let all tools register the same pairs in one run, and write tables, all numbers and a picture."""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import torch

from benchmarks import machine
from benchmarks.alignment import chart, entrants, report
from benchmarks.alignment.damage import DAMAGES
from benchmarks.alignment.motion import MODELS
from benchmarks.alignment.opencv import SIFT_ECC
from benchmarks.alignment.pairs import border_plans, make, plans
from benchmarks.alignment.processes import processes
from benchmarks.alignment.speed import speeds
from benchmarks.alignment.stages import anatomy
from benchmarks.alignment.trials import trials

RESULTS = Path(__file__).resolve().parents[1] / "results"
_SAMPLES_PER_PROCESS = 4  # a registration in memory takes less than a process
_T = TypeVar("_T")
PARTS = ("time", "stages", "processes", "borders", "pairs")


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    options = _parser().parse_args(arguments)
    present = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    absent = [name for name in options.devices or () if name not in present]
    if absent:
        print(f"--devices: {', '.join(absent)} is not here; there is {', '.join(present)}", file=sys.stderr)
        return 2
    torch.set_num_threads(1)
    for name in options.devices or present:
        result = _measure(torch.device(name), options)
        for file in (*report.write(result, options.out), chart.write(result, options.out)):
            print(file)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks/registration.py", description=__doc__)
    parser.add_argument("--devices", nargs="+", choices=("cpu", "cuda"), help="ours runs there; default: all of them")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, help="of pairs, borders and times")
    parser.add_argument("--damages", nargs="+", choices=tuple(DAMAGES), default=tuple(DAMAGES), help="of the pairs")
    parser.add_argument("--only", nargs="+", help="contenders whose name contains one of these")
    parser.add_argument("--side", type=int, default=512, help="of the images that time is measured on")
    parser.add_argument("--sides", nargs="+", type=int, default=[512, 4096], help="of the images for the stages")
    parser.add_argument("--budget", type=float, default=1.5, help="seconds for timing a contender on a model")
    parser.add_argument("--repeats", type=int, default=5, help="processes of each kind")
    parser.add_argument(
        "--seconds", type=float, default=600.0, help="after this no further model is timed, and no further pair begun"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    return parser


def _measure(device: torch.device, options: argparse.Namespace) -> report.Result:
    began = time.monotonic()
    found, missing = entrants.find(device)
    contenders = [c for c in found if not options.only or any(part in c.name for part in options.only)]
    peer = [contender for contender in contenders if contender.name == SIFT_ECC]
    facts = machine.describe(device, threads=1)

    def say(text: str) -> None:
        print(f"{device.type}: {text}", file=sys.stderr, flush=True)

    def in_time(wanted: Sequence[_T], what: str) -> Iterator[_T]:
        for index, each in enumerate(wanted):
            if index and time.monotonic() - began > options.seconds:
                late = f"{len(wanted) - index} of {len(wanted)} {what}"
                missing[late] = f"not begun within the {options.seconds:.0f} s of --seconds"
                break
            yield each

    parts, models = options.parts, options.models
    most = _SAMPLES_PER_PROCESS * options.repeats
    to_time = in_time(models, "models to time") if "time" in parts else []
    timed = speeds(contenders, to_time, options.side, options.budget, most, say)
    stages = [anatomy(side, device, peer, say) for side in options.sides] if "stages" in parts else []
    whole = []
    if "processes" in parts:
        say("whole processes")
        whole = processes(options.side, options.repeats, device.type, with_peer=bool(peer))
    edged = [plan for plan in border_plans() if plan.model in models]
    borders = trials(contenders, map(make, edged), say) if "borders" in parts else []
    wanted = [plan for plan in plans() if plan.model in models and plan.damage in options.damages]
    tried = trials(contenders, map(make, in_time(wanted, "pairs") if "pairs" in parts else []), say)
    return report.Result(
        date=datetime.date.today().isoformat(),
        device=device,
        machine={**facts, "load average after": machine.describe(device, 1)["load average"]},
        models={contender.name: contender.models for contender in contenders},
        missing=missing,
        side=options.side,
        trials=tried,
        borders=borders,
        speeds=timed,
        anatomies=stages,
        processes=whole,
        seconds=time.monotonic() - began,
    )
