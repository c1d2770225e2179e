"""OME-Zarr 0.5 (Zarr 3), written strip by strip: a folder of compressed chunks, with smaller copies of large images.

    NAME.ome.zarr/zarr.json      axes, levels with their scale, names and colours of channels
    NAME.ome.zarr/s0/zarr.json   the image; s1, s2 ... are half as large as the one before
    NAME.ome.zarr/s0/c/...       its chunks, one plane each

https://ngff.openmicroscopy.org/0.5/ and https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.lazy import holds
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.ome_zarr_output_layout import OutputLayout, names_of
from zncc_cli.files.ome_zarr_output_metadata import (
    Range,
    left_out_notes,
    ome_metadata,
)
from zncc_cli.files.output_folder import atomic_folder
from zncc_cli.files.pyramid import MIN_SIDE, Level, level_shapes

_CHUNK = 512  # pixels a side; also the rows of a strip
_GZIP_LEVEL, _GZIP_WINDOW = 5, 31  # of zlib: a header of gzip


def ome_zarr_obstacle(dtype: np.dtype[Any], shape: Sequence[int], axes: str) -> str:
    """Return why OME-Zarr cannot hold such pixels, as the end of a sentence; "" where it can."""
    return "" if names_of(axes) is not None else f"axes {axes}"


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
    names = names_of(axes)
    assert names is not None
    rows = axes.index("Y")
    layout = OutputLayout(
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
    found = Range()
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
        ome = ome_metadata(path, layout, sizes, like, frame, offset, found, is_labels=is_labels)
        _write_json(folder, {"node_type": "group", "attributes": {"ome": ome}})
    return left_out_notes(like, frame, layout)


def _as_samples(strips: Iterable[NDArray[Any]], samples: int) -> Iterator[NDArray[Any]]:
    return (np.asarray(strip).reshape(*strip.shape[:2], samples) for strip in strips)


def _write_json(folder: Path, content: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "zarr.json").write_text(json.dumps({"zarr_format": 3, **content}, indent=2) + "\n", encoding="utf-8")


def _write_chunks(
    array: Path, strips: Iterable[NDArray[Any]], layout: OutputLayout, height: int, found: Range | None
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


def _array(layout: OutputLayout, size: tuple[int, int], like: Metadata | None) -> dict[str, Any]:
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
