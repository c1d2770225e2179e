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
        agreement: mean ZNCC of the blocks of the overlap over its standard error, see `agreement`; None where it
            holds too few.
        ending: how the last level's optimisation ended.
        motion: largest displacement of a corner of the fixed frame, pixels.
    """

    zncc_before: float | None
    zncc_after: float | None
    overlap: float
    agreement: float | None
    ending: Ending
    motion: float


@dataclass(frozen=True)
class Verdict:
    """A status and why."""

    status: Status
    reasons: tuple[str, ...]


# Of 117 unrelated pairs (noise, different photographs) that the search and the optimiser had done their best on, two
# came above 6.3; of pairs that are aligned, the noisiest come down to 8.5 (docs/architecture.md, "Verdict").
_AGREEMENT = 8.0
_LEAST_BLOCKS = 4
_MOST_CORRELATED = 0.8  # of neighbouring blocks; a higher one cannot be told from so few
_NOTABLE = 0.01  # the loss weighs windows by evidence and the ZNCC does not: less than this is no contradiction


def judge(evidence: Evidence) -> Verdict:
    """Return the verdict on ``evidence``."""
    failures, doubts = [], []
    if evidence.zncc_after is None:
        failures.append("the images do not overlap enough to be compared")
    elif evidence.agreement is None:
        doubts.append("the overlap holds too few independent windows to judge by; choose a smaller --window")
    elif evidence.agreement < _AGREEMENT:
        failures.append(
            f"no agreement found: the ZNCC of {evidence.zncc_after:.3f} is only {max(evidence.agreement, 0):.1f} "
            f"standard errors above that of unrelated images, {_AGREEMENT:.0f} are needed; the images may not show "
            "the same scene, or the motion is beyond the search"
        )
    elif evidence.zncc_before is not None and evidence.zncc_after < evidence.zncc_before - _NOTABLE:
        doubts.append(f"the ZNCC fell from {evidence.zncc_before:.3f} to {evidence.zncc_after:.3f}")
    if evidence.ending in (Ending.MAX_ITERATIONS, Ending.OUT_OF_DOMAIN):
        doubts.append(f"the optimiser ended early: {evidence.ending.advice}")
    if failures:
        return Verdict(Status.FAILED, tuple(failures + doubts))
    if doubts:
        return Verdict(Status.SUSPECT, tuple(doubts))
    return Verdict(Status.OK, ("the images agree",))


def agreement(blocks: np.ndarray) -> float | None:
    """Return the mean ZNCC of ``blocks`` (rows, columns) over its standard error, large when they all agree.

    Unrelated images agree here and there and disagree elsewhere, however well the best overall position was chosen:
    the blocks scatter about zero. Where structures are larger than blocks, neighbours scatter together and count for
    fewer: with a correlation r of neighbours, n blocks for n ((1 - r) / (1 + r))^2, as in an autoregressive field
    (Bartlett 1935, doi:10.2307/2342284). NaN blocks do not count. None with fewer than four blocks, which say nothing.
    """
    held = np.isfinite(blocks)
    n = int(held.sum())
    if n < _LEAST_BLOCKS:
        return None
    mean, variance = float(blocks[held].mean()), float(blocks[held].var(ddof=1))
    deviation = blocks - mean
    products = np.concatenate(
        [(deviation[1:] * deviation[:-1]).ravel(), (deviation[:, 1:] * deviation[:, :-1]).ravel()]
    )
    products = products[np.isfinite(products)]
    r = float(np.clip(products.mean() / variance, 0, _MOST_CORRELATED)) if products.size and variance > 0 else 0.0
    error = math.sqrt(variance / n) * (1 + r) / (1 - r)
    # Blocks that all agree perfectly have no scatter; a thousandth is the least that is told apart.
    return mean / max(error, 1e-3)
