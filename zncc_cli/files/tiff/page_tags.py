"""Tags that each page of a TIFF has of its own, put into a file that is written.

The writer of pages gives all pages after the first the same tags. A page with tags of its own gets a new table of tags
(IFD) at the end of the file, which takes the place of its old one in the chain.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO

from zncc_cli.files.metadata import PageTags, Tag
from zncc_cli.files.tag_values import TYPE_BYTES, swapped


def put_page_tags(file: BinaryIO, page_tags: Sequence[PageTags]) -> None:
    """Give the pages of a TIFF tags of their own; ``file`` is open for reading and writing.

    Args:
        file: the whole file, of at least as many pages.
        page_tags: for each page from the first on; the first one is left as it is. Values are bytes in little-endian
            order.
    """
    file.seek(0)
    head = file.read(16)
    order = "<" if head.startswith(b"II") else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    number, link, entry_bytes = ("Q", "Q", 20) if big else ("H", "I", 12)
    link_place = 8 if big else 4
    for page, tags in enumerate(page_tags):
        (table,) = _unpacked(file, link_place, order + link)
        (entries,) = _unpacked(file, table, order + number)
        start = table + struct.calcsize(number)
        end = start + entries * entry_bytes
        if page and tags:
            file.seek(start)
            stored = [file.read(entry_bytes) for _ in range(entries)]
            following = file.read(struct.calcsize(link))
            file.seek(0, 2)
            added = {tag[0]: _entry(file, tag, order, big) for tag in tags}
            kept = {struct.unpack(order + "H", entry[:2])[0]: entry for entry in stored}
            content = [entry for _, entry in sorted({**kept, **added}.items())]
            _align(file)
            new_table = file.tell()
            file.write(struct.pack(order + number, len(content)) + b"".join(content) + following)
            file.seek(link_place)
            file.write(struct.pack(order + link, new_table))
            end = new_table + struct.calcsize(number) + len(content) * entry_bytes
        link_place = end


def page_tag_bytes(page_tags: Sequence[PageTags]) -> int:
    """Return how many bytes the tags add to a file at most, less the tables that are written anew."""
    return sum(len(tag[3]) + 40 for tags in page_tags for tag in tags)


def _unpacked(file: BinaryIO, place: int, form: str) -> tuple[int, ...]:
    file.seek(place)
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _entry(file: BinaryIO, tag: Tag, order: str, big: bool) -> bytes:
    """Return the entry of a tag in a table; a value that does not fit into it is written at the end of the file."""
    code, kind, _, value = tag
    room = 8 if big else 4
    content = value if order == "<" else swapped(value, kind)
    count = len(content) // TYPE_BYTES[kind]
    if len(content) > room:
        _align(file)
        place = file.tell()
        file.write(content)
        content = struct.pack(order + ("Q" if big else "I"), place)
    return struct.pack(order + ("HHQ" if big else "HHI"), code, kind, count) + content.ljust(room, b"\0")


def _align(file: BinaryIO) -> None:
    """Go to the next even place: values and tables begin at a word."""
    if file.tell() % 2:
        file.write(b"\0")
