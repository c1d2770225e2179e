"""The words in which ImageJ and OME describe a TIFF: axes, pixel size, time, channels, labels.

What belongs to the grid (pixel size, origin) is the frame's; what belongs to the pixels (channels, slices, time,
labels, display) is that of the image they were moved from.
"""

from __future__ import annotations

import math
import re
import uuid
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile

from zncc_cli.files.metadata import Metadata, Resolution
from zncc_cli.files.tiff import ome_xml
from zncc_cli.files.tiff.calibration import length, pixel_size, pixels_per_unit, spelled

# ImageJ addresses a plane by a Java int, and its file by 32 bits; a longer file has one page, the planes follow it.
_IMAGEJ_PLANE = 2**31 - 1
_IMAGEJ_DTYPES = ("u1", "u2", "i2", "f4")
_IMAGEJ_VERSION = "1.54f"

# What ImageJ says of an image that is no longer so when it was moved, or that the axes and the frame say.
_IMAGEJ_OF_THE_GRID = {"unit", "yunit", "zunit", "spacing", "xorigin", "yorigin"}
_IMAGEJ_OF_THE_AXES = {"imagej", "scifio", "images", "channels", "slices", "frames", "hyperstack", "axes", "shape"}
# By the key "name" ImageJ would open another file.
_IMAGEJ_DERIVED = _IMAGEJ_OF_THE_GRID | _IMAGEJ_OF_THE_AXES | {"name"}
_IMAGEJ_ON_THE_OLD_GRID = {"ROI", "Overlays", "Plot"}
_IMAGEJ_BINARY = {"Info", "Labels", "Ranges", "LUTs", "Properties"}

_OME_IMAGE = {
    *("Name", "Description", "AcquisitionDate", "PhysicalSizeZ", "PhysicalSizeZUnit", "TimeIncrement"),
    "TimeIncrementUnit",
}
# Not the stage's x and y: they are of the old grid.
_OME_PLANE = frozenset(ome_xml.PLANE) - {"PositionX", "PositionXUnit", "PositionY", "PositionYUnit"}
# The axes, the dtype and the frame say these.
_OME_DERIVED = {
    *("axes", "DimensionOrder", "Type", "SizeX", "SizeY", "SizeZ", "SizeC", "SizeT", "PhysicalSizeX", "PhysicalSizeY"),
    *("PhysicalSizeXUnit", "PhysicalSizeYUnit", "BigEndian", "Interleaved", "ID", "UUID", "Creator"),
}


@dataclass(frozen=True)
class Words:
    """What is written beside the pixels.

    metadata: the ``metadata`` of `tifffile.TiffWriter.write`. resolution: the tags; None: 1 without a unit.
    notes: what could not be kept.
    """

    metadata: dict[str, Any]
    resolution: Resolution | None
    notes: tuple[str, ...] = ()


def imagej_refusal(dtype: np.dtype[Any], shape: Sequence[int], axes: str) -> str:
    """Why ImageJ cannot hold such pixels, as the end of a sentence; "" where it can."""
    samples = shape[-1] if axes.endswith("S") else 1
    width = shape[axes.index("X")]
    if dtype.str[1:] not in _IMAGEJ_DTYPES or (samples > 1 and dtype != np.uint8):
        return f"no pixels of {dtype.name}" + (f" with {samples} samples" if samples > 1 else "")
    if samples not in (1, 3, 4):
        return f"no {samples} samples"
    if not _in_order(axes, "TZCYXS"):
        return f"no axes {axes}"
    if width == 1 or width * shape[axes.index("Y")] * samples > _IMAGEJ_PLANE:
        return f"no planes of {width} x {shape[axes.index('Y')]}"
    return ""


def imagej_words(
    like: Metadata, frame: Metadata | None, offset: tuple[float, float], shape: Sequence[int], axes: str
) -> Words:
    """ImageJ's description and metadata of a hyperstack of ``shape`` and ``axes``."""
    given, notes = like.properties, []
    words: dict[str, Any] = {"axes": axes, "ImageJ": _IMAGEJ_VERSION}
    sizes = dict(zip(axes, shape, strict=True))
    planes, channels = math.prod(sizes.get(axis, 1) for axis in "TZC"), sizes.get("C", 1)
    for key, value in given.items():
        if key in _IMAGEJ_BINARY:
            fitting = _imagej_binary(key, value, planes, channels)
            if fitting is None:
                notes.append(f"ImageJ's {key} are not of {planes} planes and {channels} channels: left out")
            else:
                words[key] = fitting
        elif key in _IMAGEJ_ON_THE_OLD_GRID:
            notes.append(f"ImageJ's {key} lie on the grid of the moving image: left out")
        elif key.lower() not in _IMAGEJ_DERIVED and re.fullmatch(r"\w+", key, re.ASCII):
            words[key] = _imagej_value(value)
    if frame is not None and frame.flavor == "imagej":
        for key, shift in zip(("xorigin", "yorigin"), offset, strict=True):
            if isinstance(frame.properties.get(key), int | float):
                words[key] = frame.properties[key] - shift
    size = pixel_size(frame) if frame else None
    resolution = frame.resolution if frame else None
    if size is not None:
        resolution = pixels_per_unit(size, resolution)
        words["unit"] = _imagej_value(size.unit)
    words |= _imagej_spacing(given, spelled(_unit(like)), size.unit if size else "")
    return Words(words, resolution, tuple(notes))


def _imagej_spacing(given: Mapping[str, Any], said_in: str, unit: str) -> dict[str, Any]:
    """The distance of slices in ``unit``, the one of the pixel size; in its own, where it cannot be converted."""
    spacing = given.get("spacing")
    if not isinstance(spacing, int | float):
        return {}
    own, wanted = length(said_in), length(unit)
    if said_in == unit or not said_in:
        return {"spacing": spacing}
    if own and wanted:
        return {"spacing": spacing if own == wanted else spacing * own[1] / wanted[1]}
    return {"spacing": spacing, "zunit": _imagej_value(said_in)}


def _imagej_binary(key: str, value: Any, planes: int, channels: int) -> Any:
    """``value`` as tifffile takes it, or None where it is not for so many planes and channels."""
    if key == "Properties":
        return {_sound(k): _sound(v) for k, v in value.items()} if isinstance(value, Mapping) else None
    if key == "Info":
        return _sound(value) if isinstance(value, str) else None
    listed = list(value) if isinstance(value, list | tuple) else [value]
    if key == "Labels":
        return [_sound(label) for label in listed] if len(listed) == planes else None
    if key == "Ranges":
        numbers = all(isinstance(number, int | float) for number in listed)
        return tuple(listed) if len(listed) == 2 * channels and numbers else None
    tables = all(isinstance(table, np.ndarray) and table.dtype == np.uint8 and table.size == 768 for table in listed)
    return listed if len(listed) == channels and tables else None


def _sound(text: object) -> str:
    """``text`` without the halves of letters that no encoding takes."""
    return str(text).encode("utf-8", "replace").decode()


def _imagej_value(value: Any) -> Any:
    """``value`` on one line of ASCII, other letters spelt as ImageJ spells them: a micron is ``\\u00B5m``."""
    if not isinstance(value, str):
        return value if isinstance(value, bool | int | float) else _imagej_value(str(value))
    units = memoryview(value.encode("utf-16-le", "surrogatepass")).cast("H")
    return "".join(chr(unit) if 32 <= unit < 127 else f"\\u{unit:04X}" for unit in units)


def _unit(metadata: Metadata) -> str:
    return metadata.pixel_size.unit if metadata.pixel_size else str(metadata.properties.get("unit", ""))


def ome_words(
    like: Metadata,
    frame: Metadata | None,
    dtype: np.dtype[Any],
    shape: Sequence[int],
    axes: str,
    stored: tuple[int, int, int, int, int, int],
    resolution: Resolution | None,
) -> Words | None:
    """OME's description of an image of ``shape`` and ``axes``, or None where OME cannot hold it.

    ``stored``: how it lies in the file: pages, separate samples, 1, height, width, samples.
    """
    bare: dict[str, Any] = {"axes": axes, "Creator": "zncc-cli"}
    notes: list[str] = []
    size = pixel_size(frame) if frame else None
    known = length(size.unit) if size else None
    if size and known:
        bare |= {"PhysicalSizeX": size.x, "PhysicalSizeXUnit": known[0]}
        bare |= {"PhysicalSizeY": size.y, "PhysicalSizeYUnit": known[0]}
    elif size:
        notes.append(f"OME knows no unit {size.unit}: the pixel size was left out")
    # The same for the same file, so that nothing in the file tells when it was written.
    bare["UUID"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{like.path.name} {shape} {bare} {dict(like.properties)}"))
    channels = shape[axes.index("C")] if "C" in axes else 1
    words, lost = _ome_properties(like.properties, stored[0], channels)
    if _ome_takes({**bare, **words}, dtype, shape, stored):
        metadata = {**bare, **words}
    elif _ome_takes(bare, dtype, shape, stored):
        metadata, lost = bare, sorted({*lost, *words})
    else:
        return None
    if lost:
        notes.append(f"of OME's description was left out: {', '.join(lost)}")
    return Words(metadata, resolution, tuple(notes))


def _ome_properties(given: Mapping[str, Any], planes: int, channels: int) -> tuple[dict[str, Any], list[str]]:
    """What of ``given`` can be handed on, and the names of what cannot."""
    words: dict[str, Any] = {}
    lost = []
    for key, value in given.items():
        if key in ("Channel", "Plane"):
            count, allowed = (channels, frozenset(ome_xml.CHANNEL)) if key == "Channel" else (planes, _OME_PLANE)
            columns, dropped = _ome_columns(value, count, allowed)
            lost += [f"{key} {name}" for name in dropped]
            if columns:
                words[key] = columns
        elif key in _OME_IMAGE:
            words[key] = value
        elif key not in _OME_DERIVED:
            lost.append(key)
    return words, lost


def _ome_columns(value: Any, count: int, allowed: frozenset[str]) -> tuple[Any, list[str]]:
    """Attributes of ``count`` channels or planes: lists in a dict, or dicts in a list."""
    if isinstance(value, list | tuple):
        if len(value) != count or not all(isinstance(one, Mapping) for one in value):
            return None, ["attributes"]
        others = {key for one in value for key in one} - allowed - {"ID"}
        return [{k: v for k, v in one.items() if k in allowed} for one in value], sorted(others)
    if not isinstance(value, Mapping):
        return None, ["attributes"]
    columns: dict[str, Any] = {}
    dropped = []
    for key, column in value.items():
        listed = list(column) if isinstance(column, list | tuple) else [column]
        if key in allowed and len(listed) == count:
            columns[key] = listed
        elif key != "ID":
            dropped.append(key)
    return columns, dropped


def _ome_takes(words: dict[str, Any], dtype: np.dtype[Any], shape: Sequence[int], stored: tuple[int, ...]) -> bool:
    """Found by trying, before a pixel is written: tifffile writes the description last."""
    try:
        xml = tifffile.OmeXml(**words)
        xml.addimage(dtype, shape, stored, **words)  # type: ignore[arg-type]
        ElementTree.fromstring(xml.tostring(declaration=True).encode())  # our own words, escaped: no entities
    except (tifffile.OmeXmlError, ElementTree.ParseError, ValueError, TypeError, LookupError, AttributeError):
        return False
    return True


def _in_order(axes: str, order: str) -> bool:
    places = [order.find(axis) for axis in axes]
    return -1 not in places and places == sorted(set(places))
