"""A transform that bends: a matrix and a cubic B-spline of displacements upon it.

    T(x, y) = M (x, y) + u(x, y),   u(x, y) = sum over nodes (i, j) of c_ij B(x / h + 1 - i) B(y / h + 1 - j)

with B the cubic B-spline, which is zero from 2 on, and h the spacing. Node (i, j) lies on pixel ((i - 1) h, (j - 1) h),
so that a frame of H x W pixels is covered by ceil((H - 1) / h) + 3 by ceil((W - 1) / h) + 3 nodes.

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
        columns = self.coefficients.shape[2]
        nodes, first = self.coefficients.reshape(2, -1), first_y * columns + first_x
        total = np.zeros((2, len(x)))
        for j in range(_DEGREE + 1):
            line = sum(by_x[i] * np.take(nodes, first + (j * columns + i), axis=1) for i in range(_DEGREE + 1))
            total += by_y[j] * line
        return total.T

    def coordinates(self, rows: range, columns: range) -> tuple[_Floats, _Floats]:
        """Return the moving x and y, (h, w) each, of fixed pixels of some rows and columns; NaN behind the horizon.

        A pixel has the same bits whatever the rows and columns beside it.
        """
        x, y = np.asarray(columns, dtype=float), np.asarray(rows, dtype=float)
        (first_x, by_x), (first_y, by_y) = self._weights(x, self.shape[1]), self._weights(y, self.shape[0])
        moved = []
        for along, coefficients in zip(_mapped_grid(self.matrix, x, y), self.coefficients, strict=True):
            along_y = sum(by_y[k][:, None] * coefficients[first_y + k] for k in range(_DEGREE + 1))
            bend = sum(by_x[k] * along_y[:, first_x + k] for k in range(_DEGREE + 1))
            moved.append(along + bend)
        return moved[0], moved[1]

    def displacements(self, rows: range, columns: range) -> _Floats:
        """Return moving less fixed coordinates (h, w, 2), (x, y) pixels, at fixed pixels of some rows and columns."""
        x, y = self.coordinates(rows, columns)
        return np.stack([x - np.asarray(columns), y - np.asarray(rows)[:, None]], axis=-1)

    def bend_range(self, rows: range, columns: range) -> tuple[_Floats, _Floats]:
        """Return bounds (2,), (x, y) each, that the spline keeps within at fixed pixels of some rows and columns.

        They are the least and the largest of the coefficients there, of which the spline is a weighted mean.
        """
        nodes = []
        for places, n in ((rows, self.shape[0]), (columns, self.shape[1])):
            ends = np.array([places[0], places[-1]], dtype=float)
            first, last = self._weights(ends, n)[0]
            nodes.append(slice(first, last + _DEGREE + 1))
        near = self.coefficients[:, nodes[0], nodes[1]]
        return near.min(axis=(1, 2)), near.max(axis=(1, 2))

    def point_jacobians(self, points: ArrayLike) -> _Floats:
        """Return d(moving x, y) / d(fixed x, y), (N, 2, 2), at fixed points (N, 2)."""
        return self.map_with_jacobians(points)[1]

    def map_with_jacobians(self, points: ArrayLike) -> tuple[_Floats, _Floats]:
        """Return the moving coordinates (N, 2) of fixed points (N, 2), and the Jacobians there, (N, 2, 2)."""
        points = np.asarray(points, dtype=np.float64)
        bend, slopes = self._bend_with_slopes(points)
        jacobians = matrix_jacobians(self.matrix, points[:, 0], points[:, 1])
        return map_points(self.matrix, points) + bend, jacobians + slopes

    def _bend_with_slopes(self, points: _Floats) -> tuple[_Floats, _Floats]:
        """Return the spline (N, 2) at fixed points (N, 2), and its derivatives (N, 2, 2): zero across the edge."""
        axes = [(along, n) for along, n in zip(points.T, self.shape[::-1], strict=True)]
        (first_x, by_x), (first_y, by_y) = (self._weights(along, n) for along, n in axes)
        slope_x, slope_y = (self._weights(along, n, slope=True)[1] for along, n in axes)
        columns = self.coefficients.shape[2]
        nodes, first = self.coefficients.reshape(2, -1), first_y * columns + first_x
        sums = np.zeros((3, 2, len(points)))  # the spline, its derivatives by x and by y
        for j in range(_DEGREE + 1):
            line = np.zeros((2, 2, len(points)))  # of a row of nodes: the spline along it, and its derivative by x
            for i in range(_DEGREE + 1):
                near = np.take(nodes, first + (j * columns + i), axis=1)
                line[0] += by_x[i] * near
                line[1] += slope_x[i] * near
            sums[:2] += by_y[j] * line
            sums[2] += slope_y[j] * line[0]
        return sums[0].T, np.moveaxis(sums[1:], -1, 0).swapaxes(1, 2)

    def continued(self, points: ArrayLike) -> tuple[_Floats, _Floats]:
        """Return moving coordinates (N, 2) of fixed points, and their Jacobians (N, 2, 2), with the frame continued.

        In the frame they are those of the transform. Beyond it the spline goes on with the slope that it has at the
        frame, for two spacings, and is constant from there on: unlike the transform's own, this continuation has no
        crease along the frame, so that a spline can be fitted to it.
        """
        points = np.asarray(points, dtype=np.float64)
        last = np.array(self.shape[::-1], dtype=float) - 1
        nearest = np.clip(points, 0, last)
        beyond = np.clip(points - nearest, -2 * self.spacing, 2 * self.spacing)
        bend, slopes = self._bend_with_slopes(nearest)
        bend = bend + slopes[..., 0] * beyond[:, :1] + slopes[..., 1] * beyond[:, 1:]
        jacobians = matrix_jacobians(self.matrix, points[:, 0], points[:, 1]) + slopes
        return map_points(self.matrix, points) + bend, jacobians

    def jacobians(self, rows: range, columns: range) -> _Floats:
        """Return d(moving x, y) / d(fixed x, y), (h, w, 2, 2), at fixed pixels of some rows and columns."""
        x, y = np.asarray(columns, dtype=float), np.asarray(rows, dtype=float)
        axes = [
            (self._weights(a, n), self._weights(a, n, slope=True)[1])
            for a, n in ((x, self.shape[1]), (y, self.shape[0]))
        ]
        ((first_x, by_x), slope_x), ((first_y, by_y), slope_y) = axes
        jacobian = matrix_jacobians(self.matrix, x, y[:, None])
        for axis, (of_x, of_y) in enumerate(((slope_x, by_y), (by_x, slope_y))):
            along_y = sum(of_y[k][:, None] * self.coefficients[:, first_y + k] for k in range(_DEGREE + 1))
            bend = sum(of_x[k] * along_y[:, :, first_x + k] for k in range(_DEGREE + 1))
            jacobian[..., axis] += np.moveaxis(bend, 0, -1)
        return jacobian

    def _weights(self, along: _Floats, pixels: int, *, slope: bool = False) -> tuple[NDArray[np.intp], _Floats]:
        """Return `spline_weights` of points of an axis."""
        return spline_weights(along, pixels, self.spacing, slope=slope)


def spline_weights(
    along: _Floats, pixels: int, spacing: float, *, slope: bool = False
) -> tuple[NDArray[np.intp], _Floats]:
    """Return the first of the four nodes that points of an axis have, (N,), and the weights (4, N) or their slopes.

    Args:
        along: coordinates of the points (N,), pixels.
        pixels: of the axis.
        spacing: of the nodes, pixels.
        slope: return the derivatives of the weights by ``along``.
    """
    inside = np.clip(np.nan_to_num(along), 0, pixels - 1)  # of a point that is nowhere any weights will do
    place = inside / spacing
    first = np.minimum(place.astype(np.intp), node_count(pixels, spacing) - _DEGREE - 1)
    if not slope:
        return first, cubic_weights(place - first)
    # Beyond the frame the spline stays as it is at the edge.
    return first, np.where(inside == along, _cubic_slope(place - first) / spacing, 0.0)


def cubic_weights(t: _Floats) -> _Floats:
    """Return the weights (4, N) of the four nodes around points at t in [0, 1] between the middle ones."""
    return np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    ) / 6  # fmt: skip


def _cubic_slope(t: _Floats) -> _Floats:
    """Return the derivatives of `cubic_weights` by t, (4, N)."""
    return np.stack([-((1 - t) ** 2), 3 * t**2 - 4 * t, -3 * t**2 + 2 * t + 1, t**2]) / 2


def _mapped_grid(matrix: _Floats, x: _Floats, y: _Floats) -> tuple[_Floats, _Floats]:
    """Return M (x, y), (h, w) each, at columns x (w,) and rows y (h,); NaN on and behind the horizon."""
    u, v, depth = (row[0] * x + (row[1] * y[:, None] + row[2]) for row in matrix)
    depth = np.where(depth > 0, depth, np.nan)
    return u / depth, v / depth


def matrix_jacobians(matrix: _Floats, x: _Floats, y: _Floats) -> _Floats:
    """Return d(M x) / dx, (..., 2, 2), at points x, y (...); NaN on and behind the horizon."""
    u, v, depth = (row[0] * x + row[1] * y + row[2] for row in matrix)
    depth = np.where(depth > 0, depth, np.nan)
    jacobian = np.empty((*np.shape(depth), 2, 2))
    for axis, moved in enumerate((u / depth, v / depth)):
        for by in range(2):
            jacobian[..., axis, by] = (matrix[axis, by] - moved * matrix[2, by]) / depth
    return jacobian
