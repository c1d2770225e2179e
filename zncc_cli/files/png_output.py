"""PNG of any size, written strip by strip: one plane of 8 or 16 bits, grey or RGB, with or without opacity."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.fits_header import lost_sky
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.output_folder import atomic_write
from zncc_cli.files.png import PALETTE, SIGNATURE, UP, png_chunk
from zncc_cli.files.tiff.calibration import CENTIMETRE, resolution_tags
from zncc_cli.files.tiff.copied_tags import tag_name
from zncc_cli.text import one_line

_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by the number of samples
_MAX_SIDE = 2**31 - 1
_COLOURS = 256  # of a palette
_LEVEL = 6
_METRE = 1
_ICC, _DATE_TIME = 34675, 306


def png_obstacle(dtype: np.dtype[Any], shape: Sequence[int], axes: str) -> str:
    """Return why PNG cannot hold such pixels, as the end of a sentence; "" where it can."""
    if axes not in ("YX", "YXS"):
        return f"axes {axes}"
    samples = shape[2] if axes == "YXS" else 1
    if dtype not in (np.uint8, np.uint16) or samples not in _COLOUR_TYPES:
        return f"pixels of {samples} x {dtype}"
    return "" if max(shape[:2]) <= _MAX_SIDE else f"{shape[1]} x {shape[0]} pixels"


def write_png(
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
    """Write strips as PNG, with resolution, palette of 8-bit labels and ICC profile; see `image_output.write_strips`.

    Returns:
        Sentences for the user: what could not be kept.

    Raises:
        OutputError: the file cannot be written; nothing is left behind.
    """
    assert not png_obstacle(np.dtype(dtype), shape, axes)
    height, width = shape[:2]
    samples = shape[2] if axes == "YXS" else 1
    bits = 8 * np.dtype(dtype).itemsize
    palette = like.palette.rgb() if like and like.palette and bits == 8 and samples == 1 else None
    kind = _COLOUR_TYPES[samples] if palette is None else PALETTE
    deflate = zlib.compressobj(_LEVEL)
    above = np.zeros((1, width * samples * bits // 8), np.uint8)
    with atomic_write(path) as file:
        file.write(SIGNATURE + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)))
        for name, content in _further_chunks(like, frame, palette):
            file.write(png_chunk(name, content))
        for strip in strips:
            stored = np.ascontiguousarray(strip, np.dtype(dtype).newbyteorder(">"))
            rows = stored.view(np.uint8).reshape(len(strip), -1)
            filtered = np.empty((len(rows), 1 + rows.shape[1]), np.uint8)
            filtered[:, 0] = UP
            filtered[:, 1:] = rows - np.concatenate([above, rows[:-1]])
            above = rows[-1:].copy()
            if data := deflate.compress(filtered.data):
                file.write(png_chunk(b"IDAT", data))
        file.write(png_chunk(b"IDAT", deflate.flush()) + png_chunk(b"IEND", b""))
    return _left_out(like, frame)


def _further_chunks(
    like: Metadata | None, frame: Metadata | None, palette: NDArray[Any] | None
) -> Iterable[tuple[bytes, bytes]]:
    """Yield the chunks between the header and the pixels: profile, resolution, description, palette."""
    profile = next((tag[3] for tag in like.tags if tag[0] == _ICC), None) if like else None
    if isinstance(profile, bytes):
        yield b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)
    resolution = resolution_tags(frame) if frame else None
    if resolution is not None and resolution.unit != 1:
        per_metre = 100 if resolution.unit == CENTIMETRE else 1 / 0.0254
        x, y = (round(ratio[0] / ratio[1] * per_metre) for ratio in (resolution.x, resolution.y))
        if 0 < min(x, y) <= max(x, y) < 2**31:
            yield b"pHYs", struct.pack(">IIB", x, y, _METRE)
    if like and like.description and like.flavor == "plain":
        text = one_line(like.description).encode("utf-8", "replace")
        yield b"iTXt", b"Description\0\0\0\0\0" + text
    if palette is not None:
        colours = (palette if palette.dtype == np.uint8 else palette // 257).astype(np.uint8)
        # A pixel of a number beyond the palette, the value of missing pixels perhaps, makes the file a damaged one.
        yield b"PLTE", np.pad(colours, ((0, _COLOURS - len(colours)), (0, 0)), mode="edge").tobytes()


def _left_out(like: Metadata | None, frame: Metadata | None) -> tuple[str, ...]:
    names = [*like.left_out, *(tag_name(tag[0]) for tag in like.tags if tag[0] != _ICC)] if like else []
    if like and like.photometric == "miniswhite":
        names.append("that white is zero")
    if like and like.nodata is not None and math.isfinite(like.nodata):
        names.append(f"the value of missing pixels ({like.nodata:g})")
    if like and like.properties:
        names.append(f"the metadata of {like.flavor}")
    if frame and frame.georeference:
        names.append("the georeference")
    names += lost_sky(like, frame, is_kept=False)
    return (f"left out: {', '.join(map(one_line, names))}",) if names else ()
