"""Pairs with a known field: the project's own scenes, bent, and what cameras do to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.common.blur import gaussian_blur
from benchmarks.nonrigid.motions import MOTIONS
from benchmarks.registration.pairs.scenery import SCENES

Array = NDArray[np.float64]
Image = NDArray[np.float32]

SIDE = 256
DAMAGES = ("none", "noise", "shading", "blur")
_SCENES = ("steel", "farmland", "speckle", "cells", "stars")
_PLACE = 20.0  # of the frame's corner in the scene, whose edges are not drawn
_NOISE, _BLUR_PX = 0.15, 1.2  # standard deviations: of the scene's own, and of the moving image's blur
_ROUNDS = 2  # each motion with each damage


@dataclass(frozen=True)
class Plan:
    """How a pair is made: ``number`` is its seed."""

    number: int
    motion: str
    damage: str
    scene: str

    @property
    def name(self) -> str:
        return f"{self.number:02d} {self.motion}, {self.damage}, {self.scene}"


@dataclass(frozen=True, eq=False)
class Pair:
    """A pair: images (H, W) float32 with a range of about 0 to 1, displacements (H, W, 2), moving less fixed, pixels.

    ``inside`` (H, W) tells which fixed pixels have a place in the moving frame. ``truth`` is None for unrelated images.
    """

    name: str
    fixed: Image
    moving: Image
    truth: Array | None = None

    @property
    def inside(self) -> NDArray[np.bool_]:
        assert self.truth is not None
        y, x = np.indices(self.fixed.shape)
        u, v = x + self.truth[..., 0], y + self.truth[..., 1]
        height, width = self.moving.shape
        return np.asarray((u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1))


def plans() -> list[Plan]:
    """Return the plans of all pairs, shuffled: every motion with every damage, in turn on all scenes."""
    wanted = [(motion, damage) for _ in range(_ROUNDS) for motion in MOTIONS for damage in DAMAGES]
    drawn = [
        # Steps of the scenes that meet every damage and motion with several of them.
        Plan(number, motion, damage, _SCENES[(number + number // len(_SCENES)) % len(_SCENES)])
        for number, (motion, damage) in enumerate(wanted)
    ]
    return [drawn[k] for k in np.random.default_rng(1).permutation(len(drawn))]  # so that every n-th are of all kinds


def make(plan: Plan) -> Pair:
    """Return the pair of a plan: moving(p + truth(p)) shows what fixed(p) shows, with no interpolation."""
    random = np.random.default_rng((7, plan.number))
    motion = MOTIONS[plan.motion](random, SIDE)
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    truth = motion(x, y)
    margin = 0 if plan.damage != "blur" else int(np.ceil(4 * _BLUR_PX))
    my, mx = np.mgrid[-margin : SIDE + margin, -margin : SIDE + margin].astype(float)
    fixed = _scene(plan.scene, x + truth[..., 0], y + truth[..., 1], plan.number)
    moving = _scene(plan.scene, mx, my, plan.number)
    if plan.damage == "blur":
        moving = gaussian_blur(moving, _BLUR_PX)
    if plan.damage == "shading":
        moving = moving * (1 + 0.35 * (mx / SIDE - 0.5)) * (1 - 0.25 * (2 * my / SIDE - 1) ** 2) + 0.05
    if plan.damage == "noise":
        fixed, moving = (one + _NOISE * one.std() * random.standard_normal(one.shape) for one in (fixed, moving))
    return Pair(plan.name, fixed.astype(np.float32), moving.astype(np.float32), truth)


def unrelated(number: int) -> Pair:
    """Return a pair of images of different places: of one kind of scene every second time."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    first = _SCENES[number % len(_SCENES)]
    second = first if number % 2 else _SCENES[(number + 1 + number // len(_SCENES)) % len(_SCENES)]
    seeds = 1000 + 2 * number, 1001 + 2 * number
    images = (_scene(scene, x, y, seed).astype(np.float32) for scene, seed in zip((first, second), seeds, strict=True))
    return Pair(f"{number:02d} {first} on {second}", *images)


def _scene(name: str, x: Array, y: Array, seed: int) -> Array:
    return np.maximum(SCENES[name](x + _PLACE, y + _PLACE, seed), 0)
