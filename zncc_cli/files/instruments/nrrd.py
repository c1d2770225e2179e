"""NRRD: nearly raw raster data, its header read through pynrrd; raw data are memory-mapped.

https://teem.sourceforge.net/nrrd/format.html
"""

from __future__ import annotations

import bz2
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.array_image import array_image, calibration, check_bytes, library_errors
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.paths import refusal

_AXES = "XYZT"
_DECODERS: dict[str, Callable[[], Any]] = {
    **dict.fromkeys(("gzip", "gz"), lambda: zlib.decompressobj(zlib.MAX_WBITS | 16)),
    **dict.fromkeys(("bzip2", "bz2"), bz2.BZ2Decompressor),
}
_PATIENT_SPACES = (
    *("right-anterior-superior", "left-anterior-superior", "left-posterior-superior", "ras", "las", "lps"),
    *("right-anterior-superior-time", "left-anterior-superior-time", "left-posterior-superior-time"),
    *("rast", "last", "lpst", "scanner-xyz", "scanner-xyz-time"),
)
_UNITS = {"mm": "mm", "um": "µm", "µm": "µm", "microns": "µm", "micron": "µm", "nm": "nm", "cm": "cm", "m": "m"}


def read_nrrd(path: Path, options: ReadOptions) -> Image:
    """Read the array of ``path``. The first axis is x, the next are y, z and t; one of 3 or 4 before x are colours.

    Raises:
        InputError: the data are in another file, damaged, or must be decoded whole and do not fit into memory.
    """
    import nrrd

    with library_errors(path, options.name):
        with path.open("rb") as file:
            header = nrrd.read_header(file)
            start = file.tell()
        sizes = tuple(int(size) for size in header["sizes"])
        if "data file" in header or "datafile" in header:
            found, advice = "a header alone", "save it with its data in one file"
            raise refusal(path, expected="an NRRD with its data", found=found, advice=advice)
        dtype = np.dtype(nrrd.reader._determine_datatype(header))
        if min(sizes) < 1:
            raise ValueError(f"sizes {sizes}")
        data: NDArray[Any]
        if header["encoding"] == "raw":
            start = _first_byte(path, header, start, math.prod(sizes) * dtype.itemsize)
            data = np.memmap(path, dtype, "r", start, sizes, order="F")
        elif header["encoding"] in _DECODERS:
            data = _inflated(path, header, start, sizes, dtype, options)
        else:
            check_bytes(path, math.prod(sizes) * dtype.itemsize, options)
            data, header = nrrd.read(str(path), index_order="F")
        kinds = [str(kind).lower() for kind in header.get("kinds", [])]
        has_colours = (
            len(sizes) > 2 and sizes[0] in (3, 4) and (not kinds or "color" in kinds[0] or "vector" in kinds[0])
        )
        axes = "S" * has_colours + _AXES[: len(sizes) - has_colours]
        fields = _calibration(header, axes)
    has_steps = "spacings" in header or "space directions" in header
    notes = ("the spacing has no unit of length: the size of a pixel is not known",) if has_steps and not fields else ()
    return array_image(path, options, data, axes, fields, notes)


def _skip(header: dict[str, Any], unit: str) -> int:
    """Return how many lines or bytes, ``unit``, lie before the data; the key is written with a blank or without."""
    return int(header.get(f"{unit}skip", header.get(f"{unit} skip", 0)))


def _after_lines(path: Path, header: dict[str, Any], start: int) -> int:
    """Return the byte after the lines before the data, which begin at the byte ``start``.

    Raises:
        ValueError: the file has fewer lines.
    """
    lines = _skip(header, "line")
    if lines < 0:
        raise ValueError(f"line skip {lines}")
    with path.open("rb") as file:
        file.seek(start)
        for _ in range(lines):
            if not file.readline().endswith(b"\n"):
                raise ValueError(f"fewer than {lines} lines before the data")
        return file.tell()


def _first_byte(path: Path, header: dict[str, Any], start: int, size: int) -> int:
    """Return the first byte of raw data of ``size`` bytes; a skip of -1 puts them at the end of the file.

    Raises:
        ValueError: they do not lie between ``start``, where the header ends, and the end of the file.
    """
    end, skipped = path.stat().st_size, _skip(header, "byte")
    first = end - size if skipped == -1 else _after_lines(path, header, start) + skipped
    if skipped < -1 or first < start or first + size > end:
        raise ValueError(f"{end - start} bytes after the header, of which {skipped} are skipped, for {size} of pixels")
    return first


def _inflated(
    path: Path,
    header: dict[str, Any],
    start: int,
    sizes: tuple[int, ...],
    dtype: np.dtype[Any],
    options: ReadOptions,
) -> NDArray[Any]:
    """Return compressed pixels; lines are skipped before they are inflated, bytes afterwards.

    Raises:
        InputError: they do not fit into memory. ValueError: they are fewer, or a skip is below zero.
    """
    skipped = _skip(header, "byte")
    if skipped < 0:
        raise ValueError(f"byte skip {skipped} of compressed data")
    end = skipped + math.prod(sizes) * dtype.itemsize
    check_bytes(path, end, options)
    with path.open("rb") as file:
        file.seek(_after_lines(path, header, start))
        content = _DECODERS[header["encoding"]]().decompress(file.read(), end)
    if len(content) < end:
        raise ValueError(f"{len(content)} of {end} bytes")
    return np.frombuffer(content, dtype, offset=skipped).reshape(sizes, order="F")


def _calibration(header: dict[str, Any], axes: str) -> dict[str, Any]:
    """Return the sizes by "spacings", or by the lengths of "space directions", where their unit is one of length."""
    units = [*header.get("space units", header.get("units", []))]
    unit = _UNITS.get(str(units[0]).strip('"').lower()) if units else None
    if not units and str(header.get("space", "")).lower() in _PATIENT_SPACES:
        unit = "mm"  # as ITK and 3D Slicer take it
    directions = header.get("space directions")
    if directions is not None:
        steps = [float(np.linalg.norm(step)) if step is not None else math.nan for step in directions]
    else:
        steps = [float(step) for step in header.get("spacings", [])]
    step = dict(zip(axes, steps, strict=False))
    return calibration(step.get("X"), step.get("Y"), unit, step.get("Z")) if unit else {}
