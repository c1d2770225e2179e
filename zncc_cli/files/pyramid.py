"""Pyramids: smaller copies of a large image, by which programs show it at any zoom without reading all of it.

Each level is half as wide and high as the one before. While a level is written, its copy is collected in a temporary
file, from which the next one is written: one strip is in memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

MIN_SIDE = 8192
"""Pixels of the longer side from which on an image gets a pyramid: smaller ones are shown whole at once."""

TILE = 512
"""Side of the tiles of an image with a pyramid, pixels."""

_SMALLEST_SIDE = 1024  # of the longer side of the last level: about a screen


def level_shapes(height: int, width: int) -> list[tuple[int, int]]:
    """Return (H, W) of each smaller copy of an image, from the largest on."""
    shapes = []
    while max(height, width) > _SMALLEST_SIDE:
        height, width = math.ceil(height / 2), math.ceil(width / 2)
        shapes.append((height, width))
    return shapes


class Level:
    """One level, collected while the one before it is written, in a temporary file that is removed at the end.

    Args:
        folder: where the file is made.
        dtype: of the pixels.
        samples: of a pixel.
        is_labels: pixels are taken, not averaged: labels, and numbers of colours.
        strip_rows: rows of the strips that are read back.
    """

    def __init__(self, folder: Path, dtype: np.dtype[Any], samples: int, *, is_labels: bool, strip_rows: int) -> None:
        self._file: Any = TemporaryFile(dir=folder)  # noqa: SIM115
        self._dtype, self._samples, self._is_labels, self._strip_rows = dtype, samples, is_labels, strip_rows

    def __enter__(self) -> Level:
        """Return the open level."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove the file."""
        self._file.close()

    def collect(self, strips: Iterable[NDArray[Any]]) -> Iterator[NDArray[Any]]:
        """Yield ``strips``, (h, W) or (h, W, S), as they are, and keep half of each.

        All strips but the last of a plane have an even number of rows.
        """
        for strip in strips:
            pixels = np.asarray(strip, self._dtype).reshape(*strip.shape[:2], self._samples)
            self._file.write(np.ascontiguousarray(halved(pixels, is_labels=self._is_labels)).data)
            yield strip

    def strips(self, planes: int, height: int, width: int) -> Iterator[NDArray[Any]]:
        """Yield the strips (h, W, S) of all planes of the level, whose size is (height, width)."""
        self._file.seek(0)
        for _ in range(planes):
            for top in range(0, height, self._strip_rows):
                rows = min(self._strip_rows, height - top)
                strip: NDArray[Any] = np.empty((rows, width, self._samples), self._dtype)
                self._file.readinto(strip.reshape(-1).view(np.uint8))
                yield strip


def halved(pixels: NDArray[Any], *, is_labels: bool) -> NDArray[Any]:
    """Return pixels (H, W, S) at half the size: means of 2 x 2, rounded; of labels, and at an odd edge, single ones.

    Of floats that are not finite, NaN mostly, the others count.
    """
    if is_labels:
        return pixels[::2, ::2]
    odd = [(0, size % 2) for size in pixels.shape[:2]]
    pixels = np.pad(pixels, (*odd, (0, 0)), mode="edge") if any(map(any, odd)) else pixels
    blocks = pixels.reshape(pixels.shape[0] // 2, 2, pixels.shape[1] // 2, 2, pixels.shape[2])
    axes = (1, 3)
    if pixels.dtype.kind != "f":
        # Quarters and rests by themselves, so that no sum leaves the range of the dtype.
        quarters, rests = (part.sum(axis=axes, dtype=pixels.dtype) for part in np.divmod(blocks, pixels.dtype.type(4)))
        rounded: NDArray[Any] = quarters + (rests + pixels.dtype.type(2)) // pixels.dtype.type(4)
        return rounded
    finite = np.isfinite(blocks)
    count = finite.sum(axis=axes, keepdims=True)
    total = (np.where(finite, blocks, 0) / np.maximum(count, 1).astype(np.float64)).sum(axis=axes)
    means: NDArray[Any] = np.where(count.squeeze(axes) > 0, total, np.nan).astype(pixels.dtype)
    return means


def tiles(strip: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield the tiles (TILE, TILE, S) of a strip (h, W, S) of at most TILE rows, filled up with its edge."""
    height, width = strip.shape[:2]
    for left in range(0, width, TILE):
        tile = strip[:, left : left + TILE]
        missing = (0, TILE - height), (0, TILE - tile.shape[1]), (0, 0)
        yield np.pad(tile, missing, mode="edge") if any(map(any, missing)) else np.ascontiguousarray(tile)
