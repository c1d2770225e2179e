"""overlay.png: the fixed image in magenta and the moving image in green, before and after the alignment."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from zncc_cli.report.grey import Limits, block_sums, robust_limits, stretched

# Two panels and the gap between them stay below 2400 pixels, which fit a screen or a sheet of paper.
_MAX_PANEL_SIDE = 1190
_PANEL_GAP = 8  # pixels
_BACKGROUND = 40  # grey value; neither magenta nor green, and darker than most of what both images show
_BAND_PIXELS = 2**18  # pixels of a panel that are coloured at a time


def overlay(
    fixed: NDArray[Any],
    aligned_before: NDArray[Any],
    aligned_after: NDArray[Any],
    valid_before: NDArray[np.bool_],
    valid_after: NDArray[np.bool_],
    *,
    alone: bool = False,
) -> NDArray[np.uint8]:
    """Return two panels, "before" and "after", side by side: fixed in magenta, moving in green, grey where they agree.

    In each panel both images are stretched between their own 0.5 and 99.5 percentiles over the pixels that both have.
    The panels are reduced by area averaging until the picture is at most 2400 pixels wide. A band above them holds
    their labels.

    Args:
        fixed: (H, W), NaN where the image has no value.
        aligned_before, aligned_after: (H, W), the moving image on the fixed frame before and after the alignment.
        valid_before, valid_after: (H, W) bool, where the moving image has a value.
        alone: show pixels that only one image has, in its colour; by default they are dark grey.

    Returns:
        uint8 (H', W', 3).
    """
    before = _panel(fixed, aligned_before, valid_before, alone)
    after = _panel(fixed, aligned_after, valid_after, alone)
    gap = np.full((before.shape[0], _PANEL_GAP, 3), _BACKGROUND, dtype=np.uint8)
    panels = np.concatenate([before, gap, after], axis=1)
    return np.concatenate([_label_band(before.shape[1], panels.shape[1]), panels], axis=0)


def _panel(fixed: NDArray[Any], moving: NDArray[Any], valid: NDArray[np.bool_], alone: bool) -> NDArray[np.uint8]:
    """Return one panel, uint8 (H', W', 3), of two images (H, W); see `overlay`."""
    known = np.isfinite(fixed), valid & np.isfinite(moving)
    both = known[0] & known[1]
    drawn = known if alone else (both, both)
    factor = max(1, math.ceil(max(both.shape) / _MAX_PANEL_SIDE))
    limits = [
        robust_limits(image, both if both.any() else mask) for image, mask in zip((fixed, moving), drawn, strict=True)
    ]
    # Band by band: the intermediate float images of a large picture stay in the processor's cache.
    height = factor * max(1, _BAND_PIXELS // (factor * both.shape[1]))
    bands = [slice(top, top + height) for top in range(0, both.shape[0], height)]
    images = tuple(zip((fixed, moving), drawn, limits, strict=True))
    return np.concatenate(
        [_coloured([(image[band], mask[band], ends) for image, mask, ends in images], factor) for band in bands]
    )


def _coloured(images: Iterable[tuple[NDArray[Any], NDArray[np.bool_], Limits]], factor: int) -> NDArray[np.uint8]:
    """Return the fixed image in magenta and the moving one in green, uint8 (H', W', 3), reduced by area averaging.

    Args:
        images: of both images the values (H, W), which of them are drawn (H, W), and the limits of the contrast.
        factor: side of the areas, pixels.
    """
    sums = [
        (block_sums(stretched(*image), factor), block_sums(image[1].astype(np.float32), factor)) for image in images
    ]
    magenta, green = (total / np.maximum(weight, 1) for total, weight in sums)
    levels: NDArray[np.uint8] = np.rint(255 * np.stack([magenta, green, magenta], axis=-1)).astype(np.uint8)
    levels[(sums[0][1] == 0) & (sums[1][1] == 0)] = _BACKGROUND
    return levels


def _label_band(panel_width: int, width: int) -> NDArray[np.uint8]:
    """Return the band of labels above the panels, uint8 (h, width, 3)."""
    zoom = max(1, panel_width // 400)
    band = PillowImage.new("L", (math.ceil(width / zoom), 16), _BACKGROUND)
    draw = ImageDraw.Draw(band)
    font = ImageFont.load_default()  # built into Pillow: it needs no file
    for text, left in (("before", 0), ("after", panel_width + _PANEL_GAP)):
        draw.text((left / zoom + 2, 2), text, fill=230, font=font)
    pixels = np.asarray(band).repeat(zoom, axis=0).repeat(zoom, axis=1)[:, :width]
    return np.repeat(pixels[..., None], 3, axis=2)
