"""Transforms of other tools that bend, as `linear.Bend`: B-splines on any grid, displacement images, compositions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zncc_cli.files.memory import available_memory
from zncc_cli.files.paths import MismatchError
from zncc_cli.files.transforms.linear import Bend, Matrix
from zncc_cli.registration.transforms import matrices
from zncc_cli.registration.transforms.spline_field import SplineField, cubic_weights, node_count

_DEGREE = 3
_DENSE_SPACING_PX = 16.0  # of the widest spline that is tried for an image of displacements
_MAX_PIXELS = 2**28  # of an image of displacements, which is read at once
_BYTES_PER_PIXEL = 60  # displacements as they are stored, in float64, stacked, and those whose gaps are filled
_FILL_ROUNDS = 16  # halvings of an image, of up to 2^16 pixels a side


def check_field_size(pixels: int) -> None:
    """Raise `MismatchError` where an image of displacements of so many pixels is more than may be read at once."""
    limit = min(_MAX_PIXELS, available_memory() // _BYTES_PER_PIXEL)
    if pixels > limit:
        raise MismatchError(f"at most {limit} pixels", pixels)


@dataclass(frozen=True, eq=False)
class GridSpline:
    """A cubic B-spline upon a matrix, on a grid of nodes with a place of its own: those of ITK and elastix.

        T(x) = M x + sum over i, j of c[:, j, i] B((x - x0) / hx - i) B((y - y0) / hy - j)

    Where a point has less than four nodes along either axis, the spline is zero there.

    Attributes:
        matrix: (3, 3), fixed -> moving.
        coefficients: (2, rows, columns), of x and of y.
        origin: (x0, y0) of the first node, pixels.
        steps: (hx, hy), pixels.
    """

    matrix: Matrix
    coefficients: Matrix
    origin: tuple[float, float]
    steps: tuple[float, float]

    @property
    def spacing(self) -> float:
        """The lesser distance of nodes, pixels."""
        return min(self.steps)

    def map_points(self, points: Matrix) -> Matrix:
        """Return the moving points (N, 2) of fixed points (N, 2)."""
        counts = self.coefficients.shape[:0:-1]
        places = (points - self.origin) / self.steps
        # Between the second node and the last but one, with a rounding: 1e-9 of a spacing is no pixel.
        rounding = 1e-9
        inside = ((places >= 1 - rounding) & (places <= np.array(counts) - 2 + rounding)).all(axis=1)
        places = np.clip(places[inside], 1, np.array(counts) - 2)
        first = np.minimum(places.astype(np.intp) - 1, np.array(counts) - _DEGREE - 1)
        by_x, by_y = (cubic_weights(places[:, axis] - first[:, axis] - 1) for axis in (0, 1))
        bend = np.zeros((2, len(places)))
        for j in range(_DEGREE + 1):
            for i in range(_DEGREE + 1):
                bend += by_y[j] * by_x[i] * self.coefficients[:, first[:, 1] + j, first[:, 0] + i]
        moved = matrices.map_points(self.matrix, points)
        moved[inside] += bend.T
        return moved

    def followed_by(self, matrix: Matrix) -> GridSpline:
        """Return the spline followed by a matrix without perspective, which is a spline again."""
        coefficients = np.einsum("ij,jkl->ikl", matrix[:2, :2] / matrix[2, 2], self.coefficients)
        return GridSpline(matrices.compose(self.matrix, matrix), coefficients, self.origin, self.steps)

    def as_field(self, shape: tuple[int, int]) -> SplineField | None:
        """Return it as a `SplineField` of a frame (H, W), bit for bit; None where its grid is another."""
        spacing = self.steps[0]
        nodes = [node_count(n, spacing) for n in shape]
        covered = all(have >= need for have, need in zip(self.coefficients.shape[1:], nodes, strict=True))
        if self.steps != (spacing, spacing) or self.origin != (-spacing, -spacing) or not covered:
            return None
        coefficients = np.ascontiguousarray(self.coefficients[:, : nodes[0], : nodes[1]])
        return SplineField(self.matrix, coefficients, spacing, shape)


def grid_spline(field: SplineField) -> GridSpline:
    """Return a field as a spline on a grid, with a row and a column of nodes more.

    The tools take a point on the last but one node for one beyond the grid.
    """
    coefficients = np.pad(field.coefficients, ((0, 0), (0, 1), (0, 1)), mode="edge")
    spacing = field.spacing
    return GridSpline(field.matrix, coefficients, (-spacing, -spacing), (spacing, spacing))


@dataclass(frozen=True, eq=False)
class MatrixBend:
    """A matrix among transforms that bend: it has no nodes, and any ``spacing`` is near enough."""

    matrix: Matrix
    spacing: float = np.inf

    def map_points(self, points: Matrix) -> Matrix:
        """Return the moving points (N, 2) of fixed points (N, 2)."""
        return matrices.map_points(self.matrix, points)


@dataclass(frozen=True, eq=False)
class Chain:
    """One transform after another: second(first(x))."""

    first: Bend
    second: Bend

    @property
    def spacing(self) -> float:
        """The lesser one."""
        return min(self.first.spacing, self.second.spacing)

    def map_points(self, points: Matrix) -> Matrix:
        """Return the moving points (N, 2) of fixed points (N, 2)."""
        return self.second.map_points(self.first.map_points(points))


@dataclass(frozen=True, eq=False)
class Sum:
    """Two transforms whose displacements add up: first(x) + second(x) - x."""

    first: Bend
    second: Bend

    @property
    def spacing(self) -> float:
        """The lesser one."""
        return min(self.first.spacing, self.second.spacing)

    def map_points(self, points: Matrix) -> Matrix:
        """Return the moving points (N, 2) of fixed points (N, 2)."""
        return self.first.map_points(points) + self.second.map_points(points) - points


@dataclass(frozen=True, eq=False)
class DisplacementImage:
    """Moving less fixed coordinates of every pixel of the fixed frame, bilinear between pixels.

    Beyond the frame they are those of the nearest pixel.

    Attributes:
        displacements: (H, W, 2), (dx, dy), finite.
    """

    displacements: Matrix
    spacing: float = _DENSE_SPACING_PX

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the fixed frame."""
        height, width = self.displacements.shape[:2]
        return height, width

    def map_points(self, points: Matrix) -> Matrix:
        """Return the moving points (N, 2) of fixed points (N, 2)."""
        last = np.array(self.shape[::-1]) - 1
        places = np.clip(points, 0, last)
        first = np.minimum(places.astype(np.intp), np.maximum(last - 1, 0))
        (tx, ty), (x, y) = (places - first).T[..., None], first.T
        right, below = np.minimum(x + 1, last[0]), np.minimum(y + 1, last[1])
        d = self.displacements
        above = (1 - tx) * d[y, x] + tx * d[y, right]
        return np.asarray(points + (1 - ty) * above + ty * ((1 - tx) * d[below, x] + tx * d[below, right]))

    def nearest_matrix(self) -> Matrix:
        """Return the affine matrix (3, 3) that comes nearest to it at the pixels, by least squares."""
        height, width = self.shape
        x, y = np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2
        matrix = np.eye(3)
        for axis in range(2):
            d = self.displacements[..., axis]
            by_x = float(d.mean(axis=0) @ x) / max(float(x @ x), 1.0)
            by_y = float(d.mean(axis=1) @ y) / max(float(y @ y), 1.0)
            matrix[axis, :2] += by_x, by_y
            matrix[axis, 2] = float(d.mean()) - by_x * (width - 1) / 2 - by_y * (height - 1) / 2
        return matrix


def filled(displacements: Matrix) -> Matrix:
    """Return displacements (H, W, 2) with those that are not finite filled smoothly from those around them.

    The means of blocks of known pixels, of ever larger blocks, are what is filled in.
    """
    known = np.asarray(np.isfinite(displacements).all(axis=-1))
    return _filled(np.where(known[..., None], displacements, 0.0), known.astype(np.float64), _FILL_ROUNDS)


def _filled(values: Matrix, weight: Matrix, rounds: int) -> Matrix:
    """Return ``values`` (H, W, 2), of ``weight`` (H, W) from 0 to 1, with those of weight 0 filled."""
    if weight.all() or rounds == 0:
        return values
    pad = [(0, n % 2) for n in weight.shape]
    w = np.pad(weight, pad)
    v = np.pad(values * weight[..., None], [*pad, (0, 0)])
    halves = (w.shape[0] // 2, 2, w.shape[1] // 2, 2)
    total = w.reshape(halves).sum(axis=(1, 3))
    means = v.reshape(*halves, 2).sum(axis=(1, 3)) / np.where(total > 0, total, 1)[..., None]
    coarse = _filled(means, np.minimum(total, 1), rounds - 1)
    image = DisplacementImage(coarse)
    y, x = (np.arange(n) / 2 - 0.25 for n in weight.shape)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    fine = (image.map_points(points) - points).reshape(*weight.shape, 2)
    return np.asarray(np.where(weight[..., None] > 0, values, fine))
