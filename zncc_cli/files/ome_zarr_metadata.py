"""The metadata of an OME-Zarr image: axes, size of a pixel, slices, times, names and colours of channels."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.metadata import Metadata, PixelSize
from zncc_cli.files.ngff import ome_unit
from zncc_cli.files.paths import refusal
from zncc_cli.files.tiff.calibration import length_unit


def list_at(content: Any, key: str) -> list[Any]:
    """Return the list at ``key``, empty where there is none; raise `ValueError` where it is something else."""
    value = content.get(key) or []
    if not isinstance(value, list):
        raise ValueError(f'"{key}" is not a list')
    return value


def axes_of(path: Path, image: dict[str, Any], count: int) -> str:
    """Return a letter for each of ``count`` dimensions, "Q" for those whose name has no letter of its own."""
    axes = image.get("axes") or list("tczyx")[-count:]
    names = [str(axis["name"] if isinstance(axis, dict) else axis) for axis in axes]
    if len(names) != count or [name.lower() for name in names[-2:]] != ["y", "x"]:
        found = f"axes {names} of {count} dimensions"
        raise refusal(path, expected="axes that end in y and x", found=found, advice="export it again")
    letters = [name.upper() if len(name) == 1 and name.isascii() and name.isalpha() else "Q" for name in names[:-2]]
    # No two axes have the same letter, and no leading axis one of the plane's.
    leading = ["Q" if letter in "YXS" or letters.count(letter) > 1 else letter for letter in letters]
    return "".join(leading) + "YX"


def _transformations(image: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the coordinate transformations of the full resolution."""
    for owner in (list_at(image, "datasets")[0], image):
        yield from list_at(owner, "coordinateTransformations")


def scale_of(image: dict[str, Any], letters: str) -> NDArray[np.float64]:
    """Return the step of the grid along each axis, 1 where the file has none."""
    scale = np.ones(len(letters))
    for transformation in _transformations(image):
        if transformation.get("type") == "scale" and len(transformation.get("scale", ())) == len(letters):
            scale *= np.array(transformation["scale"], dtype=float)
    return scale


def _units(image: dict[str, Any], letters: str) -> dict[str, str]:
    """Return the unit of each axis that has one, as OME-XML spells it."""
    return {
        letter: ome_unit(str(axis["unit"]))
        for letter, axis in zip(letters, image.get("axes") or [], strict=False)
        if isinstance(axis, dict) and axis.get("unit")
    }


def metadata_of(path: Path, name: str, attributes: dict[str, Any], image: dict[str, Any], letters: str) -> Metadata:
    """Return the metadata in the keys of OME-XML: pixel size, slices, times, names and colours of channels."""
    scale, units = scale_of(image, letters), _units(image, letters)
    size = {letter: float(scale[letters.index(letter)]) for letter in units}
    properties: dict[str, Any] = {}
    if image.get("name"):
        properties["Name"] = str(image["name"])
    for letter, key in (("Z", "PhysicalSizeZ"), ("T", "TimeIncrement")):
        if letter in units:
            properties |= {key: size[letter], key + "Unit": units[letter]}
    channels = list_at(attributes.get("omero") or {}, "channels")
    columns: dict[str, list[Any]] = {}
    if any(channel.get("label") for channel in channels):
        columns["Name"] = [str(channel.get("label", "")) for channel in channels]
    colours = [colour for channel in channels if (colour := _colour(channel.get("color"))) is not None]
    if colours and len(colours) == len(channels):
        columns["Color"] = colours
    if columns:
        properties["Channel"] = columns
    pixel_size = _pixel_size(size, units)
    left_out = _left_out(image, channels)
    return Metadata(
        path=path, format=name, pixel_size=pixel_size, flavor="ome", properties=properties, left_out=left_out
    )


def _pixel_size(size: dict[str, float], units: dict[str, str]) -> PixelSize | None:
    """Return the size of a pixel, in the unit of x; None where x or y has none, or their units cannot be compared."""
    if not {"X", "Y"} <= units.keys() or not all(0 < size[axis] < math.inf for axis in "XY"):
        return None
    x_unit, y_unit = (length_unit(units[axis]) for axis in "XY")
    if units["X"] == units["Y"]:
        return PixelSize(x=size["X"], y=size["Y"], unit=units["X"])
    if x_unit is None or y_unit is None:
        return None
    return PixelSize(x=size["X"], y=float(f"{size['Y'] * y_unit.metres / x_unit.metres:.12g}"), unit=units["X"])


def _colour(text: Any) -> int | None:
    """Return the colour RRGGBB as OME-XML stores it: red, green, blue, opacity in a signed 32-bit number; or None."""
    if not isinstance(text, str) or not re.fullmatch("[0-9A-Fa-f]{6}", text):
        return None
    return int.from_bytes(bytes.fromhex(text + "ff"), "big", signed=True)


def _left_out(image: dict[str, Any], channels: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the names of what a TIFF written from this image will not hold."""
    names = []
    if any(t.get("type") == "translation" and any(t.get("translation", ())) for t in _transformations(image)):
        names.append("the translation of OME-Zarr")
    if any(channel.get("color") and _colour(channel["color"]) is None for channel in channels):
        names.append("colours of channels")
    if any(channel.get("window") for channel in channels):
        names.append("display windows of channels")
    copies = len(list_at(image, "datasets")) - 1
    if copies > 0:
        names.append("a smaller copy" if copies == 1 else f"{copies} smaller copies")
    return tuple(names)
