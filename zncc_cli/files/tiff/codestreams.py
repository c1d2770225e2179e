"""Sizes in the headers of compressed JPEG, JPEG 2000 and LERC data.

Their decoders take the memory that these headers ask for, whatever the tags of the file say. So the size is read and
checked before the data are decoded.
"""

from __future__ import annotations

import struct

_JPEG_FRAME_MARKERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_JPEG_MARKERS_WITHOUT_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})


Size = tuple[int, int, int]
"""(height, width, samples of a pixel)."""


def jpeg_size(data: bytes) -> Size | None:
    """Return the size in the frame header of a JPEG, or None where there is none."""
    frame = _jpeg_frame(data)
    return None if frame is None else frame[1:]


def jpeg_bits(data: bytes) -> int | None:
    """Return the bits of a sample in the frame header of a JPEG, or None where there is none."""
    frame = _jpeg_frame(data)
    return None if frame is None else frame[0]


def _jpeg_frame(data: bytes) -> tuple[int, int, int, int] | None:
    """Return (bits of a sample, height, width, samples) in the frame header of a JPEG, or None where there is none."""
    offset = 2
    while offset + 10 <= len(data) and data[offset] == 0xFF:
        marker = data[offset + 1]
        if marker == 0xFF:
            offset += 1
        elif marker in _JPEG_MARKERS_WITHOUT_LENGTH:
            offset += 2
        elif marker in _JPEG_FRAME_MARKERS:
            bits, height, width, samples = struct.unpack_from(">BHHB", data, offset + 4)
            return bits, height, width, samples
        else:
            offset += 2 + int.from_bytes(data[offset + 2 : offset + 4], "big")
    return None


def jpeg2000_size(data: bytes) -> Size | None:
    """Return the size in the SIZ segment of a JPEG 2000 codestream, bare or in a JP2 box, or None."""
    offset = data.find(b"\xff\x4f\xff\x51")
    if offset < 0 or offset + 42 > len(data):
        return None
    x1, y1, x0, y0, *_, samples = struct.unpack_from(">8IH", data, offset + 8)
    return y1 - y0, x1 - x0, samples


def lerc_size(data: bytes) -> Size | None:
    """Return the size in the header of a Lerc2 blob, or None."""
    if not data.startswith(b"Lerc2 ") or len(data) < 26:
        return None
    (version,) = struct.unpack_from("<i", data, 6)
    height, width, samples = struct.unpack_from("<iii", data, 10 if version < 3 else 14)
    return height, width, samples if version >= 4 else 1
