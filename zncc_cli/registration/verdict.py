"""Is this result to be trusted? The evidence, the status, and the reasons in plain words."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from zncc_cli.registration.optimizer import Ending


class Status(str, Enum):
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
        significance: how many standard deviations the result's ZNCC lies above that of displaced positions.
        ending: how the last level's optimisation ended.
        motion: largest displacement of a corner of the fixed frame, pixels.
    """

    zncc_before: float | None
    zncc_after: float | None
    overlap: float
    significance: float
    ending: Ending
    motion: float


@dataclass(frozen=True)
class Verdict:
    """A status and why."""

    status: Status
    reasons: tuple[str, ...]


# The search looks at some thousand positions and the optimiser climbs the best, so that unrelated images reach
# about 5 standard deviations; pairs that do align start near 10 (docs/architecture.md, "Verdict").
_SIGNIFICANT = 7.0
_DISPLACEMENTS = 16
_RADII = (3.0, 5.0)  # windows between the result and a displaced position


def judge(evidence: Evidence) -> Verdict:
    """Return the verdict on ``evidence``."""
    failures, doubts = [], []
    if evidence.zncc_after is None:
        failures.append("the images do not overlap enough to be compared")
    elif evidence.significance < _SIGNIFICANT:
        failures.append(
            f"no agreement found: the ZNCC of {evidence.zncc_after:.3f} is only {max(evidence.significance, 0):.1f} "
            f"standard deviations above chance, {_SIGNIFICANT:.0f} are needed; the images may not show the same "
            "scene, or the motion is beyond the search"
        )
    elif evidence.zncc_before is not None and evidence.zncc_after < evidence.zncc_before:
        doubts.append(f"the ZNCC fell from {evidence.zncc_before:.3f} to {evidence.zncc_after:.3f}")
    if evidence.ending in (Ending.MAX_ITERATIONS, Ending.OUT_OF_DOMAIN):
        doubts.append(f"the optimiser ended early: {evidence.ending.advice}")
    if failures:
        return Verdict(Status.FAILED, tuple(failures + doubts))
    if doubts:
        return Verdict(Status.SUSPECT, tuple(doubts))
    return Verdict(Status.OK, ("the images agree",))


def significance(zncc: Callable[[np.ndarray], float | None], matrix: np.ndarray, window: float) -> float:
    """Return how far the ZNCC at ``matrix`` lies above that of positions displaced by a few windows.

    Args:
        zncc: mean local ZNCC at a (3, 3) matrix; None where the overlap is too small.
        matrix: the result.
        window: side of the ZNCC window in the matrix's own pixels.

    Returns:
        (zncc - mean) / standard deviation of the displaced ones; minus infinity when nothing can be compared.
    """
    here = zncc(matrix)
    displaced = []
    for k in range(_DISPLACEMENTS):
        angle = 2 * math.pi * k / _DISPLACEMENTS
        radius = window * _RADII[k % len(_RADII)]
        shift = np.array([[1, 0, radius * math.cos(angle)], [0, 1, radius * math.sin(angle)], [0, 0, 1]])
        value = zncc(shift @ matrix)
        if value is not None:
            displaced.append(value)
    if here is None or len(displaced) < _DISPLACEMENTS // 2:
        return -math.inf
    return float((here - np.mean(displaced)) / max(float(np.std(displaced)), 1e-9))
