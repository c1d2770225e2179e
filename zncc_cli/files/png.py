"""PNG files of 8-bit pixels (ISO/IEC 15948)."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
"""The first bytes of a PNG."""
_GREY, _RGB, PALETTE = 0, 2, 3
UP = 2
"""The filter that subtracts from each byte the one above it."""
_BITS, _MEMORY_LEVEL = 15, 9  # of deflate: the largest window and the fastest


def png_bytes(pixels: NDArray[np.uint8], palette: NDArray[np.uint8] | None = None) -> bytes:
    """Return ``pixels`` as a PNG file.

    One filter for all rows, and runs as the only repetitions: a quarter of Pillow's time at its fastest level, and a
    tenth more bytes. The pictures are noisy, and hold few other repetitions.

    Args:
        pixels: uint8 (H, W), grey or numbers of colours in the palette; or (H, W, 3), RGB.
        palette: uint8 (n, 3), RGB colours, of which the first one is drawn transparent.
    """
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = UP
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    deflate = zlib.compressobj(1, zlib.DEFLATED, _BITS, _MEMORY_LEVEL, zlib.Z_RLE)
    kind = PALETTE if palette is not None else _RGB if pixels.ndim == 3 else _GREY
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0))]
    if palette is not None:
        chunks += [(b"PLTE", palette.tobytes()), (b"tRNS", b"\0")]
    chunks += [(b"IDAT", deflate.compress(filtered.data) + deflate.flush()), (b"IEND", b"")]
    return SIGNATURE + b"".join(png_chunk(*chunk) for chunk in chunks)


def png_chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG: length, name, content, checksum."""
    checksum = zlib.crc32(content, zlib.crc32(name))
    return b"".join((struct.pack(">I", len(content)), name, content, struct.pack(">I", checksum)))
