"""Image files: pixels in the file's own dtype, with what is needed to write a like file.

    read_image(path) -> Image(data, axes, metadata) -> output.write_image(path, data, like=image)

The content of a file decides how it is read, not its name. All its planes are read, with the axes that the file gives
them; large ones are decoded only where they are asked for. What cannot be read exactly is refused, never rounded.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from zncc_cli.files.lazy import LazyArray, Stored
from zncc_cli.files.memory import available
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.npy import read_npy
from zncc_cli.files.ome_zarr import is_zarr, read_ome_zarr
from zncc_cli.files.pages import not_among, page_of
from zncc_cli.files.paths import no_room, refusal, regular_file_size
from zncc_cli.files.pictures import read_picture
from zncc_cli.files.tiff.read import read_tiff
from zncc_cli.text import shown

# Up to this size a file is decoded at once.
_SMALL = 2**26

_Reader = Callable[[Path, str, int, int | None], Stored]


@dataclass(frozen=True)
class _Format:
    name: str
    suffixes: tuple[str, ...]
    magics: tuple[bytes, ...]
    read: _Reader


_FORMATS = (
    _Format(
        "TIFF",
        (".tif", ".tiff", ".btf", ".tf8", ".lsm", ".stk"),
        (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        read_tiff,
    ),
    _Format("PNG", (".png",), (b"\x89PNG\r\n\x1a\n",), read_picture),
    _Format("JPEG", (".jpg", ".jpeg"), (b"\xff\xd8\xff",), read_picture),
    _Format("BMP", (".bmp",), (b"BM",), read_picture),
    _Format("GIF", (".gif",), (b"GIF8",), read_picture),
    _Format("WebP", (".webp",), (b"RIFF",), read_picture),
    _Format("PNM", (".pgm", ".ppm", ".pnm"), (b"P2", b"P3", b"P5", b"P6"), read_picture),
    _Format("NPY", (".npy",), (b"\x93NUMPY",), read_npy),
)

SUFFIXES: dict[str, str] = {suffix: kind.name for kind in _FORMATS for suffix in kind.suffixes}
"""Every suffix that `list_images` takes for an image, and the format it stands for."""

_ZARR = _Format("OME-Zarr", (".zarr",), (), read_ome_zarr)
_IN_SERIES = ("TIFF", "OME-Zarr")

_EXPECTED = "an image (" + ", ".join(kind.name for kind in _FORMATS) + ", or a folder of OME-Zarr)"

_REC_709 = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True, eq=False)
class Image:
    """One image: a plane, or several along leading axes.

    data: (..., H, W) or (..., H, W, S) in the file's own dtype (a 1-bit image: uint8, 0 and 255) and native byte order:
        an array, or, where the file is large, one that decodes what is asked of it (`LazyArray`).
    axes: a letter for each dimension, as tifffile's; ends in "YX" or "YXS". S is 3 (RGB) or 4 (RGB and alpha or one
        more sample), or 2 (grey and alpha). The others are those of the file: T, Z, C, I or Q (unknown), ...
    notes: a sentence for each thing that was chosen, or could not be kept, on reading, after the name of the file.
    """

    data: NDArray[Any] | LazyArray
    axes: str
    metadata: Metadata
    notes: tuple[str, ...] = ()

    @property
    def leading(self) -> tuple[int, ...]:
        """Shape of the axes before the plane; () for a 2D image."""
        return tuple(self.data.shape[: self.axes.index("YX")])

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = self.data.shape[len(self.leading) :][:2]
        return int(height), int(width)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The file's own dtype, in native byte order."""
        return self.data.dtype

    def read(self, index: tuple[int, ...] = (), rows: slice = slice(None), columns: slice = slice(None)) -> Image:
        """Rows and columns (of step 1) of one plane, ``index`` its place on the leading axes, in memory.

        Raises:
            InputError: the part is damaged, or does not fit into memory.
        """
        key: Any = (*index, rows, columns)
        plane = np.asarray(self.data[key])
        return Image(plane, self.axes[len(self.leading) :], self.metadata, self.notes)

    def luminance(self) -> NDArray[np.float32]:
        """Brightness, float32 (H, W), in the units of the file: grey as it is, RGB by the weights of Rec. 709.

        Alpha and samples beyond RGB are ignored; "miniswhite" is turned round, so that bright is large.
        Integers of up to 16 bits are exact. 32-bit integers and float64 are rounded to 24 significant bits: of a small
        signal on a large offset (1e8 and more) the lowest digits are lost, unless the offset is taken off before.
        """
        data = self._plane()
        with np.errstate(over="ignore", invalid="ignore"):
            if self.metadata.photometric == "rgb":
                red, green, blue = (data[..., i].astype(np.float32) for i in range(3))
                luminance: NDArray[np.float32] = _REC_709[0] * red + _REC_709[1] * green + _REC_709[2] * blue
                return luminance
            grey = data if self.axes == "YX" else data[..., 0]
            if self.metadata.photometric == "miniswhite":
                grey = np.iinfo(grey.dtype).max - grey if grey.dtype.kind == "u" else -grey.astype(np.float32)
            return grey.astype(np.float32)

    def valid(self, numbers: DTypeLike = np.float32) -> NDArray[np.bool_]:
        """Where the pixel can be used, bool (H, W).

        That is: finite as ``numbers`` of that dtype in all samples, not opacity 0, and not the file's own value for
        missing pixels.
        """
        data = self._plane()
        samples = data if data.ndim == 3 else data[..., None]
        valid = np.ones(self.shape, dtype=np.bool_)
        if samples.dtype.kind == "f":
            with np.errstate(over="ignore"):
                valid &= np.isfinite(samples.astype(numbers)).all(axis=-1)
        colours = samples[..., :-1] if self.metadata.alpha else samples
        if self.metadata.alpha:
            valid &= samples[..., -1] > 0
        if self.metadata.nodata is not None and math.isfinite(self.metadata.nodata):
            valid &= ~(colours == self.metadata.nodata).all(axis=-1)
        return valid

    def _plane(self) -> NDArray[Any]:
        if self.leading:
            found = f"axes {self.axes} of shape {tuple(self.data.shape)}"
            advice = "choose a page and a channel"
            raise refusal(self.metadata.path, expected="one 2D image", found=found, advice=advice)
        return np.asarray(self.data)


def read_image(
    path: str | os.PathLike[str],
    *,
    series: int | None = None,
    page: int | None = None,
    max_bytes: int | None = None,
) -> Image:
    """Read an image: TIFF, PNG, JPEG, BMP, GIF, WebP, PGM/PPM, NumPy's .npy, or a folder of OME-Zarr.

    A palette is applied (RGB), CMYK and YCbCr become RGB, an orientation tag is obeyed.

    Args:
        path: the file, or the folder of an OME-Zarr.
        series: which of several images in the file, from 0; by default the first, with a note if there are more.
        page: which plane along all leading axes but C, counted in their order from 0; by default all.
        max_bytes: what may be held in memory at once; by default what the machine and the limits on us leave.

    Raises:
        InputError: nothing readable is there; its codec is missing; it is damaged, or has to be decoded whole and does
            not fit.
        OptionError: no such series or page.
    """
    path = Path(path)
    kind = _kind(path)
    limit = available() if max_bytes is None else max_bytes
    try:
        with warnings.catch_warnings():
            # Libraries warn of odd metadata; what harms the pixels they raise.
            warnings.simplefilter("ignore")
            stored = kind.read(path, kind.name, limit, series)
            if series and stored.metadata.format not in _IN_SERIES:
                raise not_among(path, "--series", series, 1)
            return _in_memory(stored if page is None else page_of(stored, page), limit)
    except MemoryError:
        raise no_room(path) from None


def check_kind(path: Path) -> None:
    """Raise `InputError` where there is no image, by the first bytes of the file: before all of it is read."""
    _kind(path)


def _in_memory(stored: Stored, limit: int) -> Image:
    """Decoded, if it is small."""
    data = stored.data
    if not isinstance(data, LazyArray):
        data = np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("="))
    elif data.nbytes <= min(_SMALL, limit):
        data = np.asarray(data)
    path = stored.metadata.path
    notes = tuple(f"{shown(path.name or path)}: {note}" for note in stored.notes)
    return Image(data, stored.axes, stored.metadata, notes)


def _kind(path: Path) -> _Format:
    if is_zarr(path):
        return _ZARR
    regular_file_size(path, expected=_EXPECTED)
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise refusal(
            path, expected="a readable file", found=error.strerror or error, advice="check its permissions"
        ) from error
    kind = next((kind for kind in _FORMATS if head.startswith(kind.magics)), None)
    if kind is None:
        raise refusal(path, expected=_EXPECTED, found=_described(head), advice="convert it to TIFF or PNG")
    return kind


def _described(head: bytes) -> str:
    text = head.decode("utf-8", errors="ignore")  # a letter may be cut at the end
    if len(text.encode()) > len(head) - 4 and all(letter.isprintable() or letter.isspace() for letter in text):
        return f'text that begins with "{text[:24]}"'
    return f"bytes that begin with {head[:8].hex(' ')}"


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """The images directly in ``folder``, by suffix (`SUFFIXES`) or OME-Zarr, sorted by name; hidden ones are left out.

    What bears an image's name and is none, as a named pipe or a link to nothing, is listed too: who reads it says so.

    Raises:
        InputError: ``folder`` is no folder, or cannot be listed.
    """
    folder = Path(folder)
    try:
        # What the listing itself says of each entry is enough: asking for every file would take minutes on a network.
        with os.scandir(folder) as entries:
            return sorted(
                folder / entry.name for entry in entries if not entry.name.startswith(".") and _is_image(entry)
            )
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise refusal(folder, expected="a folder of images", found=reason, advice="check the name") from error


def _is_image(entry: os.DirEntry[str]) -> bool:
    if entry.is_dir():
        return is_zarr(Path(entry.path))
    return Path(entry.name).suffix.lower() in SUFFIXES
