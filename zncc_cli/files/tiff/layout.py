"""How the pixels of an image are stored in the pages of a TIFF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zncc_cli.files.metadata import Metadata
from zncc_cli.files.tiff.codecs import NONE

STRIP_ROWS = 512
"""Rows of a strip that `write_tiff` is given; a multiple of the rows of a strip in the file."""

# Of pixels in a compressed strip of the file. Smaller strips compress worse; of larger ones parts are slow to read.
_MIN_STRIP_BYTES = 2**18


@dataclass(frozen=True)
class Layout:
    """How an image of ``shape`` and ``axes`` is stored in the pages of a file.

    leading: lengths of the axes that are pages. bands: number of channels that are samples of a page, plane after
    plane, or 1. samples: number of interleaved samples of a pixel.
    """

    shape: tuple[int, ...]
    axes: str
    dtype: np.dtype[Any]
    leading: tuple[int, ...]
    bands: int
    height: int
    width: int
    samples: int

    @property
    def planes(self) -> int:
        """Number of planes, bands counted."""
        return math.prod(self.leading) * self.bands

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def stored(self) -> tuple[int, int, int, int, int, int]:
        """The shape as tifffile has it: pages, bands, depth, height, width, samples."""
        return (math.prod(self.leading), self.bands, 1, self.height, self.width, self.samples)

    def rows_per_strip(self, compression: int) -> int:
        """Rows of a strip in the file."""
        rows, row_bytes = STRIP_ROWS, self.width * self.samples * self.dtype.itemsize
        while compression != NONE and rows > 1 and rows // 2 * row_bytes >= _MIN_STRIP_BYTES:
            rows //= 2
        return min(rows, self.height)


def layout_of(shape: Sequence[int], dtype: np.dtype[Any], axes: str, like: Metadata | None) -> Layout:
    """Return how the image is stored; the channels of a plain TIFF stay samples where they are in ``like``."""
    assert len(axes) == len(shape), f"axes {axes} of shape {tuple(shape)}"
    assert axes.endswith(("YX", "YXS")), f"axes {axes}"
    assert dtype.kind in "uif", f"dtype {dtype}"
    samples = shape[-1] if axes.endswith("S") else 1
    leading, (height, width) = tuple(shape[: axes.index("Y")]), shape[axes.index("Y") :][:2]
    bands = 1
    if like and like.bands and axes.endswith("CYX") and like.flavor == "plain":
        *pages, bands = leading
        leading = tuple(pages)
    return Layout(tuple(shape), axes, dtype, leading, bands, height, width, samples)


def resized(layout: Layout, height: int, width: int) -> tuple[int, ...]:
    """Return the shape of a smaller copy of an image."""
    rows = layout.axes.index("Y")
    return (*layout.shape[:rows], height, width, *layout.shape[rows + 2 :])
