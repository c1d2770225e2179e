"""Palettes of pictures that Pillow opens, and which of them are kept beside the numbers of their colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from zncc_cli.files.options import ReadOptions
from zncc_cli.files.palette import Palette


def stored_palette(path: Path) -> tuple[NDArray[np.uint8], int]:
    """Return the colours (N, 3) of a picture with a palette, and the largest of its pixels."""
    with PillowImage.open(path) as picture:
        last = int(np.asarray(picture).max())
        return colours_of(picture), last


def colours_of(picture: PillowImage.Image) -> NDArray[np.uint8]:
    """Return the colours (N, 3) of an open picture with a palette."""
    return np.array(picture.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)


def kept_palette(colours: NDArray[np.uint8], last: int, options: ReadOptions, transparency: Any) -> Palette | None:
    """Return the palette of a picture whose indices are read; None where its colours are.

    ``last`` is the largest index: colours beyond it are padding.
    """
    stored = (colours.astype(np.int64) * 257).astype(np.uint16)
    palette, used = Palette(stored), Palette(stored[: last + 1])
    if used.ramp and transparency is None:
        return used
    return palette if options.indices else None
