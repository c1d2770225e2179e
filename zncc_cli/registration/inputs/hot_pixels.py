"""Pixels of a camera that stand out by themselves: hot, warm or dead ones, which stay where they are.

On a scene of few small things they agree better, at the identity, than the scene does where it lies. A single pixel
that no optics makes is told by its eight neighbours: the image of a point spreads over them.

Legend: excess is by how much a pixel lies above the brightest of its neighbours, or (negative) below the darkest.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from zncc_cli.registration.pyramid import Level

# An excess that is no noise, in standard deviations of the noise: of white noise one pixel in ten million has it.
_LEAST_NOISE = 4.0
# Of the neighbours' range. A point seen through optics of a width at half maximum of 2 pixels or more has at most 2.
_LEAST_RANGE = 2.0
_FEWEST = 5  # four points make a homography agree anywhere: fewer than these hold no result, and may be chance
_CHANCE = 4.0  # times as many as two images with as many single pixels anywhere have in common
_NEARLY_ALL = 0.8  # of the images: a pair's both; of a movie, noise or a bead may hide a pixel here and there
_MOST = 0.01  # of all pixels: more are a texture
_NEIGHBOURS = [(dy, dx) for dy, dx in itertools.product((0, 1, 2), repeat=2) if (dy, dx) != (1, 1)]


def without_single_pixels(image: Tensor) -> Tensor:
    """Return ``image`` (..., H, W), no pixel of which is above or below all eight neighbours; its edges as they are."""
    out = image.clone()
    low, high = _range_of_neighbours(image)
    out[..., 1:-1, 1:-1] = torch.minimum(torch.maximum(image[..., 1:-1, 1:-1], low), high)
    return out


def hot_pixels(*levels: Level) -> Tensor | None:
    """Return the single pixels (H, W) bool that stand out at the same place in nearly all images; None where few do.

    Images of different size do not come from one camera. Single pixels that only one of them has hold nothing.

    Args:
        levels: two images or more, at full resolution.
    """
    if len({level.shape for level in levels}) > 1:
        return None
    signs = torch.stack([_single(level) for level in levels])
    staying = signs.sum(dim=0).abs() >= math.ceil(_NEARLY_ALL * len(levels))
    count, pixels = int(staying.sum()), staying.numel()
    by_chance = pixels * math.prod(float((one != 0).sum()) / pixels for one in signs[:2])
    return staying if max(_FEWEST, _CHANCE * by_chance) <= count <= _MOST * pixels else None


def hot_note(count: int, places: str) -> str:
    """Return a sentence that says that ``count`` pixels were left out, which stand out at the same ``places``."""
    said = f"{count} single pixels stand out at the same places in {places}, as hot pixels of a camera do"
    return f"{said}; they are left out"


def _single(level: Level) -> Tensor:
    """Return 1 at bright and -1 at dark pixels that stand out by themselves, 0 elsewhere, (H, W) int8."""
    image = level.image[0, 0]
    low, high = _range_of_neighbours(image)
    centre = image[1:-1, 1:-1]
    least = torch.maximum(_LEAST_RANGE * (high - low), centre.new_tensor(_LEAST_NOISE * level.noise_sigma))
    # Zero outside the mask is no value of the image: next to it nothing can be told.
    valid = level.mask.clone()
    if not bool(valid.all()):
        for dy, dx in _NEIGHBOURS:
            valid[1:-1, 1:-1] &= level.mask[dy : dy + centre.shape[0], dx : dx + centre.shape[1]]
    out = torch.zeros(image.shape, dtype=torch.int8, device=image.device)
    out[1:-1, 1:-1] = (centre - high > least).to(torch.int8) - (low - centre > least).to(torch.int8)
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
