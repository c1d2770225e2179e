"""Samples of a TIFF page: grey, RGB, alpha or channels; and palettes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from zncc_cli.files.metadata import Photometric
from zncc_cli.files.palette import Palette, palette_of
from zncc_cli.files.paths import refusal
from zncc_cli.files.tiff.segments import JPEG

_PHOTOMETRIC, _COLOR_MAP, _INK_SET = 262, 320, 332
_MAX_COLOURS = 2**16
_UINT16 = 3  # TIFF's data type
# TIFF's photometric interpretations that are read, with the meaning of the samples after reading, and their number.
_COLOUR_MODELS: dict[str, tuple[Photometric, int]] = {
    "MINISWHITE": ("miniswhite", 1),
    "MINISBLACK": ("minisblack", 1),
    "RGB": ("rgb", 3),
    "PALETTE": ("palette", 1),
    "YCBCR": ("rgb", 3),
    "SEPARATED": ("rgb", 4),
}
_INKS = 4  # cyan, magenta, yellow and black
# Values of the tag ExtraSamples.
_ALPHA = {1: "premultiplied", 2: "straight"}


@dataclass(frozen=True, kw_only=True)
class Samples:
    """How the samples of a pixel are read.

    alpha: "straight", "premultiplied" or None. colours: length of the axis S, or 0 for one grey value or channels.
    channels: length of the axis C, or 1. palette: colours that are kept beside the pixels, or None. applied: colours
    that the pixels become when they are read, or None. inks: whether the stored samples, CMYK, become RGB.
    """

    photometric: Photometric
    alpha: str | None
    colours: int
    channels: int
    palette: Palette | None = None
    applied: Palette | None = None
    inks: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_palette(self) -> bool:
        """Whether what is stored are numbers of colours."""
        return self.applied is not None or self.palette is not None


def samples_of(path: Path, page: tifffile.TiffPage, *, indices: bool = False, measured: bool = False) -> Samples:
    """Return how the samples of ``page`` are read.

    Args:
        path: the file.
        page: the page.
        indices: numbers of colours are read as they are stored.
        measured: the pixels are measured values, in whatever colours they are shown, as ImageJ has it.

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
    if count < colours or (name == "PALETTE" and (count > 1 or _COLOR_MAP not in page.tags)):
        advice = "convert the file to grey or RGB"
        raise refusal(path, expected=f"{name} pixels", found=f"{count} samples in each", advice=advice)
    if name == "SEPARATED":
        return _samples_of_inks(path, page, count)
    alpha = _alpha(page)
    if name == "PALETTE":
        return _samples_of_palette(_palette(page), indices=indices, measured=measured)
    if count == colours == 1:
        # ImageJ keeps a look-up table of 16-bit and float images beside them.
        palette = _palette(page) if measured and _has_palette(page) else None
        return Samples(photometric=photometric, alpha=None, colours=0, channels=1, palette=palette)
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


def has_opacity(page: tifffile.TiffPage) -> bool:
    """Tell whether the last sample of a page is declared as opacity."""
    return bool(page.extrasamples) and int(page.extrasamples[-1]) in _ALPHA


def _samples_of_palette(palette: Palette, *, indices: bool, measured: bool) -> Samples:
    """Return how numbers of the colours of ``palette`` are read: as they are, or as colours."""
    photometric: Photometric = "minisblack"
    if not measured and palette.ramp == "falling":
        photometric = "miniswhite"
    elif not measured and not palette.ramp:
        if not indices:
            return Samples(photometric="rgb", alpha=None, colours=3, channels=1, applied=palette)
        photometric = "palette"
    kept = None if palette.is_grey else palette
    return Samples(photometric=photometric, alpha=None, colours=0, channels=1, palette=kept)


def _samples_of_inks(path: Path, page: tifffile.TiffPage, count: int) -> Samples:
    """Return how cyan, magenta, yellow and black are read: as RGB, with the opacity where there is one.

    Raises:
        InputError: other inks, or samples that are no unsigned integers of 8 or 16 bits.
    """
    tag = page.tags.get(_INK_SET)
    alpha = _alpha(page) if count == _INKS + 1 else None
    is_cmyk = (tag is None or tag.value == 1) and count == _INKS + (alpha is not None)
    if not is_cmyk or page.dtype not in (np.uint8, np.uint16):
        found, advice = f"{count} inks of {page.dtype}", "convert the file to grey or RGB"
        raise refusal(path, expected="cyan, magenta, yellow and black of 8 or 16 bits", found=found, advice=advice)
    return Samples(photometric="rgb", alpha=alpha, colours=3 + (alpha is not None), channels=1, inks=True)


def rgb_of_inks(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the RGB (H, W, 3) of CMYK (H, W, 4) without a profile, as Pillow does: each ink lets the rest through.

    An opacity after the inks stays the last sample.
    """
    full = np.iinfo(pixels.dtype).max
    light = (full - pixels[..., :_INKS]).astype(np.uint64)
    rgb = ((light[..., :3] * light[..., 3:] + full // 2) // full).astype(pixels.dtype)
    return np.concatenate([rgb, pixels[..., _INKS:]], axis=-1)


def _has_palette(page: tifffile.TiffPage) -> bool:
    """Tell whether a page has a list of colours."""
    tag = page.tags.get(_COLOR_MAP)
    return tag is not None and tag.dtype == _UINT16 and tag.count % 3 == 0 and 0 < tag.count <= 3 * _MAX_COLOURS


def _palette(page: tifffile.TiffPage) -> Palette:
    """Return the colours of a page that has some.

    Raises:
        ValueError: the tag is not one of three lists of 16-bit numbers.
    """
    tag = page.tags[_COLOR_MAP]
    if not _has_palette(page):
        raise ValueError(f"a ColorMap of {tag.count} numbers")
    return palette_of(np.asarray(tag.value, dtype=np.int64).reshape(3, -1).T)
