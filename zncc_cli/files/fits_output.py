"""FITS, written strip by strip: one image, with the coordinate system of its grid and the header of its pixels.

https://fits.gsfc.nasa.gov/fits_standard.html
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.fits_header import CARD, lost_sky, moved_sky
from zncc_cli.files.lazy import holds
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.output_folder import atomic_write
from zncc_cli.files.tiff.calibration import pixel_size
from zncc_cli.files.tiff.copied_tags import tag_name
from zncc_cli.text import one_line

_BLOCK = 2880  # bytes; header and pixels are filled up to a multiple
_COMMENT = 72  # letters in a card of a comment


def fits_obstacle(dtype: np.dtype[Any], shape: Sequence[int], axes: str) -> str:
    """Return why FITS cannot hold such pixels, as the end of a sentence; "" where it can."""
    if axes.endswith("S"):
        return f"colours (axes {axes})"
    return f"pixels of {dtype}" if dtype.kind == "f" and dtype.itemsize not in (4, 8) else ""


def write_fits(
    path: Path,
    strips: Iterable[NDArray[Any]],
    *,
    shape: Sequence[int],
    dtype: np.dtype[Any],
    axes: str,
    like: Metadata | None,
    frame: Metadata | None,
    offset: tuple[float, float] = (0, 0),
    pyramid: bool = False,
    is_labels: bool = False,
) -> tuple[str, ...]:
    """Write strips as the first image of a FITS; see `image_output.write_strips`.

    Returns:
        Sentences for the user: what could not be kept.

    Raises:
        OutputError: the file cannot be written; nothing is left behind.
    """
    dtype = np.dtype(dtype)
    assert not fits_obstacle(dtype, shape, axes)
    cards = [*_storage(shape, dtype, None if like is None else like.nodata), *moved_sky(frame, offset), *_words(like)]
    header = "".join(card.ljust(CARD) for card in (*cards, "END"))
    size = 0
    with atomic_write(path) as file:
        file.write(header.encode("ascii").ljust(-(-len(header) // _BLOCK) * _BLOCK))
        for strip in strips:
            content = _stored(np.asarray(strip, dtype)).tobytes()
            size += len(content)
            file.write(content)
        file.write(bytes(-size % _BLOCK))
    return _left_out(like, frame, dtype)


def _zero(dtype: np.dtype[Any]) -> int:
    """Return the value that is stored as 0: FITS has bytes without a sign, and longer integers with one."""
    if dtype == np.int8:
        return -128
    return 2 ** (8 * dtype.itemsize - 1) if dtype.kind == "u" and dtype.itemsize > 1 else 0


def _stored(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return the pixels as they are stored, in big-endian order."""
    if _zero(pixels.dtype):
        bits = np.ascontiguousarray(pixels).view(f"u{pixels.dtype.itemsize}")
        pixels = bits ^ bits.dtype.type(1 << (8 * pixels.dtype.itemsize - 1))
    return pixels.astype(pixels.dtype.newbyteorder(">"), copy=False)


def _storage(shape: Sequence[int], dtype: np.dtype[Any], nodata: float | None) -> Iterable[str]:
    """Yield the cards that say how the pixels are stored."""
    bits = 8 * dtype.itemsize * (-1 if dtype.kind == "f" else 1)
    yield f"{'SIMPLE':8}= {'T':>20}"
    numbers = {"BITPIX": bits, "NAXIS": len(shape)}
    numbers |= {f"NAXIS{axis}": length for axis, length in enumerate(reversed(shape), 1)}
    if zero := _zero(dtype):
        numbers |= {"BSCALE": 1, "BZERO": zero}
    if nodata is not None and dtype.kind != "f" and holds(dtype, nodata):
        numbers["BLANK"] = int(nodata) - zero
    for name, number in numbers.items():
        yield f"{name:8}= {number:>20}"


def _words(like: Metadata | None) -> Iterable[str]:
    """Yield the cards of the header of a FITS, or a description as comments."""
    if like is None or not like.description:
        return
    if like.format.startswith("FITS"):
        yield from (line for line in like.description.splitlines() if len(line) <= CARD and _is_plain(line))
        return
    for line in like.description.splitlines():
        text = "".join(letter if _is_plain(letter) else "?" for letter in line)
        yield from (f"COMMENT {part}" for part in textwrap.wrap(text, _COMMENT, drop_whitespace=False))


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _left_out(like: Metadata | None, frame: Metadata | None, dtype: np.dtype[Any]) -> tuple[str, ...]:
    names = [*like.left_out, *(tag_name(tag[0]) for tag in like.tags)] if like else []
    if like is not None:
        names += ["the tags of further pages"] if like.page_tags else []
        names += ["the palette"] if like.palette is not None else []
        names += ["that white is zero"] if like.photometric == "miniswhite" else []
        names += [f"the metadata of {like.flavor}"] if like.properties else []
        if like.nodata is not None and math.isfinite(like.nodata) and dtype.kind == "f":
            names.append(f"the value of missing pixels ({like.nodata:g})")
    names += ["the georeference"] if frame and frame.georeference else []
    names += ["the size of a pixel"] if frame and pixel_size(frame) is not None else []
    names += lost_sky(like, frame, is_kept=True)
    return (f"left out: {', '.join(map(one_line, dict.fromkeys(names)))}",) if names else ()
