"""Is this result to be trusted? The evidence, the status, and the reasons in plain words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from zncc_cli.config import Choice
from zncc_cli.registration.optimizer import Ending


class Status(Choice):
    """What a registration ended with."""

    OK = "ok"
    SUSPECT = "suspect"
    FAILED = "failed"


@dataclass(frozen=True)
class Evidence:
    """What the verdict rests on.

    Attributes:
        zncc_before, zncc_after: mean local ZNCC at the identity and at the result; None without enough overlap.
        overlap: share of the smaller image's windows that lie in the overlap, at the result.
        agreement: how much better than by chance the blocks of the overlap agree, see `agreement`; None where it
            holds too few.
        ending: how the last level's optimisation ended.
        motion: largest displacement of a corner of the fixed frame, pixels.
        distinctness: how many times as significant the result's start was as the best of those that led elsewhere;
            None where no other was followed, or none agreed at all.
    """

    zncc_before: float | None
    zncc_after: float | None
    overlap: float
    agreement: float | None
    ending: Ending
    motion: float
    distinctness: float | None = None


@dataclass(frozen=True)
class Verdict:
    """A status and why."""

    status: Status
    reasons: tuple[str, ...]


# Of 81 unrelated pairs (noise, random scenes, different photographs) on which the search and the optimiser had done
# their best, none came above 51; of 56 pairs that were aligned, none below 85 (docs/architecture.md, "Verdict").
_AGREEMENT = 55.0
# All of n blocks are above zero by chance with a probability of 2^-n: n such blocks count for this times n at most, so
# that fewer than 14 can say nothing.
_PER_BLOCK = 4.0
_LEAST_BLOCKS = 14
# The best of many places that all agree by chance is hardly better than the next. Of 55 unrelated pairs none stood out
# by more than 1.6, and none whose blocks agreed by more than 1.45; of 26 aligned ones that were searched a noisy brick
# wall, beside itself a period off, stood out by 1.79, the others by more than 2.1.
_DISTINCT = 1.6
# Where a result stands out by this much, less agreement will do, as where noise hides most of it or tissue differs from
# section to section: of 73 unrelated pairs those that stood out by more than 1.8 agreed by less than 13, and those that
# agreed by more than 20 stood out by less than 1.4.
_VERY_DISTINCT, _AGREEMENT_IF_VERY_DISTINCT = 1.8, 25.0
_SMALLEST = 1e-12  # of a ZNCC: all blocks zero agree by nothing
_NOTABLE = 0.01  # the loss weighs windows by evidence and the ZNCC does not: less than this is no contradiction


def judge(evidence: Evidence) -> Verdict:
    """Return the verdict on ``evidence``."""
    failures, doubts = [], []
    if evidence.zncc_after is None:
        failures.append("the images do not overlap enough to be compared")
    elif evidence.agreement is None:
        doubts.append("the overlap holds too few independent windows to judge by; choose a smaller --window")
    elif evidence.agreement < (needed := _needed_agreement(evidence.distinctness)):
        failures.append(
            f"no agreement found: with a ZNCC of {evidence.zncc_after:.3f} the parts of the overlap agree no better "
            f"than those of unrelated images may ({max(evidence.agreement, 0):.0f}, {needed:.0f} is needed); "
            "the images may not show the same scene, or the motion is beyond the search"
        )
    elif evidence.distinctness is not None and evidence.distinctness < _DISTINCT:
        failures.append(
            "no agreement found that stands out: elsewhere the images agree nearly as well (by a factor of "
            f"{evidence.distinctness:.2f}, {_DISTINCT} is needed); they may show different scenes, or repeat themselves"
        )
    elif evidence.zncc_before is not None and evidence.zncc_after < evidence.zncc_before - _NOTABLE:
        doubts.append(f"the ZNCC fell from {evidence.zncc_before:.3f} to {evidence.zncc_after:.3f}")
    if evidence.ending is not Ending.CONVERGED:
        doubts.append(f"the optimiser ended early: {evidence.ending.advice}")
    if failures:
        return Verdict(Status.FAILED, tuple(failures + doubts))
    if doubts:
        return Verdict(Status.SUSPECT, tuple(doubts))
    return Verdict(Status.OK, ("the images agree",))


def _needed_agreement(distinctness: float | None) -> float:
    return _AGREEMENT_IF_VERY_DISTINCT if distinctness is not None and distinctness >= _VERY_DISTINCT else _AGREEMENT


def agreement(blocks: np.ndarray) -> float | None:
    """Return the mean ZNCC of ``blocks``, any shape, over the error that chance leaves in it; NaN does not count.

    Unrelated images agree here and there and disagree elsewhere, however well the best overall position was chosen:
    chance scatters blocks to both sides of zero. What is seen of it is what lies below zero; how unequal the blocks
    above zero are says nothing, since texture, noise and occlusion differ from place to place. None with too few
    blocks to tell.
    """
    values = blocks[np.isfinite(blocks)]
    n = len(values)
    if n < _LEAST_BLOCKS:
        return None
    chance = math.sqrt(2 * float(np.square(np.minimum(values, 0)).mean()))
    mean = float(values.mean())
    return mean / max(chance / math.sqrt(n), abs(mean) / (_PER_BLOCK * n), _SMALLEST)
