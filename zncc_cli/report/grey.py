"""Values as grey levels: robust limits of the contrast, and reduction by area averaging."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PERCENTILES = (0.5, 99.5)  # of the values; a few hot pixels must not decide the contrast
_MAX_SAMPLES = 2**20  # enough for percentiles to a tenth of a grey level

Limits = tuple[float, float]
"""The values shown as black and as white."""


def robust_limits(values: NDArray[Any], known: NDArray[np.bool_]) -> Limits:
    """Return the 0.5 and 99.5 percentiles of the known ``values`` (H, W), from a sample; (0, 0) without known values.

    ``known`` is (H, W) bool.
    """
    step = max(1, math.ceil(math.sqrt(values.size / _MAX_SAMPLES)))
    sample = values[::step, ::step][known[::step, ::step]]
    if sample.size == 0:
        sample = values[known]
    if sample.size == 0:
        return 0.0, 0.0
    low, high = np.percentile(sample.astype(np.float64), _PERCENTILES)
    return float(low), float(high)


def stretched(values: NDArray[Any], known: NDArray[np.bool_], limits: Limits) -> NDArray[np.float32]:
    """Return ``values`` (H, W) scaled from their limits to 0 and 1, and clipped.

    Values that are not ``known`` become 0. Where both limits are equal, known values become 0.5.
    """
    low, high = limits
    if high <= low:
        return 0.5 * known.astype(np.float32)
    scaled: NDArray[np.float32] = np.where(known, values, low).astype(np.float32)
    scaled -= np.float32(low)
    scaled /= np.float32(high - low)
    return np.clip(scaled, 0, 1, out=scaled)


def std_picture(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a std map (H, W) as grey levels, uint8 (H, W).

    The 0.5 and 99.5 percentiles become 1 and 255; NaN becomes 0.
    """
    known = np.isfinite(values)
    grey = np.rint(1 + 254 * stretched(values, known, robust_limits(values, known))).astype(np.uint8)
    grey[~known] = 0
    return grey


def reduced_shape(shape: tuple[int, int], factor: int) -> tuple[int, int]:
    """Return how many blocks of ``factor`` x ``factor`` pixels cover a plane (H, W); the last ones may hang over.

    Every reduced plane has this shape: code that reduces a plane, or lays another beside it, takes the shape from here.
    """
    return -(-shape[0] // factor), -(-shape[1] // factor)


def block_sums(values: NDArray[Any], factor: int) -> NDArray[Any]:
    """Return the sums over blocks of ``factor`` x ``factor`` pixels, of `reduced_shape`; the last may be smaller."""
    if factor == 1:
        return values
    padding = [(0, -side % factor) for side in values.shape]
    padded: NDArray[Any] = np.pad(values, padding) if any(map(any, padding)) else values
    # Whole rows, then whole columns are added: several times as fast as numpy's reduceat.
    rows = padded[::factor].copy()
    for row in range(1, factor):
        rows += padded[row::factor]
    blocks: NDArray[Any] = rows[:, ::factor].copy()
    for column in range(1, factor):
        blocks += rows[:, column::factor]
    return blocks


def block_means(
    values: NDArray[Any], known: NDArray[np.bool_], factor: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the means of the known ``values`` of each block, and which blocks are known.

    Args:
        values, known: (H, W).
        factor: side of the blocks, pixels.

    Returns:
        Means (H', W'), summed in float64, NaN where a block is not known; and bool (H', W'), whether at least half of
        a block's pixels are known.
    """
    sums = block_sums(np.where(known, values, 0).astype(np.float64), factor)
    count = block_sums(known.astype(np.int64), factor)
    sides = [np.minimum(factor, side - np.arange(0, side, factor)) for side in values.shape]
    block_known = 2 * count >= np.multiply.outer(*sides)
    means: NDArray[np.float32] = np.where(block_known, sums / np.maximum(count, 1), np.nan).astype(np.float32)
    return means, block_known


def box_means(values: NDArray[Any], known: NDArray[np.bool_], side: int) -> NDArray[np.float32]:
    """Return the mean (H, W) of the known ``values`` in a square of about ``side`` pixels round each pixel.

    0 where the square holds no known value.
    """
    sums, count = (_box_sums(plane, side // 2) for plane in (np.where(known, values, 0), known))
    return (sums / np.maximum(count, 1)).astype(np.float32)


def _box_sums(values: NDArray[Any], reach: int) -> NDArray[np.float64]:
    """Return the sums (H, W) over the squares that reach ``reach`` pixels to each side, cut at the frame's edge."""
    height, width = values.shape
    running = np.zeros((height + 1, width + 1))
    running[1:, 1:] = values.astype(np.float64).cumsum(axis=0).cumsum(axis=1)
    rows, columns = np.arange(height), np.arange(width)
    top, bottom = np.maximum(rows - reach, 0), np.minimum(rows + reach + 1, height)
    left, right = np.maximum(columns - reach, 0), np.minimum(columns + reach + 1, width)
    below, above = running[bottom], running[top]
    sums: NDArray[np.float64] = below[:, right] - below[:, left] - above[:, right] + above[:, left]
    return sums
