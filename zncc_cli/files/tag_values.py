"""The values of TIFF tags: their data types, bytes, texts and numbers."""

from __future__ import annotations

import struct

import numpy as np

from zncc_cli.files.metadata import Tag

DESCRIPTION, ORIENTATION, PAGE_NAME, DATE_TIME, COLOR_MAP = 270, 274, 285, 306, 320
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8, 17: 8}
"""Bytes of a value of each of TIFF's data types; those that hold offsets of pages are not among them."""

_BYTE, _ASCII, _UNDEFINED = 1, 2, 7
_RATIONALS = (5, 10)  # two numbers of four bytes
_FORMATS = {3: "H", 4: "I", 5: "I", 6: "b", 8: "h", 9: "i", 10: "i", 11: "f", 12: "d", 16: "Q", 17: "q"}
_MAX_CONTROL_SHARE = 0.05  # of the letters of a text


def swapped(content: bytes, kind: int) -> bytes:
    """Return the bytes of values of TIFF's data type ``kind`` in the other byte order."""
    size = 4 if kind in _RATIONALS else TYPE_BYTES[kind]
    return content if size == 1 else np.frombuffer(content, f"u{size}").byteswap().tobytes()


def text_of(tag: Tag) -> str | None:
    """Return the value of a tag as text, where it is one: also of bytes, in UTF-8 or UTF-16; else None."""
    _, kind, _, value = tag
    if isinstance(value, str):
        return value
    if not isinstance(value, bytes) or kind not in (_BYTE, _ASCII, _UNDEFINED):
        return None
    is_utf_16 = len(value) > 2 and len(value) % 2 == 0 and value[1::2].count(0) > len(value) // 3
    try:
        text = value.decode("utf-16-le" if is_utf_16 else "utf-8").rstrip("\0")
    except UnicodeDecodeError:
        return None
    controls = sum(not (letter.isprintable() or letter.isspace()) for letter in text)
    return text if controls <= _MAX_CONTROL_SHARE * len(text) else None


def decoded(tag: Tag) -> Tag:
    """Return a tag whose value, bytes in little-endian order, is text or a tuple of numbers; bytes stay bytes."""
    code, kind, count, value = tag
    if not isinstance(value, bytes) or kind in (_BYTE, _UNDEFINED):
        return tag
    if kind == _ASCII:
        return code, kind, 0, value.rstrip(b"\0").decode("utf-8", "replace")
    size = 4 if kind in _RATIONALS else TYPE_BYTES[kind]
    return code, kind, count, struct.unpack(f"<{len(value) // size}{_FORMATS[kind]}", value)
