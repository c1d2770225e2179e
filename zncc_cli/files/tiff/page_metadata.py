"""Metadata of a TIFF page, from its tags, ImageJ's or OME's description, or the header of an electron microscope."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from zncc_cli.files.fits_header import without_cards
from zncc_cli.files.metadata import Flavor, Metadata, PixelSize, Resolution
from zncc_cli.files.tag_values import ORIENTATION
from zncc_cli.files.tiff.calibration import CENTIMETRE, length_unit, unescaped
from zncc_cli.files.tiff.copied_tags import GATAN_SCALES, copied_tags, georeference_tags
from zncc_cli.files.tiff.ome_xml import OmeImage
from zncc_cli.files.tiff.orientation import transposes, turns
from zncc_cli.files.tiff.samples import Samples
from zncc_cli.files.tiff.scale_statements import described_pixel_size

GDAL_NODATA = 42113
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_ZEISS, _FEI, _MICRO_MANAGER = 34118, (34680, 34682), 51123
_GATAN_UNITS = (65003, 65004)
_TAGS_OF_INKS = (332, 333, 334, 336, 34675)  # their set, names, number and range, and their ICC profile
_MAX_HEADER_BYTES = 2**20
_PRINTED_DIGITS = 1e-6  # to which the limit of float32 or float64 is printed in text, relative
_IMAGEJ_AXES_KEYS = ("ImageJ", "SCIFIO", "images", "channels", "slices", "frames", "hyperstack", "order")


def tag_value(page: tifffile.TiffPage, code: int) -> Any:
    """Return the value of a tag, or None."""
    tag = page.tags.get(code)
    return None if tag is None else tag.value


def metadata_of(
    path: Path,
    name: str,
    page: tifffile.TiffPage,
    samples: Samples,
    *,
    imagej: Mapping[str, Any] | None,
    ome: OmeImage | None,
) -> Metadata:
    """Return the metadata of the image that begins with ``page``.

    Args:
        path: the file.
        name: the name of its format.
        page: the first page of the image.
        samples: how its samples are read.
        imagej: ImageJ's description, or None.
        ome: OME's description, or None.
    """
    resolution = _resolution(page)
    flavor: Flavor = "ome" if ome else "imagej" if imagej is not None else "plain"
    properties: dict[str, Any] = {}
    if ome:
        properties, pixel_size = ome.properties, ome.pixel_size
    elif imagej is not None:
        pixel_size = _imagej_pixel_size(resolution, imagej)
        said_elsewhere = _IMAGEJ_AXES_KEYS if pixel_size is None else (*_IMAGEJ_AXES_KEYS, "unit", "yunit")
        properties = {key: content for key, content in imagej.items() if key not in said_elsewhere}
    else:
        pixel_size = _microscope_pixel_size(page) or described_pixel_size(str(page.description))
    if transposes(tag_value(page, ORIENTATION)):
        resolution, pixel_size = resolution and resolution.swapped(), pixel_size and pixel_size.swapped()
    # tifffile's own note of the shape does not describe the image.
    is_described = flavor == "plain" and page.description != page.shaped_description
    description, sky = without_cards(str(page.description) if is_described else "")
    tags, left_out_tags = copied_tags(page)
    is_turned = turns(tag_value(page, ORIENTATION))
    if samples.inks:
        tags = tuple(tag for tag in tags if tag[0] not in _TAGS_OF_INKS)
    return Metadata(
        path=path,
        format=name,
        photometric=samples.photometric,
        palette=samples.palette,
        alpha=samples.alpha is not None,
        premultiplied=samples.alpha == "premultiplied",
        nodata=nodata_of(page),
        pixel_size=pixel_size,
        resolution=resolution,
        # Georeference and coordinate system are those of the stored pixels, not of turned ones.
        georeference=() if is_turned else georeference_tags(page),
        sky=() if is_turned else sky,
        flavor=flavor,
        bands=samples.channels > 1,
        properties=properties,
        compression=int(page.compression),
        predictor=int(page.predictor),
        description=description,
        tags=tags,
        left_out=(*left_out_tags, *(ome.left_out if ome else ())),
    )


def _imagej_pixel_size(resolution: Resolution | None, imagej: Mapping[str, Any]) -> PixelSize | None:
    """Return the pixel size by ImageJ's unit and the resolution tags, pixels per unit; None without a unit."""
    unit, y_unit = (str(imagej.get(key, "")) for key in ("unit", "yunit"))
    if resolution is None or not unit:
        return None
    x, y = resolution.x[1] / resolution.x[0], resolution.y[1] / resolution.y[0]
    if resolution.unit == CENTIMETRE and unit == "um":
        x, y = x * 1e4, y * 1e4  # as ImageJ does
    if y_unit not in ("", unit):
        length, y_length = length_unit(unescaped(unit)), length_unit(unescaped(y_unit))
        if length is None or y_length is None:
            return None
        y = y * y_length.metres / length.metres
    return PixelSize(x=x, y=y, unit=unit)


def _microscope_pixel_size(page: tifffile.TiffPage) -> PixelSize | None:
    """Return the pixel size in the header of a microscope, whose resolution tags are those of a screen."""
    if zeiss := _microscope_header(page, _ZEISS):
        for key in ("ap_image_pixel_size", "ap_pixel_size"):
            _, size, unit = (*zeiss.get(key, ()), None, None, None)[:3]
            if _is_pixel_size(size) and isinstance(unit, str) and length_unit(unit):
                return PixelSize(x=size, y=size, unit=unit)
    for header in (_microscope_header(page, code) for code in _FEI):
        for part in ("Scan", "EScan", "IScan"):
            scan = header.get(part, {})
            x, y = scan.get("PixelWidth"), scan.get("PixelHeight")
            if _is_pixel_size(x) and _is_pixel_size(y):
                return PixelSize(x=x * 1e9, y=y * 1e9, unit="nm")
    said = _microscope_header(page, _MICRO_MANAGER)
    size = said.get("PixelSizeUm", said.get("PixelSize_um"))
    return PixelSize(x=size, y=size, unit="µm") if _is_pixel_size(size) else _gatan_pixel_size(page)


def _gatan_pixel_size(page: tifffile.TiffPage) -> PixelSize | None:
    """Return the pixel size in a TIFF of Gatan's DigitalMicrograph."""
    unit, y_unit = (tag_value(page, code) for code in _GATAN_UNITS)
    x, y = (tag_value(page, code) for code in GATAN_SCALES)
    known = length_unit(unit) if isinstance(unit, str) and unit == y_unit else None
    if known is None or not _is_pixel_size(x) or not _is_pixel_size(y):
        return None
    return PixelSize(x=x, y=y, unit=known.name)


def _microscope_header(page: tifffile.TiffPage, code: int) -> Mapping[str, Any]:
    """Return the fields of a microscope's header that tifffile parses, empty where there is none."""
    tag = page.tags.get(code)
    header = tag.value if tag is not None and tag.dtype in (1, 2, 7) and tag.count <= _MAX_HEADER_BYTES else None
    return header if isinstance(header, dict) else {}


def _is_pixel_size(size: Any) -> bool:
    return isinstance(size, int | float) and 0 < size < 1e6


def _resolution(page: tifffile.TiffPage) -> Resolution | None:
    """Return the resolution tags, or None where they are missing or not positive."""
    x, y = tag_value(page, _X_RESOLUTION), tag_value(page, _Y_RESOLUTION)
    if not all(isinstance(ratio, tuple) and len(ratio) == 2 and min(ratio) > 0 for ratio in (x, y)):
        return None
    unit = tag_value(page, _RESOLUTION_UNIT)
    return Resolution(x=x, y=y, unit=int(unit) if unit in (1, 2, 3) else 2)  # 2, inch: the standard's default


def nodata_of(page: tifffile.TiffPage) -> float | None:
    """Return GDAL's value of missing pixels, which is stored as text; None where it is no number.

    It is one that the pixels can hold: programs print the lowest float32 with eight digits, -3.4028235E38, which is
    beyond it.
    """
    try:
        value = float(str(tag_value(page, GDAL_NODATA)).strip().replace(",", "."))
    except ValueError:
        return None
    if page.dtype is None or page.dtype.kind != "f" or not math.isfinite(value):
        return value
    limit = float(np.finfo(page.dtype).max)
    if abs(value) > limit:
        return math.copysign(limit, value) if abs(value) <= limit * (1 + _PRINTED_DIGITS) else value
    return float(page.dtype.type(value))
