"""The pixel grid of the fixed image in transform.json: with it, other images can be resampled on the grid later."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from zncc_cli.files.metadata import Metadata, PixelSize, Resolution, Tag
from zncc_cli.files.paths import MismatchError
from zncc_cli.files.tiff.georeference import CODES

_ORIGIN_KEYS = ("xorigin", "yorigin")  # ImageJ's origin of calibrated coordinates, in pixels
_MAX_TAG_VALUES = 2048  # of a tag, so that a grid of all tags is still a small file
_INTEGER_KINDS, _FLOAT_KINDS, _TEXT_KIND = (3, 4, 8, 9, 16), (11, 12), 2  # TIFF's data types


def grid_content(metadata: Metadata) -> dict[str, Any] | None:
    """Return the grid of an image as JSON values, or None where nothing is known of it.

    Values that `parse_grid` would refuse, such as a unit of a hundred letters, are left out.
    """
    size, resolution = metadata.pixel_size, metadata.resolution
    origin = [metadata.properties.get(key) for key in _ORIGIN_KEYS] if metadata.flavor == "imagej" else None
    georeference = [
        [code, kind, count, list(value) if isinstance(value, tuple) else value]
        for code, kind, count, value in metadata.georeference
    ]
    content = {
        "pixel_size": size and {"x": size.x, "y": size.y, "unit": size.unit},
        "resolution": resolution and {"x": list(resolution.x), "y": list(resolution.y), "unit": resolution.unit},
        "origin": origin,
        "georeference": georeference,
    }
    return {key: value for key, value in content.items() if value and _can_be_parsed({key: value})} or None


def _can_be_parsed(content: dict[str, Any]) -> bool:
    try:
        parse_grid(content)
    except MismatchError:
        return False
    return True


def parse_grid(content: Any) -> Metadata | None:
    """Return the grid as the metadata of an image on it, None for None; raise `MismatchError` for other content."""
    if content is None:
        return None
    if not isinstance(content, dict):
        raise MismatchError('"grid": a JSON object', type(content).__name__)
    origin = content.get("origin")
    if origin is not None and not _is_list(origin, 2, _is_number):
        raise MismatchError('"origin": [x, y] in pixels', repr(origin))
    return Metadata(
        path=Path("transform.json"),
        format="TIFF",
        flavor="plain" if origin is None else "imagej",
        properties={} if origin is None else dict(zip(_ORIGIN_KEYS, origin, strict=True)),
        pixel_size=_pixel_size(content.get("pixel_size")),
        resolution=_resolution(content.get("resolution")),
        georeference=_georeference(content.get("georeference", [])),
    )


def _pixel_size(value: Any) -> PixelSize | None:
    if value is None:
        return None
    if isinstance(value, dict) and all(_is_number(value.get(key)) and value[key] > 0 for key in "xy"):
        unit = value.get("unit")
        if isinstance(unit, str) and len(unit) < 64:
            return PixelSize(x=float(value["x"]), y=float(value["y"]), unit=unit)
    raise MismatchError('"pixel_size": x and y above 0, and a unit', repr(value))


def _resolution(value: Any) -> Resolution | None:
    if value is None:
        return None
    if isinstance(value, dict) and all(_is_list(value.get(key), 2, _is_length) for key in "xy"):
        unit = value.get("unit")
        if unit in (1, 2, 3) and not isinstance(unit, bool):
            return Resolution(x=tuple(map(int, value["x"])), y=tuple(map(int, value["y"])), unit=int(unit))  # type: ignore[arg-type]
    raise MismatchError('"resolution": x and y as [numerator, denominator], and unit 1, 2 or 3', repr(value))


def _georeference(tags: Any) -> tuple[Tag, ...]:
    expected = '"georeference": tags of GeoTIFF as [code, type, count, value]'
    if not isinstance(tags, list):
        raise MismatchError(expected, repr(tags))
    parsed: list[Tag] = []
    for tag in tags:
        if not isinstance(tag, list) or len(tag) != 4 or type(tag[0]) is not int or tag[0] not in CODES:
            raise MismatchError(expected, repr(tag))
        code, kind, count, value = tag
        value = tuple(value) if isinstance(value, list) else value
        if type(kind) is not int or type(count) is not int or not 0 <= count < 2**31 or not _is_tag_value(kind, value):
            raise MismatchError(expected, repr(tag))
        parsed.append((code, kind, count, value))
    return tuple(parsed)


def _is_tag_value(kind: int, value: Any) -> bool:
    """Tell whether ``value`` can be the value of a TIFF tag of the data type ``kind``."""
    if kind == _TEXT_KIND:
        return isinstance(value, str) and len(value) <= _MAX_TAG_VALUES
    values = value if isinstance(value, tuple) else (value,)
    if len(values) > _MAX_TAG_VALUES:
        return False
    if kind in _INTEGER_KINDS:
        return all(type(number) is int for number in values)
    return kind in _FLOAT_KINDS and all(map(_is_number, values))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value)


def _is_length(value: Any) -> bool:
    # JSON has one type of number: 4.0 is 4.
    return type(value) in (int, float) and 0 < value < 2**32 and value == int(value)


def _is_list(value: Any, length: int, is_item: Any) -> bool:
    return isinstance(value, list) and len(value) == length and all(map(is_item, value))
