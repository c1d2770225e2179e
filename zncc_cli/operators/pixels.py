"""Pixels by themselves: standardized over those that count, and single ones that stand out from their neighbours.

On a CPU by its native kernels (csrc/cpu/pixels.h), elsewhere in plain torch; the two agree to rounding.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from zncc_cli.operators import native_ops

_NATIVE = torch.ops.zncc
_STRIP_PIXELS = 2**17  # stay in the cache
PIXEL_TYPES = (torch.uint8, torch.int16, torch.uint16, torch.int32, torch.float32, torch.float64)
# Ranges whose squares are float64 numbers with all of their digits, summed over any image.
_MIN_RANGE, _MAX_RANGE = 1e-130, 1e130
_NEIGHBOURS = [(dy, dx) for dy, dx in itertools.product((0, 1, 2), repeat=2) if (dy, dx) != (1, 1)]


def has_kernels(image: Tensor) -> bool:
    """Return whether there are native kernels for a plane, which compute no gradient."""
    return image.is_cpu and not image.requires_grad and native_ops.is_native(image)


def mask_bytes(mask: Tensor) -> Tensor:
    """Return a mask of bool as the native kernels take it: contiguous, a byte each; a copy where need be."""
    return mask.contiguous().view(torch.uint8)


# Standardized pixels --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standardized:
    """An image of mean zero and variance one over the pixels that count, and what was found on the way.

    Attributes:
        image: (H, W) float32, zero where a pixel does not count; None where no pixel counts, all are equal, or their
            sum or range is no float64 number.
        mask: (H, W) bool, pixels that count.
        count: how many.
        low, high: the smallest and the largest of them.
    """

    image: Tensor | None
    mask: Tensor
    count: int
    low: float
    high: float


def standardized(pixels: Tensor, mask: Tensor | None, gaps: tuple[float, ...]) -> Standardized:
    """Standardize pixels (H, W) of any real type, in float64 whatever their range.

    ``mask``: (H, W) bool, pixels that may count; of these, the finite ones do that have none of the values ``gaps``.
    """
    if not has_kernels(pixels):
        return _standardized_reference(pixels, mask, gaps)
    pixels = (pixels if pixels.dtype in PIXEL_TYPES else pixels.double()).contiguous()
    valid, found = moments(pixels, mask, gaps)
    if found.count == 0 or found.low == found.high:
        return Standardized(None, valid, found.count, found.low, found.high)
    if not _MIN_RANGE < found.high - found.low < _MAX_RANGE:
        return _standardized_reference(pixels, mask, gaps)
    out = torch.empty(pixels.shape, dtype=torch.float32)
    weights = None if found.count == pixels.numel() else mask_bytes(valid)
    _NATIVE.standardize(pixels, weights, found.mean, found.variance**-0.5, out)
    return Standardized(out, valid, found.count, found.low, found.high)


@dataclass(frozen=True)
class Moments:
    """How many pixels count, their extremes, their mean and their variance; mean and variance are zero without any."""

    count: int
    low: float
    high: float
    mean: float
    variance: float


def moments(pixels: Tensor, mask: Tensor | None, gaps: tuple[float, ...] = ()) -> tuple[Tensor, Moments]:
    """Return which pixels count, (H, W) bool, as in `standardized`, and their moments; by native kernels alone."""
    valid = torch.empty(pixels.shape, dtype=torch.bool)
    table = torch.empty((_NATIVE.pixel_moments_strips(pixels.numel()), 5), dtype=torch.float64)
    weights = None if mask is None else mask_bytes(mask)
    unwanted = torch.tensor(gaps, dtype=torch.float64)
    _NATIVE.pixel_moments(pixels.contiguous(), weights, unwanted, mask_bytes(valid), table)
    counts, means, low, high, squares = table[table[:, 0] > 0].T
    count = int(counts.sum())
    if count == 0:
        return valid, Moments(0, math.inf, -math.inf, 0.0, 0.0)
    mean = float((counts * means).sum()) / count
    # Squares about each strip's own mean, and of the strips' means (Chan, Golub and LeVeque 1983,
    # doi:10.1080/00031305.1983.10483115).
    variance = float((squares + counts * (means - mean).square()).sum()) / count
    return valid, Moments(count, float(low.min()), float(high.max()), mean, variance)


def _standardized_reference(pixels: Tensor, mask: Tensor | None, gaps: tuple[float, ...]) -> Standardized:
    valid = torch.ones(pixels.shape, dtype=torch.bool, device=pixels.device) if mask is None else mask.clone()
    rows = max(1, _STRIP_PIXELS // pixels.shape[1])
    strips = [slice(row, row + rows) for row in range(0, pixels.shape[0], rows)]
    total, low, high = 0.0, math.inf, -math.inf
    for strip in strips:
        values = pixels[strip].double()
        valid[strip] &= values.isfinite()
        for value in gaps:
            valid[strip] &= values != value
        total += float(torch.where(valid[strip], values, 0).sum())
        low = min(low, float(torch.where(valid[strip], values, math.inf).min()))
        high = max(high, float(torch.where(valid[strip], values, -math.inf).max()))
    count, scale = int(valid.sum()), high - low  # squares of numbers up to one do not overflow
    if count == 0 or scale == 0 or not math.isfinite(scale + total):
        return Standardized(None, valid, count, low, high)
    squares = 0.0
    out = torch.empty(pixels.shape, dtype=torch.float32, device=pixels.device)
    for strip in strips:
        values = torch.where(valid[strip], (pixels[strip].double() - total / count) / scale, 0)
        squares += float(values.square().sum())
        out[strip] = values
    return Standardized(out.mul_(math.sqrt(count / squares)), valid, count, low, high)


# Single pixels that stand out -----------------------------------------------------------------------------------------


def single_pixels(image: Tensor, mask: Tensor, min_excess: float, min_excess_ranges: float) -> Tensor:
    """Return the places of pixels that stand out from their eight neighbours.

    Args:
        image: (H, W) float, finite.
        mask: (H, W) bool, valid pixels. A pixel is judged where it and its neighbours are valid.
        min_excess: by how much it lies above the brightest of its neighbours, or below the darkest, and more.
        min_excess_ranges: the same in units of the neighbours' range; the larger of the two holds.

    Returns:
        (n,) int64, ascending: the place y W + x of a bright pixel, and -1 - (y W + x) of a dark one.
    """
    if not has_kernels(image):
        signs = _single_pixels_reference(image, mask, min_excess, min_excess_ranges).flatten()
        places = signs.nonzero()[:, 0]
        return torch.where(signs[places] > 0, places, -1 - places).sort().values
    places = torch.empty(image.numel(), dtype=torch.int64)  # of which the system hands out no more than are written
    count = _NATIVE.find_single_pixels(image.contiguous(), mask_bytes(mask), min_excess, min_excess_ranges, places)
    return places[:count].sort().values


def _single_pixels_reference(image: Tensor, mask: Tensor, min_excess: float, min_excess_ranges: float) -> Tensor:
    out = torch.zeros(image.shape, dtype=torch.int8, device=image.device)
    if min(image.shape) < 3:
        return out
    low, high = _range_of_neighbours(image)
    centre = image[1:-1, 1:-1]
    excess = torch.maximum(min_excess_ranges * (high - low), centre.new_tensor(min_excess))
    valid = mask[1:-1, 1:-1].clone()
    for dy, dx in _NEIGHBOURS:
        valid &= mask[dy : dy + centre.shape[0], dx : dx + centre.shape[1]]
    sign = (centre - high > excess).to(torch.int8) - (low - centre > excess).to(torch.int8)
    out[1:-1, 1:-1] = torch.where(valid, sign, 0)
    return out


def without_single_pixels(image: Tensor) -> Tensor:
    """Return ``image`` (H, W), finite, with each pixel but for the outermost clamped to the range of its neighbours."""
    if not has_kernels(image):
        return _without_single_pixels_reference(image)
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    _NATIVE.without_single_pixels(image.contiguous(), out)
    return out


def _without_single_pixels_reference(image: Tensor) -> Tensor:
    out = image.clone()
    if min(image.shape) >= 3:
        low, high = _range_of_neighbours(image)
        out[1:-1, 1:-1] = torch.minimum(torch.maximum(image[1:-1, 1:-1], low), high)
    return out


def _range_of_neighbours(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the darkest and the brightest of the eight neighbours of each inner pixel, (H-2, W-2)."""
    height, width = image.shape[0] - 2, image.shape[1] - 2
    parts = [image[dy : dy + height, dx : dx + width] for dy, dx in _NEIGHBOURS]
    low, high = torch.minimum(parts[0], parts[1]), torch.maximum(parts[0], parts[1])
    for part in parts[2:]:
        torch.minimum(low, part, out=low)
        torch.maximum(high, part, out=high)
    return low, high
