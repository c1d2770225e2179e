"""The chain of IFDs (image file directories, pages) in a TIFF, followed here before tifffile opens the file.

A circle of pages never ends, and lists of strips can fill the memory; tifffile detects only some of either.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from zncc_cli.files.paths import refusal

# An entry of a list of strips has at most eight bytes in the file, and is a Python integer in a tuple in memory.
_BYTES_PER_SEGMENT = 40
_MAX_TAGS = 4096
_SUB_IFDS = 330
_SEGMENT_LIST_TAGS = (273, 279, 324, 325)
_MIN_PAGE_BYTES = 18
# Texts that each page can have of its own, and the number of bytes of them that are compared.
_DESCRIPTION = 270
_TEXT_TAGS = {_DESCRIPTION: "descriptions", 285: "names"}
_COMPARED_BYTES = 1024
_MAX_DESCRIPTION_BYTES = 2**27


@dataclass(frozen=True)
class PageChain:
    """The pages of a file.

    pages: their number. description: bytes of the first page's description. own_texts: "descriptions", "names" or both,
    where some page has others than the first.
    """

    pages: int
    description: int
    own_texts: tuple[str, ...]


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
    texts: dict[int, bytes] = {}
    own_texts: set[str] = set()
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
                    texts, description = page.texts, page.counts.get(_DESCRIPTION, 0)
                own_texts |= {_TEXT_TAGS[code] for code, text in page.texts.items() if texts.get(code) != text}
                offset = page.next
        except (struct.error, OverflowError, _DamagedPageError):
            found = f"a damaged page {max(0, len(seen) - 1)}"
            raise refusal(path, expected="a complete, readable TIFF", found=found, advice=advice) from None
    if not seen:
        raise refusal(path, expected="a TIFF with an image", found="no image at all", advice=advice)
    if segments * _BYTES_PER_SEGMENT > max_bytes or (sub_pages + len(seen)) * _MIN_PAGE_BYTES > size:
        found = f"lists of {segments} strips and {sub_pages} further pages"
        raise refusal(path, expected=f"lists that fit in {max_bytes} bytes", found=found, advice=advice)
    if description > _MAX_DESCRIPTION_BYTES:
        expected = f"a description of at most {_MAX_DESCRIPTION_BYTES} bytes"
        raise refusal(path, expected=expected, found=f"{description} bytes", advice=advice)
    return PageChain(len(seen), description, tuple(sorted(own_texts)))


class _DamagedPageError(Exception):
    """The table of a page has no tags, too many of them, or is cut off."""


@dataclass(frozen=True)
class _Page:
    """A page.

    counts: number of values of each tag. texts: first bytes of the `_TEXT_TAGS`. next: offset of the next page, or 0.
    """

    counts: dict[int, int]
    texts: dict[int, bytes]
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
    counts, texts = {}, {}
    for start in range(0, tags * entry_bytes, entry_bytes):
        code, _, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), table, start)
        counts[code] = count
        if code in _TEXT_TAGS:
            end = start + entry_bytes
            texts[code] = _read_text(file, table[end - (8 if big else 4) : end], count, order + link)
    # Some writers leave out the last link.
    following = struct.unpack(order + link, rest)[0] if len(rest) == struct.calcsize(order + link) else 0
    return _Page(counts, texts, following)


def _read_text(file: BinaryIO, stored: bytes, count: int, link: str) -> bytes:
    """Return the first bytes of a text; ``stored``, of an entry, is the text itself or its offset."""
    if count > len(stored):
        file.seek(*struct.unpack(link, stored))
        stored = file.read(min(count, _COMPARED_BYTES))
    return stored[:count].rstrip(b"\0 ")
