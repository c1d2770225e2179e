"""Motions of the moving camera: a matrix of each model, drawn at random with a stated size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from make_samples import centred, corners, four_points, rotation
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """How far a camera moves: pixels, degrees, scale factor, largest affine deviation, share of a side at corners."""

    shift: float
    degrees: float
    zoom: float
    stretch: float
    keystone: float


SIZES = {
    "small": Size(shift=3, degrees=2, zoom=1.03, stretch=0.03, keystone=0.02),
    "large": Size(shift=40, degrees=35, zoom=1.4, stretch=0.12, keystone=0.08),
}


def _sign(random: np.random.Generator) -> float:
    return float(random.choice([-1.0, 1.0]))


def _affine(size: Size, random: np.random.Generator) -> Array:
    deviation = random.uniform(-1, 1, (2, 2))
    deviation *= size.stretch / np.abs(deviation).max()
    return np.asarray(rotation(_sign(random) * size.degrees / 4) @ (np.eye(2) + deviation))


_LINEAR: dict[str, Callable[[Size, np.random.Generator], Array]] = {
    "translation": lambda size, random: np.eye(2),
    "rigid": lambda size, random: rotation(_sign(random) * size.degrees),
    "similarity": lambda size, random: rotation(_sign(random) * size.degrees, size.zoom ** _sign(random)),
    "affine": _affine,
}
MODELS = (*_LINEAR, "homography")


def draw(model: str, size: Size, shape: tuple[int, int], random: np.random.Generator) -> Array:
    """Return a (3, 3) matrix, fixed -> moving, (x, y) pixels, of frames (H, W).

    Rotation, scale and stretch are about the centre; all models but a translation are shifted half as far.
    """
    bearing = random.uniform(0, 2 * np.pi)
    shift = size.shift * np.array([np.cos(bearing), np.sin(bearing)]) / (1 if model == "translation" else 2)
    if model in _LINEAR:
        return centred(shape, _LINEAR[model](size, random), (shift[0], shift[1]))
    frame = corners(shape)
    # Each corner moves in a direction of its own.
    pull = random.choice([-1.0, 1.0], (4, 2)) * random.uniform(0.5, 1.0, (4, 2)) * size.keystone * shape[::-1]
    return four_points(frame, frame + pull + shift)
