"""The probability that a result is right, from all of its evidence together: a logistic model.

    log(p / (1 - p)) = intercept + sum over the figures of weight * score

A score is 0 where a figure speaks against a result as clearly as it can, 1 where it speaks for it as clearly as it can,
and rises in between with the figure or with its logarithm. No weight is below zero, so that better evidence never
lowers the probability; and since a score ends at 1, no abundance of one figure makes up for what another one lacks.

Right is a result that is off by less than a pixel, RMS over the overlap. The weights are fitted to pairs with known
truth, of which 45 percent come out wrong: `python -m benchmarks.registration.trust --fit` fits them again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from zncc_cli.registration.optimizer import Ending
from zncc_cli.registration.quality import bounds
from zncc_cli.registration.quality.evidence import Evidence

_LOG_PLACES = 2.0  # logarithm of how many places a search by texture compares that are worth a block consensus
_MAX_CONSENSUS = 12.0  # more blocks say no more
_MAX_START_RATIO = 2.5  # what stands out more than this says no more


@dataclass(frozen=True)
class Score:
    """How a figure of the evidence becomes a score from 0 to 1.

    Attributes:
        figure: returns the figure, None where it could not be computed.
        worst, best: the figure at a score of 0 and of 1; ``best`` is the lower one where less is better.
        absent: the score where there is no figure.
        logarithmic: whether the score rises with the figure's logarithm.
    """

    figure: Callable[[Evidence], float | None]
    worst: float
    best: float
    absent: float
    logarithmic: bool = True

    def of(self, evidence: Evidence) -> float:
        """Return the score of the evidence."""
        figure = self.figure(evidence)
        if figure is None or math.isnan(figure):
            return self.absent
        low, high = sorted((self.worst, self.best))
        figure, worst, best = min(max(figure, low), high), self.worst, self.best
        if self.logarithmic:
            figure, worst, best = math.log(figure), math.log(worst), math.log(best)
        return (figure - worst) / (best - worst)


def _agreement(evidence: Evidence) -> float | None:
    """Return the block significance times the square of the start ratio.

    The best of many places agrees by chance, and hardly better than the next one: less agreement will do where a place
    stands out. Where the start had no rival it counts as one that stands out just enough for the verdict.
    """
    if evidence.block_significance is None:
        return None
    ratio = bounds.MIN_START_RATIO if evidence.start_ratio is None else evidence.start_ratio
    return evidence.block_significance * min(max(ratio, 1.0), _MAX_START_RATIO) ** 2


def _held_out_share(evidence: Evidence) -> float | None:
    """Return the ZNCC of windows held out from the fit over that of all windows."""
    if evidence.held_out_after is None or evidence.zncc_coarse is None or evidence.zncc_coarse <= 0:
        return None
    return evidence.held_out_after / evidence.zncc_coarse


SCORES: Mapping[str, Score] = {
    "explained": Score(lambda e: e.explained, worst=0.1, best=0.5, absent=0),
    "agreement": Score(_agreement, worst=60, best=200, absent=0),
    # Without one no other shift agrees at all.
    "peak_ratio": Score(lambda e: e.peak_ratio, worst=1.1, best=bounds.CLEAR_PEAK_RATIO, absent=1),
    "held_out_share": Score(_held_out_share, worst=0.3, best=0.95, absent=0.5, logarithmic=False),
    "converged": Score(lambda e: e.ending is Ending.CONVERGED, worst=0, best=1, absent=0, logarithmic=False),
    "aperture_agreement": Score(lambda e: e.aperture_agreement, worst=3, best=100, absent=0),
    # No model is richer than a homography.
    "model_misfit": Score(lambda e: e.model_misfit, worst=3, best=0.1, absent=1),
    "round_trip": Score(lambda e: e.round_trip, worst=2, best=0.1, absent=0),
}
"""How each figure counts; the weight of it is the entry of the same name in `WEIGHTS`."""

INTERCEPT = -18.532
WEIGHTS: Mapping[str, float] = {
    "explained": 3.281,
    "agreement": 4.677,
    "peak_ratio": 9.925,
    "held_out_share": 0.175,
    "converged": 5.286,
    "aperture_agreement": 0.232,
    "model_misfit": 0.523,
    "round_trip": 0.545,
}


def scores(evidence: Evidence) -> np.ndarray:
    """Return the scores (n,), in the order of `SCORES`."""
    return np.array([score.of(evidence) for score in SCORES.values()])


def probability_right(evidence: Evidence) -> float:
    """Return the probability, in (0, 1), that the result with this evidence is off by less than a pixel.

    Where blocks judged it, it is the probability of the place, to within what they tell: its odds are those against the
    block consensus of chance, among a hundred places.
    """
    if evidence.consensus is not None:
        consensus = min(evidence.consensus, _MAX_CONSENSUS) if evidence.consensus > 0 else 0.0
        return 1 / (1 + 10 ** (_LOG_PLACES - consensus))
    return 1 / (1 + math.exp(-(INTERCEPT + float(scores(evidence) @ [WEIGHTS[name] for name in SCORES]))))
