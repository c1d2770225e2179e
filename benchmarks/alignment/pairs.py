"""The pairs: what is seen, how the camera moved, and what is wrong with the pictures."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.alignment.bound import bound
from benchmarks.alignment.damage import BORDERS, DAMAGES, Mask
from benchmarks.alignment.error import overlap_grid
from benchmarks.alignment.motion import MODELS, SIZES, draw
from benchmarks.alignment.scenery import SCENES, Sight, endless

Array = NDArray[np.float64]
Image = NDArray[np.float32]

SHAPE = (256, 320)
_BORDER_MODELS = ("translation", "rigid", "affine", "homography")


@dataclass(frozen=True)
class Plan:
    """What a pair will be; ``size`` is a key of SIZES, ``damage`` of DAMAGES or BORDERS."""

    number: int
    scene: str
    model: str
    size: str
    damage: str


@dataclass(frozen=True)
class Pair:
    """Two frames (H, W), and the (3, 3) truth, fixed -> moving, (x, y) pixels.

    ``valid`` are the pixels of fixed and of moving that show something, where that is a question. ``bound`` is the
    least RMS error that an unbiased estimator can have, None where there is no noise.
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
    for at, damage in enumerate(list(DAMAGES)[1:]):
        wanted += [(damage, model, list(SIZES)[(at + number) % 2]) for number, model in enumerate(MODELS)]
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
    damage = (DAMAGES | BORDERS)[plan.damage]
    further = np.eye(3)
    further[:2, 2] = np.multiply(damage.shift, shape[::-1]) * random.choice([-1.0, 1.0], 2)
    matrix = further @ draw(plan.model, SIZES[plan.size], shape, random)
    sight = Sight(plan.scene, plan.number, shape, matrix)
    fixed, moving = damage.frames(sight, random)
    least = None
    if damage.noise is not None:
        spread = float(fixed.std())
        variance, points = damage.noise.variance(fixed, spread), overlap_grid(matrix, shape)
        least = bound(fixed, sight.gradient(), variance, matrix, plan.model, points)
        fixed, moving = (damage.noise.draw(frame, spread, random) for frame in (fixed, moving))
    valid = damage.valid(sight) if damage.valid else None
    return Pair(plan, fixed.astype(np.float32), moving.astype(np.float32), matrix, valid, least)


def large_pair(side: int) -> Pair:
    """Return a clean affine pair of any size."""
    shape = (side, side)
    matrix = draw("affine", SIZES["small"], shape, np.random.default_rng(side))
    plan = Plan(side, "endless", "affine", "small", "clean")
    return Pair(plan, endless(shape, np.eye(3), side), endless(shape, matrix, side), matrix)


def timing_pair(model: str, side: int) -> Pair:
    """Return a pair of a model with light noise and a small motion, which every tool should solve."""
    return make(Plan(2000 + MODELS.index(model), "farmland", model, "small", "noise 0.2"), (side, side))
