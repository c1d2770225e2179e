"""Hot, warm and dead pixels of a camera: single pixels that stand out, and stay in place when the scene moves.

Where a scene holds few small things, such pixels agree better at the identity than the scene does at the true
transform. They are told from the scene by their eight neighbours, over which optics spreads the image of any point.

Legend: excess is by how much a pixel lies above the brightest of its neighbours, or (negative) below the darkest.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

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
_NEIGHBOURS = [(dy, dx) for dy, dx in itertools.product((0, 1, 2), repeat=2) if (dy, dx) != (1, 1)]


def without_single_pixels(image: Tensor) -> Tensor:
    """Return ``image`` (..., H, W) with each pixel, but for the outermost, clamped to the range of its neighbours."""
    out = image.clone()
    low, high = _range_of_neighbours(image)
    out[..., 1:-1, 1:-1] = torch.minimum(torch.maximum(image[..., 1:-1, 1:-1], low), high)
    return out


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
    signs = torch.stack([_single(level) for level in levels])
    staying = signs.sum(dim=0).abs() >= math.ceil(_MIN_IMAGE_SHARE * len(levels))
    count, pixels = int(staying.sum()), staying.numel()
    by_chance = pixels * math.prod(float((sign != 0).sum()) / pixels for sign in signs[:2])
    return staying if max(_MIN_COUNT, _MIN_CHANCE_RATIO * by_chance) <= count <= _MAX_PIXEL_SHARE * pixels else None


def hot_note(count: int, images: str) -> str:
    """Return the note that ``count`` hot pixels were left out; ``images``: of which ones, in words."""
    return (
        f"{count} single pixels stand out at the same places in {images}, as hot pixels of a camera do; "
        "they are left out"
    )


def _single(level: Level) -> Tensor:
    """Return 1 at bright and -1 at dark pixels that stand out by themselves, 0 elsewhere, (H, W) int8."""
    image = level.image[0, 0]
    low, high = _range_of_neighbours(image)
    centre = image[1:-1, 1:-1]
    min_excess = torch.maximum(
        _MIN_EXCESS_RANGES * (high - low), centre.new_tensor(_MIN_EXCESS_SIGMAS * level.noise_sigma)
    )
    # Zero outside the mask is no value of the image: a pixel next to it cannot be judged.
    valid = level.mask.clone()
    if not bool(valid.all()):
        for dy, dx in _NEIGHBOURS:
            valid[1:-1, 1:-1] &= level.mask[dy : dy + centre.shape[0], dx : dx + centre.shape[1]]
    out = torch.zeros(image.shape, dtype=torch.int8, device=image.device)
    out[1:-1, 1:-1] = (centre - high > min_excess).to(torch.int8) - (low - centre > min_excess).to(torch.int8)
    return torch.where(valid, out, 0)


def _range_of_neighbours(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the darkest and the brightest of the eight neighbours of each inner pixel, (..., H-2, W-2)."""
    height, width = image.shape[-2] - 2, image.shape[-1] - 2
    parts = [image[..., dy : dy + height, dx : dx + width] for dy, dx in _NEIGHBOURS]
    low, high = torch.minimum(parts[0], parts[1]), torch.maximum(parts[0], parts[1])
    for part in parts[2:]:
        torch.minimum(low, part, out=low)
        torch.maximum(high, part, out=high)
    return low, high
