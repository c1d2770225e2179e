"""overlay.png: the fixed image in magenta and the moving image in green, before and after the alignment."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from zncc_cli.report.layers import BACKGROUND, Layers

_PANEL_GAP = 8  # pixels


def overlay(layers: Layers) -> NDArray[np.uint8]:
    """Return two panels, "before" and "after", side by side: the overlays of `Layers.views`, of the same contrast.

    A band above them holds their labels.

    Returns:
        uint8 (H', W', 3).
    """
    before, after = (layers.views[f"overlay-{name}"] for name in ("before", "after"))
    gap = np.full((before.shape[0], _PANEL_GAP, 3), BACKGROUND, dtype=np.uint8)
    band = _label_band(before.shape[1], 2 * before.shape[1] + _PANEL_GAP)
    return np.concatenate([band, np.concatenate([before, gap, after], axis=1)], axis=0)


@lru_cache(maxsize=16)  # of all pairs of a batch that have one size
def _label_band(panel_width: int, width: int) -> NDArray[np.uint8]:
    """Return the band of labels above the panels, uint8 (h, width, 3)."""
    from PIL import Image as PillowImage  # takes its time to load
    from PIL import ImageDraw, ImageFont

    zoom = max(1, panel_width // 400)
    band = PillowImage.new("L", (math.ceil(width / zoom), 16), BACKGROUND)
    draw = ImageDraw.Draw(band)
    font = ImageFont.load_default()  # built into Pillow: it needs no file
    for text, left in (("before", 0), ("after", panel_width + _PANEL_GAP)):
        draw.text((left / zoom + 2, 2), text, fill=230, font=font)
    pixels = np.asarray(band).repeat(zoom, axis=0).repeat(zoom, axis=1)[:, :width]
    return np.repeat(pixels[..., None], 3, axis=2)
