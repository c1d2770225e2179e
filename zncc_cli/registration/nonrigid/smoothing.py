"""Gaussian smoothing that keeps the edges of a frame.

A displacement at the edge is as good as one inside where its pixels are kept. A whole frame is mirrored at its edges;
where pixels are not valid, means are of the valid ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.operators import filters

# Of a Gaussian that must fall on valid pixels: at a straight edge half of it does.
_MIN_SHARE = 0.4
_TRUNCATION_SIGMAS = 3.0
_LINES_AT_ONCE = 32  # of windows, so that a large frame takes no further planes


def gaussian_taps(sigma: float) -> Tensor:
    """Return the weights (2 n + 1,) float64 of a Gaussian of ``sigma`` pixels, of sum one."""
    radius = max(1, math.ceil(_TRUNCATION_SIGMAS * sigma))
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float64) / sigma) ** 2)
    return taps / taps.sum()


def smoothed(image: Tensor, mask: Tensor, sigma: float, step: int = 1) -> tuple[Tensor, Tensor]:
    """Return an image (1, 1, H, W) smoothed by a Gaussian, and where it is valid, (H, W) bool.

    Args:
        image, mask: of a level.
        sigma: pixels.
        step: 1, or 2 for every second pixel of every second row, from the first on.
    """
    taps = gaussian_taps(sigma)
    reach = len(taps) // 2 + len(taps) // 2 % 2  # even, so that the first pixel is one of every second one
    if not filters.is_full(mask) or reach >= min(mask.shape):
        means, valid = filters.smooth(image[0, 0], mask, taps, _MIN_SHARE, step)
        return means[None, None], valid
    around = F.pad(image, (reach,) * 4, mode="reflect")[0, 0]
    whole = torch.ones(around.shape, dtype=torch.bool, device=mask.device)
    means = filters.smooth(around, whole, taps, 0.0, step)[0]
    inner = slice(reach // step, -(reach // step))
    return means[inner, inner][None, None].contiguous(), whole[: -(-mask.shape[0] // step), : -(-mask.shape[1] // step)]


def box_means(planes: Tensor, side: int) -> Tensor:
    """Return the means over the windows around the pixels of planes (n, H, W), zeros beyond the frame.

    Along one axis after the other: the work grows with the side, not with its square.
    """
    reach = side // 2
    down = F.avg_pool2d(planes[:, None], (side, 1), stride=1, padding=(reach, 0))
    means: Tensor = F.avg_pool2d(down, (1, side), stride=1, padding=(0, reach))[:, 0]
    return means


def box_means_at(planes: Callable[[slice], Tensor], height: int, side: int, step: int) -> Tensor:
    """Return the means of `box_means` at pixels step // 2, step // 2 + step, ... of both axes.

    Args:
        planes: return some rows of the planes, (n, h, W); few are asked for at a time.
        height: of the planes.
        side: of the windows, odd.
        step: of the pixels.
    """
    reach, first = side // 2, step // 2
    lines = range(first, height, step)
    means = []
    for k in range(0, len(lines), _LINES_AT_ONCE):
        part = lines[k : k + _LINES_AT_ONCE]
        top, bottom = part[0] - reach, part[-1] + reach + 1
        some = planes(slice(max(0, top), min(bottom, height)))
        beyond = max(0, -top), max(0, bottom - height)
        around = F.pad(some, (reach - first, reach, *beyond))[:, None]
        down = F.avg_pool2d(around, (side, 1), stride=(step, 1))
        means.append(F.avg_pool2d(down, (1, side), stride=(1, step))[:, 0])
    return torch.cat(means, dim=1)
