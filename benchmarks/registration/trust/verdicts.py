"""The tool's verdicts and predicted errors beside the truth, on pairs that can be aligned and on pairs that cannot.

The pairs come in two halves with different seeds: the bounds of the verdict were chosen on the one half, and claims are
made from the other, held out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.registration.pairs import unalignable
from benchmarks.registration.pairs.damage import BORDERS, DAMAGES
from benchmarks.registration.pairs.error import rms_error
from benchmarks.registration.pairs.motion import MODELS, SIZES
from benchmarks.registration.pairs.plans import SHAPE, Plan, make
from benchmarks.registration.pairs.scenery import SCENES
from benchmarks.registration.trials import SOLVED_PX
from zncc_cli import register
from zncc_cli.registration.quality.uncertainty import Uncertainty
from zncc_cli.registration.register import RegistrationResult
from zncc_cli.registration.warp import corners, map_points

HALVES = ("chosen", "held out")
LEVELS = (0.68, 0.95)
_DRAW_COUNT = 2000  # of the predicted errors: quantiles to a percent
_ALIGNABLE = list(itertools.product(DAMAGES | BORDERS, MODELS, SIZES))
_UNALIGNABLE = list(itertools.product(unalignable.KINDS, MODELS))

Array = NDArray[np.float64]


@dataclass(frozen=True)
class JudgedPair:
    """A registered pair: the tool's verdict and predicted error, and the truth.

    Attributes:
        half: one of `HALVES`.
        kind: of the pair, a damage, a border or a kind that cannot be aligned.
        model, size, scene: of the pair; size and scene are empty where it cannot be aligned.
        alignable: whether the pair has a true transform.
        error: RMS over the overlap, pixels; None where there is no truth.
        status, reasons: the verdict.
        corner_error: RMS over the four corners, pixels; None where there is no truth.
        predicted: the expected ``corner_error``, pixels; None where the tool gives no uncertainty.
        inside: whether ``corner_error`` is within the predicted quantile of each of the `LEVELS`.
        seconds: of the registration.
    """

    half: str
    kind: str
    model: str
    size: str
    scene: str
    alignable: bool
    error: float | None
    status: str
    reasons: tuple[str, ...]
    corner_error: float | None
    predicted: float | None
    inside: tuple[bool, ...]
    seconds: float

    @property
    def is_right(self) -> bool:
        return self.error is not None and self.error < SOLVED_PX

    @property
    def is_framed(self) -> bool:
        """Whether both images have a black frame, which pulls towards the identity, and no masks were given."""
        return self.kind in list(BORDERS)[1:]


def judge_alignable(half: str, seed: int, every: int = 1) -> Iterator[JudgedPair]:
    """Register pairs with exact truth, every damage and border, model and size, or every ``every``-th of them."""
    half_index, scenes = HALVES.index(half), list(SCENES)
    for number, (damage, model, size) in list(enumerate(_ALIGNABLE))[::every]:
        scene = scenes[(number + number // 6 + 7 * seed + 3 * half_index) % len(scenes)]
        pair = make(Plan(10_000 * (half_index + 1) + 1000 * seed + number, scene, model, size, damage))
        result = register(pair.fixed, pair.moving, model)
        corner_error, predicted, inside = _calibration(result, pair.matrix)
        yield JudgedPair(
            half,
            damage,
            model,
            size,
            scene,
            True,
            rms_error(result.matrix, pair.matrix, SHAPE),
            str(result.status),
            result.reasons,
            corner_error,
            predicted,
            inside,
            result.seconds,
        )


def judge_unalignable(half: str, seed: int, every: int = 1) -> Iterator[JudgedPair]:
    """Register pairs that cannot be aligned, every kind and model, or every ``every``-th of them."""
    half_index = HALVES.index(half)
    for number, (kind, model) in list(enumerate(_UNALIGNABLE))[::every]:
        fixed, moving = unalignable.frames(kind, 100_000 * (half_index + 1) + 1000 * seed + number, SHAPE)
        result = register(fixed.astype(np.float32), moving.astype(np.float32), model)
        verdict = str(result.status), result.reasons
        yield JudgedPair(half, kind, model, "", "", False, None, *verdict, None, None, (), result.seconds)


def _calibration(result: RegistrationResult, truth: Array) -> tuple[float, float | None, tuple[bool, ...]]:
    """Return the RMS error over the corners, the predicted one, and whether it is within each of the `LEVELS`."""
    frame = corners(SHAPE)
    apart = map_points(result.matrix, frame) - map_points(truth, frame)
    error = float(np.sqrt(np.square(apart).sum(axis=1).mean()))
    uncertainty = result.uncertainty
    if uncertainty is None:
        return error, None, ()
    drawn = drawn_errors(uncertainty)
    return error, float(np.sqrt(np.square(drawn).mean())), tuple(bool(error < q) for q in np.quantile(drawn, LEVELS))


def drawn_errors(uncertainty: Uncertainty) -> Array:
    """Return the RMS error over the corners, pixels, of parameters drawn from the predicted covariance, (n,)."""
    family = uncertainty.transform
    centre = family.parameters(uncertainty.matrix)
    values, vectors = np.linalg.eigh(uncertainty.covariance)
    random = np.random.default_rng(0)
    steps = random.standard_normal((_DRAW_COUNT, len(values))) * np.sqrt(values.clip(0)) @ vectors.T
    frame = corners(uncertainty.shape)
    corners_drawn = np.array([map_points(family.matrix(centre + step), frame) for step in steps])
    return np.asarray(
        np.sqrt(np.square(corners_drawn - map_points(uncertainty.matrix, frame)).sum(axis=-1).mean(axis=-1))
    )
