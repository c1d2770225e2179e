"""Filters that prepare images: means of neighbours that count, standardized pixels, single pixels that stand out.

On a CPU by its native kernels (csrc/cpu/filters.h), elsewhere in plain torch; the two agree to rounding, and in every
decision but for ties. Pixels outside a mask are never used: they may be NaN.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.operators import native_ops

_NATIVE = torch.ops.zncc
_STRIP_PIXELS = 2**17  # stay in the cache
PIXEL_TYPES = (torch.uint8, torch.int16, torch.uint16, torch.int32, torch.float32, torch.float64)
# Ranges whose squares are float64 numbers with all of their digits, summed over any image.
_MIN_RANGE, _MAX_RANGE = 1e-130, 1e130
_NEIGHBOURS = [(dy, dx) for dy, dx in itertools.product((0, 1, 2), repeat=2) if (dy, dx) != (1, 1)]


def _has_filters(image: Tensor) -> bool:
    """Return whether there are native kernels for a plane, which compute no gradient."""
    return image.is_cpu and not image.requires_grad and native_ops.is_native(image)


def _bytes(mask: Tensor) -> Tensor:
    return mask.contiguous().view(torch.uint8)


def stack(planes: list[Tensor]) -> Tensor:
    """Return planes (H, W) as (C, H, W); a single one is not copied."""
    return planes[0][None] if len(planes) == 1 else torch.stack(planes)


def rectangle(mask: Tensor) -> tuple[slice, slice] | None:
    """Return the rows and columns of the rectangle that is set in ``mask`` (H, W) bool; None for any other shape."""
    if not _has_filters(mask):
        return _rectangle_reference(mask)
    box = torch.empty(4, dtype=torch.int64)
    _NATIVE.find_rectangle(_bytes(mask), box)
    top, bottom, left, right = box.tolist()
    return None if top == bottom else (slice(top, bottom), slice(left, right))


def is_full(mask: Tensor) -> bool:
    """Return whether all of ``mask`` (H, W) bool is set, as mask.all() does, which takes many times as long."""
    return bool(mask.contiguous().view(torch.uint8).amin())


def _rectangle_reference(mask: Tensor) -> tuple[slice, slice] | None:
    # amax, and not any, which takes many times as long.
    rows, columns = (torch.nonzero(mask.view(torch.uint8).amax(dim=dim)).flatten() for dim in (1, 0))
    if len(rows) * len(columns) != int(mask.sum()) or len(rows) == 0:
        return None
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    return box if (box[0].stop - box[0].start, box[1].stop - box[1].start) == (len(rows), len(columns)) else None


# Means of neighbours that count ---------------------------------------------------------------------------------------


def smooth(image: Tensor, mask: Tensor, taps: Tensor, min_share: float, step: int = 1) -> tuple[Tensor, Tensor]:
    """Return the weighted means of an image's valid pixels, and the mask of where they count.

    Args:
        image: (H, W) float.
        mask: (H, W) bool, valid pixels.
        taps: (2 n + 1,) float64, the weights along each axis: positive, symmetric, of sum one.
        min_share: of the weights must fall on valid pixels; the pixel itself must be one.
        step: 1, or 2 for every second pixel of every second row, from the first on.

    Returns:
        The means, zero where they do not count, and the mask, (ceil(H / step), ceil(W / step)).
    """
    if not _has_filters(image):
        return _smooth_reference(image, mask, taps, min_share, step)
    out = image.new_empty([-(-side // step) for side in image.shape])
    valid = torch.empty(out.shape, dtype=torch.bool)
    box = rectangle(mask)
    sides = (0, 0, 0, 0) if box is None else (box[0].start, box[0].stop, box[1].start, box[1].stop)
    weights = _bytes(mask) if box is None else None
    _NATIVE.smooth(image.contiguous(), weights, *sides, taps, min_share, step, out, valid.view(torch.uint8))
    return out, valid


def _smooth_reference(image: Tensor, mask: Tensor, taps: Tensor, min_share: float, step: int) -> tuple[Tensor, Tensor]:
    weight = mask[None, None].to(image.dtype)
    if is_full(mask):
        sums, ones = blur(image[None, None], taps), (weight[..., :1], weight[..., :1, :])
        total = _blur_along(ones[0], taps, -2) * _blur_along(ones[1], taps, -1)
    else:
        planes = torch.cat((torch.where(mask, image, 0)[None, None], weight))
        sums, total = blur(planes, taps).split(1)
    valid = (total >= min_share) & (weight > 0)
    smoothed = torch.where(valid, sums / torch.where(valid, total, 1), 0)
    return smoothed[0, 0, ::step, ::step].contiguous(), valid[0, 0, ::step, ::step].contiguous()


def blur(planes: Tensor, taps: Tensor) -> Tensor:
    """Return ``planes`` (C, 1, H, W) blurred by ``taps`` (2 n + 1,) along both axes, with zeros around the frame."""
    return _blur_along(_blur_along(planes, taps, -2), taps, -1)


def _blur_along(planes: Tensor, taps: Tensor, axis: int) -> Tensor:
    # Shifted planes, added up: several times faster on a CPU than a convolution of a single channel.
    radius, count = len(taps) // 2, planes.shape[axis]
    reach = min(radius, count - 1)  # farther away there are only zeros
    weights = taps[radius - reach : radius + reach + 1].tolist()
    padded = F.pad(planes, (0, 0, reach, reach) if axis == -2 else (reach, reach, 0, 0))
    out: Tensor = padded.narrow(axis, 0, count) * weights[0]
    for place, weight in enumerate(weights[1:], start=1):
        out.add_(padded.narrow(axis, place, count), alpha=weight)
    return out


def fill_holes(image: Tensor, mask: Tensor, taps: Tensor, min_share: float) -> Tensor:
    """Return an image with its invalid pixels replaced by weighted means of the valid ones around them.

    Args:
        image, mask, taps: as in `smooth`.
        min_share: of the weights must fall on valid pixels; where less does, the mean of all valid pixels stands.
    """
    mean = float(torch.where(mask, image, 0).sum(dtype=torch.float64)) / max(1, int(mask.sum()))
    if not _has_filters(image):
        return _fill_holes_reference(image, mask, taps, min_share, mean)
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    _NATIVE.fill_holes(image.contiguous(), _bytes(mask), taps, min_share, mean, out)
    return out


def _fill_holes_reference(image: Tensor, mask: Tensor, taps: Tensor, min_share: float, mean: float) -> Tensor:
    planes = torch.stack((torch.where(mask, image - mean, 0), mask.to(image.dtype)))
    sums, total = blur(planes[:, None], taps)[:, 0]
    near = mean + sums / total.clamp_min(torch.finfo(image.dtype).tiny)
    return torch.where(mask, image, torch.where(total > min_share, near, mean))


def fill_around(image: Tensor, rows: slice, columns: slice) -> Tensor:
    """Return an image (H, W) with the pixels outside a rectangle replaced by the nearest ones in it."""
    if not _has_filters(image):
        around = columns.start, image.shape[1] - columns.stop, rows.start, image.shape[0] - rows.stop
        return F.pad(image[None, rows, columns], around, mode="replicate")[0]
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    _NATIVE.replicate(image.contiguous(), rows.start, rows.stop, columns.start, columns.stop, out)
    return out


def fill_gaps(image: Tensor, mask: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Fill the gaps of at most ``longest`` pixels along a row or a column by straight lines between their ends.

    Where a pixel lies in such a gap both ways, the lines count by the inverse squares of their lengths.

    Args:
        image: (H, W) float.
        mask: (H, W) bool, valid pixels.
        longest: pixels.

    Returns:
        The image, and the mask of valid and filled pixels, (H, W); ``image`` and ``mask`` themselves where there was no
        such gap.
    """
    if not _has_filters(image):
        return _fill_gaps_reference(image, mask, longest)
    out, valid = (torch.empty_like(each, memory_format=torch.contiguous_format) for each in (image, mask))
    found = _NATIVE.fill_gaps(image.contiguous(), _bytes(mask), longest, out, valid.view(torch.uint8))
    return (out, valid) if found else (image, mask)


def _fill_gaps_reference(image: Tensor, mask: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    total = weights = torch.zeros((), dtype=image.dtype, device=image.device)
    for dim in (-1, -2):
        line, length = _interpolated(image, mask, dim)
        weight = torch.where(length <= longest, length.clamp_min(1).to(image.dtype).pow(-2), 0)
        total, weights = total + torch.where(weight > 0, weight * line, 0), weights + weight
    filled = ~mask & (weights > 0)
    if not bool(filled.any()):
        return image, mask
    return torch.where(filled, total / torch.where(filled, weights, 1), image), mask | filled


def _interpolated(image: Tensor, mask: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Interpolate each pixel linearly between the nearest valid pixels before and behind it along ``dim``.

    Returns:
        The values (H, W), and the lengths (H, W) of the gaps, pixels: the largest number where a gap has not
        two ends.
    """
    side = mask.shape[dim]
    index = torch.arange(side, device=mask.device)
    index = (index[:, None] if dim == -2 else index).expand(mask.shape)
    before = torch.where(mask, index, -1).cummax(dim=dim).values
    behind = torch.where(mask, index, side).flip(dim).cummin(dim=dim).values.flip(dim)
    length = torch.where((before >= 0) & (behind < side), behind - before - 1, torch.iinfo(torch.int64).max)
    ends = [image.gather(dim, end.clamp(0, side - 1)) for end in (before, behind)]
    fraction = (index - before).to(image.dtype) / (behind - before).clamp_min(1)
    return torch.lerp(ends[0], ends[1], fraction), length


# Standardized pixels --------------------------------------------------------------------------------------------------


class Standardized(NamedTuple):
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
    if not _has_filters(pixels):
        return _standardized_reference(pixels, mask, gaps)
    pixels = (pixels if pixels.dtype in PIXEL_TYPES else pixels.double()).contiguous()
    valid = torch.empty(pixels.shape, dtype=torch.bool)
    table = torch.empty((_NATIVE.pixel_moments_strips(pixels.numel()), 5), dtype=torch.float64)
    weights = None if mask is None else _bytes(mask)
    _NATIVE.pixel_moments(pixels, weights, torch.tensor(gaps, dtype=torch.float64), valid.view(torch.uint8), table)
    counts, means, low, high, squares = table[table[:, 0] > 0].T
    count = int(counts.sum())
    if count == 0:
        return Standardized(None, valid, 0, math.inf, -math.inf)
    least, most = float(low.min()), float(high.max())
    if least == most:
        return Standardized(None, valid, count, least, most)
    if not _MIN_RANGE < most - least < _MAX_RANGE:
        return _standardized_reference(pixels, mask, gaps)
    mean = float((counts * means).sum()) / count
    # Squares about each strip's own mean, and of the strips' means (Chan, Golub and LeVeque 1983,
    # doi:10.1080/00031305.1983.10483115).
    variance = float((squares + counts * (means - mean).square()).sum()) / count
    out = torch.empty(pixels.shape, dtype=torch.float32)
    _NATIVE.standardize(pixels, None if count == pixels.numel() else valid.view(torch.uint8), mean, variance**-0.5, out)
    return Standardized(out, valid, count, least, most)


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
    if not _has_filters(image):
        signs = _single_pixels_reference(image, mask, min_excess, min_excess_ranges).flatten()
        places = signs.nonzero()[:, 0]
        return torch.where(signs[places] > 0, places, -1 - places).sort().values
    places = torch.empty(image.numel(), dtype=torch.int64)  # of which the system hands out no more than are written
    mask_bytes = None if is_full(mask) else _bytes(mask)
    count = _NATIVE.find_single_pixels(image.contiguous(), mask_bytes, min_excess, min_excess_ranges, places)
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
    if not _has_filters(image):
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
