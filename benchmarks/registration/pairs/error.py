"""The distance between an estimated transform and the true one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from zncc_cli.registration.warp import corners, map_points

Array = NDArray[np.float64]
_POINTS_PER_SIDE = 21


def overlap_grid(truth: Array, shape: tuple[int, int]) -> Array:
    """Return points (N, 2) of a grid over the fixed frame (H, W) that fall into a moving frame of the same shape."""
    x, y = np.meshgrid(np.linspace(0, shape[1] - 1, _POINTS_PER_SIDE), np.linspace(0, shape[0] - 1, _POINTS_PER_SIDE))
    points = np.column_stack((x.ravel(), y.ravel()))
    return points[is_inside(map_points(truth, points), shape)]


def is_inside(points: Array, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return a mask (...) of the ``points`` (..., 2), (x, y), that lie on a frame (H, W); NaN lies on none."""
    return np.asarray(((points >= 0) & (points <= [shape[1] - 1, shape[0] - 1])).all(axis=-1))


def rms_error(estimate: Array, truth: Array, shape: tuple[int, int]) -> float:
    """Return the RMS distance, moving pixels, between the images of the points of `overlap_grid` under both matrices.

    Infinite where the estimate maps a point to infinity.
    """
    points = overlap_grid(truth, shape)
    with np.errstate(all="ignore"):
        apart = np.square(map_points(estimate, points) - map_points(truth, points)).sum(axis=1)
    return float(np.sqrt(apart.mean())) if np.isfinite(apart).all() else float("inf")


def corner_error(estimate: Array, truth: Array, shape: tuple[int, int]) -> float:
    """Return the largest distance, moving pixels, between the images of a corner of fixed (H, W) under both matrices.

    Infinite where the estimate maps a corner to infinity.
    """
    with np.errstate(all="ignore"):
        apart = np.linalg.norm(map_points(estimate, corners(shape)) - map_points(truth, corners(shape)), axis=1)
    return float(apart.max()) if np.isfinite(apart).all() else float("inf")
