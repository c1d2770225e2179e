"""The tool's own verdict and uncertainty beside the truth: how often the one is right, and how well the other fits."""

from __future__ import annotations

from benchmarks.common import one_thread  # noqa: F401  numpy reads the settings when it is imported

# isort: split

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.common.command_line import make_parser, show_progress
from benchmarks.registration.trust import reliability, report
from benchmarks.registration.trust.fitting import fit
from benchmarks.registration.trust.reliability import fifths
from benchmarks.registration.trust.verdicts import HALVES, JudgedPair, judge_alignable, judge_unalignable
from zncc_cli.registration.quality.probability import scores


def main() -> None:
    """Run the benchmark."""
    parser = make_parser("registration.trust", __doc__)
    parser.add_argument("--halves", nargs="+", choices=HALVES, default=HALVES)
    parser.add_argument("--seeds", type=int, default=1, help="pairs of each kind, model and size in each half")
    parser.add_argument("--every", type=int, default=1, help="make one of n pairs only")
    parser.add_argument("--frames", type=Path, help="folder that keeps the frames for the next run")
    parser.add_argument("--fit", action="store_true", help="print weights of the probability, fitted to half 'chosen'")
    options = parser.parse_args()
    if options.fit and HALVES[0] not in options.halves:
        parser.error(f"--fit needs the half '{HALVES[0]}', which --halves leaves out")
    torch.set_num_threads(1)
    began, pairs = time.monotonic(), list[JudgedPair]()
    for half, seed in itertools.product(options.halves, range(options.seeds)):
        for judge in (judge_alignable, judge_unalignable):
            for pair in judge(half, seed, options.every, options.frames):
                pairs.append(pair)
                show_progress(f"{half}: {pair.kind}, {pair.model}, {pair.size}: {pair.status}")
    print(*report.write(pairs, time.monotonic() - began, options.out), sep="\n")
    if options.fit:
        print(*refit(pairs), sep="\n")


def refit(pairs: list[JudgedPair]) -> Iterator[str]:
    """Yield the fit to the half that bounds are chosen on, to be pasted, and how well it does on each half."""
    by_half = {half: [pair for pair in pairs if pair.half == half] for half in HALVES}
    evidence = {half: np.array([scores(pair.evidence) for pair in group]) for half, group in by_half.items() if group}
    right = {half: np.array([pair.is_right for pair in by_half[half]]) for half in evidence}
    model = fit(evidence[HALVES[0]], right[HALVES[0]])
    yield from ("", "For zncc_cli/registration/quality/probability.py:", "", *model.lines(), "")
    yield from reliability.lines({half: fifths(model.predict(evidence[half]), right[half]) for half in evidence})


if __name__ == "__main__":
    main()
