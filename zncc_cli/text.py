"""How names, numbers and sizes are spelt in messages, tables and reports."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
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


_MAX_DECIMALS = 15  # a float64 of about one holds no more


def told_apart(value: float, bound: float, decimals: int) -> tuple[str, str]:
    """Return both in so many ``decimals``, and in more where they would read alike."""
    for count in range(decimals, _MAX_DECIMALS + 1):
        texts = f"{value:.{count}f}", f"{bound:.{count}f}"
        if texts[0] != texts[1]:
            break
    return texts


def one_line(text: object, limit: int = 200) -> str:
    """``text`` on one line of at most ``limit`` characters.

    Names and headers come from strangers: line breaks and terminal escapes in them are spelt out, not obeyed.
    """
    words = " ".join(str(text).split())
    shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in words)
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def shown(path: str | os.PathLike[str]) -> str:
    """``path`` as it may be printed: printable characters only, never shortened."""
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in os.fspath(path))


def byte_count(count: int) -> str:
    """Return a number of bytes as people read it: ``1.25 GB``, ``3.00 MB``."""
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.2f} MB"
