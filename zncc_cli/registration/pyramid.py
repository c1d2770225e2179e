"""A mask-aware Gaussian pyramid.

Pixels outside the mask, and what lies beyond the frame, never enter a smoothed value: each is a mean of valid
pixels only (normalised convolution; Knutsson and Westin 1993, doi:10.1109/CVPR.1993.341081).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.operators import filters

# Standard deviation, in pixels, of the Gaussian before every second pixel is dropped: at the new Nyquist
# frequency it leaves exp(-(pi/2)^2 / 2) = 0.29 of the amplitude, the usual balance of aliasing and blur.
DECIMATION_SIGMA = 1.0
# A hole takes on the mean of the valid pixels about this near, and the image's mean further in.
_FILL_SIGMA = 2.0
_MIN_FILL_WEIGHT = 1e-3
_BLOCK_SIGMAS = 1 / 3  # of a Gaussian's standard deviation: means of blocks this large are as good as pixels
_TRUNCATION_SIGMAS = 3.0  # where a Gaussian is cut off
# A smoothed pixel is valid when at least this share of its Gaussian fell on valid pixels: the missing rest is then too
# little to pull the mean to one side, and a frame loses two rows or so, not the whole reach of the kernel.
MIN_VALID_SHARE = 0.95
# Of a pixel, for the noise to be measured there: filled-in pixels are smoother than noise, and on coarse levels a
# little of them is everywhere.
_MIN_MEASURED_SHARE = 0.5
_NOISE_PIXELS = 2**15  # tell the noise to a percent


@dataclass(frozen=True)
class Level:
    """One level of a pyramid.

    Attributes:
        image: (1, 1, H, W) float, zero where not valid.
        mask: (H, W) bool, valid pixels.
        factor: full-resolution pixels per pixel of this level; pixel (i, j) lies on (factor i, factor j).
        measured: (H, W) float, the share of each valid pixel that comes from measured pixels, in [0, 1]; the rest was
            filled in (`zncc_cli.registration.inputs.inpainting`). None where nothing was.
    """

    image: Tensor
    mask: Tensor
    factor: int
    measured: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return int(self.mask.shape[0]), int(self.mask.shape[1])

    @cached_property
    def extent(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """(First, last) row and (first, last) column that hold a valid pixel; the whole frame where none does."""
        # amax, and not any, which takes many times as long.
        lines = (self.mask.view(torch.uint8).amax(dim=d).nonzero()[:, 0] for d in (1, 0))
        rows, columns = (
            (int(line[0]), int(line[-1])) if len(line) else (0, n - 1)
            for line, n in zip(lines, self.shape, strict=True)
        )
        return rows, columns

    @cached_property
    def noise_sigma(self) -> float:
        """Standard deviation of the white noise in the image, from its second differences.

        Immerkaer 1996, doi:10.1006/cviu.1996.0060, with the median of the absolute values for robustness, over rows
        that hold enough pixels.
        """
        step = max(1, self.mask.numel() // _NOISE_PIXELS)
        rows = [slice(row, row + self.shape[0] - 2, step) for row in range(3)]
        above, here, below = (self.image[0, 0, row] for row in rows)
        down = above - 2 * here + below
        second = down[:, :-2] - 2 * down[:, 1:-1] + down[:, 2:]
        top, middle, bottom = (self._usable(row) for row in rows)
        column = top & middle & bottom
        box = filters.rectangle(column)
        if box is not None:
            second = second[box[0], box[1].start : max(box[1].stop - 2, box[1].start)]
        else:
            second = second[column[:, :-2] & column[:, 1:-1] & column[:, 2:]]
        if second.numel() == 0:
            return 0.0
        # 36 is the sum of the squared weights, 0.6745 the median of |N(0, 1)|.
        sizes, middle_place = second.abs().flatten().cpu().numpy(), (second.numel() - 1) // 2
        return float(np.partition(sizes, middle_place)[middle_place]) / 0.6745 / 6.0

    def _usable(self, rows: slice) -> Tensor:
        """Tell in which pixels of some rows the noise can be measured, (h, W) bool."""
        mask = self.mask[rows]
        return mask if self.measured is None else mask & (self.measured[rows] >= _MIN_MEASURED_SHARE)

    @property
    def negative(self) -> Level:
        """The level with its values negated: bright and dark are exchanged."""
        return replace(self, image=-self.image)


def convolve(planes: Tensor, kernel: Tensor) -> Tensor:
    """Return `conv2d` in full float32 and by one algorithm; by default cuDNN rounds to TF32's eleven bits.

    Args:
        planes: (N, 1, H, W).
        kernel: (1, 1, h, w).
    """
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        return F.conv2d(planes, kernel)


def gaussian(sigma: float) -> Tensor:
    """Return the weights of a Gaussian, (2 n + 1,) float64, of sum one."""
    radius = max(1, math.ceil(_TRUNCATION_SIGMAS * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    return kernel / kernel.sum()


def smooth(
    image: Tensor, mask: Tensor, sigma: float, min_share: float = MIN_VALID_SHARE, step: int = 1
) -> tuple[Tensor, Tensor]:
    """Smooth an image by a Gaussian over its valid pixels.

    Args:
        image: (1, 1, H, W) float.
        mask: (H, W) bool, valid pixels.
        sigma: standard deviation of the Gaussian, pixels.
        min_share: share of the Gaussian that must fall on valid pixels (`zncc_cli.operators.filters.smooth`).
        step: 1, or 2 for every second pixel of every second row, from the first on.

    Returns:
        The smoothed image, zero where it is not valid, and the mask of where it is, (ceil(H / step), ceil(W / step)).
    """
    smoothed, valid = filters.smooth(image[0, 0], mask, gaussian(sigma), min_share, step)
    return smoothed[None, None], valid


def background(image: Tensor, mask: Tensor, sigma: float) -> Tensor:
    """Return the slowly changing part of ``image`` (1, 1, H, W) over the valid pixels of ``mask`` (H, W).

    It is `smooth` with a wide Gaussian of ``sigma`` pixels, computed from means of blocks, which are small beside it.
    Far from valid pixels it is zero.
    """
    block = max(1, int(sigma * _BLOCK_SIGMAS))
    height, width = mask.shape
    weight = mask[None, None].to(image.dtype)
    planes = F.pad(torch.cat((image * weight, weight)), (0, -width % block, 0, -height % block))
    sums, total = filters.blur(F.avg_pool2d(planes, block), gaussian(sigma / block)).split(1)
    coarse = sums / total.clamp_min(torch.finfo(image.dtype).tiny)
    # Bicubic, so that the grid of the means does not show between them.
    fine = F.interpolate(coarse, scale_factor=float(block), mode="bicubic") if block > 1 else coarse
    return fine[..., :height, :width]


def fill_holes(image: Tensor, mask: Tensor) -> Tensor:
    """Return ``image`` (1, C, H, W) with the pixels outside ``mask`` (H, W) bool replaced by means around them.

    A spline rings where the edge of a hole is a jump. The filled values never count in a metric.
    """
    box = filters.rectangle(mask)
    if box is None:
        kernel = gaussian(_FILL_SIGMA)
        return filters.stack([filters.fill_holes(plane, mask, kernel, _MIN_FILL_WEIGHT) for plane in image[0]])[None]
    rows, columns = box
    if (rows.stop - rows.start, columns.stop - columns.start) == mask.shape:
        return image
    return filters.stack([filters.fill_around(plane, rows, columns) for plane in image[0]])[None]


def pyramid(image: Tensor, mask: Tensor, levels: int, measured: Tensor | None = None) -> list[Level]:
    """Return the levels of an image's pyramid, the finest (the image itself) first.

    Args:
        image, mask, measured: of the image, as in `Level`.
        levels: how many.
    """
    if not filters.is_full(mask):
        image = filters.smooth(image[0, 0], mask, torch.ones(1, dtype=torch.float64), 0.0)[0][None, None]
    out = [Level(image, mask, 1, measured)]
    while len(out) < levels:
        last = out[-1]
        image, mask = smooth(last.image, last.mask, DECIMATION_SIGMA, step=2)
        out.append(Level(image, mask, 2 * last.factor, smoothed_share(last, DECIMATION_SIGMA, step=2)))
    return out


def smoothed_share(level: Level, sigma: float, step: int = 1) -> Tensor | None:
    """Return `Level.measured` of the level as `smooth` makes it; None where nothing was filled in."""
    if level.measured is None:
        return None
    return smooth(level.measured[None, None], level.mask, sigma, 0.0, step)[0][0, 0]


def count_levels(shape: tuple[int, int], smallest: int) -> int:
    """Return how many levels an image of (H, W) has whose shorter side is at least ``smallest`` pixels, at least 1."""
    return 1 + max(0, int(math.log2(max(min(shape) / smallest, 1))))


def coarsest_of(levels: list[Level], side: int) -> int:
    """Return the index of the coarsest level whose shorter side is at least ``side`` pixels, or of the finest."""
    return max((k for k, level in enumerate(levels) if min(level.shape) >= side), default=0)
