"""The frame of an aligned image: rows and columns of the fixed plane, more or fewer than the fixed image has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zncc_cli.config import Canvas
from zncc_cli.errors import ContentError, OptionError
from zncc_cli.registration.geometry import half_planes
from zncc_cli.registration.transforms.bending import Transform, inverse_points
from zncc_cli.registration.transforms.spline_field import SplineField
from zncc_cli.registration.warp import EDGE, corners, map_points

# Of a canvas, in units of the area of both images together: a larger one comes from the horizon of a homography, and is
# no mosaic.
_MAX_AREA = 16


@dataclass(frozen=True)
class Frame:
    """A rectangle of whole pixels of the fixed plane.

    Attributes:
        left, top: its first column and row, in pixels of the fixed image; may be negative.
        width, height: of its columns and rows.
    """

    left: int
    top: int
    width: int
    height: int

    @property
    def rows(self) -> range:
        """The rows of the frame, in fixed coordinates."""
        return range(self.top, self.top + self.height)

    @property
    def columns(self) -> range:
        """The columns of the frame, in fixed coordinates."""
        return range(self.left, self.left + self.width)

    @property
    def offset(self) -> tuple[int, int]:
        """(x, y) of the first pixel of the frame, in fixed coordinates."""
        return self.left, self.top

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the frame."""
        return self.height, self.width


def frame_of(kind: Canvas, transform: Transform, fixed_shape: tuple[int, int], moving_shape: tuple[int, int]) -> Frame:
    """Return the frame of an image that is aligned by a transform.

    Args:
        kind: FIXED is the fixed frame; UNION the smallest rectangle that holds it and the centre of every moving pixel;
            COMMON the largest rectangle of fixed pixels that all lie in the moving frame.
        transform: a matrix (3, 3) or a field, fixed -> moving.
        fixed_shape, moving_shape: (H, W).

    Raises:
        OptionError: UNION is without end, or far larger than both images; COMMON of a transform that bends, whose
            overlap has no straight edges.
        ContentError: COMMON has no pixel.
    """
    if not isinstance(transform, SplineField):
        return frame_of_all(kind, [transform], fixed_shape, moving_shape)
    if kind is Canvas.COMMON:
        raise OptionError("`canvas` common: expected a transform without a bend, got a spline; choose fixed or union")
    if kind is Canvas.UNION:
        return _frame_around(inverse_points(transform, _edge_points(moving_shape)), fixed_shape, moving_shape)
    return Frame(0, 0, fixed_shape[1], fixed_shape[0])


def frame_of_all(
    kind: Canvas, matrices: Sequence[np.ndarray], fixed_shape: tuple[int, int], moving_shape: tuple[int, int]
) -> Frame:
    """Return the frame of `frame_of` for several moving images of one shape: UNION holds all, COMMON lies in all."""
    if kind is Canvas.UNION:
        frames = [_union(matrix, fixed_shape, moving_shape) for matrix in matrices]
        left, top = min(frame.left for frame in frames), min(frame.top for frame in frames)
        right, bottom = (max(getattr(frame, side).stop for frame in frames) for side in ("columns", "rows"))
        return Frame(left, top, right - left, bottom - top)
    if kind is Canvas.COMMON:
        return _common(matrices, fixed_shape, moving_shape)
    return Frame(0, 0, fixed_shape[1], fixed_shape[0])


def _union(matrix: np.ndarray, fixed_shape: tuple[int, int], moving_shape: tuple[int, int]) -> Frame:
    return _frame_around(_moving_corners(matrix, moving_shape), fixed_shape, moving_shape)


def _edge_points(shape: tuple[int, int]) -> np.ndarray:
    """Return the outermost pixels (N, 2), (x, y), of a frame (H, W)."""
    (bottom, right), x, y = np.array(shape) - 1, np.arange(shape[1]), np.arange(shape[0])
    across = (np.column_stack(np.broadcast_arrays(x, side)) for side in (0, bottom))
    down = (np.column_stack(np.broadcast_arrays(side, y)) for side in (0, right))
    return np.concatenate([*across, *down]).astype(np.float64)


def _frame_around(points: np.ndarray, fixed_shape: tuple[int, int], moving_shape: tuple[int, int]) -> Frame:
    """Return the smallest frame that holds points (N, 2) of the fixed plane and the fixed frame."""
    points = np.concatenate([points, corners(fixed_shape)])
    low, high = points.min(axis=0), points.max(axis=0)
    # A corner that misses a whole pixel by a rounding is on it.
    rounding = EDGE * max(*fixed_shape, *moving_shape)
    sides = np.ceil(high - rounding) - np.floor(low + rounding) + 1.0
    max_area = _MAX_AREA * (fixed_shape[0] * fixed_shape[1] + moving_shape[0] * moving_shape[1])
    if not sides[0] <= max_area / sides[1]:  # NaN is no size either
        size = "one without end" if np.isnan(sides).any() else f"one of {sides[0]:.4g} x {sides[1]:.4g} pixels"
        raise OptionError(
            f"`canvas` union: expected a canvas of at most {_MAX_AREA} times the area of both images, found {size}; "
            "the transform spreads the moving image that far: choose fixed or common, or check the transform"
        )
    left, top = (int(x) for x in np.floor(low + rounding))
    return Frame(left, top, int(sides[0]), int(sides[1]))


def _moving_corners(matrix: np.ndarray, moving_shape: tuple[int, int]) -> np.ndarray:
    """Return the moving frame's corners (4, 2) in fixed coordinates, NaN for those on or behind the horizon."""
    matrix = np.asarray(matrix, dtype=np.float64)
    try:
        inverse = np.linalg.inv(matrix if matrix[2, :2].any() else matrix / matrix[2, 2])
    except np.linalg.LinAlgError:
        return np.full((4, 2), np.nan)
    return map_points(inverse, corners(moving_shape))


def _common(matrices: Sequence[np.ndarray], fixed_shape: tuple[int, int], moving_shape: tuple[int, int]) -> Frame:
    """Return the largest rectangle of whole pixels inside the fixed frame and all moving ones, exactly.

    The overlap is convex, so of a rectangle only the outermost rows matter, and a row of the overlap is an interval
    [a(y), b(y)] with a convex and b concave. The area over rows t to u is at most
    (u - t + 1) (min(b(t), b(u)) - max(a(t), a(u)) + 1), which has one maximum in u for each t: a ternary
    search finds it for all t at once. Only for the few t where it exceeds the best rectangle so far is every u tried.
    """
    first, last = _intervals(matrices[0], fixed_shape, moving_shape)
    for matrix in matrices[1:]:
        a, b = _intervals(matrix, fixed_shape, moving_shape)
        first, last = np.maximum(first, a), np.minimum(last, b)
    rows = np.flatnonzero(first <= last)
    if len(rows) == 0 or not (np.ceil(first[rows]) <= np.floor(last[rows])).any():
        raise ContentError(
            "`canvas` common: expected images that overlap by a pixel at least, found no pixel that all show; check "
            "the transform, or choose fixed or union"
        )
    first, last = first[rows], last[rows]
    starts, ends = np.ceil(first), np.floor(last)
    bound = _max_area(first, last)
    best, best_rows = 0.0, (0, 0)
    for top in np.argsort(-bound, kind="stable"):
        if bound[top] <= best:
            break
        widths = np.minimum(ends[top:], ends[top]) - np.maximum(starts[top:], starts[top]) + 1
        areas = np.arange(1, len(widths) + 1) * widths
        bottom = int(areas.argmax())
        if areas[bottom] > best:
            best, best_rows = areas[bottom], (int(top), int(top) + bottom)
    top, bottom = best_rows
    left = int(max(starts[top], starts[bottom]))
    right = int(min(ends[top], ends[bottom]))
    return Frame(left, int(rows[top]), right - left + 1, bottom - top + 1)


def _intervals(
    matrix: np.ndarray, fixed_shape: tuple[int, int], moving_shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last x of the overlap on each row of the fixed frame, (H,) each.

    On rows without overlap the last one is less than the first.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    matrix = matrix if matrix[2, :2].any() else matrix / matrix[2, 2]
    y = np.arange(fixed_shape[0], dtype=np.float64)
    first, last = np.zeros(len(y)), np.full(len(y), float(fixed_shape[1] - 1))
    # Half of the rounding that resampling allows, so that every pixel that is inside here is inside there.
    planes = half_planes(matrix, moving_shape, EDGE / 2)
    with np.errstate(over="ignore"):  # the crossing of a row with a line along it is far away
        for a, b, c in planes:
            rest = b * y + c
            if a > 0:
                first = np.maximum(first, -rest / a)
            elif a < 0:
                last = np.minimum(last, -rest / a)
            else:
                last = np.where(rest >= 0, last, -np.inf)
    return first, last


def _max_area(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return an upper bound of the area of the rectangles that begin on each row, (H,)."""
    top = np.arange(len(first))

    def area(bottom: np.ndarray) -> np.ndarray:
        width = np.minimum(last, last[bottom]) - np.maximum(first, first[bottom]) + 1
        out: np.ndarray = width * (bottom - top + 1)
        return out

    low, high = top, np.full_like(top, len(top) - 1)
    while (high - low).max() > 2:
        third = (high - low) // 3
        rises = area(low + third) < area(high - third)
        low, high = np.where(rises, low + third, low), np.where(rises, high, high - third)
    bound: np.ndarray = np.maximum(np.maximum(area(low), area(high)), area((low + high) // 2))
    return bound
