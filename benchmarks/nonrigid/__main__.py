"""Transforms that bend beside OpenCV DIS, elastix and SimpleITK demons: all on the same pairs in one run."""

from __future__ import annotations

from benchmarks.common import one_thread  # noqa: F401  numpy reads the settings when it is imported

# isort: split

import argparse
import time

import torch

from benchmarks.common import machine
from benchmarks.common.command_line import make_parser
from benchmarks.nonrigid import report
from benchmarks.nonrigid.movie import measure
from benchmarks.nonrigid.pairs import plans, unrelated
from benchmarks.nonrigid.tools import OURS, find
from benchmarks.nonrigid.trials import speckles, trials, verdicts

PARTS = ("pairs", "unrelated", "speckle", "movie")
_UNRELATED = 60


def main() -> None:
    """Run the benchmark."""
    options = _parser().parse_args()
    torch.set_num_threads(1)
    print(*report.write(_measure(options), options.out), sep="\n")


def _parser() -> argparse.ArgumentParser:
    parser = make_parser("nonrigid", __doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--only", nargs="+", help="tools whose name contains one of these")
    parser.add_argument("--every", type=int, default=1, help="take every n-th of the pairs")
    parser.add_argument("--frames", type=int, default=100, help="of the movie; with --every a part of them")
    return parser


def _measure(options: argparse.Namespace) -> report.Result:
    began = time.monotonic()
    facts = machine.describe()
    tools, missing = find()
    chosen = {
        name: call for name, call in tools.items() if not options.only or any(part in name for part in options.only)
    }
    tried = trials(chosen, plans()[:: options.every]) if "pairs" in options.parts else []
    numbers = range(0, _UNRELATED, options.every)
    alien = verdicts(tools[OURS], map(unrelated, numbers)) if "unrelated" in options.parts else {}
    seen = speckles(chosen) if "speckle" in options.parts else []
    movie = measure(max(2, options.frames // options.every)) if "movie" in options.parts else None
    return report.Result(
        machine={**facts, "load average after": machine.load_average()},
        missing=missing,
        trials=tried,
        unrelated=alien,
        speckles=seen,
        movie=movie,
        seconds=time.monotonic() - began,
    )


if __name__ == "__main__":
    main()
