"""Points, lines and fields of two frames and the transform between them: no image is needed for any of it.

A fixed point p = (x, y, 1) is taken to u = (m0 . p) / (m2 . p), v = (m1 . p) / (m2 . p), with m0, m1 and m2 the rows of
the matrix. Before the horizon, where m2 . p > 0, each edge of the moving frame is a straight line in fixed coordinates.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zncc_cli.registration.transforms.matrices import map_points

Extent = tuple[tuple[int, int], tuple[int, int]]
"""(first, last) row and (first, last) column of a rectangle of pixels, both included."""


def frame_extent(shape: tuple[int, int]) -> Extent:
    """Return the rows and columns of a whole frame (H, W)."""
    return (0, shape[0] - 1), (0, shape[1] - 1)


def grid_points(extent: Extent, count: int) -> np.ndarray:
    """Return ``count`` x ``count`` evenly spaced points (count^2, 2), (x, y), from edge to edge of an extent.

    The points follow each other row by row.
    """
    y, x = np.meshgrid(*(np.linspace(*ends, count) for ends in extent), indexing="ij")
    return np.column_stack((x.ravel(), y.ravel()))


def inside_extent(points: np.ndarray, extent: Extent) -> np.ndarray:
    """Tell which points (..., 2), (x, y), lie between the outermost pixel centres of an extent, (...) bool."""
    first, last = np.array(extent[::-1]).T
    return np.asarray(((points >= first) & (points <= last)).all(axis=-1))


def overlap_points(matrix: np.ndarray, fixed: Extent, moving: Extent, count: int) -> np.ndarray:
    """Return those of the `grid_points` of the fixed extent that lie in the moving one, (n, 2), (x, y).

    Args:
        matrix: (3, 3), fixed -> moving, pixels.
        fixed, moving: the pixels of either image that count; `frame_extent` for all.
        count: points along each side of the grid.

    Returns:
        Fixed coordinates; n is zero without overlap.
    """
    points = grid_points(fixed, count)
    return np.asarray(points[inside_extent(map_points(matrix, points), moving)])


def point_jacobian(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return how the moving coordinates of points change with the nine entries of the matrix, (n, 2, 9).

    With d = m2 . p, the derivatives of (u, v) by the entries, row by row, are

        p / d, 0, -u p / d        and        0, p / d, -v p / d

    Args:
        matrix: (3, 3), fixed -> moving.
        points: (n, 2), (x, y) in fixed pixels, before the horizon.
    """
    scaled = np.column_stack((points, np.ones(len(points))))
    scaled /= (scaled @ matrix[2])[:, None]
    mapped, zero = map_points(matrix, points), np.zeros_like(scaled)
    by_u = np.hstack((scaled, zero, -mapped[:, :1] * scaled))
    by_v = np.hstack((zero, scaled, -mapped[:, 1:] * scaled))
    return np.stack((by_u, by_v), axis=1)


def chessboard_fields(
    count: int, side: int, window: int = 1, first: int = 0, device: torch.device | None = None
) -> Tensor:
    """Return the number of the chessboard's field that wholly holds each window along one axis, (count,) int64.

    Args:
        count: windows along the axis; window i begins at pixel i.
        side: of a field, pixels.
        window: side of a window, pixels.
        first: pixel at which field 0 begins.
        device: of the result.

    Returns:
        -1 for a window that lies across the edge of a field, or begins before ``first``.
    """
    start = torch.arange(count, device=device) - first
    return torch.where((start >= 0) & (start % side <= side - window), start // side, -1)


def black_fields(rows: Tensor, columns: Tensor) -> Tensor:
    """Return which places lie in a black field, (H, W) bool, by the numbers of their fields (H,) and (W,).

    Field (0, 0) is black. Where a number is -1 the colour means nothing.
    """
    black: Tensor = (rows[:, None] + columns) % 2 == 0
    return black


def half_planes(matrix: np.ndarray, shape: tuple[int, int], beyond: float) -> np.ndarray:
    """Return the half-planes (5, 3) of fixed points that lie in the moving frame: a . (x, y, 1) >= 0 for all rows a.

    Args:
        matrix: (3, 3), fixed -> moving.
        shape: (H, W) of the moving frame.
        beyond: how far beyond the outermost pixel centres a point still counts, in moving pixels.

    Returns:
        The rows of the left, right, top and bottom edge, and last that of the horizon.
    """
    across, down, depth = np.asarray(matrix, dtype=np.float64)
    height, width = shape
    return np.array(
        [
            across + beyond * depth,
            (width - 1 + beyond) * depth - across,
            down + beyond * depth,
            (height - 1 + beyond) * depth - down,
            depth,
        ]
    )


def rectangle_corners(rows: range, columns: range) -> np.ndarray:
    """Return the (4, 2) outermost pixel centres (x, y) of rows and columns, in order around them."""
    left, right, top, bottom = columns[0], columns[-1], rows[0], rows[-1]
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float64)


def clip(polygon: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """Return the part (M, 2) of a convex polygon (N, 2) inside all half-planes (K, 3); M is 0 where there is none.

    Sutherland and Hodgman 1974, doi:10.1145/360767.360802.
    """
    # In plain numbers: of so few points each call of numpy takes longer than all of them.
    points: list[tuple[float, float]] = [(x, y) for x, y in polygon.tolist()]
    for a, b, c in planes.tolist():
        heights = [a * x + b * y + c for x, y in points]
        kept = list[tuple[float, float]]()
        for k, ((x, y), height) in enumerate(zip(points, heights, strict=True)):
            next_to = (k + 1) % len(points)
            if height >= 0:
                kept.append((x, y))
            if (height >= 0) != (heights[next_to] >= 0):
                share = height / (height - heights[next_to])
                kept.append((x + (points[next_to][0] - x) * share, y + (points[next_to][1] - y) * share))
        points = kept
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def overlap_extent(matrix: np.ndarray, fixed: Extent, moving: Extent) -> Extent | None:
    """Return the rows and columns of fixed pixels that hold the overlap at ``matrix`` (3, 3); None without one.

    ``fixed`` and ``moving`` are the pixels of either image that count.
    """
    (top, bottom), (left, right) = fixed
    (m_top, m_bottom), (m_left, m_right) = moving
    from_corner = np.array([[1, 0, -m_left], [0, 1, -m_top], [0, 0, 1]]) @ matrix
    planes = half_planes(from_corner, (m_bottom - m_top + 1, m_right - m_left + 1), 0.0)
    overlap = clip(rectangle_corners(range(top, bottom + 1), range(left, right + 1)), planes)
    if len(overlap) == 0:
        return None
    (first_x, first_y), (last_x, last_y) = np.floor(overlap.min(axis=0)), np.ceil(overlap.max(axis=0))
    return (int(first_y), int(last_y)), (int(first_x), int(last_x))


def overlap_shape(matrix: np.ndarray, shape: tuple[int, int], moving_shape: tuple[int, int]) -> tuple[int, int]:
    """Return how many rows and columns of the fixed frame (H, W) lie in the moving one at ``matrix`` (3, 3)."""
    frame = rectangle_corners(range(shape[0]), range(shape[1]))
    overlap = clip(frame, half_planes(matrix, moving_shape, 0.0))
    if len(overlap) == 0:
        return 0, 0
    width, height = np.floor(np.ptp(overlap, axis=0) + 1).astype(int).tolist()
    return height, width


def inner_overlap_shape(matrix: np.ndarray, shape: tuple[int, int], moving_shape: tuple[int, int]) -> tuple[int, int]:
    """Return the rows and columns of a rectangle that fits into the overlap, as for `overlap_shape`.

    Each side is that of the overlap's extent times the share of it that the overlap fills: in a square that is turned
    by an eighth, the square between the middles of its sides.
    """
    overlap = clip(rectangle_corners(range(shape[0]), range(shape[1])), half_planes(matrix, moving_shape, 0.0))
    if len(overlap) < 3:
        return 0, 0
    (x, y), (next_x, next_y) = overlap.T, np.roll(overlap, -1, axis=0).T
    share = abs(float((x * next_y - next_x * y).sum())) / 2 / float(np.ptp(overlap, axis=0).prod())
    height, width = overlap_shape(matrix, shape, moving_shape)
    return int(height * share), int(width * share)
