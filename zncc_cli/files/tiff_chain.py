"""The chain of pages in a TIFF, followed by hand before a library is let near it.

A circle of pages never ends, and lists of strips can be made to fill the memory; tifffile notices few of either.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from zncc_cli.files.paths import refusal

# An entry of a list of strips is eight bytes in the file at most, and a Python integer in a tuple in memory.
_BYTES_PER_SEGMENT = 40
_MAX_TAGS = 4096
_SUB_PAGES = 330
_SEGMENT_LISTS = (273, 279, 324, 325)
_SMALLEST_PAGE = 18


def count_pages(path: Path, max_bytes: int) -> int:
    """Follow the pages of ``path`` to the end.

    Raises:
        InputError: no page, a circle, a page beyond the end of the file, lists of strips that do not fit in
            ``max_bytes``.
    """
    advice = "copy or export the file again"
    size = path.stat().st_size
    seen: set[int] = set()
    segments = sub_pages = 0
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
                counts, offset = _page(file, offset, order, big)
                segments += sum(counts.get(code, 0) for code in _SEGMENT_LISTS)
                sub_pages += counts.get(_SUB_PAGES, 0)
        except (struct.error, OverflowError, _DamagedPageError):
            found = f"a damaged page {max(0, len(seen) - 1)}"
            raise refusal(path, expected="a complete, readable TIFF", found=found, advice=advice) from None
    if not seen:
        raise refusal(path, expected="a TIFF with an image", found="no image at all", advice=advice)
    if segments * _BYTES_PER_SEGMENT > max_bytes or (sub_pages + len(seen)) * _SMALLEST_PAGE > size:
        found = f"lists of {segments} strips and {sub_pages} further pages"
        raise refusal(path, expected=f"lists that fit in {max_bytes} bytes", found=found, advice=advice)
    return len(seen)


class _DamagedPageError(Exception):
    pass


def _page(file: BinaryIO, offset: int, order: str, big: bool) -> tuple[dict[int, int], int]:
    """(how many values each tag has, where the next page is) of the page at ``offset``."""
    file.seek(offset)
    number, entry, link = ("Q", 20, "Q") if big else ("H", 12, "I")
    (tags,) = struct.unpack(order + number, file.read(struct.calcsize(order + number)))
    if not 0 < tags <= _MAX_TAGS:
        raise _DamagedPageError
    table = file.read(tags * entry)
    if len(table) < tags * entry:
        raise _DamagedPageError
    counts = {}
    for place in range(0, tags * entry, entry):
        code, _, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), table, place)
        counts[code] = count
    rest = file.read(struct.calcsize(order + link))
    # Some writers leave out the last link.
    return counts, struct.unpack(order + link, rest)[0] if len(rest) == struct.calcsize(order + link) else 0
