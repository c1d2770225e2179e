"""TIFF, read through tifffile: one series of pages with its axes, decoded when it is asked for.

No header is believed: pages are counted, and sizes compared with the file, before memory is taken.
"""

from __future__ import annotations

import logging
import lzma
import math
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from zncc_cli.errors import ZnccError
from zncc_cli.files.lazy import LazyArray, Stored
from zncc_cli.files.metadata import Photometric
from zncc_cli.files.pages import no_such_number, numbered
from zncc_cli.files.paths import refusal, too_large_for_memory
from zncc_cli.files.tiff.checks import check_pages, check_segment
from zncc_cli.files.tiff.copied_tags import georeference_tags
from zncc_cli.files.tiff.ifd_chain import follow_pages
from zncc_cli.files.tiff.ome_xml import Ome, read_ome
from zncc_cli.files.tiff.orientation import orientation_notes, oriented, stored_part, transposes, turns
from zncc_cli.files.tiff.page_metadata import ORIENTATION, metadata_of, value
from zncc_cli.files.tiff.segments import JPEG, Planes, cache_for
from zncc_cli.text import one_line

# What tifffile and its codecs raise on damaged or unsupported files: in words that help, and, where a tag holds
# nonsense, in words that speak of Python.
_SPOKEN = (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError, tifffile.TiffFileError)
_STUMBLED = (TypeError, LookupError, ArithmeticError, AttributeError, AssertionError, struct.error)

# These kinds of file name further files, which tifffile would open, or have pixels that are no pixels yet.
_AS_PLAIN: dict[str, Any] = {"is_mmstack": False, "is_ndtiff": False, "is_ndpi": False, "is_mdgel": False}
# It is parsed several times, by tifffile as well: 40 MB take a minute.
_LONGEST_OME = 2**23

_PHOTOMETRIC = 262
_COLOURS: dict[str, tuple[Photometric, int]] = {
    "MINISWHITE": ("miniswhite", 1),
    "MINISBLACK": ("minisblack", 1),
    "RGB": ("rgb", 3),
    "PALETTE": ("rgb", 1),
    "YCBCR": ("rgb", 3),
}
# The first level of a pyramid is a half or a quarter as wide as the image; what is smaller is a thumbnail.
_OF_A_PYRAMID = 4
_ODD_DEPTHS = frozenset(range(1, 64)) - {8, 16, 32}
_ALPHA = {1: "premultiplied", 2: "straight"}


def read_tiff(path: Path, name: str, max_bytes: int, series: int | None) -> Stored:
    """Read one series of ``path``, lazily; reduced copies of it (pyramid levels, thumbnails) do not count.

    Samples that are not RGB, or grey and alpha, become an axis "C" before "YX".

    Raises:
        OptionError: no such series.
        InputError: an unusual colour model, a missing codec, damage, too large.
    """
    with readable(path) as log:
        chain = follow_pages(path, max_bytes)
        flags = _AS_PLAIN if chain.description <= _LONGEST_OME else {**_AS_PLAIN, "is_ome": False}
        with tifffile.TiffFile(path, _multifile=False, **flags) as file:
            ome = read_ome(file.pages.first.description, chain.pages) if file.is_ome else None
            if chain.description > _LONGEST_OME and file.pages.first.is_ome:
                ome = Ome(images=(), doubt=f"it has {chain.description} bytes, more than {_LONGEST_OME}")
            if ome and ome.doubt:
                file.is_ome = False
            every = file.series
            chosen, notes = _choose(path, every, series, log)
            if ome and ome.doubt:
                notes += (f"the OME-XML was not followed: {ome.doubt}",)
            stored = _stored(path, name, file, chosen, _ome_image(ome, every, chosen), max_bytes, notes)
            left_out = (*stored.metadata.left_out, *_copies(chosen, every))
            if len(chosen.pages) > 1:
                left_out += tuple(f"{texts} of further pages" for texts in chain.own_texts)
            return replace(stored, metadata=replace(stored.metadata, left_out=left_out))


@contextmanager
def readable(path: Path) -> Iterator[list[str]]:
    """Turn what tifffile raises into an `InputError`; collect what it logs, which would else reach the terminal."""
    try:
        with _tifffile_log() as log, warnings.catch_warnings():
            # Libraries warn of odd metadata; what harms the pixels they raise.
            warnings.simplefilter("ignore")
            yield log
    except ZnccError:
        raise
    except MemoryError:
        raise too_large_for_memory(path) from None
    except (*_SPOKEN, *_STUMBLED) as error:
        if "imagecodecs" in str(error):
            expected, advice = "a compression that can be read here", 'run: pip install "zncc-cli[codecs]"'
            raise refusal(path, expected=expected, found=str(error).strip("'"), advice=advice) from error
        advice = "copy or export the file again"
        found = "tags that make no sense" if isinstance(error, _STUMBLED) else error
        raise refusal(path, expected="a complete, readable TIFF", found=found, advice=advice) from error


@contextmanager
def _tifffile_log() -> Iterator[list[str]]:
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


def _choose(
    path: Path, every: list[tifffile.TiffPageSeries], series: int | None, log: list[str]
) -> tuple[tifffile.TiffPageSeries, tuple[str, ...]]:
    def counts(one: tifffile.TiffPageSeries) -> bool:
        return not (one.keyframe.is_reduced or one.keyframe.is_mask or one.name == "Thumbnail")

    images = [one for one in every if counts(one)] or every
    if not images:
        found = log[0] if log else "no image at all"
        raise refusal(path, expected="a TIFF with an image", found=found, advice="copy or export the file again")
    number = series or 0
    if not 0 <= number < len(images):
        raise no_such_number(path, "--series", number, len(images))
    note = f"{numbered('series', 0, len(images))} was read; --series chooses"
    return images[number], (note,) if series is None and len(images) > 1 else ()


def _copies(chosen: tifffile.TiffPageSeries, every: list[tifffile.TiffPageSeries]) -> tuple[str, ...]:
    """What is in the file beside the pixels of full size: not a thumbnail, but masks and the levels of a pyramid."""
    reduced = [one.keyframe for one in every if one is not chosen and one.keyframe.is_reduced]
    is_pyramid = any(_OF_A_PYRAMID * page.imagewidth >= chosen.keyframe.imagewidth for page in reduced)
    levels = len(chosen.levels) - 1 + (len(reduced) if is_pyramid else 0)
    said = [f"{levels} smaller copies"] if levels > 1 else ["a smaller copy"] if levels else []
    return (*said, *(["the mask"] if any(one.keyframe.is_mask for one in every if one is not chosen) else []))


def _ome_image(ome: Ome | None, every: list[tifffile.TiffPageSeries], chosen: tifffile.TiffPageSeries) -> Any:
    if not ome or ome.doubt or chosen.kind != "ome":
        return None
    if len(ome.images) == len(every):
        return ome.images[every.index(chosen)]
    return next((image for image in ome.images if image.name == chosen.name), None)


@dataclass(frozen=True, kw_only=True)
class _Samples:
    """How the samples of a pixel are read.

    colours: 0 for one grey value or channels, else the length of the axis S. channels: length of the axis C, or 1.
    """

    photometric: Photometric
    alpha: str | None
    colours: int
    channels: int
    notes: tuple[str, ...] = ()


def _samples(path: Path, page: tifffile.TiffPage) -> _Samples:
    stored = page.photometric if _PHOTOMETRIC in page.tags else tifffile.PHOTOMETRIC.MINISBLACK
    name = getattr(stored, "name", str(stored))
    count = int(page.samplesperpixel)
    if name not in _COLOURS or (name == "YCBCR" and page.compression not in JPEG):
        advice = "convert the file to grey or RGB"
        raise refusal(path, expected="grey or RGB pixels", found=f"{name} pixels", advice=advice)
    photometric, colours = _COLOURS[name]
    if count < colours or (name == "PALETTE" and (count > 1 or page.colormap is None)):
        advice = "convert the file to grey or RGB"
        raise refusal(path, expected=f"{name} pixels", found=f"{count} samples in each", advice=advice)
    alpha = _alpha(page)
    if name == "PALETTE":
        return _Samples(photometric="rgb", alpha=None, colours=3, channels=1)
    if count == colours == 1:
        return _Samples(photometric=photometric, alpha=None, colours=0, channels=1)
    if colours == 3 and count <= 4:
        return _Samples(photometric="rgb", alpha=alpha if count == 4 else None, colours=count, channels=1)
    if count == 2 and alpha:
        return _Samples(photometric=photometric, alpha=alpha, colours=2, channels=1)
    grey: Photometric = "miniswhite" if photometric == "miniswhite" else "minisblack"
    notes = (f"the {count} samples of a pixel were read as channels",) if colours == 3 else ()
    return _Samples(photometric=grey, alpha=None, colours=0, channels=count, notes=notes)


def _alpha(page: tifffile.TiffPage) -> str | None:
    """The kind of opacity in the last sample; as everywhere, RGB with a fourth sample and no word of it is RGBA."""
    if not page.extrasamples:
        return "straight" if page.samplesperpixel == 4 else None
    return _ALPHA.get(int(page.extrasamples[-1]))


def _leading(path: Path, series: tifffile.TiffPageSeries) -> tuple[str, tuple[int, ...]]:
    """Axes and shape of what lies before the planes of a page; axes of length one are left out."""
    size = math.prod(series.shape)
    page = math.prod(series.keyframe.shaped)
    if size % page:
        found = f"shape {series.shape} in pages of shape {series.keyframe.shape}"
        raise refusal(path, expected="a series of whole pages", found=found, advice="export the file again")
    axes, shape, total = "", [], 1
    for letter, length in zip(series.axes, series.shape, strict=True):
        if total == size // page:
            break
        total *= length
        if length > 1:
            axes += "Q" if letter in "YXS" else letter
            shape.append(length)
    return (axes, tuple(shape)) if total == size // page else ("Q", (size // page,))


def _stored(
    path: Path,
    name: str,
    file: tifffile.TiffFile,
    series: tifffile.TiffPageSeries,
    ome: Any,
    max_bytes: int,
    notes: tuple[str, ...],
) -> Stored:
    page = series.keyframe
    if 0 in page.shaped or page.dtype is None or page.dtype.kind not in "buif":
        found = f"shape {page.shape}, dtype {page.dtype}"
        raise refusal(path, expected="pixels of integers or floats", found=found, advice="convert the file")
    samples = _samples(path, page)
    axes, leading = _leading(path, series)
    planes, missing = _planes(path, series, math.prod(leading), max_bytes)
    depth = page.shaped[1]
    if depth > 1:
        axes, leading = axes + "Z", (*leading, depth)
    if samples.channels > 1:
        axes, leading = axes + ("C" if "C" not in axes else "Q"), (*leading, samples.channels)
    imagej = file.imagej_metadata if file.is_imagej and series.kind != "ome" else None
    metadata = metadata_of(
        path,
        name,
        page,
        photometric=samples.photometric,
        alpha=samples.alpha,
        bands=samples.channels > 1,
        imagej=imagej,
        ome=ome,
    )
    orientation = value(page, ORIENTATION)
    notes += (*samples.notes, *orientation_notes(orientation))
    if turns(orientation) and georeference_tags(page):
        notes += ("the georeference was left out: the orientation tag turns the image",)
    left_out = [*metadata.left_out]
    if samples.photometric == "rgb" and page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        left_out.append("the palette (RGB instead)")
    elif page.bitspersample in _ODD_DEPTHS:
        left_out.append(f"the depth of {page.bitspersample} bit ({page.dtype.itemsize * 8} instead)")
    metadata = replace(metadata, left_out=tuple(left_out))
    if missing:
        notes += (f"{missing} planes are missing in the file and were read as 0",)
    data = _lazy(path, planes, samples, leading, orientation)
    return Stored(data=data, axes=axes + ("YXS" if samples.colours else "YX"), metadata=metadata, notes=notes)


def _planes(path: Path, series: tifffile.TiffPageSeries, count: int, max_bytes: int) -> tuple[Planes, int]:
    """The checked pages of ``series``, ``count`` of them, and how many are missing."""
    page = series.keyframe
    contiguous = page.is_final
    nbytes = math.prod(page.shaped) * (page.bitspersample // 8 if isinstance(page.bitspersample, int) else 0)
    start = series.dataoffset if contiguous and count > 1 else None
    if start is not None:
        end, size = start + count * nbytes, path.stat().st_size
        if end > size:
            advice = "it was cut off; copy or export it again"
            raise refusal(path, expected=f"a file of at least {end} bytes", found=f"{size} bytes", advice=advice)
        # All pages in one run, of which only the first may have tags of its own.
        firsts: list[Any] = [np.array([start + number * nbytes], dtype=np.int64) for number in range(count)]
        planes = Planes(
            path, page, firsts, [np.array([nbytes])] * count, [None] * count, True, cache_for(page, max_bytes)
        )
        check_pages(path, planes)
        return planes, 0
    pages = list(series.pages)
    if len(pages) != count:
        found = f"{len(pages)} pages for {count} planes"
        raise refusal(path, expected="a page for each plane", found=found, advice="export the file again")
    planes = Planes(
        path,
        page,
        [None if one is None else np.array(one.dataoffsets, dtype=np.int64) for one in pages],
        [None if one is None else np.array(one.databytecounts, dtype=np.int64) for one in pages],
        [None if one is None else one.jpegtables for one in pages],
        contiguous and all(one is None or one.is_final for one in pages),
        cache_for(page, max_bytes),
    )
    if not planes.contiguous:
        check_segment(path, page, max_bytes)
    check_pages(path, planes)
    page.init_decode()
    return planes, sum(one is None for one in pages)


def _lazy(path: Path, planes: Planes, samples: _Samples, leading: tuple[int, ...], orientation: Any) -> LazyArray:
    page = planes.keyframe
    separate, depths, height, width, _ = page.shaped
    shown = (width, height) if transposes(orientation) else (height, width)
    palette = _palette(page)
    assert page.dtype is not None
    dtype = palette.dtype if palette is not None else np.dtype(np.uint8) if page.dtype.kind == "b" else page.dtype

    def read(index: tuple[int, ...], rows: range, columns: range) -> NDArray[Any]:
        number = int(np.ravel_multi_index(index, leading)) if leading else 0
        number, channel = divmod(number, samples.channels)
        number, depth = divmod(number, depths)
        place = (depth, *stored_part(orientation, shown, rows, columns))
        with readable(path):
            if samples.colours and separate > 1:
                pixels = np.concatenate([planes.read(number, s, *place) for s in range(separate)], axis=2)
            elif separate > 1:
                pixels = planes.read(number, channel, *place)[..., 0]
            else:
                pixels = planes.read(number, 0, *place)
                pixels = pixels if samples.colours and palette is None else pixels[..., channel]
            if palette is not None:
                pixels = palette[pixels]
        if pixels.dtype.kind == "b":
            pixels = pixels.astype(np.uint8) * np.uint8(255)
        return np.ascontiguousarray(oriented(pixels, orientation), dtype=dtype.newbyteorder("="))

    plane = (*shown, samples.colours) if samples.colours else shown
    return LazyArray((*leading, *plane), dtype.newbyteorder("="), len(plane), read)


def _palette(page: tifffile.TiffPage) -> NDArray[Any] | None:
    """Colours (N, 3) of a page of indices, or None."""
    if page.colormap is None or page.photometric != tifffile.PHOTOMETRIC.PALETTE:
        return None
    palette = page.colormap.T
    # Palettes are stored in 16 bits; nearly all of them hold 8-bit values, as v * 257, v * 256 or plain v.
    divisor = next((d for d in (257, 256) if not (palette % d).any()), 1)
    palette = palette // divisor
    colours: NDArray[Any] = palette.astype(np.uint8 if palette.max() < 256 else np.uint16)
    return colours
