"""Whole slides of pathology that are no plain TIFFs, read through OpenSlide, by regions and levels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.array_image import array_image, calibration, check_bytes, library_errors
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.paths import refusal

_WHITE = (255, 255, 255)
_MAX_SIDE = 2**31 - 1
_DECODED_BYTES = 4  # of a pixel in OpenSlide
_MAX_TILE_BYTES = 2**28


def read_slide(path: Path, options: ReadOptions) -> Image:
    """Read the slide at ``path``, RGB, at full resolution, with its smaller levels. What was not scanned is white.

    Raises:
        InputError: OpenSlide does not know the file, or it is damaged.
    """
    import openslide

    with library_errors(path, options.name):
        slide: Any = openslide.OpenSlide(path)
        _check_tiles(path, options, slide)
        fields = _calibration(slide.properties)
        images = [
            array_image(path, options, _Level(path, options, slide, level), "YXS", fields)
            for level in range(slide.level_count)
        ]
        whole, *smaller = images
        levels = tuple(image.data for image in smaller)
        return Image(whole.data, whole.axes, whole.metadata, levels=levels)  # type: ignore[arg-type]


def _check_tiles(path: Path, options: ReadOptions, slide: Any) -> None:
    """Check the tiles of a slide before they are decoded: OpenSlide ends the process where it gets no memory."""
    for level in range(slide.level_count):
        sides = [slide.properties.get(f"openslide.level[{level}].tile-{side}") for side in ("width", "height")]
        if None not in sides:
            size = math.prod(map(int, sides)) * _DECODED_BYTES
            limit = min(_MAX_TILE_BYTES, options.max_bytes)
            if size > limit:
                found = f"{' x '.join(sides)} pixels ({size} bytes)"
                advice = "convert the slide to a TIFF in smaller tiles"
                raise refusal(path, expected=f"tiles of at most {limit} bytes", found=found, advice=advice)


class _Level:
    """A level of a slide, sliced like an array (H, W, 3)."""

    def __init__(self, path: Path, options: ReadOptions, slide: Any, level: int) -> None:
        self._path, self._options, self._slide, self._level = path, options, slide, level
        width, height = slide.level_dimensions[level]
        if not 0 < width <= _MAX_SIDE or not 0 < height <= _MAX_SIDE:
            raise ValueError(f"{width} x {height} pixels")
        self.shape, self.dtype = (int(height), int(width), 3), np.dtype(np.uint8)
        self._background = _colour(slide.properties.get("openslide.background-color"))

    def __getitem__(self, place: tuple[Any, ...]) -> NDArray[Any]:
        rows, columns = place[:2]
        size = columns.stop - columns.start, rows.stop - rows.start
        if 0 in size:
            return np.empty((size[1], size[0], 3), np.uint8)
        check_bytes(self._path, size[0] * size[1] * 8, self._options)
        # A region is named by its first pixel at full resolution.
        step = self._slide.level_downsamples[self._level]
        corner = round(columns.start * step), round(rows.start * step)
        region = np.asarray(self._slide.read_region(corner, self._level, size))
        opaque = region[..., 3:].astype(np.uint16)
        mixed = (region[..., :3] * opaque + self._background * (255 - opaque) + 127) // 255
        return mixed.astype(np.uint8)


def _colour(text: str | None) -> NDArray[np.uint16]:
    """Return the colour RRGGBB of what was not scanned, white where there is none."""
    try:
        return np.array(list(bytes.fromhex(text or "")) or _WHITE, np.uint16)[:3]
    except ValueError:
        return np.array(_WHITE, np.uint16)


def _calibration(properties: Any) -> dict[str, Any]:
    x, y = (_number(properties.get(f"openslide.mpp-{axis}")) for axis in "xy")
    return calibration(x, y, "µm")


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan
