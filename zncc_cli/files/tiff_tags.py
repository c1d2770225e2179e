"""What the tags of a TIFF page say beside its pixels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tifffile

from zncc_cli.files.metadata import Flavor, Metadata, Photometric, PixelSize, Resolution, Tag
from zncc_cli.files.ome import OmeImage
from zncc_cli.files.orientation import transposes

ORIENTATION, GDAL_NODATA = 274, 42113
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 282, 283, 296
_GEOTIFF = (33550, 33922, 34264, 34735, 34736, 34737)
# Document name, make, model, date, artist, host, XMP, copyright, IPTC, ICC profile, GDAL's metadata.
_HANDED_ON = (269, 271, 272, 306, 315, 316, 700, 33432, 33723, 34675, 42112)
_LARGEST_TAG = 2**24
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
    if resolution and transposes(value(page, ORIENTATION)):
        resolution = resolution.swapped()
    flavor: Flavor = "ome" if ome else "imagej" if imagej is not None else "plain"
    properties: dict[str, Any] = {}
    pixel_size = None
    if ome:
        properties, pixel_size = ome.properties, ome.pixel_size
        if pixel_size and transposes(value(page, ORIENTATION)):
            pixel_size = PixelSize(x=pixel_size.y, y=pixel_size.x, unit=pixel_size.unit)
    elif imagej is not None:
        pixel_size = _pixel_size(resolution, str(imagej.get("unit", "")))
        left_out = _STRUCTURE_OF_IMAGEJ if pixel_size is None else (*_STRUCTURE_OF_IMAGEJ, "unit")
        properties = {key: content for key, content in imagej.items() if key not in left_out}
    description = str(page.description) if flavor == "plain" else ""
    return Metadata(
        path=path,
        format=name,
        photometric=photometric,
        alpha=alpha is not None,
        premultiplied=alpha == "premultiplied",
        nodata=_number(value(page, GDAL_NODATA)),
        pixel_size=pixel_size,
        resolution=resolution,
        georeference=_tags(page, _GEOTIFF),
        flavor=flavor,
        bands=bands,
        properties=properties,
        compression=int(page.compression),
        predictor=int(page.predictor),
        # tifffile's own note of the shape is no description.
        description="" if description and description == page.shaped_description else description,
        tags=_tags(page, _HANDED_ON),
    )


def _tags(page: tifffile.TiffPage, codes: tuple[int, ...]) -> tuple[Tag, ...]:
    found = [page.tags[code] for code in codes if code in page.tags]
    return tuple(
        (tag.code, int(tag.dtype), tag.count, tag.value) for tag in found if tag.valuebytecount <= _LARGEST_TAG
    )


def _pixel_size(resolution: Resolution | None, unit: str) -> PixelSize | None:
    if resolution is None or not unit:
        return None
    (x, per_x), (y, per_y) = resolution.x, resolution.y
    return PixelSize(x=per_x / x, y=per_y / y, unit=unit)


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
