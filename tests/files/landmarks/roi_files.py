"""Point selections as ImageJ writes them, byte by byte (ij.io.RoiEncoder)."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping

import numpy as np

POINT, POLYGON = 10, 0
_SUB_PIXEL = 128


def roi(points: np.ndarray, *, sub_pixel: bool = True, kind: int = POINT, version: int = 228) -> bytes:
    """Return the .roi of points (N, 2): whole pixels, and with ``sub_pixel`` floats as well."""
    whole = np.floor(points).astype(int)
    left, top = whole.min(axis=0)
    right, bottom = whole.max(axis=0) + 1
    # ImageJ writes the low 16 bits of the bounds, signed or not.
    bounds = (int(bound) & 0xFFFF for bound in (top, left, bottom, right))
    header = struct.pack(">4shBxHHHHH", b"Iout", version, kind, *bounds, len(points))
    header = header.ljust(50, b"\0") + struct.pack(">h", _SUB_PIXEL if sub_pixel else 0)
    content = header.ljust(64, b"\0") + (whole - [left, top]).T.astype(">u2").tobytes()
    # A second header with the name follows the coordinates.
    return content + (points.T.astype(">f4").tobytes() if sub_pixel else b"") + bytes(64)


def roi_zip(selections: Mapping[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return the .zip of the ROI Manager."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in selections.items():
            archive.writestr(name, content)
    return file.getvalue()
