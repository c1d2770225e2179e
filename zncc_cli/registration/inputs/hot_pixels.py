"""Hot, warm and dead pixels of a camera: single pixels that stand out, and stay in place when the scene moves.

Where a scene holds few small things, such pixels agree better at the identity than the scene does at the true
transform. They are told from the scene by their eight neighbours, over which optics spreads the image of any point.

Legend: excess is by how much a pixel lies above the brightest of its neighbours, or (negative) below the darkest.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zncc_cli.operators import pixels
from zncc_cli.registration.pyramid import Level

# An excess that is no noise, in standard deviations of the noise: of white noise one pixel in ten million has it.
_MIN_EXCESS_SIGMAS = 4.0
# An excess in units of the neighbours' range. A point seen through optics of a width at half maximum of 2 pixels or
# more has at most 2.
_MIN_EXCESS_RANGES = 2.0
_MIN_COUNT = 5  # four points make a homography agree anywhere: fewer than these determine no result, and may be chance
_MIN_CHANCE_RATIO = 4.0  # times as many as two images with as many single pixels anywhere have in common
_MIN_IMAGE_SHARE = 0.8  # both images of a pair; in a movie, noise or a bead may hide a pixel here and there
_MAX_PIXEL_SHARE = 0.01  # of all pixels: more are a texture


def without_single_pixels(image: Tensor) -> Tensor:
    """Return ``image`` (1, 1, H, W) with each pixel, but for the outermost, clamped to the range of its neighbours."""
    return pixels.without_single_pixels(image[0, 0])[None, None]


def hot_pixels(*levels: Level) -> Tensor | None:
    """Return the single pixels that stand out at the same place in nearly all images, (H, W) bool.

    Args:
        levels: two images or more, at full resolution.

    Returns:
        None where few pixels do, or so many that they are a texture; and for images of different size, which do not
        come from one camera.
    """
    if len({level.shape for level in levels}) > 1:
        return None
    found = [
        pixels.single_pixels(level.image[0, 0], level.mask, _MIN_EXCESS_SIGMAS * level.noise_sigma, _MIN_EXCESS_RANGES)
        for level in levels
    ]
    signed = torch.cat(found)
    places, which = torch.where(signed < 0, -1 - signed, signed).unique(return_inverse=True)
    sums = torch.zeros_like(places).index_add_(0, which, torch.where(signed < 0, -1, 1))
    staying = places[sums.abs() >= math.ceil(_MIN_IMAGE_SHARE * len(levels))]
    size = levels[0].mask.numel()
    by_chance = size * math.prod(len(each) / size for each in found[:2])
    if not max(_MIN_COUNT, _MIN_CHANCE_RATIO * by_chance) <= len(staying) <= _MAX_PIXEL_SHARE * size:
        return None
    out = torch.zeros_like(levels[0].mask)
    out.view(-1)[staying] = True
    return out


def hot_note(count: int, images: str) -> str:
    """Return the note that ``count`` hot pixels were left out; ``images``: of which ones, in words."""
    return (
        f"{count} single pixels stand out at the same places in {images}, as hot pixels of a camera do; "
        "they are left out"
    )
