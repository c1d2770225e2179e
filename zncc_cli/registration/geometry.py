"""Where in fixed coordinates a moving frame lies: between four lines and before the horizon, whatever the motion.

u = (m0 . p) / (m2 . p) with p = (x, y, 1): before the horizon, m2 . p > 0, each edge of the moving frame is a line.
"""

from __future__ import annotations

import numpy as np


def half_planes(matrix: np.ndarray, shape: tuple[int, int], beyond: float) -> np.ndarray:
    """Return (5, 3) rows a: the fixed point (x, y) is seen in the moving frame where a . (x, y, 1) >= 0 for all.

    Args:
        matrix: (3, 3), fixed -> moving.
        shape: (H, W) of the moving frame.
        beyond: how far beyond the outermost pixel centres a point still counts, in moving pixels.

    The last row is the horizon's.
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
    """Return the part of a convex polygon (N, 2) for which all of ``planes`` (K, 3) hold, (M, 2); M is 0 if none.

    Sutherland and Hodgman 1974, doi:10.1145/360767.360802.
    """
    for plane in planes:
        if len(polygon) == 0:
            break
        here = polygon @ plane[:2] + plane[2]
        following, there = np.roll(polygon, -1, axis=0), np.roll(here, -1)
        kept: list[np.ndarray] = []
        for a, b, at_a, at_b in zip(polygon, following, here, there, strict=True):
            if at_a >= 0:
                kept.append(a)
            if (at_a >= 0) != (at_b >= 0):
                kept.append(a + (b - a) * (at_a / (at_a - at_b)))
        polygon = np.array(kept).reshape(-1, 2)
    return polygon


def overlap_shape(matrix: np.ndarray, shape: tuple[int, int], moving_shape: tuple[int, int]) -> tuple[int, int]:
    """Return how many rows and columns of the fixed frame (H, W) are seen in the moving one at ``matrix`` (3, 3)."""
    frame = rectangle_corners(range(shape[0]), range(shape[1]))
    seen = clip(frame, half_planes(matrix, moving_shape, 0.0))
    if len(seen) == 0:
        return 0, 0
    width, height = np.floor(np.ptp(seen, axis=0) + 1).astype(int).tolist()
    return height, width
