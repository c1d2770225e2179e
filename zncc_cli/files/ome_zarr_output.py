"""OME-Zarr 0.5 (Zarr 3), written strip by strip: a folder of compressed chunks, with smaller copies of large images.

    NAME.ome.zarr/zarr.json      axes, levels with their scale, names and colours of channels
    NAME.ome.zarr/s0/zarr.json   the image; s1, s2 ... are half as large as the one before
    NAME.ome.zarr/s0/c/...       its chunks, one plane each

https://ngff.openmicroscopy.org/0.5/ and https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.lazy import holds
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.ngff import AXIS_TYPES, ngff_unit
from zncc_cli.files.output_folder import atomic_folder
from zncc_cli.files.pyramid import MIN_SIDE, Level, level_shapes
from zncc_cli.files.tiff.calibration import length_unit, pixel_size, unescaped
from zncc_cli.files.tiff.copied_tags import tag_name
from zncc_cli.text import one_line

_VERSION = "0.5"
_CHUNK = 512  # pixels a side; also the rows of a strip
_GZIP_LEVEL, _GZIP_WINDOW = 5, 31  # of zlib: a header of gzip
_ORDER = "TCZ"  # of the axes before y and x
_UNKNOWN = "IQRUVWKLM"  # letters of axes that have no name of their own
_RGB = ("red", "green", "blue")
_COLOUR = re.compile(r"-?[0-9]{1,10}")  # of OME: the bytes of red, green, blue and opacity as a number of 32 bits


def ome_zarr_obstacle(dtype: np.dtype[Any], shape: Sequence[int], axes: str) -> str:
    """Return why OME-Zarr cannot hold such pixels, as the end of a sentence; "" where it can."""
    return "" if _names_of(axes) is not None else f"axes {axes}"


def _names_of(axes: str) -> dict[str, str] | None:
    """Return the letter of NGFF, T, C or Z, for each leading axis and that of samples; None where there is none.

    A sequence of pages of an unknown kind is taken as one in time.
    """
    names: dict[str, str] = {}
    leading = axes[: axes.index("Y")]
    for letter in leading:
        if letter in _ORDER and letter not in names:
            names[letter] = letter
    for letter in leading:
        if letter not in names:
            free = next((name for name in "TZ" if name not in names.values()), None)
            if letter not in _UNKNOWN or free is None or leading.count(letter) > 1:
                return None
            names[letter] = free
    if axes.endswith("S"):
        if "C" in names.values():
            return None
        names["S"] = "C"
    return names if len(set(leading)) == len(leading) else None


@dataclass
class _Range:
    """The least and the largest value of each channel, as far as they have been written."""

    low: dict[int, float] = field(default_factory=dict)
    high: dict[int, float] = field(default_factory=dict)

    def add(self, channel: int, pixels: NDArray[Any]) -> None:
        finite = pixels if pixels.dtype.kind != "f" else pixels[np.isfinite(pixels)]
        if finite.size:
            self.low[channel] = min(self.low.get(channel, math.inf), float(finite.min()))
            self.high[channel] = max(self.high.get(channel, -math.inf), float(finite.max()))


@dataclass(frozen=True)
class _Layout:
    """How an image is stored.

    leading: letters and lengths of the axes before the plane, in the order of the strips. names: their letters in
    NGFF, that of the samples, "S", too. samples: of a pixel; dtype: of the file, little-endian.
    """

    leading: tuple[tuple[str, int], ...]
    names: Mapping[str, str]
    height: int
    width: int
    samples: int
    dtype: np.dtype[Any]

    @property
    def axes(self) -> str:
        """Letters of the axes of the file, the plane's included."""
        return "".join(name for name in _ORDER if name in self.names.values()) + "YX"

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        """Shape of the array of a level of this size."""
        lengths = {self.names[letter]: length for letter, length in self.leading} | {"C": self.channels}
        return (*(lengths[name] for name in self.axes[:-2]), height, width)

    @property
    def channels(self) -> int:
        lengths = {self.names[letter]: length for letter, length in self.leading}
        return self.samples if "S" in self.names else lengths.get("C", 1)

    def place(self, index: Sequence[int], sample: int) -> tuple[int, ...]:
        """Position along the axes of the file before the plane, of a sample of the plane at ``index``."""
        places = {self.names[letter]: i for (letter, _), i in zip(self.leading, index, strict=True)}
        places |= {"C": sample} if "S" in self.names else {}
        return tuple(places[name] for name in self.axes[:-2])

    def channel(self, index: Sequence[int], sample: int) -> int:
        """Number of the channel of a sample of the plane at ``index``."""
        return self.place(index, sample)[self.axes.index("C")] if "C" in self.axes else 0


def write_ome_zarr(
    path: Path,
    strips: Iterable[NDArray[Any]],
    *,
    shape: Sequence[int],
    dtype: np.dtype[Any],
    axes: str,
    like: Metadata | None,
    frame: Metadata | None,
    offset: tuple[float, float] = (0, 0),
    pyramid: bool = False,
    is_labels: bool = False,
) -> tuple[str, ...]:
    """Write strips as a folder of OME-Zarr; see `image_output.write_strips`. Strips have 512 rows.

    Returns:
        Sentences for the user: what could not be kept.

    Raises:
        OutputError: the folder cannot be written; nothing is left behind.
    """
    names = _names_of(axes)
    assert names is not None
    rows = axes.index("Y")
    layout = _Layout(
        leading=tuple(zip(axes[:rows], map(int, shape[:rows]), strict=True)),
        names=names,
        height=int(shape[rows]),
        width=int(shape[rows + 1]),
        samples=int(shape[-1]) if axes.endswith("S") else 1,
        dtype=np.dtype(dtype).newbyteorder("<"),
    )
    has_levels = pyramid and max(layout.height, layout.width) > MIN_SIDE
    levels = level_shapes(layout.height, layout.width) if has_levels else []
    is_labels = is_labels or (like is not None and (like.palette is not None or like.photometric == "palette"))
    found = _Range()
    with atomic_folder(path) as folder, ExitStack() as stack:
        sizes = [(layout.height, layout.width), *levels]
        pixels = _as_samples(strips, layout.samples)
        for number, (height, width) in enumerate(sizes):
            if number < len(sizes) - 1:
                level = Level(path.parent, layout.dtype, layout.samples, is_labels=is_labels, strip_rows=_CHUNK)
                pixels = stack.enter_context(level).collect(pixels)
            array = folder / f"s{number}"
            _write_json(array, _array(layout, (height, width), like))
            _write_chunks(array, pixels, layout, height, found if number == 0 else None)
            if number < len(sizes) - 1:
                pixels = level.strips(math.prod(length for _, length in layout.leading), *sizes[number + 1])
        ome = _ome(path, layout, sizes, like, frame, offset, found, is_labels=is_labels)
        _write_json(folder, {"node_type": "group", "attributes": {"ome": ome}})
    return _notes(like, frame, layout)


def _as_samples(strips: Iterable[NDArray[Any]], samples: int) -> Iterator[NDArray[Any]]:
    return (np.asarray(strip).reshape(*strip.shape[:2], samples) for strip in strips)


def _write_json(folder: Path, content: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "zarr.json").write_text(json.dumps({"zarr_format": 3, **content}, indent=2) + "\n", encoding="utf-8")


def _write_chunks(
    array: Path, strips: Iterable[NDArray[Any]], layout: _Layout, height: int, found: _Range | None
) -> None:
    """Write the strips (h, W, S) of all planes of a level as chunks of one plane each."""
    places = (
        (index, row)
        for index in np.ndindex(*(length for _, length in layout.leading))
        for row in range(math.ceil(height / _CHUNK))
    )
    with ThreadPoolExecutor() as pool:
        for (index, row), strip in zip(places, strips, strict=True):
            jobs = []
            for sample in range(layout.samples):
                plane = np.ascontiguousarray(strip[..., sample], layout.dtype)
                if found is not None:
                    found.add(layout.channel(index, sample), plane)
                parts = (*layout.place(index, sample), row)
                folder = array.joinpath("c", *map(str, parts))
                folder.mkdir(parents=True)
                jobs += [(folder / str(left // _CHUNK), plane[:, left : left + _CHUNK]) for left in _lefts(plane)]
            for _ in pool.map(_write_chunk, *zip(*jobs, strict=True)):
                pass


def _lefts(plane: NDArray[Any]) -> range:
    return range(0, plane.shape[1], _CHUNK)


def _write_chunk(file: Path, pixels: NDArray[Any]) -> None:
    """Write a chunk, filled up with zeros: all chunks are whole."""
    missing = [(0, _CHUNK - size) for size in pixels.shape]
    whole = np.pad(pixels, missing) if any(map(any, missing)) else np.ascontiguousarray(pixels)
    deflate = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    file.write_bytes(deflate.compress(whole.tobytes()) + deflate.flush())


def _array(layout: _Layout, size: tuple[int, int], like: Metadata | None) -> dict[str, Any]:
    shape = layout.shape(*size)
    return {
        "node_type": "array",
        "shape": shape,
        "data_type": layout.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": (1,) * (len(shape) - 2) + (_CHUNK, _CHUNK)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": _fill_value(layout.dtype, None if like is None else like.nodata),
        "codecs": [
            {"name": "bytes", **({"configuration": {"endian": "little"}} if layout.dtype.itemsize > 1 else {})},
            {"name": "gzip", "configuration": {"level": _GZIP_LEVEL}},
        ],
        "attributes": {},
        "dimension_names": [name.lower() for name in layout.axes],
    }


def _fill_value(dtype: np.dtype[Any], nodata: float | None) -> int | float | str:
    """Return the value of missing pixels in words of Zarr; 0 where there is none that the dtype holds."""
    if nodata is None or not holds(dtype, nodata):
        return 0.0 if dtype.kind == "f" else 0
    if math.isfinite(nodata):
        return float(nodata) if dtype.kind == "f" else int(nodata)
    return "NaN" if math.isnan(nodata) else "Infinity" if nodata > 0 else "-Infinity"


def _ome(
    path: Path,
    layout: _Layout,
    sizes: Sequence[tuple[int, int]],
    like: Metadata | None,
    frame: Metadata | None,
    offset: tuple[float, float],
    found: _Range,
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


def _channels(layout: _Layout, like: Metadata | None, found: _Range) -> list[dict[str, Any]]:
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


def _notes(like: Metadata | None, frame: Metadata | None, layout: _Layout) -> tuple[str, ...]:
    """Return sentences for the user: what could not be kept, and what was taken for granted."""
    notes = tuple(
        f"the axis {letter}, of an unknown kind, is written as {name.lower()}"
        for letter, name in layout.names.items()
        if letter in _UNKNOWN
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
    size = pixel_size(frame) if frame else None
    if size is not None and length_unit(size.unit) is None:
        names.append(f"the pixel size in {size.unit}")
    return notes + ((f"left out: {', '.join(map(one_line, dict.fromkeys(names)))}",) if names else ())
