"""The pairs of the benchmark: a scene, a motion of a model, and a damage."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.registration.pairs.bound import bound
from benchmarks.registration.pairs.damage import BORDERS, DAMAGES, HARD_DAMAGES, Mask
from benchmarks.registration.pairs.error import overlap_grid
from benchmarks.registration.pairs.motion import MODELS, SIZES, draw
from benchmarks.registration.pairs.scenery import SCENES, TwoViews, endless

Array = NDArray[np.float64]
Image = NDArray[np.float32]

SHAPE = (256, 320)
_STRIP_ROWS = 256  # that noise is drawn for at a time, in float64
_BORDER_MODELS = ("translation", "rigid", "affine", "homography")


@dataclass(frozen=True)
class Plan:
    """The choices that make a pair: its seed, and keys of SCENES or FLAT_SCENES, of MODELS, of SIZES, and of one table
    of damages or BORDERS."""

    number: int
    scene: str
    model: str
    size: str
    damage: str


@dataclass(frozen=True)
class Pair:
    """Two frames (H, W), and the (3, 3) truth, fixed -> moving, (x, y) pixels.

    ``valid`` are masks of the fixed and moving pixels that show the scene, None where all do. ``bound`` is the smallest
    RMS error that an unbiased estimator can have, None where there is no noise.
    """

    plan: Plan
    fixed: Image
    moving: Image
    matrix: Array
    valid: tuple[Mask, Mask] | None = None
    bound: float | None = None


def plans() -> list[Plan]:
    """Return every damage with every model; small and large motions take turns, and clean pairs have both."""
    clean, *_ = DAMAGES
    wanted = [(clean, model, size) for size in SIZES for model in MODELS]
    for row, damage in enumerate(list(DAMAGES)[1:]):
        wanted += [(damage, model, list(SIZES)[(row + number) % 2]) for number, model in enumerate(MODELS)]
    scenes = itertools.cycle(SCENES)
    return [Plan(n, next(scenes), model, size, damage) for n, (damage, model, size) in enumerate(wanted)]


def border_plans() -> list[Plan]:
    """Return every kind of border with most models; small and large motions take turns."""
    scenes, sizes = itertools.cycle(SCENES), itertools.cycle(SIZES)
    wanted = itertools.product(BORDERS, _BORDER_MODELS)
    return [Plan(1000 + n, next(scenes), model, next(sizes), border) for n, (border, model) in enumerate(wanted)]


def make(plan: Plan, shape: tuple[int, int] = SHAPE) -> Pair:
    """Draw a pair; the same plan and shape give the same pair."""
    random = np.random.default_rng(plan.number)
    damage = (DAMAGES | HARD_DAMAGES | BORDERS)[plan.damage]
    shift = np.eye(3)
    shift[:2, 2] = np.multiply(damage.shift, shape[::-1]) * random.choice([-1.0, 1.0], 2)
    matrix = shift @ draw(plan.model, SIZES[plan.size], shape, random)
    views = TwoViews(plan.scene, plan.number, shape, matrix)
    fixed, moving = damage.frames(views, random)
    smallest_error = None
    if damage.noise is not None:
        spread = float(fixed.std())
        variance, points = damage.noise.variance(fixed, spread), overlap_grid(matrix, shape)
        smallest_error = bound(fixed, views.gradient(), variance, matrix, plan.model, points)
        fixed, moving = (damage.noise.draw(frame, spread, random) for frame in (fixed, moving))
    valid = damage.valid(views) if damage.valid else None
    return Pair(plan, fixed.astype(np.float32), moving.astype(np.float32), matrix, valid, smallest_error)


def large_pair(side: int, damage: str = "clean") -> Pair:
    """Return an affine pair of any size with a small motion, clean or with the noise of a ``damage``."""
    shape = (side, side)
    random = np.random.default_rng(side)
    matrix = draw("affine", SIZES["small"], shape, random)
    fixed, moving = endless(shape, np.eye(3), side), endless(shape, matrix, side)
    _add_noise((fixed, moving), damage, random)
    return Pair(Plan(side, "endless", "affine", "small", damage), fixed, moving, matrix)


def unrelated_pair(side: int, number: int, damage: str) -> Pair:
    """Return frames like those of `large_pair` that show different scenes, other ones for each ``number``.

    Nothing is the truth of such a pair; its matrix is NaN.
    """
    random = np.random.default_rng((side, number))
    fixed, moving = (endless((side, side), np.eye(3), int(seed)) for seed in random.integers(2**31, size=2))
    _add_noise((fixed, moving), damage, random)
    return Pair(Plan(number, "endless", "affine", "small", damage), fixed, moving, np.full((3, 3), np.nan))


def _add_noise(frames: tuple[Image, Image], damage: str, random: np.random.Generator) -> None:
    noise = DAMAGES[damage].noise
    if noise is None:
        return
    spread = float(frames[0].std())
    for frame in frames:
        for first in range(0, len(frame), _STRIP_ROWS):
            strip = frame[first : first + _STRIP_ROWS]
            strip[:] = noise.draw(strip, spread, random)


def timing_pair(model: str, side: int) -> Pair:
    """Return a pair of a model with light noise and a small motion, which every tool should solve."""
    return make(Plan(2000 + MODELS.index(model), "farmland", model, "small", "noise 0.2"), (side, side))
