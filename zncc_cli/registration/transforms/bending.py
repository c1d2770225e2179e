"""Transforms that may bend, mapped, inverted and composed: a matrix (3, 3), or a `SplineField`, fixed -> moving.

The inverse of a spline is no spline, nor is the composition of two. Their points are computed to the rounding of
float64; splines that stand for them are fitted, and the largest error is measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from zncc_cli.registration.transforms import matrices
from zncc_cli.registration.transforms.newton import solve_for_points
from zncc_cli.registration.transforms.spline_field import SplineField, matrix_jacobians
from zncc_cli.registration.transforms.spline_fit import Fitted, check_frame, fit_within

_Floats = NDArray[np.float64]
Transform = NDArray[np.float64] | SplineField

_STARTS = 24  # along each side of the frame, for points to which the first start does not lead
_STRIP_PIXELS = 2**18
_ROUNDING_PX = 1e-9  # a place that misses the moving frame by less lies in it, as in resampling


def matrix_of(transform: Transform) -> _Floats:
    """Return the matrix (3, 3) of a transform: of one that bends, that upon which it bends."""
    return transform.matrix if isinstance(transform, SplineField) else transform


def mapped_points(transform: Transform, points: _Floats) -> _Floats:
    """Return the moving points (N, 2) of fixed points (N, 2); NaN on and behind the horizon."""
    if isinstance(transform, SplineField):
        return transform.map_points(points)
    return matrices.map_points(transform, points)


def displacements(
    transform: Transform, rows: range, columns: range, moving_shape: tuple[int, int] | None = None
) -> _Floats:
    """Return moving less fixed coordinates (h, w, 2), (dx, dy), at the fixed pixels of some rows and columns.

    They are NaN behind the horizon, and where the place lies outside ``moving_shape`` (H, W), if that is given.
    """
    fixed = np.stack(np.meshgrid(columns, rows), axis=-1).astype(np.float64)
    if isinstance(transform, SplineField):
        moved = transform.displacements(rows, columns)
    else:
        moved = matrices.map_points(transform, fixed) - fixed
    if moving_shape is not None:
        moving, last = fixed + moved, np.array(moving_shape[::-1]) - 1
        moved[~((moving >= -_ROUNDING_PX) & (moving <= last + _ROUNDING_PX)).all(axis=-1)] = np.nan
    return moved


def jacobians(transform: Transform, rows: range, columns: range) -> _Floats:
    """Return d(moving x, y) / d(fixed x, y), (h, w, 2, 2), at the fixed pixels of some rows and columns."""
    if isinstance(transform, SplineField):
        return transform.jacobians(rows, columns)
    x, y = np.meshgrid(np.asarray(columns, dtype=np.float64), np.asarray(rows, dtype=np.float64))
    return matrix_jacobians(transform, x, y)


def inverse_points(field: SplineField, points: _Floats) -> _Floats:
    """Return the fixed points (N, 2) that a field takes to moving points (N, 2); NaN for those that have none.

    Where the field folds there is no inverse, though a point may be taken there.

    Raises:
        ValueError: the matrix has no inverse.
    """
    found, arrived = solve_for_points(
        field.map_with_jacobians,
        points,
        matrices.map_points(matrices.invert(field.matrix), points),
        _starts(field),
    )
    arrived[arrived] &= _orientation(field, field.point_jacobians(found[arrived])) > 0
    return np.where(arrived[:, None], found, np.nan)


def inverse_field(field: SplineField, moving_shape: tuple[int, int]) -> Fitted:
    """Return a spline that stands for the inverse of a field, moving -> fixed.

    Its error is the largest distance of inverse(T(x)) to x, over all fixed pixels x that are taken into the moving
    frame, (H, W) ``moving_shape``.

    Raises:
        ValueError: the field folds, or its horizon crosses a frame, so that there is no inverse; or a frame is large.
    """
    check_frame(field.shape)
    check_frame(moving_shape)
    folds = count_folds(field)
    if folds:
        raise ValueError(f"one that folds at {folds} pixels")
    inverse, starts = _scaled_to_one(matrices.invert(field.matrix)), _starts(field)

    def mapping(points: _Floats, before: SplineField | None) -> _Floats:
        start = matrices.map_points(inverse, points) if before is None else before.map_points(points)
        return solve_for_points(field.continued, points, start, starts)[0]

    def error(fit: SplineField, step: int) -> float:
        return max(
            (_farthest(fit.map_points(moving), fixed) for fixed, moving in _pixels_inside(field, moving_shape, step)),
            default=0.0,
        )

    return fit_within(mapping, inverse, moving_shape, field.spacing * _scale(field.matrix, field.shape), error)


def composed(first: Transform, second: Transform, shape: tuple[int, int] | None) -> Fitted:
    """Return the field that maps by ``first``, then by ``second``, of which one at least bends.

    A field followed by a matrix without perspective is a field again, exactly. Any other composition is fitted; its
    error is the largest over the pixels of the first fixed frame that lie in the second's.

    Args:
        first, second: the transforms.
        shape: (H, W) of the first fixed frame; not needed where ``first`` is a field.

    Raises:
        ValueError: the frame is not known, or too large, or a horizon crosses it.
    """
    shape = first.shape if isinstance(first, SplineField) else shape
    if shape is None:
        raise ValueError("a first one without the size of its fixed image")
    check_frame(shape)
    matrix = _scaled_to_one(matrices.compose(matrix_of(first), matrix_of(second)))
    if isinstance(first, SplineField) and not isinstance(second, SplineField) and not second[2, :2].any():
        coefficients = np.einsum("ij,jkl->ikl", second[:2, :2] / second[2, 2], first.coefficients)
        return Fitted(SplineField(matrix, coefficients, first.spacing, shape), 0.0)

    def mapping(points: _Floats, _: SplineField | None) -> _Floats:
        middle = mapped_points(first, points)
        return second.continued(middle)[0] if isinstance(second, SplineField) else mapped_points(second, middle)

    def error(fit: SplineField, step: int) -> float:
        frame = second.shape if isinstance(second, SplineField) else (math.inf, math.inf)
        return max(
            (
                _farthest(fit.map_points(fixed), mapped_points(second, middle))
                for fixed, middle in _pixels_inside(first, frame, step, shape)
            ),
            default=0.0,
        )

    spacings = [first.spacing] if isinstance(first, SplineField) else []
    if isinstance(second, SplineField):
        spacings.append(second.spacing / _scale(matrix_of(first), shape))
    return fit_within(mapping, matrix, shape, min(spacings), error)


def count_folds(field: SplineField) -> int:
    """Return the number of fixed pixels at which a field folds: it mirrors there, or not, unlike its matrix."""
    return sum(
        int(np.count_nonzero(_orientation(field, field.jacobians(rows, range(field.shape[1]))) <= 0))
        for rows in _strips(field.shape)
    )


def largest_displacement(field: SplineField) -> float:
    """Return the largest displacement of points on the fixed frame that lie half a spacing apart, or closer, pixels."""
    step = max(1, int(field.spacing // 2))
    rows, columns = ([*range(0, n - 1, step), n - 1] for n in field.shape)
    points = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2).astype(float)
    return float(np.linalg.norm(field.map_points(points) - points, axis=1).max())


def _orientation(field: SplineField, jacobians: _Floats) -> _Floats:
    """Return the determinants of Jacobians (..., 2, 2), positive where they mirror, or not, as the matrix does."""
    side = -1.0 if matrices.is_mirrored(field.matrix) else 1.0
    with np.errstate(over="ignore", invalid="ignore"):  # of displacements that are no places
        return np.asarray(side * np.linalg.det(jacobians))


def _starts(field: SplineField) -> _Floats:
    y, x = (np.linspace(0, n - 1, _STARTS) for n in field.shape)
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def _scaled_to_one(matrix: _Floats) -> _Floats:
    """Return the matrix of the same transform whose last entry is 1.

    Raises:
        ValueError: the frame's first pixel is on or behind the horizon.
    """
    if not matrix[2, 2] > 0:
        raise ValueError("one whose horizon crosses the frame")
    return np.asarray(matrix / matrix[2, 2])


def _scale(matrix: _Floats, shape: tuple[int, int]) -> float:
    """Return how many moving pixels a fixed pixel spans, at the middle of the frame (H, W)."""
    middle = (np.array([[shape[1], shape[0]]]) - 1) / 2
    steps = matrices.map_points(matrix, middle + np.eye(2)) - matrices.map_points(matrix, middle)
    (a, b), (c, d) = steps.tolist()
    scale = math.sqrt(abs(a * d - b * c))
    if not 0 < scale < math.inf:
        raise ValueError("one whose horizon crosses the frame")
    return scale


def _strips(shape: tuple[int, int], step: int = 1) -> Iterator[range]:
    """Yield the rows of a frame (H, W), or every ``step``-th, some at a time."""
    rows = max(1, _STRIP_PIXELS // shape[1]) * step
    for first in range(0, shape[0], rows):
        yield range(first, min(first + rows, shape[0]), step)


def _pixels_inside(
    transform: Transform, frame: tuple[float, float], step: int, shape: tuple[int, int] | None = None
) -> Iterator[tuple[_Floats, _Floats]]:
    """Yield the fixed pixels (N, 2) that a transform takes into a frame (H, W), and where it takes them, by strips.

    They are every ``step``-th pixel along each axis of the fixed frame, ``shape`` (H, W), or that of the field.
    """
    shape = transform.shape if isinstance(transform, SplineField) else shape
    assert shape is not None
    last, columns = np.array(frame[::-1], dtype=float) - 1, range(0, shape[1], step)
    for rows in _strips(shape, step):
        fixed = np.stack(np.meshgrid(columns, rows), axis=-1).astype(float)
        if isinstance(transform, SplineField):
            moved = np.stack(transform.coordinates(rows, columns), axis=-1)
        else:
            moved = matrices.map_points(transform, fixed)
        inside = ((moved >= 0) & (moved <= last)).all(axis=-1)
        if inside.any():
            yield fixed[inside], moved[inside]


def _farthest(a: _Floats, b: _Floats) -> float:
    return float(np.linalg.norm(a - b, axis=1).max())
