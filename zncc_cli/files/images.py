"""Image files of all formats, read into an `Image`.

    read_image(path) -> Image(data, axes, metadata) -> output.write_image(path, data, like=image)

The content of a file decides how it is read, not its name. All planes are read, with the axes that the file names;
a large image is decoded part by part, on request. A file that cannot be read exactly is refused, never rounded.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from zncc_cli.files.dataset_path import split_dataset
from zncc_cli.files.formats import ANY_OF_BIOIO, BUILT_IN, HEAD_BYTES, INSTRUMENTS, OME_ZARR, FileFormat, formats
from zncc_cli.files.image import Image
from zncc_cli.files.lazy import LazyArray
from zncc_cli.files.memory import available_memory
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.pages import no_such_number, page_of
from zncc_cli.files.paths import is_zarr, reason, refusal, regular_file_size, too_large_for_memory, unreadable
from zncc_cli.files.world_file import with_world_file
from zncc_cli.text import described_start, shown

__all__ = ["SUFFIXES", "Image", "check_kind", "list_images", "read_image"]

# Images of up to this many bytes of pixels are decoded at once.
_MAX_EAGER_BYTES = 2**26

SUFFIXES: dict[str, str] = {
    suffix: file_format.name for file_format in (*BUILT_IN, *INSTRUMENTS) for suffix in file_format.suffixes
}
"""The suffixes that `list_images` takes for images, and the format of each; formats of other packages add theirs."""

_EXPECTED_IMAGE = "an image (" + ", ".join(file_format.name for file_format in BUILT_IN) + ", or a folder of OME-Zarr)"


def read_image(
    path: str | os.PathLike[str],
    *,
    series: int | None = None,
    page: int | None = None,
    max_bytes: int | None = None,
    indices: bool = False,
) -> Image:
    """Read an image: TIFF, PNG, JPEG, BMP, GIF, WebP, PGM/PPM, .npy, a folder of OME-Zarr, and, with extras, more.

    CMYK and YCbCr become RGB, an orientation tag is obeyed. A palette of colours is applied (RGB); one that only shows
    measured values, as ImageJ's look-up tables and all ramps do, is kept beside the pixels.

    Args:
        path: the file, or the folder of an OME-Zarr; of HDF5, ``file.h5:/path`` names a data set in it.
        series: number, from 0, of one image of several in the file; by default the first, with a note if there are
            more.
        page: number, from 0, of one plane over all leading axes but C, in their order; by default all planes.
        max_bytes: how much memory pixels may take at once; by default what the machine and our limits leave.
        indices: read the pixels of any palette as the numbers that are stored, as labels and masks need it.

    Raises:
        InputError: there is no readable image; its codec is missing; it is damaged, or must be decoded whole and does
            not fit into memory.
        OptionError: the file has no such series or page.
    """
    path = Path(path)
    file_format = _format_of(path)
    limit = available_memory() if max_bytes is None else max_bytes
    try:
        with warnings.catch_warnings():
            # Libraries warn of odd metadata only; of damaged pixels they raise an error.
            warnings.simplefilter("ignore")
            options = ReadOptions(name=file_format.name, max_bytes=limit, series=series, indices=indices)
            image = file_format.reader(path)(path, options)
            if series and not file_format.has_series:
                raise no_such_number(path, "series", series, 1)
            image = with_world_file(image if page is None else page_of(image, page))
            return _decoded_if_small(image, limit)
    except MemoryError:
        raise too_large_for_memory(path) from None


def check_kind(path: Path) -> None:
    """Raise `InputError` unless the first bytes of the file are those of an image; the rest is not read."""
    _format_of(path)


def _decoded_if_small(image: Image, limit: int) -> Image:
    """Return the image that a reader returned, in memory if it is small, with notes that begin with the file's name."""
    data, mask = image.data, image.mask
    if not isinstance(data, LazyArray):
        data = np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("="))
    elif data.nbytes <= min(_MAX_EAGER_BYTES, limit):
        data, mask = np.asarray(data), None if mask is None else np.asarray(mask)
    path = image.metadata.path
    notes = tuple(f"{shown(path.name or path)}: {note}" for note in image.notes)
    return replace(image, data=data, notes=notes, mask=mask)


def _format_of(path: Path) -> FileFormat:
    """Return the format of the image at ``path``, by its first bytes; raise `InputError` where it is none."""
    if is_zarr(path):
        return OME_ZARR
    file, _ = split_dataset(path)
    regular_file_size(file, expected=_EXPECTED_IMAGE)
    try:
        with file.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise unreadable(file, error) from error
    file_format = next((candidate for candidate in formats() if candidate.recognizes(file, head)), None)
    if file_format is None and ANY_OF_BIOIO.is_installed:
        return ANY_OF_BIOIO
    if file_format is None:
        found = described_start(head[:64])
        raise refusal(path, expected=_EXPECTED_IMAGE, found=found, advice="convert it to TIFF or PNG")
    return file_format


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """List the images directly in ``folder``, sorted by name: files by suffix (`SUFFIXES`), and folders of OME-Zarr.

    Hidden ones are left out. A named pipe, or a broken link, with the suffix of an image is listed too: reading it
    raises the error that names its kind.

    Raises:
        InputError: ``folder`` is not a folder, or cannot be listed.
    """
    folder = Path(folder)
    try:
        # The listing itself tells files from folders. A `stat` of every file would take minutes on a network.
        with os.scandir(folder) as entries:
            return sorted(
                folder / entry.name for entry in entries if not entry.name.startswith(".") and _is_listed(entry)
            )
    except (OSError, ValueError) as error:
        raise refusal(folder, expected="a folder of images", found=reason(error), advice="check the name") from error


def _is_listed(entry: os.DirEntry[str]) -> bool:
    if entry.is_dir():
        return is_zarr(Path(entry.path))
    suffix = Path(entry.name).suffix.lower()
    return suffix in SUFFIXES or any(suffix in file_format.suffixes for file_format in formats())
