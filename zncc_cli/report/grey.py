"""Values as grey levels: limits that a few hot pixels do not decide, and reduction by means over areas."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROBUST = (0.5, 99.5)  # percent; a few hot pixels must not decide the contrast
_SAMPLES = 2**20  # enough for percentiles to a tenth of a grey level

Limits = tuple[float, float]
"""The values shown as black and as white."""


def robust_limits(values: NDArray[Any], known: NDArray[np.bool_]) -> Limits:
    """The 0.5 and 99.5 percentiles of the known ``values`` (H, W), from a sample of them; (0, 0) where none is."""
    step = max(1, math.ceil(math.sqrt(values.size / _SAMPLES)))
    sample = values[::step, ::step][known[::step, ::step]]
    if sample.size == 0:
        sample = values[known]
    if sample.size == 0:
        return 0.0, 0.0
    low, high = np.percentile(sample.astype(np.float64), _ROBUST)
    return float(low), float(high)


def stretched(values: NDArray[Any], known: NDArray[np.bool_], limits: Limits) -> NDArray[np.float32]:
    """``values`` between their limits as 0 to 1, 0 where not known; where the limits are equal, 0.5."""
    low, high = limits
    if high <= low:
        return 0.5 * known.astype(np.float32)
    scaled: NDArray[np.float32] = np.where(known, values, low).astype(np.float32)
    scaled -= np.float32(low)
    scaled /= np.float32(high - low)
    return np.clip(scaled, 0, 1, out=scaled)


def reduced_shape(shape: tuple[int, int], factor: int) -> tuple[int, int]:
    """How many blocks of ``factor`` x ``factor`` pixels cover a plane (H, W): those at its end may hang over.

    THE size of a reduced plane: whoever reduces a plane, or lays another beside it, takes it from here.
    """
    return -(-shape[0] // factor), -(-shape[1] // factor)


def block_sums(values: NDArray[Any], factor: int) -> NDArray[Any]:
    """Sums over blocks of ``factor`` x ``factor`` pixels, `reduced_shape` of them; the last ones may be smaller."""
    if factor == 1:
        return values
    missing = [(0, -side % factor) for side in values.shape]
    whole: NDArray[Any] = np.pad(values, missing) if any(map(any, missing)) else values
    # Whole rows, then whole columns are added: several times as fast as numpy's reduceat.
    rows = whole[::factor].copy()
    for row in range(1, factor):
        rows += whole[row::factor]
    blocks: NDArray[Any] = rows[:, ::factor].copy()
    for column in range(1, factor):
        blocks += rows[:, column::factor]
    return blocks


def block_means(
    values: NDArray[Any], known: NDArray[np.bool_], factor: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Means (H', W') of the known ``values`` of each block, and which blocks are known: half of their pixels are.

    Sums are float64. Means are NaN where a block is not known.
    """
    sums = block_sums(np.where(known, values, 0).astype(np.float64), factor)
    count = block_sums(known.astype(np.int64), factor)
    sides = [np.minimum(factor, side - np.arange(0, side, factor)) for side in values.shape]
    there = 2 * count >= np.multiply.outer(*sides)
    means: NDArray[np.float32] = np.where(there, sums / np.maximum(count, 1), np.nan).astype(np.float32)
    return means, there


def box_means(values: NDArray[Any], known: NDArray[np.bool_], side: int) -> NDArray[np.float32]:
    """Means (H, W) of the known ``values`` in the square of about ``side`` pixels round each pixel; 0 where none is."""
    sums, count = (_box_sums(plane, side // 2) for plane in (np.where(known, values, 0), known))
    return (sums / np.maximum(count, 1)).astype(np.float32)


def _box_sums(values: NDArray[Any], reach: int) -> NDArray[np.float64]:
    """Sums (H, W) over the squares that reach ``reach`` pixels to each side, as far as they lie on the frame."""
    height, width = values.shape
    running = np.zeros((height + 1, width + 1))
    running[1:, 1:] = values.astype(np.float64).cumsum(axis=0).cumsum(axis=1)
    rows, columns = np.arange(height), np.arange(width)
    top, bottom = np.maximum(rows - reach, 0), np.minimum(rows + reach + 1, height)
    left, right = np.maximum(columns - reach, 0), np.minimum(columns + reach + 1, width)
    below, above = running[bottom], running[top]
    sums: NDArray[np.float64] = below[:, right] - below[:, left] - above[:, right] + above[:, left]
    return sums
