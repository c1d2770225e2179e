"""The descriptions that ImageJ and OME-TIFF files carry: axes, pixel size, time, channels, labels.

Metadata of the grid (pixel size, origin) are those of the frame. Metadata of the pixels (channels, slices, time,
labels, display) are those of the image that was resampled.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile

from zncc_cli.files.metadata import Metadata, Resolution
from zncc_cli.files.tiff import ome_xml
from zncc_cli.files.tiff.calibration import length_unit, pixel_size, pixels_per_unit, unescaped

# ImageJ addresses a plane by a Java int, and a file by 32 bits; a longer file has one page, and the planes follow it.
_MAX_IMAGEJ_PLANE = 2**31 - 1
_IMAGEJ_DTYPES = ("u1", "u2", "i2", "f4")
_IMAGEJ_VERSION = "1.54f"

# Keys of ImageJ that are not copied: the frame determines those of the grid, the axes those of the axes.
_IMAGEJ_GRID_KEYS = {"unit", "yunit", "zunit", "spacing", "xorigin", "yorigin"}
_IMAGEJ_AXES_KEYS = {"imagej", "scifio", "images", "channels", "slices", "frames", "hyperstack", "axes", "shape"}
# ImageJ would open another file by the key "name".
_IMAGEJ_DERIVED_KEYS = _IMAGEJ_GRID_KEYS | _IMAGEJ_AXES_KEYS | {"name"}
_IMAGEJ_OLD_GRID_KEYS = {"ROI", "Overlays", "Plot"}
_IMAGEJ_BINARY_KEYS = {"Info", "Labels", "Ranges", "LUTs", "Properties"}

_OME_IMAGE_KEYS = {
    *("Name", "Description", "AcquisitionDate", "PhysicalSizeZ", "PhysicalSizeZUnit", "TimeIncrement"),
    "TimeIncrementUnit",
}
# The stage's x and y are of the old grid.
_OME_PLANE_ATTRIBUTES = frozenset(ome_xml.PLANE_ATTRIBUTES) - {
    "PositionX",
    "PositionXUnit",
    "PositionY",
    "PositionYUnit",
}
# Keys of OME that are determined by the axes, the dtype and the frame.
_OME_DERIVED_KEYS = {
    *("axes", "DimensionOrder", "Type", "SizeX", "SizeY", "SizeZ", "SizeC", "SizeT", "PhysicalSizeX", "PhysicalSizeY"),
    *("PhysicalSizeXUnit", "PhysicalSizeYUnit", "BigEndian", "Interleaved", "ID", "UUID", "Creator"),
}


@dataclass(frozen=True)
class Description:
    """The description of a file, beside its pixels.

    metadata: the ``metadata`` of `tifffile.TiffWriter.write`. resolution: the tags; None: 1 pixel
    per unit, without a unit.
    notes: what could not be kept.
    """

    metadata: dict[str, Any]
    resolution: Resolution | None
    notes: tuple[str, ...] = ()


def imagej_obstacle(dtype: np.dtype[Any], shape: Sequence[int], axes: str) -> str:
    """Return the reason why ImageJ's format cannot hold such pixels, as the end of a sentence; "" where it can."""
    samples = shape[-1] if axes.endswith("S") else 1
    width = shape[axes.index("X")]
    if dtype.str[1:] not in _IMAGEJ_DTYPES or (samples > 1 and dtype != np.uint8):
        return f"no pixels of {dtype.name}" + (f" with {samples} samples" if samples > 1 else "")
    if samples not in (1, 3, 4):
        return f"no {samples} samples"
    if not _in_order(axes, "TZCYXS"):
        return f"no axes {axes}"
    if width == 1 or width * shape[axes.index("Y")] * samples > _MAX_IMAGEJ_PLANE:
        return f"no planes of {width} x {shape[axes.index('Y')]}"
    return ""


def imagej_description(
    like: Metadata, frame: Metadata | None, offset: tuple[float, float], shape: Sequence[int], axes: str
) -> Description:
    """Return ImageJ's description of a hyperstack of ``shape`` and ``axes``."""
    properties, notes = like.properties, []
    metadata: dict[str, Any] = {"axes": axes, "ImageJ": _IMAGEJ_VERSION}
    sizes = dict(zip(axes, shape, strict=True))
    planes, channels = math.prod(sizes.get(axis, 1) for axis in "TZC"), sizes.get("C", 1)
    for key, value in properties.items():
        if key in _IMAGEJ_BINARY_KEYS:
            encoded = _imagej_binary(key, value, planes, channels)
            if encoded is None:
                notes.append(f"ImageJ's {key} are not of {planes} planes and {channels} channels: left out")
            else:
                metadata[key] = encoded
        elif key in _IMAGEJ_OLD_GRID_KEYS:
            notes.append(f"ImageJ's {key} lie on the grid of the moving image: left out")
        elif key.lower() not in _IMAGEJ_DERIVED_KEYS and re.fullmatch(r"\w+", key, re.ASCII):
            metadata[key] = _imagej_value(value)
    if frame is not None and frame.flavor == "imagej":
        for key, shift in zip(("xorigin", "yorigin"), offset, strict=True):
            if isinstance(frame.properties.get(key), int | float):
                metadata[key] = frame.properties[key] - shift
    size = pixel_size(frame) if frame else None
    resolution = frame.resolution if frame else None
    if size is not None:
        resolution = pixels_per_unit(size, resolution)
        metadata["unit"] = _imagej_value(size.unit)
    metadata |= _imagej_spacing(properties, unescaped(_unit(like)), size.unit if size else "")
    return Description(metadata, resolution, tuple(notes))


def _imagej_spacing(properties: Mapping[str, Any], spacing_unit: str, unit: str) -> dict[str, Any]:
    """Return the distance of slices in ``unit``, that of the pixel size; in its own where it cannot be converted."""
    spacing = properties.get("spacing")
    if not isinstance(spacing, int | float):
        return {}
    source, target = length_unit(spacing_unit), length_unit(unit)
    if spacing_unit == unit or not spacing_unit:
        return {"spacing": spacing}
    if source and target:
        return {"spacing": spacing if source == target else spacing * source.metres / target.metres}
    return {"spacing": spacing, "zunit": _imagej_value(spacing_unit)}


def _imagej_binary(key: str, value: Any, planes: int, channels: int) -> Any:
    """Return ``value`` as tifffile takes it, or None where it is not for so many planes and channels."""
    if key == "Properties":
        return {_encodable(k): _encodable(v) for k, v in value.items()} if isinstance(value, Mapping) else None
    if key == "Info":
        return _encodable(value) if isinstance(value, str) else None
    values = list(value) if isinstance(value, list | tuple) else [value]
    if key == "Labels":
        return [_encodable(label) for label in values] if len(values) == planes else None
    if key == "Ranges":
        are_numbers = all(isinstance(number, int | float) for number in values)
        return tuple(values) if len(values) == 2 * channels and are_numbers else None
    are_luts = all(isinstance(lut, np.ndarray) and lut.dtype == np.uint8 and lut.size == 768 for lut in values)
    return values if len(values) == channels and are_luts else None


def _encodable(text: object) -> str:
    """Return ``text`` with "?" in place of lone surrogates, which UTF-8 cannot encode."""
    return str(text).encode("utf-8", "replace").decode()


def _imagej_value(value: Any) -> Any:
    """Return ``value`` on one line of ASCII, other letters escaped as ImageJ does: ``\\u00B5m`` for a micron."""
    if not isinstance(value, str):
        return value if isinstance(value, bool | int | float) else _imagej_value(str(value))
    units = memoryview(value.encode("utf-16-le", "surrogatepass")).cast("H")
    return "".join(chr(unit) if 32 <= unit < 127 else f"\\u{unit:04X}" for unit in units)


def _unit(metadata: Metadata) -> str:
    return metadata.pixel_size.unit if metadata.pixel_size else str(metadata.properties.get("unit", ""))


def ome_description(
    like: Metadata,
    frame: Metadata | None,
    dtype: np.dtype[Any],
    shape: Sequence[int],
    axes: str,
    stored: tuple[int, int, int, int, int, int],
    resolution: Resolution | None,
) -> Description | None:
    """Return OME's description of an image of ``shape`` and ``axes``, or None where OME-TIFF cannot hold it.

    ``stored``: the shape in the file: pages, separate samples, 1, height, width, samples.
    """
    bare: dict[str, Any] = {"axes": axes, "Creator": "zncc-cli"}
    notes: list[str] = []
    size = pixel_size(frame) if frame else None
    unit = length_unit(size.unit) if size else None
    if size and unit:
        bare |= {"PhysicalSizeX": size.x, "PhysicalSizeXUnit": unit.name}
        bare |= {"PhysicalSizeY": size.y, "PhysicalSizeYUnit": unit.name}
    elif size:
        notes.append(f"OME knows no unit {size.unit}: the pixel size was left out")
    # The UUID depends on the content alone, so that writing an image twice gives equal files.
    bare["UUID"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{like.path.name} {shape} {bare} {dict(like.properties)}"))
    channels = shape[axes.index("C")] if "C" in axes else 1
    metadata, left_out = _ome_properties(like.properties, stored[0], channels)
    if _can_write_ome({**bare, **metadata}, dtype, shape, stored):
        metadata = {**bare, **metadata}
    elif _can_write_ome(bare, dtype, shape, stored):
        metadata, left_out = bare, sorted({*left_out, *metadata})
    else:
        return None
    if left_out:
        notes.append(f"of OME's description was left out: {', '.join(left_out)}")
    return Description(metadata, resolution, tuple(notes))


def _ome_properties(properties: Mapping[str, Any], planes: int, channels: int) -> tuple[dict[str, Any], list[str]]:
    """Return the properties that can be written, and the names of those that cannot."""
    metadata: dict[str, Any] = {}
    left_out = []
    allowed = {"Channel": (channels, frozenset(ome_xml.CHANNEL_ATTRIBUTES)), "Plane": (planes, _OME_PLANE_ATTRIBUTES)}
    for key, value in properties.items():
        if key in allowed:
            columns, dropped = _ome_columns(value, *allowed[key])
            left_out += [f"{key} {name}" for name in dropped]
            if columns:
                metadata[key] = columns
        elif key in _OME_IMAGE_KEYS:
            metadata[key] = value
        elif key not in _OME_DERIVED_KEYS:
            left_out.append(key)
    return metadata, left_out


def _ome_columns(value: Any, count: int, allowed: frozenset[str]) -> tuple[Any, list[str]]:
    """Return the allowed attributes of ``count`` channels or planes, and the names of the others.

    Attributes are a dict of lists, or a list of dicts.
    """
    if isinstance(value, list | tuple):
        if len(value) != count or not all(isinstance(attributes, Mapping) for attributes in value):
            return None, ["attributes"]
        others = {key for attributes in value for key in attributes} - allowed - {"ID"}
        return [{k: v for k, v in attributes.items() if k in allowed} for attributes in value], sorted(others)
    if not isinstance(value, Mapping):
        return None, ["attributes"]
    columns: dict[str, Any] = {}
    dropped = []
    for key, column in value.items():
        values = list(column) if isinstance(column, list | tuple) else [column]
        if key in allowed and len(values) == count:
            columns[key] = values
        elif key != "ID":
            dropped.append(key)
    return columns, dropped


def _can_write_ome(
    metadata: dict[str, Any], dtype: np.dtype[Any], shape: Sequence[int], stored: tuple[int, ...]
) -> bool:
    """Tell whether tifffile can make the OME-XML: tried before a pixel is written, because it is written last."""
    from xml.etree import ElementTree  # only OME needs it

    try:
        xml = tifffile.OmeXml(**metadata)
        xml.addimage(dtype, shape, stored, **metadata)  # type: ignore[arg-type]
        ElementTree.fromstring(xml.tostring(declaration=True).encode())  # our own words, escaped: no entities
    except (tifffile.OmeXmlError, ElementTree.ParseError, ValueError, TypeError, LookupError, AttributeError):
        return False
    return True


def _in_order(axes: str, order: str) -> bool:
    """Tell whether the letters of ``axes`` are in ``order``, each at most once."""
    positions = [order.find(axis) for axis in axes]
    return -1 not in positions and positions == sorted(set(positions))
