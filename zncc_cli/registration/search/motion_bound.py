"""The bound on how far a result may lie from its start."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from zncc_cli.registration.warp import corners, map_points


@dataclass(frozen=True, eq=False)
class MotionBound:
    """The most that a corner of the fixed frame may move from where the start has it.

    Attributes:
        start: (3, 3), fixed -> moving, full-resolution pixels.
        shape: (H, W) of the fixed frame.
        max_motion: moving pixels.
    """

    start: np.ndarray
    shape: tuple[int, int]
    max_motion: float

    def motion(self, matrix: np.ndarray) -> float:
        """Return how far ``matrix`` (3, 3) takes a corner from where the start has it, at most; moving pixels."""
        return self.distance(map_points(matrix, self.frame))

    def distance(self, moved: np.ndarray) -> float:
        """Return how far corners ``moved`` (4, 2) lie from where the start has them, at most; moving pixels."""
        return float(np.linalg.norm(moved - self.targets, axis=-1).max())

    def holds(self, matrix: np.ndarray, slack: float = 0.0) -> bool:
        """Tell whether ``matrix`` (3, 3) moves no corner by more than the bound and ``slack`` pixels."""
        return self.motion(matrix) <= self.max_motion + slack

    def shifts(self, from_canvas: np.ndarray, spacing: float) -> Discs:
        """Return which shifts of the turned image on the search grid stay within the bound and a grid pixel more.

        A shift d, grid pixels, stands for the matrix ``from_canvas`` shift(d) scaling(1 / ``spacing``).
        ``from_canvas`` (3, 3) is affine, and turns and scales alike along x and y.
        """
        scale = math.sqrt(abs(np.linalg.det(from_canvas[:2, :2])))
        targets = map_points(np.linalg.inv(from_canvas), self.targets)
        return Discs(targets - self.frame / spacing, self.max_motion / scale + 1)

    def shifts_back(self, from_canvas: np.ndarray, spacing: float) -> Discs:
        """Return the shifts d of `shifts`, grid pixels, whose inverted matrices stay within the bound and 1 px more."""
        canvas = map_points(np.linalg.inv(from_canvas), self.frame)
        return Discs(canvas - self.targets / spacing, self.max_motion / spacing + 1)

    @property
    def frame(self) -> np.ndarray:
        """The corners of the fixed frame, (4, 2), (x, y)."""
        return corners(self.shape)

    @property
    def targets(self) -> np.ndarray:
        """Where the start sends these corners, (4, 2), (x, y)."""
        return map_points(self.start, self.frame)


@dataclass(frozen=True, eq=False)
class Discs:
    """The shifts that lie in all of four discs of one radius.

    Attributes:
        centres: (4, 2), (x, y).
        radius: of each.
    """

    centres: np.ndarray
    radius: float

    @property
    def meet(self) -> bool:
        """Whether all pairs of discs meet; where a pair does not, no shift lies in all."""
        distances = np.linalg.norm(self.centres[:, None] - self.centres, axis=-1)
        return bool(distances.max() <= 2 * self.radius)

    def hold(self, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
        """Return which shifts lie in all discs, bool, of the shape to which ``dx`` and ``dy`` broadcast."""
        squares = [np.square(dx - x) + np.square(dy - y) for x, y in self.centres]
        return np.asarray(np.max(np.broadcast_arrays(*squares), axis=0) <= self.radius**2)
