"""Sizes that compressed pictures claim for themselves.

Decoders of JPEG, JPEG 2000 and LERC take the memory that the compressed data ask for, whatever the file around them
says; so the claim is read first.
"""

from __future__ import annotations

import struct

_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


Size = tuple[int, int, int]
"""(height, width, samples of a pixel)."""


def jpeg_size(data: bytes) -> Size | None:
    """The size in the frame header of a JPEG, or None where there is none."""
    place = 2
    while place + 10 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker in _JPEG_BARE:
            place += 2
        elif marker in _JPEG_FRAMES:
            height, width, samples = struct.unpack_from(">HHB", data, place + 5)
            return height, width, samples
        else:
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None


def jpeg2000_size(data: bytes) -> Size | None:
    """The size in the SIZ segment of a JPEG 2000 codestream, bare or in a JP2 box."""
    place = data.find(b"\xff\x4f\xff\x51")
    if place < 0 or place + 42 > len(data):
        return None
    x1, y1, x0, y0, *_, samples = struct.unpack_from(">8IH", data, place + 8)
    return y1 - y0, x1 - x0, samples


def lerc_size(data: bytes) -> Size | None:
    """The size in the header of a Lerc2 blob."""
    if not data.startswith(b"Lerc2 ") or len(data) < 26:
        return None
    (version,) = struct.unpack_from("<i", data, 6)
    height, width, samples = struct.unpack_from("<iii", data, 10 if version < 3 else 14)
    return height, width, samples if version >= 4 else 1
