"""Filters that prepare images: means of neighbours that count, and what stands in place of pixels that do not.

On a CPU by its native kernels (csrc/cpu/filters.h), elsewhere in plain torch; the two agree to rounding. Pixels outside
a mask are never used: they may be NaN.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.operators.pixels import has_kernels, mask_bytes, moments

_NATIVE = torch.ops.zncc


def stack(planes: list[Tensor]) -> Tensor:
    """Return planes (H, W) as (C, H, W); a single one is not copied."""
    return planes[0][None] if len(planes) == 1 else torch.stack(planes)


def rectangle(mask: Tensor) -> tuple[slice, slice] | None:
    """Return the rows and columns of the rectangle that is set in ``mask`` (H, W) bool; None for any other shape."""
    if not has_kernels(mask):
        return _rectangle_reference(mask)
    box = torch.empty(4, dtype=torch.int64)
    _NATIVE.find_rectangle(mask_bytes(mask), box)
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
        min_share: of the weights must fall on valid pixels; the pixel itself must be one. Where these are a rectangle,
            of the weights along each axis, so that the result is one as well.
        step: 1, or 2 for every second pixel of every second row, from the first on.

    Returns:
        The means, zero where they do not count, and the mask, (ceil(H / step), ceil(W / step)).
    """
    if not has_kernels(image):
        return _smooth_reference(image, mask, taps, min_share, step)
    out = image.new_empty([-(-side // step) for side in image.shape])
    valid = torch.empty(out.shape, dtype=torch.bool)
    box = rectangle(mask)
    sides = (0, 0, 0, 0) if box is None else (box[0].start, box[0].stop, box[1].start, box[1].stop)
    weights = mask_bytes(mask) if box is None else None
    _NATIVE.smooth(image.contiguous(), weights, *sides, taps, min_share, step, out, valid.view(torch.uint8))
    return out, valid


def _smooth_reference(image: Tensor, mask: Tensor, taps: Tensor, min_share: float, step: int) -> tuple[Tensor, Tensor]:
    weight = mask[None, None].to(image.dtype)
    box = rectangle(mask)
    if box is None:
        planes = torch.cat((torch.where(mask, image, 0)[None, None], weight))
        sums, total = blur(planes, taps).split(1)
        share = total
    else:
        sums = blur(torch.where(mask, image, 0)[None, None], taps)
        down = _blur_along(weight[..., box[1].start, None], taps, -2)
        across = _blur_along(weight[..., box[0].start, None, :], taps, -1)
        total, share = down * across, torch.minimum(down, across)
    valid = (share >= min_share) & (weight > 0)
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
    if not has_kernels(image):
        return _fill_holes_reference(image, mask, taps, min_share)
    mean = moments(image, mask)[1].mean
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    _NATIVE.fill_holes(image.contiguous(), mask_bytes(mask), taps, min_share, mean, out)
    return out


def _fill_holes_reference(image: Tensor, mask: Tensor, taps: Tensor, min_share: float) -> Tensor:
    mean = float(torch.where(mask, image, 0).sum(dtype=torch.float64)) / max(1, int(mask.sum()))
    planes = torch.stack((torch.where(mask, image - mean, 0), mask.to(image.dtype)))
    sums, total = blur(planes[:, None], taps)[:, 0]
    near = mean + sums / total.clamp_min(torch.finfo(image.dtype).tiny)
    return torch.where(mask, image, torch.where(total > min_share, near, mean))


def fill_around(image: Tensor, rows: slice, columns: slice) -> Tensor:
    """Return an image (H, W) with the pixels outside a rectangle replaced by the nearest ones in it."""
    if not has_kernels(image):
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
    if not has_kernels(image):
        return _fill_gaps_reference(image, mask, longest)
    out, valid = (torch.empty_like(each, memory_format=torch.contiguous_format) for each in (image, mask))
    found = _NATIVE.fill_gaps(image.contiguous(), mask_bytes(mask), longest, out, valid.view(torch.uint8))
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
