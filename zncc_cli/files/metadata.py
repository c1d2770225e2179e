"""What is known of an image beside its pixels, enough to write a like file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Photometric = Literal["minisblack", "miniswhite", "rgb"]


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """The TIFF tags XResolution, YResolution (numerator, denominator; pixels per unit) and ResolutionUnit."""

    x: tuple[int, int]
    y: tuple[int, int]
    unit: int = 1

    def swapped(self) -> Resolution:
        """The resolution of the transposed image."""
        return Resolution(x=self.y, y=self.x, unit=self.unit)


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a file says of its pixels.

    path: where the image was read from. format: "TIFF", "PNG", "JPEG", ..., "NPY".
    photometric: the meaning of the samples; palettes, CMYK and YCbCr have been turned into "rgb" on reading.
    alpha: whether the last sample is opacity; premultiplied: whether the others were multiplied by it.
    resolution: pixels per unit, or None. unit: ImageJ's name of that unit ("micron"), or "".
    nodata: the value that marks missing pixels (GDAL, transparent PNG), or None.
    georeference: GeoTIFF tags as (code, data type, count, value), or empty.
    """

    path: Path
    format: str
    photometric: Photometric = "minisblack"
    alpha: bool = False
    premultiplied: bool = False
    resolution: Resolution | None = None
    unit: str = ""
    nodata: float | None = None
    georeference: tuple[tuple[int, int, int, Any], ...] = ()
