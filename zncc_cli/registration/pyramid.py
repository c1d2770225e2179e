"""A mask-aware Gaussian pyramid.

Pixels outside the mask, and what lies beyond the frame, never enter a smoothed value: each is a mean of valid
pixels only (normalised convolution; Knutsson and Westin 1993, doi:10.1109/CVPR.1993.341081).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

# Standard deviation, in pixels, of the Gaussian before every second pixel is dropped: at the new Nyquist
# frequency it leaves exp(-(pi/2)^2 / 2) = 0.29 of the amplitude, the usual balance of aliasing and blur.
DECIMATION_SIGMA = 1.0
# A hole takes on the mean of the valid pixels about this near, and the image's mean further in.
_FILL_SIGMA = 2.0
_LEAST_NEAR = 1e-3
_TRUNCATE = 3.0  # a Gaussian is cut at this many standard deviations
# A smoothed pixel is valid when at least this share of its Gaussian fell on valid pixels: what is missing is then
# too little to pull the mean to one side, and a frame loses two rows or so, not the whole reach of the kernel.
ENOUGH = 0.95


@dataclass(frozen=True)
class Level:
    """One level of a pyramid.

    Attributes:
        image: (1, 1, H, W) float, zero where not valid.
        mask: (H, W) bool, valid pixels.
        factor: full-resolution pixels per pixel of this level; pixel (i, j) lies on (factor i, factor j).
    """

    image: Tensor
    mask: Tensor
    factor: int

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return int(self.mask.shape[0]), int(self.mask.shape[1])

    @property
    def negative(self) -> Level:
        """The level with bright and dark exchanged, about zero."""
        return Level(-self.image, self.mask, self.factor)


def convolve(planes: Tensor, kernel: Tensor, padding: tuple[int, int] = (0, 0)) -> Tensor:
    """Return `conv2d` in full float32: cuDNN would round to TF32's eleven bits, and choose its algorithm anew."""
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        return F.conv2d(planes, kernel, padding=padding)


def _blur(planes: Tensor, sigma: float) -> Tensor:
    radius = max(1, math.ceil(_TRUNCATE * sigma))
    offsets = torch.arange(-radius, radius + 1, dtype=planes.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    # Shifted planes, added up: several times faster on a CPU than a convolution of a single channel.
    for axis in (-2, -1):
        count = planes.shape[axis]
        reach = min(radius, count - 1)  # farther away there are only zeros
        taps = kernel[radius - reach : radius + reach + 1].tolist()
        padded = F.pad(planes, (0, 0, reach, reach) if axis == -2 else (reach, reach, 0, 0))
        planes = padded.narrow(axis, 0, count) * taps[0]
        for place, tap in enumerate(taps[1:], start=1):
            planes.add_(padded.narrow(axis, place, count), alpha=tap)
    return planes


def smooth(image: Tensor, mask: Tensor, sigma: float, enough: float = ENOUGH) -> tuple[Tensor, Tensor]:
    """Smooth ``image`` (1, 1, H, W) over the valid pixels of ``mask`` (H, W).

    Args:
        sigma: standard deviation of the Gaussian, pixels.
        enough: share of the Gaussian that must fall on valid pixels.

    Returns:
        The smoothed image, zero where it is not defined, and the (H, W) mask of where it is.
    """
    weight = mask[None, None].to(image.dtype)
    sums, total = _blur(torch.cat((image * weight, weight)), sigma).split(1)
    held = (total >= enough) & (weight > 0)
    return torch.where(held, sums / torch.where(held, total, 1), 0), held[0, 0]


def fill_holes(image: Tensor, mask: Tensor) -> Tensor:
    """Return ``image`` (1, C, H, W) with invalid pixels, (H, W) bool mask, replaced by what surrounds them.

    The values are for a spline, which rings where a hole's edge is a jump; they are never evidence.
    """
    if bool(mask.all()):
        return image
    filled = []
    for plane in image.split(1, dim=1):
        mean = plane[0, 0][mask].mean() if bool(mask.any()) else plane.new_zeros(())
        weight = mask[None, None].to(image.dtype)
        sums, total = _blur(torch.cat(((plane - mean).nan_to_num(0, 0, 0) * weight, weight)), _FILL_SIGMA).split(1)
        near = mean + sums / total.clamp_min(torch.finfo(image.dtype).tiny)
        filled.append(torch.where(mask, plane, torch.where(total > _LEAST_NEAR, near, mean)))
    return torch.cat(filled, dim=1)


def pyramid(image: Tensor, mask: Tensor, levels: int) -> list[Level]:
    """Return ``levels`` levels of ``image`` (1, 1, H, W) and ``mask`` (H, W), the finest (the image itself) first."""
    out = [Level(image * mask.to(image.dtype), mask, 1)]
    while len(out) < levels:
        last = out[-1]
        image, mask = smooth(last.image, last.mask, DECIMATION_SIGMA)
        out.append(Level(image[..., ::2, ::2].contiguous(), mask[::2, ::2].contiguous(), 2 * last.factor))
    return out


def count_levels(shape: tuple[int, int], smallest: int) -> int:
    """Return how many levels an image of (H, W) has whose shorter side is at least ``smallest`` pixels, at least 1."""
    return 1 + max(0, int(math.log2(max(min(shape) / smallest, 1))))


def coarsest_of(levels: list[Level], side: int) -> int:
    """Return the index of the coarsest level whose shorter side is at least ``side`` pixels, or of the finest."""
    return max((k for k, level in enumerate(levels) if min(level.shape) >= side), default=0)
