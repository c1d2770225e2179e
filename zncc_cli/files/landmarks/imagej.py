"""Point selections of ImageJ: a .roi file of one or many points, or the .zip of them that its ROI Manager saves.

All numbers are big-endian. The header has 64 bytes: "Iout", the version at 4, the type at 6, the top and left of the
bounds at 8 and 10, the number of points at 16 (or, where that is 0, at 18 in 32 bits), and options at 50. Then come the
points as distances from left and top, unsigned in 16 bits, all x before all y; with the option "sub-pixel resolution"
they follow once more as 32-bit floats from the origin. ImageJ counts lines and points from the centre of a pixel, as we
do (its areas from the corner).

https://github.com/imagej/ImageJ (ij/io/RoiDecoder.java; ij/gui/Roi.java: useLineSubpixelConvention)
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.landmarks.landmarks import MAX_LANDMARKS, Points, as_points
from zncc_cli.files.paths import MAX_SMALL_FILE_BYTES, MismatchError

ROI_MAGIC, ZIP_MAGIC = b"Iout", b"PK\x03\x04"

_EXPECTED = "point selections of ImageJ"
_HEADER_BYTES = 64
_TYPES = ("polygon", "rectangle", "oval", "line", "freeline", "polyline", "no", "freehand", "traced", "angle", "point")
_POINT = _TYPES.index("point")
_SUB_PIXEL, _FIRST_SUB_PIXEL_VERSION = 128, 222
_LOWEST_SIGNED = -5000  # bounds below are unsigned numbers, as ImageJ reads them
# What zipfile raises on damaged, encrypted or unknown content.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
)


def parse_roi(content: bytes) -> Points:
    """Read the points of one selection."""
    if len(content) < _HEADER_BYTES:
        raise MismatchError(f"{_EXPECTED}, {_HEADER_BYTES} bytes at least", f"{len(content)} bytes")
    version, kind = struct.unpack_from(">hB", content, 4)
    top, left = (value & 0xFFFF if value < _LOWEST_SIGNED else value for value in struct.unpack_from(">hh", content, 8))
    count, long_count = struct.unpack_from(">Hi", content, 16)
    (options,) = struct.unpack_from(">h", content, 50)
    if kind != _POINT:
        raise MismatchError("a point selection of ImageJ", f"a {_TYPES[kind]} selection" if kind < _POINT else kind)
    count = count or long_count
    if not 0 < count <= MAX_LANDMARKS:
        raise MismatchError(f"1 to {MAX_LANDMARKS} points", count)
    is_sub_pixel = bool(options & _SUB_PIXEL) and version >= _FIRST_SUB_PIXEL_VERSION
    needed = _HEADER_BYTES + count * (12 if is_sub_pixel else 4)
    if len(content) < needed:
        raise MismatchError(f"{needed} bytes for {count} points", f"{len(content)} bytes")
    if is_sub_pixel:
        return Points(as_points(_columns(content, ">f4", _HEADER_BYTES + 4 * count, count).tolist()))
    from_bounds = _columns(content, ">u2", _HEADER_BYTES, count)
    return Points(as_points((from_bounds + np.array([left, top])).tolist()))


def _columns(content: bytes, dtype: str, offset: int, count: int) -> NDArray[np.float64]:
    """Return ``count`` values of x followed by as many of y as (count, 2)."""
    return np.frombuffer(content, dtype, 2 * count, offset).reshape(2, count).T.astype(np.float64)


def parse_zip(content: bytes) -> Points:
    """Read the points of all selections of a .zip, in its order; single points have the names of their selections."""
    entries = zip_entries(content, _EXPECTED, MAX_SMALL_FILE_BYTES, MAX_LANDMARKS)
    selections = [(PurePosixPath(entry.filename).stem, parse_roi(roi)) for entry, roi in entries]
    points = as_points(np.concatenate([selection.xy for _, selection in selections]).tolist())
    return Points(points, tuple(name for name, _ in selections) if len(points) == len(selections) else None)


def zip_entries(content: bytes, expected: str, max_bytes: int, max_count: int) -> list[tuple[zipfile.ZipInfo, bytes]]:
    """Return all selections of a .zip, in its order, each with its content.

    Args:
        content: the .zip.
        expected: what it should hold, in words.
        max_bytes: of all of its selections together.
        max_count: of its selections.

    Raises:
        MismatchError: it is damaged, holds more than that, none, or something else under the name of a selection.
    """
    selections: list[tuple[zipfile.ZipInfo, bytes]] = []
    room = max_bytes
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [entry for entry in archive.infolist() if entry.filename.lower().endswith(".roi")]
            if len(entries) > max_count:
                raise MismatchError(f"at most {max_count} selections", len(entries))
            for entry in entries:
                # The two ways that ImageJ writes; others inflate whole blocks before they can be stopped.
                if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise MismatchError("entries stored or deflated", f"another compression of {entry.filename}")
                # What an entry claims to hold is not believed: no more is inflated than there is room for.
                with archive.open(entry) as file:
                    roi = file.read(room + 1)
                room -= len(roi)
                if room < 0:
                    raise MismatchError(f"{expected} of {max_bytes} bytes at most", "more")
                if not roi.startswith(ROI_MAGIC):
                    raise MismatchError(expected, f"other content in {entry.filename}")
                selections.append((entry, roi))
    except _ZIP_ERRORS as error:
        raise MismatchError(f"a .zip of {expected}", error) from error
    if not selections:
        raise MismatchError(f"a .zip of {expected}", "no .roi in it")
    return selections
