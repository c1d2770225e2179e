"""FITS: images of telescopes, read through astropy."""

from __future__ import annotations

import math
import re
from pathlib import Path

from zncc_cli.files.array_image import array_image, check_bytes, library_errors, select_series
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions

_AXES = "XYZTCQR"
# Keywords of the coordinate system (Greisen and Calabretta 2002, doi:10.1051/0004-6361:20021326), which holds for the
# grid of this image alone.
_OF_GRID = re.compile(
    r"(CRPIX|CRVAL|CDELT|CTYPE|CUNIT|CROTA|CD|PC|PV|PS|LONPOLE|LATPOLE|WCSAXES|RADESYS|EQUINOX)[0-9_]*"
)
_OF_STORAGE = ("SIMPLE", "BITPIX", "NAXIS", "EXTEND", "BZERO", "BSCALE", "BLANK", "XTENSION", "PCOUNT", "GCOUNT", "END")
_MAX_HEADER_LINES = 2000


def read_fits(path: Path, options: ReadOptions) -> Image:
    """Read an image of ``path``, with its header as the description; the coordinate system is named as left out.

    Rows are kept as they are stored, which is from the bottom to the top of the sky. Integers of which some are BLANK
    become floats, in which these are NaN.

    Raises:
        InputError: there is no image, the file is damaged, or its pixels are scaled, BLANK or compressed, and
            too large.
        OptionError: there is no such series.
    """
    from astropy.io import fits

    with library_errors(path, options.name), fits.open(path, mode="readonly", memmap=True) as units:
        images = [unit for unit in units if unit.is_image and len(unit.shape) >= 2 and min(unit.shape) > 0]
        number, notes = select_series(path, options, [str(unit.name or "unnamed") for unit in images])
        unit = images[number]
        header = unit.header
        has_blanks = "BLANK" in header and int(header["BITPIX"]) > 0
        is_scaled = "BZERO" in header or "BSCALE" in header or isinstance(unit, fits.CompImageHDU)
        if is_scaled or has_blanks or path.name.lower().endswith(".gz"):
            check_bytes(path, math.prod(unit.shape) * 8, options)
            with fits.open(path, mode="readonly", memmap=False) as loaded:
                data = loaded[units.index(unit)].data
        else:
            data = unit.data
        axes = _AXES[: data.ndim][::-1]
        lines = [str(card).rstrip() for card in header.cards][:_MAX_HEADER_LINES]
    kept = [line for line in lines if not _is_of(line, _OF_GRID)]
    left_out = ("the coordinate system (WCS)",) if len(kept) < len(lines) else ()
    text = "\n".join(line for line in kept if line.split("=")[0].strip().rstrip("0123456789") not in _OF_STORAGE)
    return array_image(path, options, data, axes, {"description": text, "left_out": left_out}, notes)


def _is_of(line: str, keywords: re.Pattern[str]) -> bool:
    return keywords.fullmatch(line.split("=")[0].strip()) is not None
