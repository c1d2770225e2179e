"""The metadata of an image: all that a similar file is written with, beside the pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from zncc_cli.files.palette import Palette

Photometric = Literal["minisblack", "miniswhite", "rgb", "palette"]
Flavor = Literal["plain", "imagej", "ome"]

Tag = tuple[int, int, int, Any]
"""A TIFF tag: code, data type, count, value."""

PageTags = tuple[Tag, ...]
"""Tags of one page, whose values are bytes in little-endian order."""


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """The TIFF tags XResolution, YResolution (numerator, denominator; pixels per unit) and ResolutionUnit."""

    x: tuple[int, int]
    y: tuple[int, int]
    unit: int = 1

    def swapped(self) -> Resolution:
        """Return the resolution of the transposed image."""
        return Resolution(x=self.y, y=self.x, unit=self.unit)


@dataclass(frozen=True, kw_only=True)
class PixelSize:
    """Width and height of a pixel in a physical unit, in the spelling of the file ("micron", "µm", "nm")."""

    x: float
    y: float
    unit: str

    def swapped(self) -> PixelSize:
        """Return the pixel size of the transposed image."""
        return PixelSize(x=self.y, y=self.x, unit=self.unit)


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """The metadata of an image file.

    path: the file that the image was read from. format: "TIFF", "PNG", "JPEG", ..., "NPY", "OME-Zarr".
    photometric: the meaning of the samples; CMYK, YCbCr and palettes of colours have been turned into "rgb" on reading.
        "palette": labels, or other numbers of colours that mean no brightness.
    palette: the colours in which programs show the pixels, which are kept as they are stored; or None.
    alpha: whether the last sample is opacity; premultiplied: whether the others were multiplied by it.
    nodata: the value that marks missing pixels (GDAL, transparent PNG), or None. nodata_limit: where a range of values
        marks them (DICOM), its other end.

    The frame, the grid that the pixels lie on:
    pixel_size: physical size of a pixel (ImageJ, OME), or None. resolution: TIFF's own tags, or None.
    georeference: GeoTIFF tags, or empty. sky: cards of a FITS header that say where on the sky pixels lie, or empty.

    The file:
    flavor: the convention that a TIFF follows. properties: its metadata beside the axes and the pixel
    size, with the keys of tifffile's ``metadata`` argument (ImageJ: spacing, finterval, Labels, ...; OME:
    PhysicalSizeZ, TimeIncrement, Channel, ...).
    bands: whether the axis C of a plain TIFF lies in the samples of its pages (GeoTIFF), not in pages of its own.
    compression: TIFF's number of it (1: none). predictor: TIFF's number of it (1: none).
    description: ImageDescription of a plain TIFF, or "". tags: further tags, copied as they are into a file that is
    written (date, camera, ICC profile, ...). page_tags: for each plane along the leading axes, those tags of its page
    that differ from page to page (times of frames, ...); or empty. left_out: names of what the file holds and a file
    written from it cannot.
    """

    path: Path
    format: str
    photometric: Photometric = "minisblack"
    palette: Palette | None = None
    alpha: bool = False
    premultiplied: bool = False
    nodata: float | None = None
    nodata_limit: float | None = None
    pixel_size: PixelSize | None = None
    resolution: Resolution | None = None
    georeference: tuple[Tag, ...] = ()
    sky: tuple[str, ...] = ()
    flavor: Flavor = "plain"
    properties: Mapping[str, Any] = field(default_factory=dict)
    bands: bool = False
    compression: int = 1
    predictor: int = 1
    description: str = ""
    tags: tuple[Tag, ...] = ()
    page_tags: tuple[PageTags, ...] = ()
    left_out: tuple[str, ...] = ()
