"""Samples of a TIFF page: grey, RGB, alpha or channels; and palettes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from zncc_cli.files.metadata import Photometric
from zncc_cli.files.paths import refusal
from zncc_cli.files.tiff.segments import JPEG

_PHOTOMETRIC = 262
# TIFF's photometric interpretations that are read, with the meaning of the samples after reading, and their number.
_COLOUR_MODELS: dict[str, tuple[Photometric, int]] = {
    "MINISWHITE": ("miniswhite", 1),
    "MINISBLACK": ("minisblack", 1),
    "RGB": ("rgb", 3),
    "PALETTE": ("rgb", 1),
    "YCBCR": ("rgb", 3),
}
# Values of the tag ExtraSamples.
_ALPHA = {1: "premultiplied", 2: "straight"}


@dataclass(frozen=True, kw_only=True)
class Samples:
    """How the samples of a pixel are read.

    alpha: "straight", "premultiplied" or None. colours: length of the axis S, or 0 for one grey value or channels.
    channels: length of the axis C, or 1.
    """

    photometric: Photometric
    alpha: str | None
    colours: int
    channels: int
    notes: tuple[str, ...] = ()


def samples_of(path: Path, page: tifffile.TiffPage) -> Samples:
    """Return how the samples of ``page`` are read.

    Raises:
        InputError: the pixels are neither grey nor RGB, nor a palette of RGB.
    """
    photometric_tag = page.photometric if _PHOTOMETRIC in page.tags else tifffile.PHOTOMETRIC.MINISBLACK
    name = getattr(photometric_tag, "name", str(photometric_tag))
    count = int(page.samplesperpixel)
    if name not in _COLOUR_MODELS or (name == "YCBCR" and page.compression not in JPEG):
        advice = "convert the file to grey or RGB"
        raise refusal(path, expected="grey or RGB pixels", found=f"{name} pixels", advice=advice)
    photometric, colours = _COLOUR_MODELS[name]
    if count < colours or (name == "PALETTE" and (count > 1 or page.colormap is None)):
        advice = "convert the file to grey or RGB"
        raise refusal(path, expected=f"{name} pixels", found=f"{count} samples in each", advice=advice)
    alpha = _alpha(page)
    if name == "PALETTE":
        return Samples(photometric="rgb", alpha=None, colours=3, channels=1)
    if count == colours == 1:
        return Samples(photometric=photometric, alpha=None, colours=0, channels=1)
    if colours == 3 and count <= 4:
        return Samples(photometric="rgb", alpha=alpha if count == 4 else None, colours=count, channels=1)
    if count == 2 and alpha:
        return Samples(photometric=photometric, alpha=alpha, colours=2, channels=1)
    grey: Photometric = "miniswhite" if photometric == "miniswhite" else "minisblack"
    notes = (f"the {count} samples of a pixel were read as channels",) if colours == 3 else ()
    return Samples(photometric=grey, alpha=None, colours=0, channels=count, notes=notes)


def _alpha(page: tifffile.TiffPage) -> str | None:
    """Return the kind of opacity in the last sample, or None. RGB with an undeclared fourth sample is RGBA."""
    if not page.extrasamples:
        return "straight" if page.samplesperpixel == 4 else None
    return _ALPHA.get(int(page.extrasamples[-1]))


def palette_of(page: tifffile.TiffPage) -> NDArray[Any] | None:
    """Return the colours (N, 3), uint8 or uint16, of a page of indices, or None."""
    if page.colormap is None or page.photometric != tifffile.PHOTOMETRIC.PALETTE:
        return None
    palette = page.colormap.T
    # Palettes are stored in 16 bits; nearly all of them hold 8-bit values, as v * 257, v * 256 or plain v.
    divisor = next((d for d in (257, 256) if not (palette % d).any()), 1)
    palette = palette // divisor
    colours: NDArray[Any] = palette.astype(np.uint8 if palette.max() < 256 else np.uint16)
    return colours
