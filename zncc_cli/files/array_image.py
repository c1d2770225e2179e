"""An image of any array that can be sliced: of NumPy, memory-mapped, or of a library that reads by parts."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.errors import ZnccError
from zncc_cli.files.image import Image
from zncc_cli.files.lazy import LazyArray, bits_as_uint8, native_dtype
from zncc_cli.files.metadata import Metadata, PixelSize
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.pages import no_such_number, numbered
from zncc_cli.files.paths import refusal, too_large_for_memory


@contextmanager
def library_errors(path: Path, name: str) -> Iterator[None]:
    """Turn whatever a library raises on a file, which may be damaged in any way, into an `InputError`."""
    try:
        yield
    except ZnccError:
        raise
    except MemoryError:
        raise too_large_for_memory(path) from None
    except Exception as error:  # libraries of formats have no common error
        advice = "copy or export the file again"
        raise refusal(path, expected=f"a complete, readable {name}", found=error, advice=advice) from error


def kept_open(image: Image, stack: ExitStack) -> Image:
    """Return the image; the files that were opened on ``stack`` stay open as long as its pixels may be read."""
    weakref.finalize(image.data, stack.pop_all().close)
    return image


def check_bytes(path: Path, count: int, options: ReadOptions) -> None:
    """Raise `InputError` where pixels of ``count`` bytes, which must be decoded at once, take more than may be held."""
    if count > options.max_bytes:
        expected, advice = f"at most {options.max_bytes} bytes of pixels", "save it as a TIFF in tiles or strips"
        raise refusal(path, expected=expected, found=f"{count} bytes", advice=advice)


def array_image(
    path: Path,
    options: ReadOptions,
    array: Any,
    axes: str,
    metadata: Mapping[str, Any],
    notes: tuple[str, ...] = (),
) -> Image:
    """Return an image of an array, read lazily.

    Args:
        path: the file.
        options: as they were given to the reader.
        array: has ``shape`` and ``dtype``, and is sliced by integers and slices of step 1, as NumPy's arrays are.
        axes: a letter for each of its dimensions, with Y and X anywhere, and S, samples of a pixel, if at all.
        metadata: fields of `Metadata` beside path and format.
        notes: sentences for the user.

    Raises:
        InputError: the array is no image of integers or floats.
    """
    dtype = np.dtype(array.dtype)
    shape = tuple(int(length) for length in array.shape)
    if dtype.kind not in "buif" or len(shape) != len(axes) or not {"X", "Y"} <= set(axes) or 0 in shape:
        found = f"shape {shape}, axes {axes}, dtype {dtype}"
        raise refusal(path, expected="an image of integers or floats", found=found, advice="convert it to TIFF")
    lengths = dict(zip(axes, shape, strict=True))
    leading = [axis for axis in axes if axis not in "YXS" and lengths[axis] > 1]
    plane = "YX" + ("S" if lengths.get("S", 1) > 1 else "")

    def read(index: tuple[int, ...], rows: range, columns: range) -> NDArray[Any]:
        place: dict[str, int | slice] = dict(zip(leading, index, strict=True))
        place |= {"Y": slice(rows.start, rows.stop), "X": slice(columns.start, columns.stop)}
        place |= {"S": slice(None)} if "S" in plane else {}
        kept = [axis for axis in axes if axis in plane]
        with library_errors(path, options.name):
            part = np.asarray(array[tuple(place.get(axis, 0) for axis in axes)])
        part = part.transpose([kept.index(axis) for axis in plane])
        return np.ascontiguousarray(bits_as_uint8(part), dtype=native_dtype(dtype))

    data = LazyArray(tuple(lengths[axis] for axis in (*leading, *plane)), native_dtype(dtype), len(plane), read)
    samples = lengths.get("S", 1)
    fields = {"photometric": "rgb" if samples >= 3 else "minisblack", "alpha": samples in (2, 4), **metadata}
    return Image(data, "".join(leading) + plane, Metadata(path=path, format=options.name, **fields), notes)


def frames_image(
    path: Path,
    options: ReadOptions,
    frame: Callable[[tuple[int, ...]], Any],
    shape: tuple[int, ...],
    dtype: Any,
    axes: str,
    metadata: Mapping[str, Any],
    notes: tuple[str, ...] = (),
) -> Image:
    """Return an image whose library reads whole planes, one at a time; the last one stays in memory.

    Threads take turns: libraries read by one file handle, which has one place in the file.

    Args:
        path, options, metadata, notes: as in `array_image`.
        frame: returns the plane (H, W) or (H, W, S) at an index of the leading axes.
        shape, dtype: of all planes.
        axes: a letter for each dimension, ending in "YX" or "YXS".
    """
    planes = 3 if axes.endswith("S") else 2
    check_bytes(path, int(np.prod(shape[-planes:], dtype=np.int64)) * np.dtype(dtype).itemsize, options)

    turn = threading.Lock()

    @lru_cache(maxsize=1)
    def plane(index: tuple[int, ...]) -> NDArray[Any]:
        pixels = np.asarray(frame(index))
        if pixels.shape != tuple(shape[-planes:]):
            raise ValueError(f"a plane of shape {pixels.shape}, not {tuple(shape[-planes:])}")
        return pixels

    class _Frames:
        def __init__(self) -> None:
            self.shape, self.dtype = shape, dtype

        def __getitem__(self, place: tuple[int | slice, ...]) -> NDArray[Any]:
            index = tuple(i for i in place[: len(shape) - planes] if isinstance(i, int))
            with turn:
                return plane(index)[place[len(shape) - planes :]]

    return array_image(path, options, _Frames(), axes, metadata, notes)


def select_series(path: Path, options: ReadOptions, names: Sequence[str]) -> tuple[int, tuple[str, ...]]:
    """Return the number of the image that ``options`` choose of those of ``names``, and a note where it is the first.

    Raises:
        InputError: there is none. OptionError: there is no such number.
    """
    if not names:
        raise refusal(path, expected=f"a {options.name} with an image", found="none", advice="export it again")
    number = options.series or 0
    if not 0 <= number < len(names):
        raise no_such_number(path, "series", number, len(names))
    if options.series is None and len(names) > 1:
        return 0, (f"{numbered('series', 0, len(names))}, {names[0]}, was read; `series` chooses",)
    return number, ()


def calibration(
    x: float | None, y: float | None, unit: str, z: float | None = None, t: float | None = None
) -> dict[str, Any]:
    """Return the fields of `Metadata` for the size of a pixel, the distance of slices in ``unit``, and of frames in s.

    What is None, not finite or not above zero is left out. The flavor is OME's, which holds them all.
    """
    fields: dict[str, Any] = {"flavor": "ome"}
    if _is_size(x) and _is_size(y):
        assert x is not None
        assert y is not None
        fields["pixel_size"] = PixelSize(x=_rounded(x), y=_rounded(y), unit=unit)
    properties: dict[str, Any] = {}
    if _is_size(z):
        assert z is not None
        properties |= {"PhysicalSizeZ": _rounded(z), "PhysicalSizeZUnit": unit}
    if _is_size(t):
        assert t is not None
        properties |= {"TimeIncrement": _rounded(t), "TimeIncrementUnit": "s"}
    return {**fields, "properties": properties}


def _is_size(value: float | None) -> bool:
    return value is not None and 0 < value < math.inf


def _rounded(value: float) -> float:
    """Return a value without the digits that a conversion of units adds."""
    return float(f"{value:.12g}")
