"""The tool's own verdict and uncertainty beside the truth: how often the one is right, and how well the other fits."""

from __future__ import annotations

from benchmarks.common import one_thread  # noqa: F401  numpy reads the settings when it is imported

# isort: split

import itertools
import time

import torch

from benchmarks.common.command_line import make_parser, show_progress
from benchmarks.registration.trust import report
from benchmarks.registration.trust.verdicts import HALVES, JudgedPair, judge_alignable, judge_unalignable


def main() -> None:
    """Run the benchmark."""
    parser = make_parser("registration.trust", __doc__)
    parser.add_argument("--halves", nargs="+", choices=HALVES, default=HALVES)
    parser.add_argument("--seeds", type=int, default=1, help="pairs of each kind, model and size in each half")
    parser.add_argument("--every", type=int, default=1, help="make every n-th pair only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    began, pairs = time.monotonic(), list[JudgedPair]()
    for half, seed in itertools.product(options.halves, range(options.seeds)):
        for judge in (judge_alignable, judge_unalignable):
            for pair in judge(half, seed, options.every):
                pairs.append(pair)
                show_progress(f"{half}: {pair.kind}, {pair.model}, {pair.size}: {pair.status}")
    print(*report.write(pairs, time.monotonic() - began, options.out), sep="\n")


if __name__ == "__main__":
    main()
