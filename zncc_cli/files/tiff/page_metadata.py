"""What the tags of a TIFF page say beside its pixels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tifffile

from zncc_cli.files.metadata import Flavor, Metadata, Photometric, PixelSize, Resolution
from zncc_cli.files.tiff.calibration import CENTIMETRE, length, spelled
from zncc_cli.files.tiff.copied_tags import further_tags, georeference_tags
from zncc_cli.files.tiff.ome_xml import OmeImage
from zncc_cli.files.tiff.orientation import transposes, turns

ORIENTATION, GDAL_NODATA = 274, 42113
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_ZEISS, _FEI = 34118, (34680, 34682)
_LONGEST_HEADER = 2**20
_STRUCTURE_OF_IMAGEJ = ("ImageJ", "SCIFIO", "images", "channels", "slices", "frames", "hyperstack", "order")


def value(page: tifffile.TiffPage, code: int) -> Any:
    """The value of a tag, or None."""
    tag = page.tags.get(code)
    return None if tag is None else tag.value


def metadata_of(
    path: Path,
    name: str,
    page: tifffile.TiffPage,
    *,
    photometric: Photometric,
    alpha: str | None,
    bands: bool,
    imagej: Mapping[str, Any] | None,
    ome: OmeImage | None,
) -> Metadata:
    """The metadata of the image that begins with ``page``; ``alpha`` is "straight", "premultiplied" or None;
    ``bands``: whether the channels are the samples of a page.

    ``imagej`` and ``ome`` are what the conventions say of it, None where the file does not follow them.
    """
    resolution = _resolution(page)
    flavor: Flavor = "ome" if ome else "imagej" if imagej is not None else "plain"
    properties: dict[str, Any] = {}
    if ome:
        properties, pixel_size = ome.properties, ome.pixel_size
    elif imagej is not None:
        pixel_size = _size_by_imagej(resolution, imagej)
        left_out = _STRUCTURE_OF_IMAGEJ if pixel_size is None else (*_STRUCTURE_OF_IMAGEJ, "unit", "yunit")
        properties = {key: content for key, content in imagej.items() if key not in left_out}
    else:
        pixel_size = _size_by_microscope(page)
    if transposes(value(page, ORIENTATION)):
        resolution, pixel_size = resolution and resolution.swapped(), pixel_size and pixel_size.swapped()
    description = str(page.description) if flavor == "plain" else ""
    tags, unkept = further_tags(page)
    return Metadata(
        path=path,
        format=name,
        photometric=photometric,
        alpha=alpha is not None,
        premultiplied=alpha == "premultiplied",
        nodata=_number(value(page, GDAL_NODATA)),
        pixel_size=pixel_size,
        resolution=resolution,
        # It is said of the pixels as they are stored.
        georeference=() if turns(value(page, ORIENTATION)) else georeference_tags(page),
        flavor=flavor,
        bands=bands,
        properties=properties,
        compression=int(page.compression),
        predictor=int(page.predictor),
        # tifffile's own note of the shape is no description.
        description="" if description and description == page.shaped_description else description,
        tags=tags,
        left_out=(*unkept, *(ome.left_out if ome else ())),
    )


def _size_by_imagej(resolution: Resolution | None, imagej: Mapping[str, Any]) -> PixelSize | None:
    unit, of_y = (str(imagej.get(key, "")) for key in ("unit", "yunit"))
    if resolution is None or not unit:
        return None
    x, y = resolution.x[1] / resolution.x[0], resolution.y[1] / resolution.y[0]
    if resolution.unit == CENTIMETRE and unit == "um":
        x, y = x * 1e4, y * 1e4  # so does ImageJ
    if of_y not in ("", unit):
        ours, theirs = length(spelled(unit)), length(spelled(of_y))
        if ours is None or theirs is None:
            return None
        y = y * theirs[1] / ours[1]
    return PixelSize(x=x, y=y, unit=unit)


def _size_by_microscope(page: tifffile.TiffPage) -> PixelSize | None:
    """What the header of an electron microscope says, beside which the resolution is that of a screen."""
    if zeiss := _header(page, _ZEISS):
        for key in ("ap_image_pixel_size", "ap_pixel_size"):
            _, size, unit = (*zeiss.get(key, ()), None, None, None)[:3]
            if _is_size(size) and isinstance(unit, str) and length(unit):
                return PixelSize(x=size, y=size, unit=unit)
    for header in (_header(page, code) for code in _FEI):
        for part in ("Scan", "EScan", "IScan"):
            scan = header.get(part, {})
            x, y = scan.get("PixelWidth"), scan.get("PixelHeight")
            if _is_size(x) and _is_size(y):
                return PixelSize(x=x * 1e9, y=y * 1e9, unit="nm")
    return None


def _header(page: tifffile.TiffPage, code: int) -> Mapping[str, Any]:
    tag = page.tags.get(code)
    found = tag.value if tag is not None and tag.dtype in (1, 2, 7) and tag.count <= _LONGEST_HEADER else None
    return found if isinstance(found, dict) else {}


def _is_size(size: Any) -> bool:
    return isinstance(size, int | float) and 0 < size < 1e6


def _resolution(page: tifffile.TiffPage) -> Resolution | None:
    x, y = value(page, _X_RESOLUTION), value(page, _Y_RESOLUTION)
    if not all(isinstance(one, tuple) and len(one) == 2 and min(one) > 0 for one in (x, y)):
        return None
    unit = value(page, _RESOLUTION_UNIT)
    return Resolution(x=x, y=y, unit=int(unit) if unit in (1, 2, 3) else 2)  # 2, inch: the standard's default


def _number(text: Any) -> float | None:
    try:
        return float(str(text).strip())
    except ValueError:
        return None
