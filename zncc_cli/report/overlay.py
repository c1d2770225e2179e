"""overlay.png: the fixed image in magenta and the moving image in green, before and after the alignment."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.report.grey import block_means, grey_levels, robust_limits

# Two panels and the gap between them stay below 2400 pixels, which fit a screen or a sheet of paper.
_MAX_PANEL_SIDE = 1190
_PANEL_GAP = 8  # pixels
_BACKGROUND = 40  # grey value; neither magenta nor green, and darker than most of what both images show


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
    band = _label_band(before.shape[1], 2 * before.shape[1] + _PANEL_GAP)
    return np.concatenate([band, np.concatenate([before, gap, after], axis=1)], axis=0)


def _panel(fixed: NDArray[Any], moving: NDArray[Any], valid: NDArray[np.bool_], alone: bool) -> NDArray[np.uint8]:
    """Return one panel, uint8 (H', W', 3), of two images (H, W); see `overlay`."""
    known = np.isfinite(fixed), valid & np.isfinite(moving)
    both = known[0] & known[1]
    factor = math.ceil(max(both.shape) / _MAX_PANEL_SIDE)
    levels, drawn = [], []
    for image, mask in zip((fixed, moving), known if alone else (both, both), strict=True):
        limits = robust_limits(image, both if both.any() else mask)
        reduced, mask = (image, mask) if factor == 1 else block_means(image, mask, factor)
        levels.append(grey_levels(reduced, mask, limits))
        drawn.append(mask)
    magenta, green = (np.where(drawn[0] | drawn[1], plane, np.uint8(_BACKGROUND)) for plane in levels)
    return np.stack([magenta, green, magenta], axis=-1)


@lru_cache(maxsize=16)  # of all pairs of a batch that have one size
def _label_band(panel_width: int, width: int) -> NDArray[np.uint8]:
    """Return the band of labels above the panels, uint8 (h, width, 3)."""
    from PIL import Image as PillowImage  # takes its time to load
    from PIL import ImageDraw, ImageFont

    zoom = max(1, panel_width // 400)
    band = PillowImage.new("L", (math.ceil(width / zoom), 16), _BACKGROUND)
    draw = ImageDraw.Draw(band)
    font = ImageFont.load_default()  # built into Pillow: it needs no file
    for text, left in (("before", 0), ("after", panel_width + _PANEL_GAP)):
        draw.text((left / zoom + 2, 2), text, fill=230, font=font)
    pixels = np.asarray(band).repeat(zoom, axis=0).repeat(zoom, axis=1)[:, :width]
    return np.repeat(pixels[..., None], 3, axis=2)
