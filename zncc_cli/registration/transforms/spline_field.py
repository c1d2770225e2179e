"""A transform that bends: a matrix and a cubic B-spline of displacements upon it.

    T(x, y) = M (x, y) + u(x, y),   u(x, y) = sum over nodes (i, j) of c_ij B(x / h + 1 - i) B(y / h + 1 - j)

with B the cubic B-spline, which is zero from 2 on, and h the spacing. Node (i, j) lies on pixel ((i - 1) h, (j - 1) h):
a frame of H x W pixels is covered by ceil((H - 1) / h) + 3 by ceil((W - 1) / h) + 3 nodes.

Rueckert et al. 1999, "Nonrigid registration using free-form deformations", doi:10.1109/42.796284.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from zncc_cli.registration.transforms.matrices import map_points

_Floats = NDArray[np.float64]

_DEGREE = 3


def node_count(pixels: int, spacing: float) -> int:
    """Return how many nodes of a spacing in pixels an axis of so many pixels needs."""
    return max(math.ceil((pixels - 1) / spacing - 1e-9), 1) + _DEGREE


@dataclass(frozen=True, eq=False)
class SplineField:
    """A transform of a fixed frame, FIXED -> MOVING coordinates: a matrix and a cubic B-spline of displacements.

    Attributes:
        matrix: (3, 3) float64, (x, y) pixels; its last entry is 1.
        coefficients: (2, rows, columns) float64, of the displacements in x and in y, pixels of the moving image.
        spacing: of the nodes, pixels of the fixed image.
        shape: (H, W) of the fixed frame. Outside it the spline is that of the nearest point of the frame.
    """

    matrix: _Floats
    coefficients: _Floats
    spacing: float
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        assert self.coefficients.shape == (2, *(node_count(n, self.spacing) for n in self.shape))

    def map_points(self, points: ArrayLike) -> _Floats:
        """Return the moving coordinates (N, 2) of fixed points (N, 2), (x, y) pixels."""
        points = np.asarray(points, dtype=np.float64)
        return map_points(self.matrix, points) + self.bend(points[:, 0], points[:, 1])

    def bend(self, x: _Floats, y: _Floats) -> _Floats:
        """Return the spline's displacements (N, 2) at fixed points x (N,), y (N,), pixels."""
        (first_x, by_x), (first_y, by_y) = (
            self._weights(along, n) for along, n in ((x, self.shape[1]), (y, self.shape[0]))
        )
        total = np.zeros((2, len(x)))
        for j in range(_DEGREE + 1):
            for i in range(_DEGREE + 1):
                total += by_y[j] * by_x[i] * self.coefficients[:, first_y + j, first_x + i]
        return total.T

    def displacements(self, rows: range, columns: range) -> _Floats:
        """Return moving less fixed coordinates (h, w, 2), (x, y) pixels, at fixed pixels of some rows and columns."""
        x, y = np.arange(columns.start, columns.stop, dtype=float), np.arange(rows.start, rows.stop, dtype=float)
        (first_x, by_x), (first_y, by_y) = self._weights(x, self.shape[1]), self._weights(y, self.shape[0])
        along_y = sum(by_y[k][:, None] * self.coefficients[:, first_y + k] for k in range(_DEGREE + 1))
        bend = sum(by_x[k] * along_y[:, :, first_x + k] for k in range(_DEGREE + 1))
        grid = np.stack(np.broadcast_arrays(x, y[:, None]), axis=-1)
        moved = map_points(self.matrix, grid.reshape(-1, 2)).reshape(grid.shape)
        displacements: _Floats = moved - grid + np.moveaxis(bend, 0, -1)
        return displacements

    def jacobians(self, rows: range, columns: range) -> _Floats:
        """Return d(moving x, y) / d(fixed x, y), (h, w, 2, 2), at fixed pixels of some rows and columns."""
        x, y = np.arange(columns.start, columns.stop, dtype=float), np.arange(rows.start, rows.stop, dtype=float)
        axes = [
            (self._weights(a, n), self._weights(a, n, slope=True)[1])
            for a, n in ((x, self.shape[1]), (y, self.shape[0]))
        ]
        ((first_x, by_x), slope_x), ((first_y, by_y), slope_y) = axes
        jacobian = _matrix_jacobians(self.matrix, x, y)
        for axis, (of_x, of_y) in enumerate(((slope_x, by_y), (by_x, slope_y))):
            along_y = sum(of_y[k][:, None] * self.coefficients[:, first_y + k] for k in range(_DEGREE + 1))
            bend = sum(of_x[k] * along_y[:, :, first_x + k] for k in range(_DEGREE + 1))
            jacobian[..., axis] += np.moveaxis(bend, 0, -1)
        return jacobian

    def _weights(self, along: _Floats, pixels: int, *, slope: bool = False) -> tuple[NDArray[np.intp], _Floats]:
        """Return the first of the four nodes that points of an axis have, (N,), and their weights (4, N) or slopes."""
        inside = np.clip(along, 0, pixels - 1)
        place = inside / self.spacing
        first = np.minimum(place.astype(np.intp), node_count(pixels, self.spacing) - _DEGREE - 1)
        if not slope:
            return first, _cubic(place - first)
        # Beyond the frame the spline stays as it is at the edge.
        return first, np.where(inside == along, _cubic_slope(place - first) / self.spacing, 0.0)


def _cubic(t: _Floats) -> _Floats:
    """Return the weights (4, N) of the four nodes around points at t in [0, 1] between the middle ones."""
    return np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    ) / 6  # fmt: skip


def _cubic_slope(t: _Floats) -> _Floats:
    """Return the derivatives of `_cubic` by t, (4, N)."""
    return np.stack([-((1 - t) ** 2), 3 * t**2 - 4 * t, -3 * t**2 + 2 * t + 1, t**2]) / 2


def _matrix_jacobians(matrix: _Floats, x: _Floats, y: _Floats) -> _Floats:
    """Return d(M x) / dx at the pixels of columns x (w,) and rows y (h,), (h, w, 2, 2)."""
    u, v, depth = (row[0] * x + row[1] * y[:, None] + row[2] for row in matrix)
    jacobian = np.empty((len(y), len(x), 2, 2))
    for axis, moved in enumerate((u / depth, v / depth)):
        for by in range(2):
            jacobian[..., axis, by] = (matrix[axis, by] - moved * matrix[2, by]) / depth
    return jacobian
