"""The picture of residual shifts: arrows on the fixed image, and the map of their lengths in colours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.report.arrows import round_below
from zncc_cli.report.colours import VIRIDIS
from zncc_cli.report.grey import grey_levels, robust_limits

_BAND, _GAP = 30, 8  # pixels, of the line of text above the panels, and between them
_ARROW, _OUTLIER = (255, 80, 0), (0, 200, 255)
_FIXED_LIGHTNESS = 0.55  # of the fixed image's brightest grey, so that arrows stand out
_MIN_SIDE = 320  # a smaller image is shown by larger pixels
_COLOUR_LEVELS = 254


def shift_picture(
    fixed: NDArray[Any],
    known: NDArray[np.bool_],
    lengths: NDArray[Any],
    arrows: NDArray[np.float64],
    outliers: NDArray[np.float64],
    pixel: float,
) -> NDArray[np.uint8]:
    """Return arrows on the fixed image beside the map of lengths from zero to the largest, and what they stand for.

    Args:
        fixed, known: (H, W), grey values, and where there are any.
        lengths: (H, W) of the same frame, pixels of the fixed image; NaN where not known, and drawn white.
        arrows: (N, 4), x, y and dx, dy of shifts, in pixels of the fixed image.
        outliers: (M, 2), x, y of windows that are unlike those around them, in the same pixels; drawn as rings.
        pixel: side of a pixel of the frame, in pixels of the fixed image.

    Returns:
        uint8 (H', W', 3).
    """
    from PIL import Image, ImageDraw, ImageFont  # takes its time to load

    zoom = max(1, math.ceil(_MIN_SIDE / max(fixed.shape)))
    finite = lengths[np.isfinite(lengths)]
    largest = float(finite.max()) if finite.size else 0.0
    grey = grey_levels(fixed, known, robust_limits(fixed, known)) * _FIXED_LIGHTNESS
    levels = np.nan_to_num(lengths) / (largest or 1.0) * _COLOUR_LEVELS
    colours = np.where(np.isfinite(lengths)[..., None], VIRIDIS.palette()[1 + np.rint(levels).astype(int)], 255)
    left, right = (np.repeat(np.repeat(plane, zoom, axis=0), zoom, axis=1) for plane in (grey, colours))
    height, width = left.shape
    canvas = np.full((_BAND + height, 2 * width + _GAP, 3), 255, np.uint8)
    canvas[_BAND:, :width], canvas[_BAND:, -width:] = left[..., None], right
    picture = Image.fromarray(canvas)
    draw, font, unit = ImageDraw.Draw(picture), ImageFont.load_default(), zoom / pixel
    longest = float(np.hypot(*arrows[:, 2:].T).max()) if len(arrows) else 0.0
    gap = math.sqrt(height * width / max(1, len(arrows)))
    times = round_below(1.5 * gap / (longest * unit)) if longest > 0 else 1.0
    for x, y, dx, dy in arrows:
        at = ((x + 0.5) * unit, (y + 0.5) * unit + _BAND)
        to = (at[0] + dx * times * unit, at[1] + dy * times * unit)
        draw.line((at, to), fill=_ARROW, width=1)
        draw.ellipse((at[0] - 1, at[1] - 1, at[0] + 1, at[1] + 1), fill=_ARROW)
    for x, y in outliers:
        at = ((x + 0.5) * unit, (y + 0.5) * unit + _BAND)
        draw.ellipse((at[0] - 3, at[1] - 3, at[0] + 3, at[1] + 3), outline=_OUTLIER)
    draw.text((4, 3), f"shifts, {times:g} times as long; longest {longest:.2f} px", fill=(0, 0, 0), font=font)
    draw.text((width + _GAP + 4, 3), f"0 (dark) to {largest:.2f} px; white: not known", fill=(0, 0, 0), font=font)
    return np.asarray(picture)
