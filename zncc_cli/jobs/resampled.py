"""An image file resampled onto another frame, strip by strip, in its own dtype."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from zncc_cli.config import Interpolation, Pyramid, ResamplingConfig
from zncc_cli.errors import OptionError
from zncc_cli.files.channels import channels_of
from zncc_cli.files.image_output import STRIP_ROWS, write_strips
from zncc_cli.files.images import Image
from zncc_cli.files.lazy import holds
from zncc_cli.files.metadata import Metadata
from zncc_cli.jobs.calibration import calibrated_grid
from zncc_cli.jobs.threads import in_order
from zncc_cli.progress import counted
from zncc_cli.registration.resampling.canvas import Frame
from zncc_cli.registration.resampling.resample import Read, copies, resample
from zncc_cli.registration.transforms.bending import Transform

_VALUE_BYTES = 8  # of a value between pixels
_MAX_HELD_BYTES = 3 * 2**29  # of strips that are computed while others are written
_MAX_CONVERTED = 2**22  # values that are rounded and clipped at a time, by way of several copies

# Beyond it float64, in which values between pixels are computed, does not hold every integer.
_MAX_EXACT_INTEGER = 2.0**53

TransformOf = Callable[[tuple[int, ...]], Transform]


@dataclass(frozen=True)
class Written:
    """What became of an image that was written.

    Attributes:
        clipped: how many values were clipped to the range of the dtype.
        notes: a sentence for each thing that could not be kept.
    """

    clipped: int
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Strip:
    """Some rows of a plane of the resampled image.

    Attributes:
        index: of the plane, a number for each leading axis.
        first_row: of the strip in the file.
        values: (h, W[, S]), before they are rounded.
        covered: (h, W) bool, the pixels that the image covers.
        pixels: (h, W[, S]) in the image's dtype, as they are written.
        clipped: how many values were clipped to the range of the dtype.
    """

    index: tuple[int, ...]
    first_row: int
    values: np.ndarray
    covered: np.ndarray
    pixels: np.ndarray
    clipped: int


def write_resampled(
    path: Path,
    image: Image,
    transform: Transform | TransformOf,
    canvas: Frame,
    settings: ResamplingConfig,
    grid: Metadata | None,
    collect: Callable[[Strip], None] | None = None,
    threads: int = 1,
    by_sample: bool = False,
) -> Written:
    """Write all planes of an image, resampled onto a canvas, as a TIFF like the image's own file.

    Args:
        path: the file.
        image: what is resampled.
        transform: a matrix (3, 3) or a field, maps pixels of the canvas's plane to those of the image, (x, y); or a
            function that returns the one of the plane at an index of the leading axes.
        canvas: which pixels are written.
        settings: interpolation, and what pixels hold that the image does not cover.
        grid: metadata of the image whose pixels the canvas counts; the file gets its pixel size and georeference, or,
            where it has no pixel size, that of ``image`` through the scale of the transform.
        collect: is called with each strip, in the order of the file.
        threads: how many strips are resampled at a time.
        by_sample: ``image`` is of colours, and ``transform`` returns the one of a colour, whose number is the last of
            the index. What is no colour, as opacity, is left out.

    Raises:
        OptionError: ``--fill`` is no value of the image's dtype.
        OutputError: the file cannot be written.
    """
    transform_of = transform if callable(transform) else lambda _: transform
    resampler: Resampler | _ColourResampler = Resampler(image, transform_of, canvas, settings)
    samples = image.data.shape[len(image.leading) + 2 :]
    like = image.metadata
    if by_sample:
        resampler = _ColourResampler(image, transform_of, canvas, settings)
        samples, like = (resampler.count,), replace(like, alpha=False)
    places = list(product(product(*map(range, image.leading)), range(0, len(canvas.rows), STRIP_ROWS)))
    tally = Tally(image.dtype)
    strip_bytes = STRIP_ROWS * len(canvas.columns) * math.prod(samples) * (_VALUE_BYTES + image.dtype.itemsize)
    strips = in_order(resampler.strip, places, threads, most=_MAX_HELD_BYTES // max(1, strip_bytes))
    calibration_notes: tuple[str, ...] = ()
    if not callable(transform):
        grid, calibration_notes = calibrated_grid(grid, image.metadata, transform, canvas.shape)
    notes = calibration_notes + write_strips(
        path,
        counted(tally.pixels(strips, collect), len(places)),
        shape=(*image.leading, *canvas.shape, *samples),
        dtype=image.dtype,
        axes=image.axes,
        like=like,
        frame=grid,
        offset=canvas.offset,
        pyramid=settings.pyramid is Pyramid.AUTO,
        is_labels=settings.labels,
    )
    notes += tally.notes
    return Written(tally.clipped, tuple(f"{path.name}: {note}" for note in notes))


class Resampler:
    """Resamples strips of an image's planes.

    Raises:
        OptionError: ``--fill`` is no value of the image's dtype.
    """

    def __init__(self, image: Image, transform_of: TransformOf, canvas: Frame, settings: ResamplingConfig) -> None:
        self._image, self._transform_of, self._canvas, self._settings = image, transform_of, canvas, settings
        self._fill = missing_value(image.dtype, image.metadata, settings)
        self._fill_in_holes = missing_value(image.dtype, image.metadata, ResamplingConfig())

    def strip(self, place: tuple[tuple[int, ...], int]) -> Strip:
        """Resample the strip of the plane at an index from a row of the canvas on: ``place`` is (index, row)."""
        (index, first_row), image, canvas, settings = place, self._image, self._canvas, self._settings
        rows = canvas.rows[first_row : first_row + STRIP_ROWS]
        transform = self._transform_of(index)
        place_in_image = transform, rows, canvas.columns, settings.interpolation
        values, defined, covered = _values(image, index, place_in_image, settings.edge)
        fill: np.ndarray | float = self._fill
        if settings.fill is not None and not defined.all():
            # A hole in the image is no pixel beyond it, and stays what it is.
            inside = resample(_read_all_defined, image.shape, transform, rows, canvas.columns, Interpolation.LINEAR)[1]
            fill = np.where(inside, self._fill_in_holes, self._fill)
        return Strip(index, first_row, values, covered, *_converted(values, defined, image.dtype, fill))


class _ColourResampler:
    """Resamples strips of an image's colours, each by its own transform."""

    def __init__(self, image: Image, transform_of: TransformOf, canvas: Frame, settings: ResamplingConfig) -> None:
        channels = channels_of(image)
        self.count = len(channels.names)
        self._colours = Resampler(channels.image, transform_of, canvas, settings)

    def strip(self, place: tuple[tuple[int, ...], int]) -> Strip:
        """Resample the strip of the plane at an index from a row of the canvas on: ``place`` is (index, row)."""
        index, first_row = place
        strips = [self._colours.strip(((*index, colour), first_row)) for colour in range(self.count)]
        values, pixels = (np.stack([getattr(one, name) for one in strips], axis=-1) for name in ("values", "pixels"))
        covered = np.logical_and.reduce([one.covered for one in strips])
        return Strip(index, first_row, values, covered, pixels, sum(one.clipped for one in strips))


class Tally:
    """Counts what is lost when values are written in a dtype.

    Attributes:
        clipped: how many values were clipped to the range of the dtype.
        inexact: some values are integers that float64 does not hold exactly.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self.clipped, self.inexact = 0, False

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence where values are not exact."""
        rounded = "integers beyond 2^53 are rounded to 53 bits; --interpolation nearest copies them"
        return (rounded,) if self.inexact else ()

    def pixels(self, strips: Iterable[Strip], collect: Callable[[Strip], None] | None = None) -> Iterator[np.ndarray]:
        """Yield the pixels of each strip, and count; ``collect``: see `write_resampled`."""
        for strip in strips:
            if collect is not None:
                collect(strip)
            self.clipped += strip.clipped
            self.inexact = self.inexact or _is_inexact(strip.values, self._dtype)
            yield strip.pixels


_Place = tuple[Transform, range, range, Interpolation]  # transform, rows and columns of the canvas's plane


def _values(
    image: Image, index: tuple[int, ...], place: _Place, edge: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Resample a plane onto some rows of the canvas.

    Where pixels are copied, all of them are defined, whatever they hold: NaN, or the colour of a transparent pixel.

    Returns:
        Values (h, W[, S]); which of them are defined, (h, W[, S]); and which pixels the image covers, (h, W).
    """
    transform, _, _, interpolation = place
    if copies(transform, interpolation):
        values, defined = resample(_reader(image, index, all_pixels=True), image.shape, *place, edge=edge)
        inside = resample(_read_all_defined, image.shape, *place)[1] if edge else defined
        pixels = Image(values, image.axes[len(image.leading) :], image.metadata)
        covered = inside & pixels.valid(image.dtype)
        if image.mask is not None:
            covered &= resample(_reader(image, index), image.shape, *place)[1]
        # The file that is written has one value for missing pixels, not a range of them.
        return values, defined if image.metadata.nodata_limit is None else covered, covered
    if image.axes.endswith("S") and image.dtype.kind == "f" and not image.metadata.alpha:
        # Each sample by itself: one that is NaN leaves the others as they are.
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
    """Return a function that reads a plane, or one sample of it; ``all_pixels``: invalid ones count as well."""

    def read(rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        # Only invalid pixels are left out: a mask says what to register on, no more.
        part = image.read(index, rows, columns)
        data = np.asarray(part.data)
        if sample is not None:
            return data[..., sample], np.isfinite(data[..., sample])
        return data, np.ones(part.shape, np.bool_) if all_pixels else part.valid(image.dtype)

    return read


def _read_all_defined(rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
    """Read an image in which every pixel is defined: resampled, it shows which pixels lie inside the image's frame."""
    shape = rows.stop - rows.start, columns.stop - columns.start
    return np.zeros(shape, np.uint8), np.ones(shape, np.bool_)


def missing_value(dtype: np.dtype[Any], metadata: Metadata, settings: ResamplingConfig) -> float:
    """Return the value of pixels that the image does not cover.

    It is the value of ``--fill``, else the image's own value of missing pixels, else 0, or NaN for floats.

    Raises:
        OptionError: ``--fill`` is no value of the dtype.
    """
    if settings.value is not None:
        if not holds(dtype, settings.value):
            limits = None if dtype.kind in "fb" else np.iinfo(dtype)
            expected = f"a whole number from {limits.min} to {limits.max}" if limits else "a number that it can hold"
            raise OptionError(f"--fill: expected {expected}, for a {dtype} image, got {settings.fill}; or use edge")
        return settings.value
    if metadata.nodata is not None and holds(dtype, metadata.nodata):
        return metadata.nodata
    return np.nan if dtype.kind == "f" else 0


def _is_inexact(values: np.ndarray, dtype: np.dtype[Any]) -> bool:
    """Tell whether ``values``, computed in float64, hold integers of ``dtype`` that float64 does not hold exactly."""
    wide = dtype.kind != "f" and dtype.itemsize == 8 and values.dtype != dtype
    return wide and bool((np.abs(values) > _MAX_EXACT_INTEGER).any())


def _converted(
    values: np.ndarray, defined: np.ndarray, dtype: np.dtype[Any], fill: float | np.ndarray
) -> tuple[np.ndarray, int]:
    """Convert values as `to_dtype` does, some rows at a time."""
    rows = max(1, _MAX_CONVERTED // max(1, values[:1].size))
    pixels, clipped = np.empty(values.shape, dtype), 0
    for top in range(0, len(values), rows):
        part = slice(top, top + rows)
        part_fill = fill[part] if isinstance(fill, np.ndarray) and fill.ndim else fill
        pixels[part], count = to_dtype(values[part], defined[part], dtype, part_fill)
        clipped += count
    return pixels, clipped


def to_dtype(
    values: np.ndarray, defined: np.ndarray, dtype: np.dtype[Any], fill: float | np.ndarray
) -> tuple[np.ndarray, int]:
    """Convert ``values`` (H, W[, C]) to ``dtype``. Integers are rounded and clipped, never wrapped.

    Args:
        values: floats, or of ``dtype``.
        defined: (H, W) or (H, W, C) bool, the values that are used.
        dtype: an integer or a float.
        fill: a number or (H, W), used where values are not defined.

    Returns:
        The converted values, and how many of them were clipped.
    """
    defined = defined[..., None] if defined.ndim < values.ndim else defined
    fill = np.asarray(fill).astype(dtype)
    fill = fill[..., None] if 0 < fill.ndim < values.ndim else fill
    if values.dtype == dtype:
        return np.where(defined, values, fill), 0
    is_integer = dtype.kind != "f"
    limits = np.iinfo(dtype) if is_integer else np.finfo(dtype)
    rounded = np.where(defined, np.rint(values) if is_integer else values, 0)
    too_low, too_high = rounded < limits.min, rounded > limits.max
    # Not np.clip: the largest 64-bit integers are no float64, and what is next to them would wrap.
    at_top = rounded >= float(limits.max)
    clipped = np.where(at_top, limits.max, np.maximum(np.where(at_top, 0, rounded), limits.min).astype(dtype))
    return np.where(defined, clipped, fill), int((too_low | too_high).sum())
