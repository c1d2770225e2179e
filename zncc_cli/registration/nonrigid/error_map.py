"""The expected error of a field, on a grid of points. Torch is not imported."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Places = Sequence[int] | NDArray[np.float64]

UNCERTAIN_PX = 1.0
"""Moving pixels: where more is expected the field only continues its surroundings."""


@dataclass(frozen=True, eq=False)
class ErrorMap:
    """The expected error of a field at points of a grid.

    Attributes:
        rows, columns: of the points, fixed pixels.
        error: (h, w) float64, the root of the summed variances of both components, moving pixels.
        overlap: (h, w) bool, where both images are valid.
        textured: (h, w) bool, the part of the overlap in which both images show more than their noise; all of it where
            that part is too small.
        unmatched: (h, w) bool, the part of the overlap in which both images show texture and do not agree.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    error: NDArray[np.float64]
    overlap: NDArray[np.bool_]
    textured: NDArray[np.bool_]
    unmatched: NDArray[np.bool_]

    @property
    def rms(self) -> float:
        """Root mean square over the textured part of the overlap; infinite without one.

        On flat ground nothing tells where a point lies, and nothing is there to be aligned.
        """
        seen = self.error[self.textured]
        return float(np.sqrt(np.mean(seen**2))) if len(seen) else math.inf

    @property
    def rms_everywhere(self) -> float:
        """Root mean square over the overlap, flat ground and all; infinite without one."""
        seen = self.error[self.overlap]
        return float(np.sqrt(np.mean(seen**2))) if len(seen) else math.inf

    @property
    def worst(self) -> tuple[float, int, int]:
        """The largest error in the overlap, and its place, x and y, fixed pixels. There must be an overlap."""
        row, column = np.unravel_index(np.argmax(np.where(self.overlap, self.error, -1)), self.error.shape)
        return float(self.error[row, column]), int(self.columns[column]), int(self.rows[row])

    @property
    def uncertain_share(self) -> float:
        """Share of the overlap in which more than `UNCERTAIN_PX` is expected; 0 without one."""
        return float(np.mean(self.error[self.overlap] > UNCERTAIN_PX)) if self.overlap.any() else 0.0

    @property
    def unmatched_share(self) -> float:
        """Share of the overlap in which both images show texture and do not agree; 0 without one."""
        return float(np.mean(self.unmatched[self.overlap])) if self.overlap.any() else 0.0

    def at(self, rows: Places, columns: Places) -> NDArray[np.float64]:
        """Return the expected error at some rows (h,) and columns (w,), fixed pixels, (h, w).

        It is linear between the points. Beyond the outermost points it is that of the nearest ones.
        """
        down, across = _weights(rows, self.rows), _weights(columns, self.columns)
        return np.asarray(down @ self.error @ across.T)

    def near(self, points: NDArray[np.float64]) -> tuple[NDArray[np.float64], *tuple[NDArray[np.bool_], ...]]:
        """Return error, overlap, texture and `unmatched` at the points nearest to fixed points (N, 2), (x, y)."""
        column, row = (_nearest(along, on) for along, on in zip(points.T, (self.columns, self.rows), strict=True))
        return self.error[row, column], *(each[row, column] for each in (self.overlap, self.textured, self.unmatched))


def _nearest(places: NDArray[np.float64], points: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the index of the point that is nearest to each of some places."""
    return np.searchsorted((points[1:] + points[:-1]) / 2, places)


def _weights(places: Places, points: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the weights (n, m) of m points of an axis at n places, by linear interpolation."""
    return np.stack([np.interp(places, points, unit) for unit in np.eye(len(points))], axis=1)
