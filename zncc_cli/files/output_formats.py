"""The formats in which images are written: one table, by the suffix of the file's name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zncc_cli.config import ImageFormat
from zncc_cli.errors import OptionError
from zncc_cli.files.fits_output import fits_obstacle, write_fits
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.ome_zarr_output import ome_zarr_obstacle, write_ome_zarr
from zncc_cli.files.png_output import png_obstacle, write_png
from zncc_cli.files.tiff.write import write_tiff


class Writer(Protocol):
    """Writes the strips of an image; see `image_output.write_strips`."""

    def __call__(
        self,
        path: Path,
        strips: Iterable[NDArray[Any]],
        *,
        shape: Sequence[int],
        dtype: np.dtype[Any],
        axes: str,
        like: Metadata | None,
        frame: Metadata | None,
        offset: tuple[float, float],
        pyramid: bool,
        is_labels: bool,
    ) -> tuple[str, ...]:
        """Return sentences for the user: what could not be kept."""


@dataclass(frozen=True, kw_only=True)
class OutputFormat:
    """A format of images that are written.

    suffix: of the names that we give. suffixes: of names that users give, the last one of each. write: writes strips.
    obstacle: why it cannot hold pixels of a dtype, shape and axes, as the end of a sentence; "" where it can.
    """

    suffix: str
    suffixes: tuple[str, ...]
    write: Writer
    obstacle: Callable[[np.dtype[Any], Sequence[int], str], str]


def _none(dtype: np.dtype[Any], shape: Sequence[int], axes: str) -> str:
    return ""


OUTPUT_FORMATS = {
    ImageFormat.TIFF: OutputFormat(suffix=".tif", suffixes=(".tif", ".tiff"), write=write_tiff, obstacle=_none),
    ImageFormat.OME_ZARR: OutputFormat(
        suffix=".ome.zarr", suffixes=(".zarr",), write=write_ome_zarr, obstacle=ome_zarr_obstacle
    ),
    ImageFormat.PNG: OutputFormat(suffix=".png", suffixes=(".png",), write=write_png, obstacle=png_obstacle),
    ImageFormat.FITS: OutputFormat(
        suffix=".fits", suffixes=(".fits", ".fit", ".fts"), write=write_fits, obstacle=fits_obstacle
    ),
}
"""The formats, by their names in ``--format``; ``auto`` is TIFF."""


def output_format(name: ImageFormat) -> OutputFormat:
    """Return the format of a name; ``auto`` is TIFF."""
    return OUTPUT_FORMATS[ImageFormat.TIFF if name is ImageFormat.AUTO else name]


def format_of_name(path: Path) -> ImageFormat | None:
    """Return the format that the name of a file to be written says, or None."""
    suffix = path.suffix.lower()
    return next((name for name, entry in OUTPUT_FORMATS.items() if suffix in entry.suffixes), None)


def check_output(name: ImageFormat, dtype: np.dtype[Any], shape: Sequence[int], axes: str) -> None:
    """Raise `OptionError` where a format cannot hold an image; before any work is done."""
    reason = output_format(name).obstacle(dtype, shape, axes)
    if reason:
        raise OptionError(f"`image_format` {name}: expected an image that it holds, found {reason}; use tiff")
