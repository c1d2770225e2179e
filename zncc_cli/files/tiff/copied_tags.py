"""The further tags of a TIFF: which of them go into the image that is made of it, and which cannot."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import tifffile

from zncc_cli.files.metadata import Tag
from zncc_cli.files.tiff import georeference

# Of all tags together; a profile of inks has two megabytes.
_MOST_BYTES = 2**22
_MOST_TAGS = 256

_SUB_PAGES = {34665: "EXIF", 34853: "GPS", 40965: "EXIF interoperability"}

# Said in another way in the image that is written, or true of the file that was read alone: how its pixels are stored
# and compressed, its software, its orientation and thumbnails, ImageJ's own tags, and GDAL's of missing values.
UNSAID = frozenset(
    (tifffile.TIFF.TAG_FILTERED - set(_SUB_PAGES))
    | georeference.CODES
    | {254, 255, 263, 264, 265, 270, 274, 280, 281, 282, 283, 288, 289, 290, 291, 292, 293, 296, 297, 305, 320, 321}
    | {326, 327, 328, 340, 341, 347, *range(512, 522), *range(529, 533), 42113, 50674, 50838, 50839}
)

# Tags by which programs take a file for one of MetaMorph, LSM, Fluoview, NIH Image, IPLab, MicroManager, Olympus, NDPI
# or DNG, and Photoshop's, which hold its layers and a thumbnail.
_OF_OTHER_FORMATS = frozenset(
    {33471, 33560, 33628, 33629, 33630, 33631, 34122, 34361, 34362, 34377, 34386, 34412, 37724, 43314, 51023, 51123}
    | {*range(50706, 50742), *range(65420, 65460)}
)

OF_THE_GRID = frozenset({34118, 34680, 34682})
"""Tags of electron microscopes (Zeiss, FEI), which say the size of a pixel among others."""

_BYTES, _PAGES = (1, 2, 7), (13, 18)  # TIFF's types of values
# Tags from which programs tell that a file is one of Argos or EER.
_MAGICS: dict[int, str | bytes] = {65000: "<Argos", 65001: b"<metadata>"}

# What tifffile raises where a tag holds nonsense.
_NONSENSE = (OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, struct.error)


def further_tags(page: tifffile.TiffPage) -> tuple[tuple[Tag, ...], tuple[str, ...]]:
    """The tags of ``page`` that can be handed on as they are, and the names of those that cannot."""
    kept: list[Tag] = []
    left_out: list[str] = []
    room = _MOST_BYTES
    for tag in sorted(page.tags, key=lambda one: one.code):
        if tag.code in UNSAID:
            continue
        try:
            size = tag.valuebytecount
            known = len(kept) < _MOST_TAGS and size <= room and handed_on(tag.code) and tag.dtype not in _PAGES
            value = _value(page, tag) if known else None
        except _NONSENSE:
            value = None
        if value is None or _is_magic(tag.code, value):
            left_out.append(tag_name(tag.code))
        else:
            kept.append((tag.code, int(tag.dtype), tag.count, value))
            room -= size
    return tuple(kept), tuple(left_out)


def _is_magic(code: int, value: Any) -> bool:
    magic = _MAGICS.get(code)
    return magic is not None and isinstance(value, str | bytes) and value[: len(magic)] == magic


def handed_on(code: int) -> bool:
    """Whether a tag is written as it was read."""
    return code not in UNSAID and code not in _OF_OTHER_FORMATS and code not in _SUB_PAGES


def georeference_tags(page: tifffile.TiffPage) -> tuple[Tag, ...]:
    """The tags of ``page`` that say where on the Earth its pixels lie."""
    found = [page.tags[code] for code in sorted(georeference.CODES) if code in page.tags]
    return tuple((tag.code, int(tag.dtype), tag.count, _value(page, tag)) for tag in found if _fits(tag))


def tag_name(code: int) -> str:
    """The tag as people speak of it."""
    return _SUB_PAGES.get(code) or tifffile.TIFF.TAGS.get(code, f"tag {code}")


def _fits(tag: tifffile.TiffTag) -> bool:
    return tag.valuebytecount <= _MOST_BYTES


def _value(page: tifffile.TiffPage, tag: tifffile.TiffTag) -> Any:
    """A value that can be written again, or None; where tifffile makes something else of it, its bytes."""
    if tag.code in tifffile.TIFF.TAG_READERS:
        if tag.dtype not in _BYTES:
            return None
        file = page.parent.filehandle
        file.seek(tag.valueoffset)
        return file.read(tag.valuebytecount)
    value = tag.value
    if isinstance(value, np.ndarray):
        return tuple(value.tolist()) if value.ndim == 1 else None
    return value
