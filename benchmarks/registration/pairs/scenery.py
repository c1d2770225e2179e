"""Scenes that are known at every real coordinate, so that no frame of a pair is interpolated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scenes
from board import board
from make_samples import view
from numpy.typing import NDArray

from benchmarks.registration.pairs import flat_scenes

Array = NDArray[np.float64]
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # ITU-R BT.709
_STEP_PX = 1e-4  # of the differences for the gradient: the curvature of a scene adds as much of its own size
_WAVE_COUNT = 240


def _grey_board(x: Array, y: Array, seed: int) -> Array:
    return np.asarray(board(x, y, seed) @ _LUMINANCE)


SCENES: dict[str, Callable[[Array, Array, int], Array]] = {
    "cells": scenes.cells,
    "steel": scenes.steel,
    "speckle": scenes.speckle,
    "farmland": scenes.farmland,
    "stars": scenes.stars,
    "board": _grey_board,
}
# Apart, so that the pairs of the scenes above stay the same ones.
FLAT_SCENES: dict[str, Callable[[Array, Array, int], Array]] = {
    "bare board": flat_scenes.bare_board,
    "sparse stars": flat_scenes.sparse_stars,
    "few cells": flat_scenes.few_cells,
    "page": flat_scenes.page,
    "half sky": flat_scenes.half_sky,
    "vessels": flat_scenes.vessels,
}
_ALL_SCENES = SCENES | FLAT_SCENES


@dataclass(frozen=True)
class TwoViews:
    """A scene seen by two cameras whose frames have the same ``shape`` (H, W).

    ``matrix`` (3, 3) maps fixed to moving pixels, (x, y), ``placing`` (3, 3) those of the scene to the fixed frame's;
    None puts the scene's middle on the frame's. Brightness is about 0 to 1, and never negative.
    """

    scene: str
    seed: int
    shape: tuple[int, int]
    matrix: Array
    placing: Array | None = None

    def fixed(self) -> Array:
        return self._frame(np.eye(3))

    def moving(self, margin: int = 0) -> Array:
        """Return the moving frame, with ``margin`` more pixels on every side."""
        return self._frame(_shift(margin, margin) @ self.matrix, margin)

    def gradient(self) -> tuple[Array, Array]:
        """Return d/dx and d/dy of the fixed frame, (H, W) each."""
        here, right, below = (self._frame(_shift(-dx, -dy)) for dx, dy in ((0, 0), (_STEP_PX, 0), (0, _STEP_PX)))
        return (right - here) / _STEP_PX, (below - here) / _STEP_PX

    def _frame(self, to_frame: Array, margin: int = 0) -> Array:
        height, width = self.shape
        centring = _shift((width - scenes.WIDTH) / 2, (height - scenes.HEIGHT) / 2)
        placing = centring if self.placing is None else self.placing
        shape = (height + 2 * margin, width + 2 * margin)
        return np.maximum(view(_ALL_SCENES[self.scene], self.seed, shape, to_frame @ placing), 0)


def _shift(dx: float, dy: float) -> Array:
    return np.array([[1.0, 0.0, dx], [0.0, 1.0, dy], [0.0, 0.0, 1.0]])


def endless(shape: tuple[int, int], matrix: Array, seed: int) -> NDArray[np.float32]:
    """Return a frame (H, W) of patches with soft edges and fine texture; affine ``matrix`` maps scene to frame pixels.

    The scene is a function of two sums of plane waves and goes on for ever. On an affine grid
    cos(k . (A p + b) + phase) = cos(a(x) + c(y)), so that a sum of waves is a product of two matrices: the largest
    frames take seconds.
    """
    random = np.random.default_rng(seed)
    patches = _plane_waves(shape, np.linalg.inv(matrix), random, 60.0, 300.0)
    texture = _plane_waves(shape, np.linalg.inv(matrix), random, 6.0, 60.0)
    return 0.5 + 0.2 * np.tanh(4 * patches) + 0.1 * texture


def _plane_waves(
    shape: tuple[int, int], back: Array, random: np.random.Generator, shortest: float, longest: float
) -> NDArray[np.float32]:
    """Return a sum (H, W) of waves of ``shortest`` to ``longest`` pixels, of variance one; ``back``: frame to scene."""
    length = longest * (shortest / longest) ** random.uniform(size=_WAVE_COUNT)
    angle, phase = random.uniform(0, 2 * np.pi, (2, _WAVE_COUNT))
    k = 2 * np.pi / length * np.stack((np.cos(angle), np.sin(angle)))
    amplitude = length**0.5
    amplitude *= np.sqrt(2 / np.square(amplitude).sum())
    a = np.outer(np.arange(shape[1]), back[:2, 0] @ k)
    c = np.outer(np.arange(shape[0]), back[:2, 1] @ k) + (back[:2, 2] @ k + phase)
    across = np.hstack((np.cos(a), -np.sin(a)))
    down = np.hstack((amplitude * np.cos(c), amplitude * np.sin(c)))
    return down.astype(np.float32) @ across.astype(np.float32).T
