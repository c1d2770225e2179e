"""TIFF, read through tifffile."""

from __future__ import annotations

import logging
import lzma
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from zncc_cli.errors import InputError
from zncc_cli.files.metadata import Metadata, Photometric, PixelSize, Resolution
from zncc_cli.files.orientation import oriented, transposes
from zncc_cli.files.paths import one_line, refusal

# What tifffile and its codecs raise on damaged or unsupported files: in words that help, and, where a tag holds
# nonsense, in words that speak of Python.
_SPOKEN = (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError, tifffile.TiffFileError)
_STUMBLED = (TypeError, LookupError, ArithmeticError, AttributeError, AssertionError, struct.error)

# These kinds of file name further files, which tifffile would open; the one that was asked for is enough.
_ONE_FILE: dict[str, Any] = {"is_ome": False, "is_mmstack": False, "is_ndtiff": False}

_PHOTOMETRIC, _ORIENTATION, _X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 262, 274, 282, 283, 296
_GDAL_NODATA = 42113
_GEOTIFF = (33550, 33922, 34264, 34735, 34736, 34737)
_JPEG = (6, 7, 33007, 34892)  # compressions whose YCbCr the decoder turns into RGB
_COLOURS: dict[str, tuple[Photometric, int]] = {
    "MINISWHITE": ("miniswhite", 1),
    "MINISBLACK": ("minisblack", 1),
    "RGB": ("rgb", 3),
    "PALETTE": ("rgb", 1),
    "YCBCR": ("rgb", 3),
}
_ALPHA = {1: "premultiplied", 2: "straight"}


def read_tiff(path: Path, name: str, max_bytes: int) -> tuple[NDArray[Any], Metadata]:
    """Read the one 2D image in ``path``; reduced copies of it (pyramid levels, thumbnails) do not count.

    Raises:
        InputError: several images or channels, an unusual colour model, a missing codec, damage, too large.
    """
    with _tifffile_log() as log:
        try:
            with tifffile.TiffFile(path, **_ONE_FILE) as file:
                page = _only_page(path, file, log)
                photometric = _photometric(path, page)
                _check_sizes(path, page, max_bytes)
                unit = (file.imagej_metadata or {}).get("unit", "") if file.is_imagej else ""
                metadata = _metadata(path, name, page, photometric, str(unit))
                data = _pixels(page)
                orientation = _value(page, _ORIENTATION)
        except InputError:
            raise
        except (*_SPOKEN, *_STUMBLED) as error:
            if "imagecodecs" in str(error):
                expected, advice = "a compression that can be read here", 'run: pip install "zncc-cli[codecs]"'
                raise refusal(path, expected=expected, found=str(error).strip("'"), advice=advice) from error
            advice = "copy or export the file again"
            found = "tags that make no sense" if isinstance(error, _STUMBLED) else error
            raise refusal(path, expected="a complete, readable TIFF", found=found, advice=advice) from error
    return oriented(data, orientation), metadata


@contextmanager
def _tifffile_log() -> Iterator[list[str]]:
    """Collect what tifffile says to its logger, which would otherwise reach the terminal."""
    messages: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        messages.append(one_line(record.getMessage()))
        return False

    logger = logging.getLogger("tifffile")
    logger.addFilter(keep)
    try:
        yield messages
    finally:
        logger.removeFilter(keep)


def _only_page(path: Path, file: tifffile.TiffFile, log: list[str]) -> tifffile.TiffPage:
    series = file.series
    images = [one for one in series if not (one.keyframe.is_reduced or one.keyframe.is_mask)] or series
    if not images:
        found = log[0] if log else "no image at all"
        raise refusal(path, expected="a TIFF with one image", found=found, advice="copy or export the file again")
    first = images[0]
    page = first.keyframe
    planes = sum(max(1, len(one.pages), one.size // max(1, one.keyframe.size)) for one in images)
    if planes != 1:
        axes = f", axes {first.axes} of shape {first.shape}" if len(images) == 1 else ""
        found = f"{planes} images{axes}"
        advice = "one 2D image is needed; save one page as a file of its own"
        raise refusal(path, expected="one image", found=found, advice=advice)
    if page.imagedepth != 1:
        found = f"{page.imagedepth} planes in one page"
        raise refusal(path, expected="one 2D image", found=found, advice="save one plane as a file of its own")
    if 0 in page.shaped or page.dtype is None or page.dtype.kind not in "buif":
        found = f"shape {page.shape}, dtype {page.dtype}"
        raise refusal(path, expected="pixels of integers or floats", found=found, advice="convert the file")
    return page


def _photometric(path: Path, page: tifffile.TiffPage) -> Photometric:
    stored = page.photometric if _PHOTOMETRIC in page.tags else tifffile.PHOTOMETRIC.MINISBLACK
    name = getattr(stored, "name", str(stored))
    if name not in _COLOURS or (name == "YCBCR" and page.compression not in _JPEG):
        advice = "convert the file to grey or RGB"
        raise refusal(path, expected="grey or RGB pixels", found=f"{name} pixels", advice=advice)
    photometric, colours = _COLOURS[name]
    extra = page.samplesperpixel - colours
    if not 0 <= extra <= 1 or (extra == 1 and (name == "PALETTE" or (colours == 1 and _alpha(page) is None))):
        found = f"{page.samplesperpixel} channels ({name})"
        advice = "save one channel as a file of its own"
        raise refusal(path, expected="one channel, or RGB with or without alpha", found=found, advice=advice)
    return photometric


def _alpha(page: tifffile.TiffPage) -> str | None:
    """The kind of opacity in the last sample; as everywhere, RGB with a fourth sample and no word of it is RGBA."""
    if not page.extrasamples:
        return "straight" if page.samplesperpixel == 4 else None
    return _ALPHA.get(int(page.extrasamples[-1]))


def _check_sizes(path: Path, page: tifffile.TiffPage, max_bytes: int) -> None:
    """Believe no header: not more pixels than allowed, no strip or tile missing, none beyond the file's end."""
    assert page.dtype is not None
    pixels = math.prod(page.shaped)
    claimed = max(pixels, math.prod(page.chunks)) * page.dtype.itemsize
    if claimed > max_bytes:
        found = f"{page.imagewidth} x {page.imagelength} pixels ({claimed} bytes)"
        raise refusal(path, expected=f"at most {max_bytes} bytes of pixels", found=found, advice="crop or bin it")
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))
    end = max((offset + count for offset, count in segments), default=0)
    size = path.stat().st_size
    if end > size:
        advice = "it was cut off; copy or export it again"
        raise refusal(path, expected=f"a file of at least {end} bytes", found=f"{size} bytes", advice=advice)
    if _GDAL_NODATA in page.tags:
        return  # GDAL leaves out strips and tiles without data, and the tag says what stands for them
    stored = sum(count for _, count in segments)
    needed = -(-pixels * page.bitspersample // 8) if page.compression == 1 else 1
    complete = page.is_contiguous or len(segments) >= math.prod(page.chunked)
    if stored < needed or not complete or not all(offset and count for offset, count in segments):
        expected = f"all strips or tiles of {page.imagewidth} x {page.imagelength} pixels"
        found = f"{len(segments)} with {stored} bytes"
        raise refusal(path, expected=expected, found=found, advice="copy or export the file again")


def _pixels(page: tifffile.TiffPage) -> NDArray[Any]:
    data: NDArray[Any] = page.asarray()
    if page.axes.startswith("S"):  # one plane per sample
        data = np.moveaxis(data, 0, -1)
    if data.dtype.kind == "b":
        data = data.astype(np.uint8) * np.uint8(255)
    if page.colormap is None or page.photometric != tifffile.PHOTOMETRIC.PALETTE:
        return data
    palette = page.colormap.T
    # Palettes are stored in 16 bits; nearly all of them hold 8-bit values, as v * 257, v * 256 or plain v.
    divisor = next((d for d in (257, 256) if not (palette % d).any()), 1)
    palette = palette // divisor
    colours: NDArray[Any] = palette.astype(np.uint8 if palette.max() < 256 else np.uint16)[data]
    return colours


def _value(page: tifffile.TiffPage, code: int) -> Any:
    tag = page.tags.get(code)
    return None if tag is None else tag.value


def _metadata(path: Path, name: str, page: tifffile.TiffPage, photometric: Photometric, unit: str) -> Metadata:
    alpha = _alpha(page)
    resolution = _resolution(page)
    if resolution and transposes(_value(page, _ORIENTATION)):
        resolution = resolution.swapped()
    tags = [page.tags[code] for code in _GEOTIFF if code in page.tags]
    return Metadata(
        path=path,
        format=name,
        photometric=photometric,
        alpha=alpha is not None,
        premultiplied=alpha == "premultiplied",
        resolution=resolution,
        pixel_size=_pixel_size(resolution, unit),
        nodata=_number(_value(page, _GDAL_NODATA)),
        georeference=tuple((tag.code, int(tag.dtype), tag.count, tag.value) for tag in tags),
    )


def _pixel_size(resolution: Resolution | None, unit: str) -> PixelSize | None:
    if resolution is None or not unit:
        return None
    (x, per_x), (y, per_y) = resolution.x, resolution.y
    return PixelSize(x=per_x / x, y=per_y / y, unit=unit)


def _resolution(page: tifffile.TiffPage) -> Resolution | None:
    x, y = _value(page, _X_RESOLUTION), _value(page, _Y_RESOLUTION)
    if not all(isinstance(value, tuple) and len(value) == 2 and min(value) > 0 for value in (x, y)):
        return None
    unit = _value(page, _RESOLUTION_UNIT)
    return Resolution(x=x, y=y, unit=int(unit) if unit in (1, 2, 3) else 2)  # 2, inch: the standard's default


def _number(text: Any) -> float | None:
    try:
        return float(str(text).strip())
    except ValueError:
        return None
