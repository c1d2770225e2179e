"""How names, numbers and sizes are spelled in messages, tables and reports."""

from __future__ import annotations

import os
from typing import NamedTuple


class Measure(NamedTuple):
    """How a number is shown.

    Attributes:
        label: its name.
        unit: its unit; "" for none.
        meaning: a sentence on what it says.
        factor: what the number is multiplied by to be in ``unit``.
    """

    label: str
    unit: str
    meaning: str
    factor: float = 1.0


_MAX_DECIMALS = 15  # a float64 of about one has no more


def told_apart(value: float, bound: float, decimals: int) -> tuple[str, str]:
    """Return both numbers with ``decimals`` decimals, or with as many as it takes to tell them apart."""
    for count in range(decimals, _MAX_DECIMALS + 1):
        texts = f"{value:.{count}f}", f"{bound:.{count}f}"
        if texts[0] != texts[1]:
            break
    return texts


def described_start(head: bytes) -> str:
    """Describe the first bytes of a file of no known format, for an error: as text where they are text."""
    text = head.decode("utf-8", errors="ignore")  # a letter may be cut at the end
    if len(text.encode()) > len(head) - 4 and all(letter.isprintable() or letter.isspace() for letter in text):
        return f'text that begins with "{text[:24]}"'
    return f"bytes that begin with {head[:8].hex(' ')}"


def one_line(text: object, limit: int = 200) -> str:
    """Return ``text`` on one line of at most ``limit`` characters.

    Names and headers may come from anybody: line breaks become blanks, and other characters that do not print, such as
    terminal escapes, are escaped.
    """
    printable = shown(" ".join(str(text).split()))
    return printable if len(printable) <= limit else printable[: limit - 3] + "..."


def shown(path: str | os.PathLike[str]) -> str:
    """Return ``path`` in full, with characters that do not print escaped."""
    text = os.fspath(path)
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def byte_count(count: int) -> str:
    """Return a number of bytes in GB or MB: ``1.25 GB``, ``3.00 MB``."""
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.2f} MB"


def span(seconds: float) -> str:
    """Return a duration in words: "4 s", "3:07 min", "12:45 h"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02} h"
