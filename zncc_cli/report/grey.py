"""Values as grey levels: robust limits of the contrast, and reduction by area averaging."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_PERCENTILES = (0.5, 99.5)  # of the values; a few hot pixels must not decide the contrast
_MAX_SAMPLES = 2**14  # of which 80 lie beyond each percentile: it moves by a hundredth of the contrast at most

Limits = tuple[float, float]
"""The values shown as black and as white."""


def robust_limits(values: NDArray[Any], known: NDArray[np.bool_]) -> Limits:
    """Return the 0.5 and 99.5 percentiles of the known ``values`` (H, W), from a `sample`; (0, 0) without known values.

    ``known`` is (H, W) bool.
    """
    drawn = sample(values, known)
    if drawn.size == 0:
        return 0.0, 0.0
    low, high = np.percentile(drawn.astype(np.float64), _PERCENTILES)
    return float(low), float(high)


def sample(values: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[Any]:
    """Return some of the known ``values`` (H, W), about `_MAX_SAMPLES` if there are more; ``known`` is (H, W) bool."""
    step = max(1, int(np.count_nonzero(known)) // _MAX_SAMPLES)
    # With no divisor in common with the width, the step visits every column: it fits no pattern of rows or columns.
    while step > 1 and math.gcd(step, values.shape[1]) > 1:
        step += 1
    drawn: NDArray[Any] = values.ravel()[::step][known.ravel()[::step]]
    return drawn if drawn.size else values[known]


def stretched(values: NDArray[Any], known: NDArray[np.bool_], limits: Limits) -> NDArray[np.float32]:
    """Return ``values`` (H, W) scaled from their limits to 0 and 1, and clipped.

    Values that are not ``known`` become 0. Where both limits are equal, known values become 0.5.
    """
    low, high = limits
    if high <= low:
        return 0.5 * known.astype(np.float32)
    scaled: NDArray[np.float32] = (values if known.all() else np.where(known, values, low)).astype(np.float32)
    scaled -= np.float32(low)
    scaled /= np.float32(high - low)
    return np.clip(scaled, 0, 1, out=scaled)


def grey_levels(values: NDArray[Any], known: NDArray[np.bool_], limits: Limits) -> NDArray[np.uint8]:
    """Return ``values`` (H, W) as levels from 0 to 255, uint8 (H, W); see `stretched`."""
    levels = stretched(values, known, limits)
    levels *= 255
    levels += 0.5  # for the cast, which cuts off
    return levels.astype(np.uint8)


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


def block_sums(values: NDArray[Any], factor: int, dtype: DTypeLike | None = None) -> NDArray[Any]:
    """Return the sums over blocks of ``factor`` x ``factor`` pixels, of `reduced_shape`; the last may be smaller.

    ``dtype`` is that of the sums, by default the values' own.
    """
    if factor == 1:
        return values
    # Whole rows, then whole columns are added: several times as fast as numpy's reduceat.
    rows = values[::factor].astype(dtype or values.dtype)
    for row in range(1, factor):
        part = values[row::factor]
        rows[: len(part)] += part
    blocks: NDArray[Any] = rows[:, ::factor].copy()
    for column in range(1, factor):
        part = rows[:, column::factor]
        blocks[:, : part.shape[1]] += part
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
    blocks = BlockMeans(values.shape, factor)
    blocks.add(values, known)
    return blocks.means()


class BlockMeans:
    """Means of the known values of a plane's blocks, summed in float64 while the plane is added part by part."""

    def __init__(self, shape: tuple[int, ...], factor: int) -> None:
        """Begin with a plane (H, W) without a value, and blocks of ``factor`` x ``factor`` pixels."""
        self._shape, self._factor = shape, factor
        size = reduced_shape((shape[0], shape[1]), factor)
        self._sums, self._counts = np.zeros(size), np.zeros(size, np.int32)

    def add(self, values: NDArray[Any], known: NDArray[np.bool_], top: int = 0, left: int = 0) -> None:
        """Add the ``known`` ones of ``values`` (h, w), whose first one lies at (top, left); beyond the plane none."""
        inside = tuple(
            slice(max(-first, 0), max(min(count, side - first), 0))
            for first, count, side in zip((top, left), values.shape, self._shape, strict=True)
        )
        values, known, factor = values[inside], known[inside], self._factor
        if values.size == 0:
            return
        top, left = max(top, 0), max(left, 0)
        if known.all():
            sums = _block_sums_at(values, factor, top, left, np.float64)
            rows, columns = (
                np.bincount((first % factor + np.arange(count)) // factor)
                for first, count in zip((top, left), values.shape, strict=True)
            )
            counts = np.multiply.outer(rows, columns)
        else:
            sums = _block_sums_at(np.where(known, values, values.dtype.type(0)), factor, top, left, np.float64)
            counts = _block_sums_at(known.view(np.uint8), factor, top, left, np.int32)
        place = tuple(
            slice(first // factor, first // factor + count)
            for first, count in zip((top, left), sums.shape, strict=True)
        )
        self._sums[place] += sums
        self._counts[place] += counts

    def means(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the means, NaN where a block is not known, and which are, as `block_means` does."""
        sides = [np.minimum(self._factor, side - np.arange(0, side, self._factor)) for side in self._shape]
        known = 2 * self._counts >= np.multiply.outer(*sides)
        means = np.where(known, self._sums / np.maximum(self._counts, 1), np.nan).astype(np.float32)
        return means, known


def _block_sums_at(values: NDArray[Any], factor: int, top: int, left: int, dtype: DTypeLike) -> NDArray[Any]:
    """Return the `block_sums` of a part of a plane, whose first value lies at (top, left) of it."""
    if top % factor or left % factor:
        values = np.pad(values, ((top % factor, 0), (left % factor, 0)))
    return block_sums(values, factor, dtype)


def box_means(values: NDArray[Any], known: NDArray[np.bool_], side: int) -> NDArray[np.float32]:
    """Return the mean (H, W) of the known ``values`` in a square of about ``side`` pixels round each pixel.

    0 where the square holds no known value.
    """
    reach = side // 2
    if known.all():  # the counts of a square are those of its rows times those of its columns
        counts = np.multiply.outer(*(_run_sums(np.ones((1, count)), reach)[0] for count in known.shape))
    else:
        values, counts = np.where(known, values, 0), _box_sums(known, reach)
    means: NDArray[np.float32] = (_box_sums(values, reach) / np.maximum(counts, 1)).astype(np.float32)
    return means


def _box_sums(values: NDArray[Any], reach: int) -> NDArray[np.float64]:
    """Return the sums (H, W) over the squares that reach ``reach`` pixels to each side, cut at the frame's edge."""
    return _run_sums(_run_sums(values, reach).T, reach).T


def _run_sums(values: NDArray[Any], reach: int) -> NDArray[np.float64]:
    """Return the sums (H, W) over the runs of a row that reach ``reach`` values to each side, cut at its ends."""
    height, width = values.shape
    running = np.cumsum(np.ascontiguousarray(values), axis=1, dtype=np.float64)  # along rows: twice as fast
    running = np.concatenate(
        [np.zeros((height, reach + 1)), running, np.repeat(running[:, -1:], reach, axis=1)], axis=1
    )
    sums: NDArray[np.float64] = running[:, 2 * reach + 1 :] - running[:, :width]
    return sums
