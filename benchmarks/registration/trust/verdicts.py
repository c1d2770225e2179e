"""The tool's verdicts and predicted errors beside the truth, on pairs that can be aligned and on pairs that cannot.

The pairs come in two halves with different seeds: the bounds of the verdict were chosen on the one half, and claims are
made from the other, held out.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.registration.pairs import unalignable
from benchmarks.registration.pairs.damage import BORDERS, DAMAGES, HARD_DAMAGES
from benchmarks.registration.pairs.error import rms_error
from benchmarks.registration.pairs.motion import MODELS, SIZES
from benchmarks.registration.pairs.plans import SHAPE, Plan, make
from benchmarks.registration.pairs.scenery import FLAT_SCENES, SCENES
from benchmarks.registration.trials import SOLVED_PX
from zncc_cli import register
from zncc_cli.registration.quality.evidence import Evidence
from zncc_cli.registration.quality.probability import probability_right
from zncc_cli.registration.quality.uncertainty import Uncertainty
from zncc_cli.registration.register import RegistrationResult
from zncc_cli.registration.warp import corners, map_points

HALVES = ("chosen", "held out")
LEVELS = (0.68, 0.95)
_DRAW_COUNT = 2000  # of the predicted errors: quantiles to a percent
# A scene that is mostly flat has no pixels to be saturated, and is drawn or photographed with less noise than 3.
_FLAT_DAMAGES = ("clean", "noise 0.6", "noise 1.5", "noise 0.6, occluded 15 %")
_UNALIGNABLE = list(itertools.product(unalignable.KINDS | unalignable.FLAT_KINDS, MODELS))
_REPEATS = 2  # of these: few of them deceive, and the probability is fitted to those that do

Array = NDArray[np.floating]
T = TypeVar("T")


@dataclass(frozen=True)
class JudgedPair:
    """A registered pair: the tool's verdict and predicted error, and the truth.

    Attributes:
        half: one of `HALVES`.
        kind: of the pair, a damage, a border or a kind that cannot be aligned; a damage of a flat scene is named so.
        model, size, scene: of the pair; size and scene are empty where it cannot be aligned.
        alignable: whether the pair has a true transform.
        error: RMS over the overlap, pixels; None where there is no truth.
        status, reasons: the verdict.
        corner_error: RMS over the four corners, pixels; None where there is no truth.
        predicted: the expected ``corner_error``, pixels; None where the tool gives no uncertainty.
        inside: whether ``corner_error`` is within the predicted quantile of each of the `LEVELS`.
        evidence: what the verdict rests on.
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
    evidence: Evidence
    seconds: float

    @property
    def is_right(self) -> bool:
        return self.error is not None and self.error < SOLVED_PX

    @property
    def probability(self) -> float:
        """The predicted probability that the result is right."""
        return probability_right(self.evidence)

    @property
    def is_framed(self) -> bool:
        """Whether both images have a black frame, which pulls towards the identity, and no masks were given."""
        return self.kind in list(BORDERS)[1:]


def _plans(half: str, seed: int) -> list[tuple[str, Plan]]:
    """Return the alignable pairs and their kinds: textured scenes and every damage or border, then what is harder."""
    half_index, scenes = HALVES.index(half), list(SCENES)
    usual = [
        (damage, scenes[(number + number // 6 + 7 * seed + 3 * half_index) % len(scenes)], model, size, damage)
        for number, (damage, model, size) in enumerate(itertools.product(DAMAGES | BORDERS, MODELS, SIZES))
    ]
    hard = [
        (damage, scenes[(number + seed + 3 * half_index) % len(scenes)], model, size, damage)
        for number, (damage, model, size) in enumerate(itertools.product(HARD_DAMAGES, MODELS, SIZES))
    ]
    flat = [
        # Both sizes come with every model, scene and damage in turn.
        (f"flat, {damage}", scene, model, list(SIZES)[(number + number // 4 + number // 24 + seed) % 2], damage)
        for number, (model, scene, damage) in enumerate(itertools.product(MODELS, FLAT_SCENES, _FLAT_DAMAGES))
    ]
    first = 10_000 * (half_index + 1) + 1000 * seed
    return [(kind, Plan(first + number, *choices)) for number, (kind, *choices) in enumerate(usual + hard + flat)]


def judge_alignable(half: str, seed: int, every: int = 1, folder: Path | None = None) -> Iterator[JudgedPair]:
    """Register pairs with exact truth, or one of ``every`` of them; ``folder`` keeps their frames."""
    for kind, plan in _one_of(every, _plans(half, seed)):

        def draw(plan: Plan = plan) -> tuple[Array, ...]:
            pair = make(plan)
            return pair.fixed, pair.moving, pair.matrix

        fixed, moving, matrix = _kept(folder, f"alignable-{plan.number}.npz", draw)
        result = register(fixed, moving, plan.model)
        corner_error, predicted, inside = _calibration(result, matrix)
        yield JudgedPair(
            half,
            kind,
            plan.model,
            plan.size,
            plan.scene,
            True,
            rms_error(result.matrix, matrix, SHAPE),
            str(result.status),
            result.reasons,
            corner_error,
            predicted,
            inside,
            result.evidence,
            result.seconds,
        )


def judge_unalignable(half: str, seed: int, every: int = 1, folder: Path | None = None) -> Iterator[JudgedPair]:
    """Register pairs that cannot be aligned, or one of ``every`` of them; ``folder`` keeps their frames."""
    wanted = [
        (100_000 * (HALVES.index(half) + 1) + 1000 * (_REPEATS * seed + repeat) + number, kind, model)
        for repeat in range(_REPEATS)
        for number, (kind, model) in enumerate(_UNALIGNABLE)
    ]
    for number, kind, model in _one_of(every, wanted):
        draw = functools.partial(unalignable.frames, kind, number, SHAPE)
        fixed, moving = _kept(folder, f"unalignable-{number}.npz", draw)
        result = register(fixed.astype(np.float32), moving.astype(np.float32), model)
        verdict = str(result.status), result.reasons
        rest = None, None, (), result.evidence, result.seconds
        yield JudgedPair(half, kind, model, "", "", False, None, *verdict, *rest)


def _one_of(every: int, items: list[T]) -> list[T]:
    """Return one of ``every`` items, drawn, so that no model and no size is left out; the same ones each time."""
    count = -(-len(items) // every)
    return [items[index] for index in sorted(np.random.default_rng(0).permutation(len(items))[:count])]


def _kept(folder: Path | None, name: str, draw: Callable[[], tuple[Array, ...]]) -> tuple[Array, ...]:
    """Return what ``draw`` returns, from the file of an earlier run where there is one; drawing takes longest."""
    if folder is None:
        return draw()
    file = folder / name
    if file.exists():
        with np.load(file) as kept:
            return tuple(kept.values())
    folder.mkdir(parents=True, exist_ok=True)
    drawn = draw()
    np.savez(file, *drawn)
    return drawn


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
