"""The further tags of a TIFF: which of them are copied into a file that is written from it, and which cannot be."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import tifffile

from zncc_cli.files.metadata import Tag
from zncc_cli.files.tag_values import DESCRIPTION
from zncc_cli.files.tiff import georeference

# Of all copied tags together; an ICC profile of inks has two megabytes.
_MAX_TOTAL_BYTES = 2**22
_MAX_TAGS = 256

_OTHER_NAMES = {34412: "settings of the microscope (CZ_LSMINFO)"}
_SUB_PAGES = {34665: "EXIF", 34853: "GPS", 40965: "EXIF interoperability"}

# Not copied, and not missed: tags that the writer writes itself, and those that hold for the file that was read alone:
# how its pixels are stored and compressed, its software, orientation and thumbnails, ImageJ's own tags, and GDAL's
# value of missing pixels.
NEVER_COPIED = frozenset(
    (tifffile.TIFF.TAG_FILTERED - set(_SUB_PAGES))
    | georeference.CODES
    | {254, 255, 263, 264, 265, 270, 274, 280, 281, 282, 283, 288, 289, 290, 291, 292, 293, 296, 297, 305, 320, 321}
    | {326, 327, 328, 340, 341, 347, *range(512, 522), *range(529, 533), 42113, 50674, 50838, 50839}
)

# Tags by which programs recognise files of MetaMorph, LSM, Fluoview, NIH Image, IPLab, MicroManager, Olympus, NDPI and
# DNG; and those of Photoshop, which hold its layers and a thumbnail.
_TAGS_OF_OTHER_FORMATS = frozenset(
    {33471, 33560, 33628, 33629, 33630, 33631, 34122, 34361, 34362, 34377, 34386, 34412, 37724, 43314, 51023, 51123}
    | {*range(50706, 50742), *range(65420, 65460)}
)

GRID_TAGS = frozenset({34118, 34680, 34682})
"""Tags of electron microscopes (Zeiss, FEI), which hold the size of a pixel among others."""

GATAN_SCALES = (65009, 65010)
GATAN_TAGS = frozenset({65003, 65004, 65006, 65007, *GATAN_SCALES})
"""Tags of Gatan's TIFFs: units, origin and scale along x and y, where both scales are doubles."""

SENSOR_TAGS = frozenset({*range(37390, 37393), *range(41486, 41489)})
"""Pixels per unit of length on the sensor of a camera (TIFF/EP, EXIF)."""

_BYTE_TYPES, _PAGE_TYPES = (1, 2, 7), (13, 18)  # TIFF's data types
# Values of tags by which programs recognise files of Argos and EER.
_MAGIC_VALUES: dict[int, str | bytes] = {65000: "<Argos", 65001: b"<metadata>"}

# What tifffile raises where a tag holds nonsense.
_TAG_ERRORS = (OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, struct.error)


def copied_tags(page: tifffile.TiffPage) -> tuple[tuple[Tag, ...], tuple[str, ...]]:
    """Return the tags of ``page`` that can be copied as they are, and the names of those that cannot."""
    copied: list[Tag] = []
    left_out: list[str] = []
    room = _MAX_TOTAL_BYTES
    for tag in sorted(page.tags, key=lambda tag: tag.code):
        if tag.code in NEVER_COPIED:
            continue
        try:
            size = tag.valuebytecount
            fits = len(copied) < _MAX_TAGS and size <= room
            can_copy = fits and is_copied(tag.code) and tag.dtype not in _PAGE_TYPES
            value = _copied_value(page, tag) if can_copy else None
        except _TAG_ERRORS:
            value = None
        if value is None or _is_magic_value(tag.code, value):
            left_out.append(tag_name(tag.code))
        else:
            copied.append((tag.code, int(tag.dtype), tag.count, value))
            room -= size
    return tuple(copied), tuple(left_out)


def _is_magic_value(code: int, value: Any) -> bool:
    magic = _MAGIC_VALUES.get(code)
    return magic is not None and isinstance(value, str | bytes) and value[: len(magic)] == magic


def is_copied(code: int) -> bool:
    """Tell whether tags of this code are written as they were read."""
    return code not in NEVER_COPIED and code not in _TAGS_OF_OTHER_FORMATS and code not in _SUB_PAGES


def is_copied_of_pages(code: int) -> bool:
    """Tell whether tags of this code are written, page by page, as the pages have them."""
    return code == DESCRIPTION or is_copied(code)


def georeference_tags(page: tifffile.TiffPage) -> tuple[Tag, ...]:
    """Return the GeoTIFF tags of ``page``, which say where on the Earth its pixels lie."""
    tags = [page.tags[code] for code in sorted(georeference.CODES) if code in page.tags]
    small = [tag for tag in tags if tag.valuebytecount <= _MAX_TOTAL_BYTES]
    return tuple((tag.code, int(tag.dtype), tag.count, _copied_value(page, tag)) for tag in small)


def tag_name(code: int) -> str:
    """Return the name of a tag for messages."""
    return _SUB_PAGES.get(code) or _OTHER_NAMES.get(code) or tifffile.TIFF.TAGS.get(code, f"tag {code}")


def _copied_value(page: tifffile.TiffPage, tag: tifffile.TiffTag) -> Any:
    """Return a value that can be written again, or None. Where tifffile parses the value, return its bytes."""
    if tag.code in tifffile.TIFF.TAG_READERS:
        if tag.dtype not in _BYTE_TYPES:
            return None
        file = page.parent.filehandle
        file.seek(tag.valueoffset)
        return file.read(tag.valuebytecount)
    value = tag.value
    if isinstance(value, np.ndarray):
        return tuple(value.tolist()) if value.ndim == 1 else None
    return value
