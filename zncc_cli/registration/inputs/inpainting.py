"""Fill thin gaps in an image from the pixels on either side of them.

Every window and every smoothed pixel that touches an invalid pixel is lost. Where one pixel in a hundred is invalid,
scattered over the image, that is seven in ten windows of 11 x 11 pixels.

Legend: a gap is a run of invalid pixels along a row or a column; it is filled by the straight line between the two
valid pixels at its ends.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zncc_cli.operators.filters import rectangle

_PASSES = 2  # the second for pixels where gaps cross


def inpaint(image: Tensor, mask: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Fill the gaps of at most ``longest`` pixels along a row or a column.

    A gap that reaches the edge of the frame has only one end, and is not filled. Where a pixel lies in a short gap both
    ways, the two lines count by the inverse square of their lengths: a single pixel takes the mean of its four
    neighbours. Pixels where gaps along rows and along columns cross are filled last, from pixels filled before them.
    No pixel depends on pixels that are farther away than twice ``longest``.

    Args:
        image: (..., H, W) float; values outside the mask are not used.
        mask: (H, W) bool, valid pixels.
        longest: pixels.

    Returns:
        The image with its gaps filled, and the (H, W) mask of valid and filled pixels.
    """
    usable = mask
    for _ in range(_PASSES):
        # Around a rectangle, and where there is none, no gap has two ends.
        if rectangle(usable) is not None:
            break
        image, usable = _filled(image, usable, longest)
    return image, usable


def _filled(image: Tensor, mask: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Return the image and its mask with all gaps filled but for the pixels where gaps cross."""
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
        The values (..., H, W), and the lengths (H, W) of the gaps, pixels: the side of the frame where a gap has not
        two ends.
    """
    side = mask.shape[dim]
    index = torch.arange(side, device=mask.device)
    index = (index[:, None] if dim == -2 else index).expand(mask.shape)
    before = torch.where(mask, index, -1).cummax(dim=dim).values
    behind = torch.where(mask, index, side).flip(dim).cummin(dim=dim).values.flip(dim)
    length = torch.where((before >= 0) & (behind < side), behind - before - 1, side)
    ends = [image.gather(dim, end.clamp(0, side - 1).expand(image.shape)) for end in (before, behind)]
    fraction = ((index - before) / (behind - before).clamp_min(1)).to(image.dtype)
    return torch.lerp(ends[0], ends[1], fraction), length
