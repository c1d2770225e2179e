"""Image output: TIFFs like the images that were read, OME-Zarr, PNG and FITS by the file's name; PNG pictures."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from zncc_cli.config import ImageFormat
from zncc_cli.files.images import Image
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.output_folder import atomic_write
from zncc_cli.files.output_formats import OUTPUT_FORMATS, format_of_name
from zncc_cli.files.png import png_bytes
from zncc_cli.files.tiff.layout import STRIP_ROWS

__all__ = ["STRIP_ROWS", "write_image", "write_picture", "write_strips"]


def write_image(
    path: str | os.PathLike[str],
    data: NDArray[Any],
    like: Image | None = None,
    *,
    frame: Image | None = None,
    offset: tuple[float, float] = (0, 0),
    axes: str | None = None,
) -> tuple[str, ...]:
    """Write an array as a TIFF in its own dtype; see `write_strips` for the arguments.

    ``axes`` by default: those of ``like``, or "YX" and "YXS". ``frame`` by default: ``like``.

    Returns:
        Sentences for the user: what could not be kept.

    Raises:
        OutputError: the file cannot be written; nothing is left behind.
    """
    frame = frame or like
    if axes is None:
        axes = like.axes if like and len(like.axes) == data.ndim else "YXS"[: data.ndim]
    return write_strips(
        path,
        _strips(data, axes),
        shape=data.shape,
        dtype=data.dtype,
        axes=axes,
        like=like.metadata if like else None,
        frame=frame.metadata if frame else None,
        offset=offset,
    )


def write_strips(
    path: str | os.PathLike[str],
    strips: Iterable[NDArray[Any]],
    *,
    shape: Sequence[int],
    dtype: DTypeLike,
    axes: str,
    like: Metadata | None,
    frame: Metadata | None,
    offset: tuple[float, float] = (0, 0),
    pyramid: bool = False,
    is_labels: bool = False,
) -> tuple[str, ...]:
    """Write an image of any size with one strip in memory: samples like those of ``like``, on the grid of ``frame``.

    Args:
        path: the file; an existing one is replaced once all strips are written. Its suffix tells the format: *.zarr,
            *.png, *.fits, otherwise TIFF.
        strips: arrays (h, W) or (h, W, S) in the order of the file: plane after plane, rows from top to bottom; every
            strip but the last of a plane has `STRIP_ROWS` rows.
        shape: leading axes and (H, W) or (H, W, S).
        dtype: an unsigned or signed integer or a float.
        axes: a letter for each dimension of ``shape``. The flavour of ``like`` (ImageJ, OME) determines how they are
            stored; in a plain file the leading ones are pages, and the letters are kept as tifffile keeps them.
        like: metadata of the image whose samples (RGB, alpha, missing value), flavour, compression, channels, slices,
            times, description and further tags are kept; lossy compressions become deflate.
        frame: metadata of the image whose pixel size, resolution and georeference are kept, as the flavour stores them.
        offset: (x, y) of the first pixel, in pixels of ``frame``.
        pyramid: an image of more than `MIN_SIDE` pixels along a side is written in tiles, with smaller copies.
        is_labels: smaller copies take pixels, and never means of them; so do those of numbers of colours.

    Returns:
        Sentences for the user: what could not be kept.

    Raises:
        OutputError: the file cannot be written; nothing is left behind.
    """
    path = Path(path)
    write = OUTPUT_FORMATS[format_of_name(path) or ImageFormat.TIFF].write
    return write(
        path,
        strips,
        shape=shape,
        dtype=np.dtype(dtype),
        axes=axes,
        like=like,
        frame=frame,
        offset=offset,
        pyramid=pyramid,
        is_labels=is_labels,
    )


def _strips(data: NDArray[Any], axes: str) -> Iterator[NDArray[Any]]:
    """Yield ``data`` in strips of `STRIP_ROWS` rows, plane after plane."""
    leading = data.shape[: axes.index("Y")]
    for index in np.ndindex(*leading):
        for top in range(0, data.shape[len(leading)], STRIP_ROWS):
            part = (*index, slice(top, top + STRIP_ROWS), slice(None))
            yield data[part]


def write_picture(path: str | os.PathLike[str], pixels: NDArray[np.uint8]) -> None:
    """Write ``pixels``, uint8 (H, W) or (H, W, 3), as PNG.

    Raises:
        OutputError: the file cannot be written; nothing is left behind.
    """
    with atomic_write(Path(path)) as file:
        file.write(png_bytes(pixels))
