"""How far an estimated transform is from the true one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zncc_cli.registration.warp import map_points

Array = NDArray[np.float64]
_POINTS = 21  # along each side


def overlap_grid(truth: Array, shape: tuple[int, int]) -> Array:
    """Return points (N, 2) of a grid over the fixed frame (H, W) that fall into a moving frame of the same shape."""
    x, y = np.meshgrid(np.linspace(0, shape[1] - 1, _POINTS), np.linspace(0, shape[0] - 1, _POINTS))
    points = np.column_stack((x.ravel(), y.ravel()))
    there = map_points(truth, points)
    return points[((there >= 0) & (there <= [shape[1] - 1, shape[0] - 1])).all(axis=1)]


def rms_error(estimate: Array, truth: Array, shape: tuple[int, int]) -> float:
    """Return the RMS over `overlap_grid` of the distance between where both send a point, in moving pixels.

    Infinite where the estimate sends a point to nowhere.
    """
    points = overlap_grid(truth, shape)
    with np.errstate(all="ignore"):
        apart = np.square(map_points(estimate, points) - map_points(truth, points)).sum(axis=1)
    return float(np.sqrt(apart.mean())) if np.isfinite(apart).all() else float("inf")
