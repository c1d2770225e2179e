"""Image files: pixels in the file's own dtype, with what is needed to write a like file.

    read_image(path) -> Image(data, axes, metadata) -> output.write_image(path, data, like=image)

The content of a file decides how it is read, not its name. What a reader cannot keep whole is refused, never cut:
pages, channels and bit depth included.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from zncc_cli.errors import InputError
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.npy import read_npy
from zncc_cli.files.paths import refusal, regular_file_size, shown
from zncc_cli.files.pictures import read_picture
from zncc_cli.files.tiff import read_tiff

# What a header may claim before it is believed: four 512-megapixel float32 images fill the memory of a workstation.
MAX_BYTES = 2**31

_Reader = Callable[[Path, str, int], tuple[NDArray[Any], Metadata]]


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

_EXPECTED = "an image (" + ", ".join(kind.name for kind in _FORMATS) + ")"

_REC_709 = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True, eq=False)
class Image:
    """One 2D image.

    data: (H, W) or (H, W, S) in the file's own dtype (a 1-bit image: uint8, 0 and 255) and native byte order.
    axes: "YX" or "YXS"; S is 3 (RGB) or 4 (RGB and alpha or one more sample), or 2 (grey and alpha).
    """

    data: NDArray[Any]
    axes: Literal["YX", "YXS"]
    metadata: Metadata

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return int(self.data.shape[0]), int(self.data.shape[1])

    def luminance(self) -> NDArray[np.float32]:
        """Brightness, float32 (H, W), in the units of the file: grey as it is, RGB by the weights of Rec. 709.

        Alpha and samples beyond RGB are ignored; "miniswhite" is turned round, so that bright is large.
        Integers of up to 16 bits are exact. 32-bit integers and float64 are rounded to 24 significant bits:
        a small signal on a large offset (1e8 and more) loses its lowest digits.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            if self.metadata.photometric == "rgb":
                red, green, blue = (self.data[..., i].astype(np.float32) for i in range(3))
                luminance: NDArray[np.float32] = _REC_709[0] * red + _REC_709[1] * green + _REC_709[2] * blue
                return luminance
            grey = self.data if self.axes == "YX" else self.data[..., 0]
            if self.metadata.photometric == "miniswhite":
                grey = np.iinfo(grey.dtype).max - grey if grey.dtype.kind == "u" else -grey.astype(np.float32)
            return grey.astype(np.float32)

    def valid(self) -> NDArray[np.bool_]:
        """Where the pixel can be used, bool (H, W).

        That is: finite as float32 in all samples, not opacity 0, and not the file's own value for missing pixels.
        """
        samples = self.data.reshape(*self.shape, -1)
        valid = np.ones(self.shape, dtype=np.bool_)
        if samples.dtype.kind == "f":
            with np.errstate(over="ignore"):
                valid &= np.isfinite(samples.astype(np.float32)).all(axis=-1)
        colours = samples[..., :-1] if self.metadata.alpha else samples
        if self.metadata.alpha:
            valid &= samples[..., -1] > 0
        if self.metadata.nodata is not None and math.isfinite(self.metadata.nodata):
            valid &= ~(colours == self.metadata.nodata).all(axis=-1)
        return valid


def read_image(path: str | os.PathLike[str], *, max_bytes: int = MAX_BYTES) -> Image:
    """Read one 2D image: TIFF, PNG, JPEG, BMP, GIF, WebP, PGM/PPM or NumPy's .npy.

    A palette is applied (RGB), CMYK and YCbCr become RGB, an orientation tag is obeyed.
    ``max_bytes`` is the largest decoded size that a header may claim.

    Raises:
        InputError: nothing readable is there; the file holds several images or channels; its codec is missing;
            it is damaged, or larger than ``max_bytes``, or does not fit into memory.
    """
    path = Path(path)
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
    try:
        with warnings.catch_warnings():
            # Libraries warn of odd metadata; what harms the pixels they raise.
            warnings.simplefilter("ignore")
            data, metadata = kind.read(path, kind.name, max_bytes)
    except InputError:
        raise
    except MemoryError:
        raise InputError(
            f"{shown(path)}: the image does not fit into memory; crop it, or use a larger machine"
        ) from None
    axes: Literal["YX", "YXS"] = "YX" if data.ndim == 2 else "YXS"
    return Image(np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("=")), axes, metadata)


def _described(head: bytes) -> str:
    text = head.decode("utf-8", errors="ignore")  # a letter may be cut at the end
    if len(text.encode()) > len(head) - 4 and all(letter.isprintable() or letter.isspace() for letter in text):
        return f'text that begins with "{text[:24]}"'
    return f"bytes that begin with {head[:8].hex(' ')}"


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """The image files directly in ``folder``, by suffix (see `SUFFIXES`), sorted by name; hidden files are left out.

    Raises:
        InputError: ``folder`` is no folder, or cannot be listed.
    """
    folder = Path(folder)
    try:
        return sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
        )
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise refusal(folder, expected="a folder of images", found=reason, advice="check the name") from error
