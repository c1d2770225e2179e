"""An image file put on another frame, strip by strip, in its own dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from zncc_cli.config import Interpolation, ResamplingConfig
from zncc_cli.errors import OptionError
from zncc_cli.files.images import Image
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.output import STRIP_ROWS, write_strips
from zncc_cli.jobs.threads import in_order
from zncc_cli.registration.resampling.canvas import Frame
from zncc_cli.registration.resampling.resample import Read, copies, resample

# Beyond it float64, in which values between pixels are computed, does not hold every integer.
_WHOLE = 2.0**53

OnStrip = Callable[[tuple[int, ...], int, np.ndarray, np.ndarray], None]
MatrixOf = Callable[[tuple[int, ...]], np.ndarray]


@dataclass(frozen=True)
class Written:
    """How many values were clipped to the range of the dtype, and sentences on what of the file was not kept."""

    clipped: int
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Strip:
    """Some rows of a plane: its index, their first, what `OnStrip` is told, and what is written."""

    index: tuple[int, ...]
    first: int
    values: np.ndarray
    covered: np.ndarray
    pixels: np.ndarray
    clipped: int


def write_resampled(
    path: Path,
    image: Image,
    matrix: np.ndarray | MatrixOf,
    frame: Frame,
    settings: ResamplingConfig,
    grid: Metadata | None,
    on_strip: OnStrip = lambda *_: None,
    threads: int = 1,
) -> Written:
    """Write all planes of an image on another frame, as a TIFF like the image's own file.

    Args:
        path: the file.
        image: what is moved.
        matrix: (3, 3), frame -> image, (x, y) pixels; or what it is of the plane at an index of the leading axes.
        frame: which pixels are written.
        settings: how.
        grid: of the image whose pixels the frame counts: its pixel size and georeference are the file's.
        on_strip: is told of each strip: the plane's index, its first row in the file, its values (h, W[, S]) before
            they are rounded, and which of them the image covers (h, W).
        threads: how many strips are resampled at a time.

    Raises:
        OptionError: ``--fill`` is no value of the image's dtype.
        OutputError: the file cannot be written.
    """
    dtype = image.dtype
    beyond = missing_value(dtype, image.metadata, settings)
    in_holes = missing_value(dtype, image.metadata, ResamplingConfig())
    matrix_of = matrix if callable(matrix) else lambda _: matrix
    clipped, inexact = 0, False

    def resampled(place: tuple[tuple[int, ...], int]) -> _Strip:
        index, first = place
        where = matrix_of(index), frame.rows[first : first + STRIP_ROWS], frame.columns, settings.interpolation
        values, defined, covered = _values(image, index, where, settings.edge)
        missing: np.ndarray | float = beyond
        if settings.fill is not None and not defined.all():
            # A hole in the image is no pixel beyond it, and stays what it is.
            inside = resample(_frame_reader, image.shape, *where[:3], Interpolation.LINEAR)[1]
            missing = np.where(inside, in_holes, beyond)
        return _Strip(index, first, values, covered, *to_dtype(values, defined, dtype, missing))

    def strips() -> Iterator[np.ndarray]:
        nonlocal clipped, inexact
        places = product(product(*map(range, image.leading)), range(0, len(frame.rows), STRIP_ROWS))
        for strip in in_order(resampled, places, threads):
            on_strip(strip.index, strip.first, strip.values, strip.covered)
            clipped += strip.clipped
            inexact = inexact or _inexact(strip.values, dtype)
            yield strip.pixels

    samples = image.data.shape[len(image.leading) + 2 :]
    notes = write_strips(
        path,
        strips(),
        shape=(*image.leading, *frame.shape, *samples),
        dtype=dtype,
        axes=image.axes,
        like=image.metadata,
        frame=grid,
        offset=frame.offset,
    )
    if inexact:
        notes += ("integers beyond 2^53 are rounded to 53 bits; --interpolation nearest copies them",)
    return Written(clipped, tuple(f"{path.name}: {note}" for note in notes))


_Place = tuple[np.ndarray, range, range, Interpolation]  # matrix, rows, columns


def _values(
    image: Image, index: tuple[int, ...], place: _Place, edge: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return a plane's values (h, W[, S]) on some rows of the frame, which are defined, and which it covers (h, W).

    Where pixels are copied all of them are, whatever they hold: a number or none, a colour that nobody sees.
    """
    matrix, _, _, interpolation = place
    if copies(matrix, interpolation):
        values, defined = resample(_reader(image, index, all_pixels=True), image.shape, *place, edge=edge)
        inside = resample(_frame_reader, image.shape, *place)[1] if edge else defined
        pixels = Image(values, image.axes[len(image.leading) :], image.metadata)
        return values, defined, inside & pixels.valid(image.dtype)
    if image.axes.endswith("S") and image.dtype.kind == "f" and not image.metadata.alpha:
        # A sample that is no number is none of the other samples' business.
        planes = [
            resample(_reader(image, index, sample), image.shape, *place, edge=edge)
            for sample in range(image.data.shape[-1])
        ]
        values, defined = (np.stack(parts, axis=-1) for parts in zip(*planes, strict=True))
    else:
        values, defined = resample(_reader(image, index), image.shape, *place, edge=edge)
    if edge:
        return values, defined, resample(_reader(image, index), image.shape, *place)[1]
    return values, defined, defined if defined.ndim == 2 else np.asarray(defined.all(axis=-1))


def _reader(image: Image, index: tuple[int, ...], sample: int | None = None, *, all_pixels: bool = False) -> Read:
    def read(rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        # Only pixels that are no number are left out: a mask says what to register on, no more.
        part = image.read(index, rows, columns)
        data = np.asarray(part.data)
        if sample is not None:
            return data[..., sample], np.isfinite(data[..., sample])
        return data, np.ones(part.shape, np.bool_) if all_pixels else part.valid(image.dtype)

    return read


def _frame_reader(rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
    """Read an image of which each pixel is defined, to tell its frame."""
    shape = rows.stop - rows.start, columns.stop - columns.start
    return np.zeros(shape, np.uint8), np.ones(shape, np.bool_)


def missing_value(dtype: np.dtype[Any], metadata: Metadata, settings: ResamplingConfig) -> float:
    """Return what a pixel holds that the image does not cover.

    That is the value of ``--fill``, else the image's own for missing pixels, else 0, or NaN for floats.

    Raises:
        OptionError: ``--fill`` is no value of the dtype.
    """
    if settings.value is not None:
        if not _fits(settings.value, dtype):
            limits = None if dtype.kind in "fb" else np.iinfo(dtype)
            expected = f"a whole number from {limits.min} to {limits.max}" if limits else "a number that it can hold"
            raise OptionError(f"--fill: expected {expected}, for a {dtype} image, got {settings.fill}; or use edge")
        return settings.value
    if metadata.nodata is not None and _fits(metadata.nodata, dtype):
        return metadata.nodata
    return np.nan if dtype.kind == "f" else 0


def _inexact(values: np.ndarray, dtype: np.dtype[Any]) -> bool:
    """Tell whether some of ``values``, computed in float64, are beyond the integers of ``dtype`` that it holds."""
    wide = dtype.kind != "f" and dtype.itemsize == 8 and values.dtype != dtype
    return wide and bool((np.abs(values) > _WHOLE).any())


def _fits(value: float, dtype: np.dtype[Any]) -> bool:
    if dtype.kind == "f":
        return not np.isfinite(value) or abs(value) <= float(np.finfo(dtype).max)
    return float(value).is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


def to_dtype(
    values: np.ndarray, there: np.ndarray, dtype: np.dtype[Any], missing: float | np.ndarray
) -> tuple[np.ndarray, int]:
    """Return ``values`` (H, W[, C]) in ``dtype``, and how many were clipped; ``missing`` where not ``there``.

    ``there``: (H, W) or (H, W, C) bool; ``missing``: a number or (H, W). Integers are rounded and clipped, not wrapped.
    """
    there = there[..., None] if there.ndim < values.ndim else there
    fill = np.asarray(missing).astype(dtype)
    fill = fill[..., None] if 0 < fill.ndim < values.ndim else fill
    if values.dtype == dtype:
        return np.where(there, values, fill), 0
    whole = dtype.kind != "f"
    limits = np.iinfo(dtype) if whole else np.finfo(dtype)
    known = np.where(there, np.rint(values) if whole else values, 0)
    low, high = known < limits.min, known > limits.max
    # Not np.clip: the largest 64-bit integers are no float64, and what is next to them would wrap.
    top = known >= float(limits.max)
    out = np.where(top, limits.max, np.maximum(np.where(top, 0, known), limits.min).astype(dtype))
    return np.where(there, out, fill), int((low | high).sum())
