"""The chain of pages in a TIFF, followed by hand before a library is let near it.

A circle of pages never ends, and lists of strips can be made to fill the memory; tifffile notices few of either.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from zncc_cli.files.paths import refusal

# An entry of a list of strips is eight bytes in the file at most, and a Python integer in a tuple in memory.
_BYTES_PER_SEGMENT = 40
_MAX_TAGS = 4096
_SUB_PAGES = 330
_SEGMENT_LISTS = (273, 279, 324, 325)
_SMALLEST_PAGE = 18
# Texts that each page can have of its own, and how much of them is compared.
_DESCRIPTION = 270
_TEXTS = {_DESCRIPTION: "descriptions", 285: "names"}
_COMPARED = 1024
_LONGEST_DESCRIPTION = 2**27


@dataclass(frozen=True)
class Chain:
    """The pages of a file.

    pages: how many. description: bytes of the first one's. own_texts: which of "descriptions" and "names" some page has
    that are not the first page's.
    """

    pages: int
    description: int
    own_texts: tuple[str, ...]


def follow_pages(path: Path, max_bytes: int) -> Chain:
    """Follow the pages of ``path`` to the end.

    Raises:
        InputError: no page, a circle, a page beyond the end of the file, lists of strips that do not fit in
            ``max_bytes``.
    """
    advice = "copy or export the file again"
    size = path.stat().st_size
    seen: set[int] = set()
    segments = sub_pages = description = 0
    texts: dict[int, bytes] = {}
    own: set[str] = set()
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
                page = _page(file, offset, order, big)
                segments += sum(page.counts.get(code, 0) for code in _SEGMENT_LISTS)
                sub_pages += page.counts.get(_SUB_PAGES, 0)
                if len(seen) == 1:
                    texts, description = page.texts, page.counts.get(_DESCRIPTION, 0)
                own |= {_TEXTS[code] for code, text in page.texts.items() if texts.get(code) != text}
                offset = page.next
        except (struct.error, OverflowError, _DamagedPageError):
            found = f"a damaged page {max(0, len(seen) - 1)}"
            raise refusal(path, expected="a complete, readable TIFF", found=found, advice=advice) from None
    if not seen:
        raise refusal(path, expected="a TIFF with an image", found="no image at all", advice=advice)
    if segments * _BYTES_PER_SEGMENT > max_bytes or (sub_pages + len(seen)) * _SMALLEST_PAGE > size:
        found = f"lists of {segments} strips and {sub_pages} further pages"
        raise refusal(path, expected=f"lists that fit in {max_bytes} bytes", found=found, advice=advice)
    if description > _LONGEST_DESCRIPTION:
        expected = f"a description of at most {_LONGEST_DESCRIPTION} bytes"
        raise refusal(path, expected=expected, found=f"{description} bytes", advice=advice)
    return Chain(len(seen), description, tuple(sorted(own)))


class _DamagedPageError(Exception):
    pass


@dataclass(frozen=True)
class _Page:
    """counts: how many values each tag has. texts: how those of `_TEXTS` begin. next: where the next page is, or 0."""

    counts: dict[int, int]
    texts: dict[int, bytes]
    next: int


def _page(file: BinaryIO, offset: int, order: str, big: bool) -> _Page:
    file.seek(offset)
    number, entry, link = ("Q", 20, "Q") if big else ("H", 12, "I")
    (tags,) = struct.unpack(order + number, file.read(struct.calcsize(order + number)))
    if not 0 < tags <= _MAX_TAGS:
        raise _DamagedPageError
    table = file.read(tags * entry)
    if len(table) < tags * entry:
        raise _DamagedPageError
    rest = file.read(struct.calcsize(order + link))
    counts, texts = {}, {}
    for place in range(0, tags * entry, entry):
        code, _, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), table, place)
        counts[code] = count
        if code in _TEXTS:
            texts[code] = _text(file, table[place + entry - (8 if big else 4) : place + entry], count, order + link)
    # Some writers leave out the last link.
    following = struct.unpack(order + link, rest)[0] if len(rest) == struct.calcsize(order + link) else 0
    return _Page(counts, texts, following)


def _text(file: BinaryIO, stored: bytes, count: int, link: str) -> bytes:
    """How a text begins that is ``stored`` in an entry, or where the entry says."""
    if count > len(stored):
        file.seek(*struct.unpack(link, stored))
        stored = file.read(min(count, _COMPARED))
    return stored[:count].rstrip(b"\0 ")
