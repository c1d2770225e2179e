"""FITS: images of telescopes, read through astropy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from zncc_cli.files.array_image import array_image, check_bytes, library_errors, select_series
from zncc_cli.files.fits_header import split_cards
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions

_AXES = "XYZTCQR"
_MAX_HEADER_LINES = 2000


def read_fits(path: Path, options: ReadOptions) -> Image:
    """Read an image of ``path``, with its header as the description, and the cards of its coordinate system.

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
        lines = header.tostring(sep="\n", endcard=False, padding=False).splitlines()[:_MAX_HEADER_LINES]
        # astropy makes floats of others, but not of integers without a sign, which are stored with an offset.
        has_value = has_blanks and data.dtype.kind in "ui"
        nodata = float(int(header["BLANK"]) + int(header.get("BZERO", 0))) if has_value else None
    sky, other, has_tables = split_cards(line.rstrip() for line in lines)
    left_out = ("the tables of distortions of the coordinate system (WCS)",) if has_tables else ()
    # The spaces before a card without a keyword are part of it.
    description = "\n".join(other).strip("\n")
    fields: dict[str, Any] = {"description": description, "sky": sky, "left_out": left_out, "nodata": nodata}
    return array_image(path, options, data, axes, fields, notes)
