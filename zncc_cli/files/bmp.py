"""BMP of 2, 4 or 8 bits: numbers of the colours of a palette, as they are stored.

Pillow decides by the colours how many bits a number has: two colours make one bit, whatever the header says.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.paths import refusal

_FILE_HEADER_BYTES, _CORE_HEADER_BYTES, _INFO_HEADER_BYTES = 14, 12, 40
_UNCOMPRESSED = 0
_MAX_COLOURS = 256


class BmpIndices(NamedTuple):
    """The numbers of colours, uint8 (H, W), and the colours, uint8 (256, 3), black beyond those of the file."""

    pixels: NDArray[np.uint8]
    colours: NDArray[np.uint8]


def read_bmp_indices(path: Path, max_bytes: int) -> BmpIndices | None:
    """Read a BMP of numbers of colours of several bits that are not compressed; return None for another kind of BMP.

    Raises:
        InputError: the file is cut off, or its pixels take more than ``max_bytes``.
    """
    with path.open("rb") as file:
        head = file.read(_FILE_HEADER_BYTES + _INFO_HEADER_BYTES).ljust(_FILE_HEADER_BYTES + _INFO_HEADER_BYTES, b"\0")
        (start, header_bytes) = struct.unpack_from("<II", head, 10)
        used = compression = 0
        if header_bytes == _CORE_HEADER_BYTES:
            width, height, _, bits = struct.unpack_from("<HHHH", head, 18)
        else:
            width, height, _, bits, compression = struct.unpack_from("<iiHHI", head, 18)
            (used,) = struct.unpack_from("<I", head, 46)
        is_known = header_bytes == _CORE_HEADER_BYTES or header_bytes >= _INFO_HEADER_BYTES
        if bits not in (2, 4, 8) or compression != _UNCOMPRESSED or not is_known or width < 1 or height == 0:
            return None
        if width * abs(height) > max_bytes:
            found, advice = f"{width} x {abs(height)} pixels", "crop it, or save it as a TIFF in strips"
            raise refusal(path, expected=f"at most {max_bytes} bytes of pixels", found=found, advice=advice)
        row_bytes = (width * bits + 31) // 32 * 4
        needed = start + row_bytes * abs(height)
        size = path.stat().st_size
        if needed > size:
            advice = "it was cut off; copy or export it again"
            raise refusal(path, expected=f"a file of at least {needed} bytes", found=f"{size} bytes", advice=advice)
        entry = 3 if header_bytes == _CORE_HEADER_BYTES else 4
        file.seek(_FILE_HEADER_BYTES + header_bytes)
        stored = file.read(entry * min(used or 2**bits, 2**bits))
        file.seek(start)
        rows = np.frombuffer(file.read(row_bytes * abs(height)), np.uint8).reshape(abs(height), row_bytes)
    colours = np.zeros((_MAX_COLOURS, 3), np.uint8)
    table = np.frombuffer(stored[: len(stored) // entry * entry], np.uint8).reshape(-1, entry)
    colours[: len(table)] = table[:, 2::-1]  # stored as blue, green, red
    per_byte = 8 // bits
    shifts = np.arange(per_byte - 1, -1, -1, dtype=np.uint8) * bits
    pixels = (rows[:, :, None] >> shifts & np.uint8(2**bits - 1)).reshape(abs(height), -1)[:, :width]
    return BmpIndices(np.ascontiguousarray(pixels if height < 0 else pixels[::-1]), colours)
