"""What is asked of a reader of images, beside the path of the file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """What is asked of a reader.

    name: of the format, for messages and metadata. max_bytes: how much memory pixels may take at once. series: number
    of one image of several in the file, from 0; None for the first. indices: whether the pixels of a palette are read
    as the numbers that are stored, whatever the palette is: labels and masks.
    """

    name: str
    max_bytes: int
    series: int | None = None
    indices: bool = False
