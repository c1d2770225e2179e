"""Colour maps, and maps of numbers as coloured pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.png import png_bytes
from zncc_cli.report.grey import Limits

# Equally spaced colours; those between them are interpolated. The sequential ones rise evenly in lightness and the
# diverging ones have a light middle, so that they can be read in grey and by people who do not tell red from green.
# viridis, magma: van der Walt and Smith (CC0). RdBu, PuOr: Brewer, colorbrewer2.org (Apache 2.0).
_VIRIDIS = "440154 482475 414487 355f8d 2a788e 21918c 22a884 44bf70 7ad151 bddf26 fde725"
_MAGMA = "000004 140e36 3b0f70 641a80 8c2981 b73779 de4968 f7705c fe9f6d fecf92 fcfdbf"
_RED_BLUE = "67001f b2182b d6604d f4a582 fddbc7 f7f7f7 d1e5f0 92c5de 4393c3 2166ac 053061"
_ORANGE_PURPLE = "7f3b08 b35806 e08214 fdb863 fee0b6 f7f7f7 d8daeb b2abd2 8073ac 542788 2d004b"

_STRIPE = (0, 200, 190)  # which none of the colour maps has
_STRIPE_PERIOD, _STRIPE_WIDTH = 8, 2  # pixels
_LEVELS = 255  # of a palette of 256; its first entry is transparent and stands for no value


@dataclass(frozen=True)
class ColourMap:
    """Colours from the low to the high end, as RRGGBB."""

    colours: tuple[str, ...]

    def palette(self) -> NDArray[np.uint8]:
        """Return the colours as uint8 (256, 3): entry 0 stands for no value, 1 to 255 run from low to high."""
        anchors = np.array([[int(colour[i : i + 2], 16) for i in (0, 2, 4)] for colour in self.colours], dtype=float)
        positions = np.linspace(0, len(anchors) - 1, _LEVELS)
        colours = [np.interp(positions, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)]
        return np.concatenate([np.zeros((1, 3)), np.rint(np.stack(colours, axis=-1))]).astype(np.uint8)


VIRIDIS = ColourMap(tuple(_VIRIDIS.split()))
MAGMA = ColourMap(tuple(_MAGMA.split()))
RED_BLUE = ColourMap(tuple(_RED_BLUE.split()))
ORANGE_PURPLE = ColourMap(tuple(_ORANGE_PURPLE.split()))


def colour_png(
    values: NDArray[Any], limits: Limits, colours: ColourMap, marked: NDArray[np.bool_] | None = None
) -> bytes:
    """Return ``values`` (H, W) between ``limits`` as a PNG of 255 colours; transparent where they are not finite.

    Pixels that are ``marked`` (H, W) are striped; the lowest colour is that of the second then.
    """
    known = np.isfinite(values)
    low, high = limits
    share = (np.where(known, values, low) - low) / (high - low if high > low else 1)
    levels = np.where(known, 1 + np.rint(np.clip(share, 0, 1) * (_LEVELS - 1)), 0).astype(np.uint8)
    palette = colours.palette()
    if marked is not None:
        rows, columns = np.ogrid[: levels.shape[0], : levels.shape[1]]
        levels[levels == 1] = 2
        levels[known & marked & ((rows + columns) % _STRIPE_PERIOD < _STRIPE_WIDTH)] = 1
        palette[1] = _STRIPE
    return png_bytes(levels, palette)
