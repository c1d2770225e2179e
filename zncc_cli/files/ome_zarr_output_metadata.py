"""The metadata of an OME-Zarr that is written: axes, levels with their scale, channels; and what is left out."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.fits_header import lost_sky
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.ngff import AXIS_TYPES, ngff_unit
from zncc_cli.files.ome_zarr_output_layout import UNKNOWN_AXES, OutputLayout
from zncc_cli.files.tiff.calibration import length_unit, pixel_size, unescaped
from zncc_cli.files.tiff.copied_tags import tag_name
from zncc_cli.text import one_line

_VERSION = "0.5"
_RGB = ("red", "green", "blue")
_COLOUR = re.compile(r"-?[0-9]{1,10}")  # of OME: the bytes of red, green, blue and opacity as a number of 32 bits


@dataclass
class Range:
    """The least and the largest value of each channel, as far as they have been written."""

    low: dict[int, float] = field(default_factory=dict)
    high: dict[int, float] = field(default_factory=dict)

    def add(self, channel: int, pixels: NDArray[Any]) -> None:
        """Take the finite values of some pixels of a channel into account."""
        finite = pixels if pixels.dtype.kind != "f" else pixels[np.isfinite(pixels)]
        if finite.size:
            self.low[channel] = min(self.low.get(channel, math.inf), float(finite.min()))
            self.high[channel] = max(self.high.get(channel, -math.inf), float(finite.max()))


def ome_metadata(
    path: Path,
    layout: OutputLayout,
    sizes: Sequence[tuple[int, int]],
    like: Metadata | None,
    frame: Metadata | None,
    offset: tuple[float, float],
    found: Range,
    *,
    is_labels: bool,
) -> dict[str, Any]:
    """Return the metadata of the image: axes, levels, channels."""
    steps, units = _steps(like, frame)
    axes = []
    for name in layout.axes:
        axis = {"name": name.lower(), "type": AXIS_TYPES[name]}
        axes.append({**axis, "unit": units[name]} if name in units else axis)
    datasets = []
    for number in range(len(sizes)):
        factor = 2**number
        scale = [steps.get(name, 1.0) * (factor if name in "YX" else 1) for name in layout.axes]
        # The first pixel of a mean of pixels lies in the middle of these.
        middle = 0.0 if is_labels else (factor - 1) / 2
        origin = {"X": offset[0] + middle, "Y": offset[1] + middle}
        shift = [origin.get(name, 0.0) * steps.get(name, 1.0) for name in layout.axes]
        transformations: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        transformations += [{"type": "translation", "translation": shift}] if any(shift) else []
        datasets.append({"path": f"s{number}", "coordinateTransformations": transformations})
    title = str(like.properties.get("Name") or "") if like else ""
    multiscale = {"name": title or path.name.partition(".")[0], "axes": axes, "datasets": datasets}
    content: dict[str, Any] = {"version": _VERSION, "multiscales": [multiscale]}
    if channels := _channels(layout, like, found):
        content["omero"] = {"channels": channels}
    return content


def _steps(like: Metadata | None, frame: Metadata | None) -> tuple[dict[str, float], dict[str, str]]:
    """Return the step of the grid along each axis that has one, and its unit."""
    steps: dict[str, float] = {}
    units: dict[str, str] = {}
    size = pixel_size(frame) if frame else None
    unit = ngff_unit(size.unit) if size else None
    if size is not None and unit is not None:
        steps |= {"X": size.x, "Y": size.y}
        units |= {"X": unit, "Y": unit}
    properties = like.properties if like else {}
    in_imagej = unescaped(like.pixel_size.unit) if like and like.pixel_size else ""
    for axis, key, own_unit in (
        ("Z", "PhysicalSizeZ", properties.get("PhysicalSizeZUnit", "µm")),
        ("Z", "spacing", str(properties.get("zunit") or in_imagej)),
        ("T", "TimeIncrement", properties.get("TimeIncrementUnit", "s")),
        ("T", "finterval", str(properties.get("tunit") or "s")),
    ):
        step, unit = properties.get(key), ngff_unit(str(own_unit))
        if axis not in steps and isinstance(step, int | float) and 0 < step < math.inf and unit is not None:
            steps[axis], units[axis] = float(step), unit
    return steps, units


def _channels(layout: OutputLayout, like: Metadata | None, found: Range) -> list[dict[str, Any]]:
    """Return what viewers show of each channel; empty where neither names nor colours are known."""
    count = layout.channels
    columns = like.properties.get("Channel") if like else None
    columns = columns if isinstance(columns, Mapping) else {}
    names, colours = (columns.get(key) if len(columns.get(key) or ()) == count else None for key in ("Name", "Color"))
    colours = colours if colours and all(_COLOUR.fullmatch(str(colour)) for colour in colours) else None
    if "S" in layout.names and like is not None and like.photometric == "rgb" and count >= len(_RGB):
        names, shown = (*_RGB, "opacity")[:count], ("FF0000", "00FF00", "0000FF", "FFFFFF")[:count]
    elif names is None and colours is None:
        return []
    else:
        shown = tuple(f"{int(colour) >> 8 & 0xFFFFFF:06X}" for colour in colours) if colours else ("FFFFFF",) * count
    is_float = layout.dtype.kind == "f"
    channels = []
    for number in range(count):
        low, high = found.low.get(number, 0.0), found.high.get(number, 1.0)
        limits = (low, high) if is_float else (np.iinfo(layout.dtype).min, np.iinfo(layout.dtype).max)
        window = {"start": low, "end": high, "min": float(limits[0]), "max": float(limits[1])}
        label = {"label": str(names[number])} if names else {}
        channels.append({**label, "color": shown[number], "active": True, "window": window})
    return channels


def left_out_notes(like: Metadata | None, frame: Metadata | None, layout: OutputLayout) -> tuple[str, ...]:
    """Return sentences for the user: what could not be kept, and what was taken for granted."""
    notes = tuple(
        f"the axis {letter}, of an unknown kind, is written as {name.lower()}"
        for letter, name in layout.names.items()
        if letter in UNKNOWN_AXES
    )
    names = [*like.left_out, *(tag_name(tag[0]) for tag in like.tags)] if like else []
    if like is not None:
        names += ["the description"] if like.description else []
        names += ["the tags of further pages"] if like.page_tags else []
        names += ["the palette"] if like.palette is not None else []
        names += ["that white is zero"] if like.photometric == "miniswhite" else []
        known = {"Name", "PhysicalSizeZ", "PhysicalSizeZUnit", "TimeIncrement", "TimeIncrementUnit", "Channel"}
        known |= {"spacing", "zunit", "finterval", "tunit", "unit", "fps", "loop", "mode", "min", "max"}
        names += [str(key) for key in like.properties if key not in known]
    names += ["the georeference"] if frame and frame.georeference else []
    names += lost_sky(like, frame, is_kept=False)
    size = pixel_size(frame) if frame else None
    if size is not None and length_unit(size.unit) is None:
        names.append(f"the pixel size in {size.unit}")
    return notes + ((f"left out: {', '.join(map(one_line, dict.fromkeys(names)))}",) if names else ())
