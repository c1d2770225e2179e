"""The chain of IFDs (image file directories, pages) in a TIFF, followed here before tifffile opens the file.

A circle of pages never ends, and lists of strips can fill the memory; tifffile detects only some of either.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from zncc_cli.files.paths import refusal
from zncc_cli.files.tiff import georeference

# An entry of a list of strips has at most eight bytes in the file, and is a Python integer in a tuple in memory.
_BYTES_PER_SEGMENT = 40
_MAX_TAGS = 4096
_SUB_IFDS = 330
_SEGMENT_LIST_TAGS = (273, 279, 324, 325)
_MIN_PAGE_BYTES = 18
# Tags of sizes and counts, and the types of whole numbers that they can have: BYTE, SHORT, LONG, LONG8.
_SIZE_TAGS = {256: "ImageWidth", 257: "ImageLength", 258: "BitsPerSample", 277: "SamplesPerPixel", 278: "RowsPerStrip"}
_SIZE_TAGS |= {322: "TileWidth", 323: "TileLength", 32997: "ImageDepth", 32998: "TileDepth"}
_UNSIGNED_TYPES = (1, 3, 4, 16)
# Tags that each page can have of its own, with the words for them; further ones are private tags, which instruments
# write, but for those of GeoTIFF, GDAL and ImageJ, and pointers to EXIF and GPS. And the number of bytes that are
# compared.
_DESCRIPTION = 270
_OWN_TAGS = {_DESCRIPTION: "descriptions", 285: "names", 306: "times (DateTime)"}
_FIRST_PRIVATE_TAG = 32768
_NOT_OF_PAGES = georeference.CODES | {34665, 34853, 34675, 42112, 42113, 50838, 50839}
_MAX_OWN_TAGS = 16
_COMPARED_BYTES = 1024
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8, 17: 8}
_MAX_DESCRIPTION_BYTES = 2**27


@dataclass(frozen=True)
class PageChain:
    """The pages of a file.

    pages: their number. description: bytes of the first page's description. own_tags: names of the tags that some page
    has with another value than the first: "descriptions", "times (DateTime)", "tag 65330".
    """

    pages: int
    description: int
    own_tags: tuple[str, ...]


def follow_pages(path: Path, max_bytes: int) -> PageChain:
    """Follow the pages of ``path`` to the end.

    Raises:
        InputError: there is no page, a circle of pages, a page beyond the end of the file, or lists of strips that do
            not fit in ``max_bytes``.
    """
    advice = "copy or export the file again"
    size = path.stat().st_size
    seen: set[int] = set()
    segments = sub_pages = description = 0
    first: dict[int, bytes] = {}
    own_tags: set[int] = set()
    with path.open("rb") as file:
        head = file.read(16)
        order = "<" if head.startswith(b"II") else ">"
        big = head[2:4] in (b"+\0", b"\0+")
        try:
            (offset,) = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)
            while offset:
                if offset in seen:
                    found = f"page {len(seen)} lead back to an earlier one"
                    raise refusal(path, expected="pages one after the other", found=found, advice=advice)
                seen.add(offset)
                page = _read_page(file, offset, order, big)
                segments += sum(page.counts.get(code, 0) for code in _SEGMENT_LIST_TAGS)
                sub_pages += page.counts.get(_SUB_IFDS, 0)
                if len(seen) == 1:
                    first, description = page.values, page.counts.get(_DESCRIPTION, 0)
                own_tags |= {code for code, value in page.values.items() if first.get(code) != value}
                offset = page.next
        except (struct.error, OverflowError, _DamagedPageError) as error:
            what = f" ({error})" if isinstance(error, _DamagedPageError) and str(error) else ""
            found = f"a damaged page {max(0, len(seen) - 1)}{what}"
            raise refusal(path, expected="a complete, readable TIFF", found=found, advice=advice) from None
    if not seen:
        raise refusal(path, expected="a TIFF with an image", found="no image at all", advice=advice)
    if segments * _BYTES_PER_SEGMENT > max_bytes or (sub_pages + len(seen)) * _MIN_PAGE_BYTES > size:
        found = f"lists of {segments} strips and {sub_pages} further pages"
        raise refusal(path, expected=f"lists that fit in {max_bytes} bytes", found=found, advice=advice)
    if description > _MAX_DESCRIPTION_BYTES:
        expected = f"a description of at most {_MAX_DESCRIPTION_BYTES} bytes"
        raise refusal(path, expected=expected, found=f"{description} bytes", advice=advice)
    names = tuple(_OWN_TAGS.get(code) or f"tag {code}" for code in sorted(own_tags))
    return PageChain(len(seen), description, names)


class _DamagedPageError(Exception):
    """The table of a page has no tags, too many of them, sizes that are none, or is cut off."""


@dataclass(frozen=True)
class _Page:
    """A page.

    counts: number of values of each tag. values: first bytes of the tags that a page can have of its own. next: offset
    of the next page, or 0.
    """

    counts: dict[int, int]
    values: dict[int, bytes]
    next: int


def _read_page(file: BinaryIO, offset: int, order: str, big: bool) -> _Page:
    """Read the table of tags at ``offset``; ``order``: byte order; ``big``: BigTIFF, of 64-bit offsets."""
    file.seek(offset)
    number, entry_bytes, link = ("Q", 20, "Q") if big else ("H", 12, "I")
    (tags,) = struct.unpack(order + number, file.read(struct.calcsize(order + number)))
    if not 0 < tags <= _MAX_TAGS:
        raise _DamagedPageError
    table = file.read(tags * entry_bytes)
    if len(table) < tags * entry_bytes:
        raise _DamagedPageError
    rest = file.read(struct.calcsize(order + link))
    counts: dict[int, int] = {}
    values: dict[int, bytes] = {}
    for start in range(0, tags * entry_bytes, entry_bytes):
        code, kind, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), table, start)
        counts[code] = count
        if code in _SIZE_TAGS and kind not in _UNSIGNED_TYPES:
            raise _DamagedPageError(f"{_SIZE_TAGS[code]} is no unsigned whole number")
        if len(values) < _MAX_OWN_TAGS and _is_of_page(code):
            end = start + entry_bytes
            size = count * _TYPE_BYTES.get(kind, 1)
            values[code] = _read_start(file, table[end - (8 if big else 4) : end], size, order + link)
    # Some writers leave out the last link.
    following = struct.unpack(order + link, rest)[0] if len(rest) == struct.calcsize(order + link) else 0
    return _Page(counts, values, following)


def _is_of_page(code: int) -> bool:
    """Tell whether a tag can say something of its page alone."""
    return code in _OWN_TAGS or (code >= _FIRST_PRIVATE_TAG and code not in _NOT_OF_PAGES)


def _read_start(file: BinaryIO, stored: bytes, size: int, link: str) -> bytes:
    """Return the first bytes of a value of ``size``; ``stored``, of an entry, is the value itself or its offset."""
    if size > len(stored):
        file.seek(*struct.unpack(link, stored))
        stored = file.read(min(size, _COMPARED_BYTES))
    return stored[:size].rstrip(b"\0 ")
