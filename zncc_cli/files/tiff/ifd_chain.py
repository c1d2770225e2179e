"""The chain of IFDs (image file directories, pages) in a TIFF, followed here before tifffile opens the file.

A circle of pages never ends, and lists of strips can fill the memory; tifffile detects only some of either.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO

from zncc_cli.files.metadata import PageTags, Tag
from zncc_cli.files.paths import refusal
from zncc_cli.files.tag_values import COLOR_MAP, DATE_TIME, DESCRIPTION, ORIENTATION, PAGE_NAME, TYPE_BYTES, swapped
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
_OWN_TAGS = {DESCRIPTION: "descriptions", PAGE_NAME: "names", DATE_TIME: "times (DateTime)"}
_FIRST_PRIVATE_TAG = 32768
_NOT_OF_PAGES = georeference.CODES | {34665, 34853, 34675, 42112, 42113, 50838, 50839}
_MAX_OWN_TAGS = 32
_MAX_OWN_BYTES = 2**16  # of one value
_MAX_READ_BYTES = 2**27  # of values of all pages
_COMPARED_BYTES = 1024  # of longer values, and of all after so many
_MAX_DESCRIPTION_BYTES = 2**27
# What a page and a tag of its own take in memory, beside the value: a few bytes of the file become Python objects.
_BYTES_PER_PAGE = 400
_BYTES_PER_TAG = 400
_MAX_HELD_BYTES = 2**29  # of the tags of all pages


@dataclass(frozen=True)
class PageChain:
    """The pages of a file.

    pages: their number. description: bytes of the first page's description. own: of each page, the tags that it can
    have of its own, by their codes; of the first pages alone where those of all would take too much memory.
    """

    pages: int
    description: int
    own: tuple[Mapping[int, OwnTag], ...]

    @property
    def is_cut(self) -> bool:
        """Whether the tags of some pages are not known."""
        return len(self.own) < self.pages

    def differing(self, pages: Sequence[int]) -> tuple[int, ...]:
        """Return the codes of the tags that some of ``pages`` have with another value than the first of them.

        Many programs write a tag into the first page alone, for all of them. Not to be asked where `is_cut`.
        """
        first = self.own[pages[0]]
        codes = set[int]()
        for page in pages[1:]:
            own = self.own[page]
            if own is not first:
                codes |= {code for code, tag in own.items() if tag != first.get(code)}
        return tuple(sorted(codes))

    def tags_of(self, page: int, codes: Collection[int]) -> PageTags:
        """Return those tags of a page that are among ``codes`` and were read as a whole."""
        own = self.own[page]
        return tuple(own[code].tag for code in codes if code in own and own[code].is_whole)

    def is_whole(self, pages: Sequence[int], code: int) -> bool:
        """Tell whether the values of a tag were read as a whole, in all of ``pages`` that have it."""
        return all(self.own[page][code].is_whole for page in pages if code in self.own[page])


@dataclass(frozen=True, slots=True)
class OwnTag:
    """A tag that a page can have of its own; its value is bytes in little-endian order: all, or what tells them apart.

    The latter is a digest of the first ones.
    """

    tag: Tag
    is_whole: bool


def follow_pages(path: Path, max_bytes: int) -> PageChain:
    """Follow the pages of ``path`` to the end.

    Raises:
        InputError: there is no page, a circle of pages, a page beyond the end of the file, or pages or lists of strips
            that do not fit in ``max_bytes``.
    """
    advice = "copy or export the file again"
    size = path.stat().st_size
    seen: set[int] = set()
    segments = sub_pages = description = 0
    own: list[Mapping[int, OwnTag]] = []
    reader = _ValueReader(min(_MAX_HELD_BYTES, max_bytes // 2))
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
                if len(seen) * _BYTES_PER_PAGE > max_bytes:
                    found = f"{len(seen)} pages and more"
                    raise refusal(path, expected=f"pages that fit in {max_bytes} bytes", found=found, advice=advice)
                page = _read_page(file, offset, order, big, reader)
                segments += sum(page.counts.get(code, 0) for code in _SEGMENT_LIST_TAGS)
                sub_pages += page.counts.get(_SUB_IFDS, 0)
                if len(seen) == 1:
                    description = page.counts.get(DESCRIPTION, 0)
                if page.own is not None:
                    own.append(reader.held(own[-1] if own else {}, page.own))
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
    return PageChain(len(seen), description, tuple(own))


class _DamagedPageError(Exception):
    """The table of a page has no tags, too many of them, sizes that are none, or is cut off."""


@dataclass(frozen=True)
class _Page:
    """A page.

    counts: number of values of each tag. own: the tags that a page can have of its own; None where there is no room
    for them. next: offset of the next page, or 0.
    """

    counts: dict[int, int]
    own: dict[int, OwnTag] | None
    next: int


def _read_page(file: BinaryIO, offset: int, order: str, big: bool, reader: _ValueReader) -> _Page:
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
    own: dict[int, OwnTag] = {}
    for start in range(0, tags * entry_bytes, entry_bytes):
        code, kind, count = struct.unpack_from(order + ("HHQ" if big else "HHI"), table, start)
        counts[code] = count
        if code in _SIZE_TAGS and kind not in _UNSIGNED_TYPES:
            raise _DamagedPageError(f"{_SIZE_TAGS[code]} is no unsigned whole number")
        if reader.has_room and len(own) < _MAX_OWN_TAGS and _is_of_page(code):
            end = start + entry_bytes
            stored = table[end - (8 if big else 4) : end]
            own[code] = reader.read(file, (code, kind, count), stored, order + link)
    # Some writers leave out the last link.
    following = struct.unpack(order + link, rest)[0] if len(rest) == struct.calcsize(order + link) else 0
    return _Page(counts, own if reader.has_room else None, following)


def own_tag_name(code: int) -> str:
    """Return how messages name a tag that pages have of their own."""
    return f"{_OWN_TAGS.get(code) or f'tag {code}'} of further pages"


def _is_of_page(code: int) -> bool:
    """Tell whether a tag can say something of its page alone."""
    is_private = code >= _FIRST_PRIVATE_TAG and code not in _NOT_OF_PAGES
    return is_private or code in _OWN_TAGS or code in (ORIENTATION, COLOR_MAP)


class _ValueReader:
    """Reads the values of tags, so many bytes of all pages together, as long as there is room to hold them.

    has_room: whether what was read so far takes no more memory than may be held.
    """

    def __init__(self, room: int) -> None:
        self._left = _MAX_READ_BYTES
        self._room = room

    @property
    def has_room(self) -> bool:
        return self._room > 0

    def held(self, last: Mapping[int, OwnTag], own: Mapping[int, OwnTag]) -> Mapping[int, OwnTag]:
        """Return the tags of a page, ``own``; most pages have those of the ``last`` one, which are held once."""
        if own == last:
            return last
        self._room -= sum(_BYTES_PER_TAG + len(tag.tag[3]) for tag in own.values())
        return own

    def read(self, file: BinaryIO, entry: tuple[int, int, int], stored: bytes, link: str) -> OwnTag:
        """Return the tag of ``entry`` (code, data type, count); ``stored`` is its value itself, or the offset of it."""
        code, kind, count = entry
        size = count * TYPE_BYTES.get(kind, 1)
        is_whole = kind in TYPE_BYTES
        if size > len(stored):
            is_whole = is_whole and size <= min(_MAX_OWN_BYTES, self._left)
            file.seek(*struct.unpack(link, stored))
            stored = file.read(size if is_whole else min(size, _COMPARED_BYTES))
            is_whole = is_whole and len(stored) == size
            self._left -= len(stored)
        value = stored[:size]
        if not is_whole:
            value = blake2b(value, digest_size=16).digest()
        elif link[0] == ">":
            value = swapped(value, kind)
        return OwnTag((code, kind, count, value), is_whole)
