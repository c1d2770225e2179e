"""NumPy's own file format, without pickle."""

from __future__ import annotations

import math
from pathlib import Path
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from zncc_cli.errors import InputError
from zncc_cli.files.image import Image
from zncc_cli.files.lazy import LazyArray, bits_as_uint8, native_dtype
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.paths import refusal, too_large_for_memory
from zncc_cli.files.tiff.segments import read_rows

_EXPECTED = "an array (..., H, W), or (..., H, W, 3 or 4) for RGB and alpha, of integers or floats"
_MAX_SAMPLES = 16  # of a pixel, in an array (H, W, S); the shorter side of an image is longer
_DAMAGE = (OSError, EOFError, ValueError, TypeError, SyntaxError, OverflowError, TokenError)


def read_npy(path: Path, options: ReadOptions) -> Image:
    """Read the array in ``path``, lazily if it is in row-major (C) order; the axes before the plane are "Q".

    bool becomes uint8, 0 and 255. A fourth sample is alpha.

    Raises:
        InputError: pickled objects, another shape or dtype, a damaged file; column-major (Fortran) order and more than
            ``max_bytes``.
    """
    try:
        with path.open("rb") as file:
            shape, columns_first, stored = _header(file)
            start = file.tell()
            end = start + math.prod(shape) * stored.itemsize
            size = path.stat().st_size
            if stored.hasobject:
                raise ValueError("Python objects")
            if end > size:
                raise ValueError(f"{size} of {end} bytes")
    except _DAMAGE as error:
        raise refusal(
            path,
            expected="a complete .npy file without pickled objects",
            found=error,
            advice="save the array again with numpy.save",
        ) from error
    colour = len(shape) > 2 and shape[-1] in (1, 3, 4)
    if stored.kind not in "buif" or len(shape) < 2 or 0 in shape:
        advice = "save the image as such an array"
        raise refusal(path, expected=_EXPECTED, found=f"shape {shape}, dtype {stored}", advice=advice)
    if not colour and _ends_in_channels(shape):
        return _with_channels(path, options, start, (shape, columns_first, stored))
    samples = shape[-1] if colour else 1
    *leading_axes, height, width = shape[:-1] if colour else shape
    leading = tuple(length for length in leading_axes if length > 1)
    plane = (height, width) if samples == 1 else (height, width, samples)
    if columns_first:
        if end - start > options.max_bytes:
            advice = "save it again with numpy.ascontiguousarray"
            raise refusal(path, expected=f"at most {options.max_bytes} bytes", found=end - start, advice=advice)
        whole = np.fromfile(path, stored, math.prod(shape), offset=start).reshape(shape, order="F")
        data: NDArray[Any] | LazyArray = bits_as_uint8(whole).reshape(*leading, *plane)
    else:
        data = _lazy(path, start, stored, leading, plane)
    return Image(
        data=data,
        axes="Q" * len(leading) + ("YX" if samples == 1 else "YXS"),
        metadata=Metadata(
            path=path, format=options.name, photometric="minisblack" if samples == 1 else "rgb", alpha=samples == 4
        ),
    )


def _ends_in_channels(shape: tuple[int, ...]) -> bool:
    """Tell whether the last axis of (H, W, S) is one of samples: it is far too short for a side of an image."""
    return len(shape) == 3 and 2 <= shape[2] <= _MAX_SAMPLES < min(shape[:2])


def _with_channels(
    path: Path, options: ReadOptions, start: int, header: tuple[tuple[int, ...], bool, np.dtype[Any]]
) -> Image:
    """Return the samples of an array (H, W, S), which are no colours, as channels, (S, H, W)."""
    (height, width, count), columns_first, stored = header
    if columns_first:
        whole = np.memmap(path, stored, "r", start, (height, width, count), order="F")
    else:
        whole = np.memmap(path, stored, "r", start, (height, width, count))

    def read(index: tuple[int, ...], rows: range, columns: range) -> NDArray[Any]:
        part = whole[rows.start : rows.stop, columns.start : columns.stop, index[0]]
        return np.ascontiguousarray(bits_as_uint8(np.asarray(part)), dtype=native_dtype(stored))

    metadata = Metadata(path=path, format=options.name, bands=True)
    note = f"the {count} samples of a pixel were read as channels"
    data = LazyArray((count, height, width), native_dtype(stored), 2, read)
    return Image(data=data, axes="CYX", metadata=metadata, notes=(note,))


def _header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return (shape, is column-major, dtype). The header is parsed as a literal; no code in it is run."""
    version = npy_format.read_magic(file)
    read = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
    shape, columns_first, dtype = read(file)
    if any(length < 0 for length in shape):
        raise ValueError(f"shape {shape}")
    return shape, columns_first, dtype


def _lazy(path: Path, start: int, stored: np.dtype[Any], leading: tuple[int, ...], plane: tuple[int, ...]) -> LazyArray:
    """Return the lazy array of planes of shape ``plane`` that begin at byte ``start`` in dtype ``stored``."""
    width, samples = (*plane, 1)[1:3]
    size = math.prod(plane) * stored.itemsize

    def read(index: tuple[int, ...], rows: range, columns: range) -> NDArray[Any]:
        number = int(np.ravel_multi_index(index, leading)) if leading else 0
        try:
            with path.open("rb") as file:
                pixels = read_rows(file, start + number * size, (width, samples), stored, rows, columns)
        except InputError:
            raise
        except MemoryError:
            raise too_large_for_memory(path) from None
        except (OSError, ValueError) as error:
            advice = "save the array again with numpy.save"
            raise refusal(path, expected="a complete .npy file", found=error, advice=advice) from error
        return bits_as_uint8(pixels if len(plane) == 3 else pixels[..., 0])

    return LazyArray((*leading, *plane), native_dtype(stored), len(plane), read)
