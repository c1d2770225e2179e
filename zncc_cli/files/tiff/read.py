"""TIFF, read through tifffile: one series of pages with its axes, decoded by parts.

Headers may lie: pages are counted, and claimed sizes compared with the file's, before memory is taken.
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
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from zncc_cli.errors import ZnccError
from zncc_cli.files.image import Image
from zncc_cli.files.lazy import LazyArray, bits_as_uint8, native_dtype
from zncc_cli.files.metadata import PageTags
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.pages import no_such_number, numbered
from zncc_cli.files.paths import refusal, too_large_for_memory
from zncc_cli.files.tiff.checks import check_pages, check_segment
from zncc_cli.files.tiff.confocal import confocal_image
from zncc_cli.files.tiff.copied_tags import georeference_tags, is_copied_of_pages
from zncc_cli.files.tiff.ifd_chain import PageChain, follow_pages, own_tag_name
from zncc_cli.files.tiff.ome_xml import Ome, OmeImage, read_ome
from zncc_cli.files.tiff.orientation import orientation_notes, oriented, stored_part, transposes, turns
from zncc_cli.files.tiff.page_metadata import ORIENTATION, metadata_of, nodata_of, tag_value
from zncc_cli.files.tiff.samples import Samples, has_opacity, rgb_of_inks, samples_of
from zncc_cli.files.tiff.segments import Planes, segment_cache
from zncc_cli.text import one_line

# What tifffile and its codecs raise on damaged or unsupported files: with messages for users, and, where a tag holds
# nonsense, with messages about Python objects.
_DECODING_ERRORS = (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError, tifffile.TiffFileError)
_UNCLEAR_ERRORS = (SyntaxError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError, struct.error)

# Kinds of file that are read as plain TIFFs: they name further files, which tifffile would open, or store pixels that
# need a conversion.
_PLAIN_FLAGS: dict[str, Any] = {"is_mmstack": False, "is_ndtiff": False, "is_ndpi": False, "is_mdgel": False}
# OME-XML is parsed several times, by tifffile as well: 40 MB take a minute.
_MAX_OME_BYTES = 2**23

# Series of microscopes, whose pixels are measured values, in whatever colours they are shown.
_MEASURED_KINDS = ("imagej", "ome", "lsm", "stk", "fluoview", "scanimage", "mmstack", "nih")

# The first level of a pyramid is a half or a quarter as wide as the image. A smaller copy is a thumbnail.
_MAX_PYRAMID_STEP = 4
# Bits of a sample that are read into a wider dtype.
_OLD_JPEG = 6  # of TIFF 6.0, which every writer understood in its own way
_UNSURE_DEPTH = 24  # programs do not agree on the order of its bytes
_PADDED_DEPTHS = frozenset(range(1, 64)) - {8, 16, 32}


def read_tiff(path: Path, options: ReadOptions) -> Image:
    """Read one series of ``path``, lazily; reduced copies of images (pyramid levels, thumbnails) are not counted.

    Samples that are not RGB, or grey and alpha, become an axis "C" before "YX".

    Raises:
        OptionError: the file has no such series.
        InputError: the file has an unusual colour model, a codec that is missing, or damage, or does not fit into
            memory.
    """
    with input_errors(path) as log:
        chain = follow_pages(path, options.max_bytes)
        flags = _PLAIN_FLAGS if chain.description <= _MAX_OME_BYTES else {**_PLAIN_FLAGS, "is_ome": False}
        with tifffile.TiffFile(path, _multifile=False, **flags) as file:
            ome = read_ome(file.pages.first.description, chain.pages, path.name) if file.is_ome else None
            if chain.description > _MAX_OME_BYTES and file.pages.first.is_ome:
                ome = Ome(images=(), doubt=f"it has {chain.description} bytes, more than {_MAX_OME_BYTES}")
            is_part = bool(ome and ome.images and ome.images[0].own)
            if (ome and ome.doubt) or is_part:
                file.is_ome = False
            all_series, kind_notes = _all_series(file)
            chosen, notes = _choose_series(path, all_series, options.series, log)
            notes += kind_notes
            if ome and ome.doubt:
                notes += (f"the OME-XML was not used: {ome.doubt}",)
            image = _read_series(path, file, chosen, _ome_image(ome, all_series, chosen), options, notes)
            levels = _levels(path, chosen, image, options)
            mask = _mask(path, chosen, all_series, options) or _opacity_of_bands(chosen.keyframe, image)
            image = replace(image, mask=mask, levels=levels)
            page_tags, left_out_tags = _page_tags(chain, chosen, image)
            left_out = (*image.metadata.left_out, *_left_out_series(chosen, all_series), *left_out_tags)
            return replace(image, metadata=replace(image.metadata, page_tags=page_tags, left_out=left_out))


def _page_tags(
    chain: PageChain, series: tifffile.TiffPageSeries, image: Image
) -> tuple[tuple[PageTags, ...], tuple[str, ...]]:
    """Return the tags that the pages of a series have of their own, for each plane, and the names of others."""
    pages = [page.index if page is not None and len(page.treeindex) == 1 else None for page in series.pages]
    numbers = [page for page in pages if page is not None and page < chain.pages]
    planes = math.prod(image.leading)
    if len(numbers) < 2 or planes % len(pages):
        return (), ()
    codes = chain.differing(numbers)
    kept = [code for code in codes if is_copied_of_pages(code) and chain.is_whole(numbers, code)]
    left_out = tuple(own_tag_name(code) for code in codes if code not in kept)
    if not kept:
        return (), left_out
    own = [chain.tags_of(page, kept) if page is not None and page < chain.pages else () for page in pages]
    return tuple(tags for tags in own for _ in range(planes // len(pages))), left_out


@contextmanager
def input_errors(path: Path) -> Iterator[list[str]]:
    """Turn errors of tifffile into an `InputError`; yield the list of its log messages, kept from the terminal."""
    try:
        with _collected_log() as log, warnings.catch_warnings():
            # Libraries warn of odd metadata only; of damaged pixels they raise an error.
            warnings.simplefilter("ignore")
            yield log
    except ZnccError:
        raise
    except MemoryError:
        raise too_large_for_memory(path) from None
    except (*_DECODING_ERRORS, *_UNCLEAR_ERRORS) as error:
        if "imagecodecs" in str(error):
            expected, advice = "a compression that can be read here", 'run: pip install "zncc-cli[codecs]"'
            raise refusal(path, expected=expected, found=str(error).strip("'"), advice=advice) from error
        advice = "copy or export the file again"
        found = "tags that make no sense" if isinstance(error, _UNCLEAR_ERRORS) else error
        raise refusal(path, expected="a complete, readable TIFF", found=found, advice=advice) from error


@contextmanager
def _collected_log() -> Iterator[list[str]]:
    """Yield a list that collects what tifffile logs, and keep it from other handlers."""
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


def _all_series(file: tifffile.TiffFile) -> tuple[list[tifffile.TiffPageSeries], tuple[str, ...]]:
    """Return the series of a file; of one that names its kind wrongly those of plain pages, with a note."""
    try:
        return file.series, ()
    except (ValueError, *_UNCLEAR_ERRORS):
        for flag in tifffile.TIFF.FILE_FLAGS:
            if getattr(file, f"is_{flag}", False):
                setattr(file, f"is_{flag}", False)
        return file.series, ("its description is not that of the kind of file that it names: its pages were read",)


def _choose_series(
    path: Path, all_series: list[tifffile.TiffPageSeries], series: int | None, log: list[str]
) -> tuple[tifffile.TiffPageSeries, tuple[str, ...]]:
    """Return the series of number ``series``, by default the first, and notes of the choice."""

    def is_image(candidate: tifffile.TiffPageSeries) -> bool:
        page = candidate.keyframe
        return not (page.is_reduced or page.is_mask or candidate.name == "Thumbnail")

    images = [candidate for candidate in all_series if is_image(candidate)] or all_series
    if not images:
        found = log[0] if log else "no image at all"
        raise refusal(path, expected="a TIFF with an image", found=found, advice="copy or export the file again")
    number = series or 0
    if not 0 <= number < len(images):
        raise no_such_number(path, "series", number, len(images))
    note = f"{numbered('series', 0, len(images))} was read; `series` chooses"
    return images[number], (note,) if series is None and len(images) > 1 else ()


def _left_out_series(chosen: tifffile.TiffPageSeries, all_series: list[tifffile.TiffPageSeries]) -> tuple[str, ...]:
    """Name the pyramid levels and masks of the file, which are not read; thumbnails are not worth a name."""
    further_pages = [series.keyframe for series in all_series if series is not chosen]
    reduced = [page for page in further_pages if page.is_reduced]
    is_pyramid = any(_MAX_PYRAMID_STEP * page.imagewidth >= chosen.keyframe.imagewidth for page in reduced)
    levels = len(chosen.levels) - 1 + (len(reduced) if is_pyramid else 0)
    copies = [f"{levels} smaller copies"] if levels > 1 else ["a smaller copy"] if levels else []
    return (*copies, *(["the mask"] if any(page.is_mask for page in further_pages) else []))


def _levels(path: Path, chosen: tifffile.TiffPageSeries, image: Image, options: ReadOptions) -> tuple[LazyArray, ...]:
    """Return the smaller copies of a series, the levels of its pyramid, that are stored like itself."""
    levels = []
    for level in chosen.levels[1:]:
        page, whole = level.keyframe, chosen.keyframe
        same = all(
            getattr(page, name) == getattr(whole, name)
            for name in ("dtype", "samplesperpixel", "photometric", "planarconfig", "bitspersample")
        )
        if not same or len(level.pages) != len(chosen.pages) or turns(tag_value(whole, ORIENTATION)):
            continue
        samples = samples_of(path, page, indices=options.indices, measured=image.metadata.flavor != "plain")
        if samples.applied is not None or page.shaped[1] > 1:
            continue
        count = math.prod(image.leading) // max(1, samples.channels)
        try:
            planes, missing = _checked_planes(path, level, count, options.max_bytes)
        except ZnccError:  # the image itself is whole, and a smaller copy is not needed
            continue
        if not missing:
            levels.append(_lazy_array(path, planes, samples, image.leading, None))
    return tuple(levels)


def _mask(
    path: Path, chosen: tifffile.TiffPageSeries, all_series: list[tifffile.TiffPageSeries], options: ReadOptions
) -> LazyArray | None:
    """Return the mask (H, W) that the file has of all pages of a series, zero for pixels that do not count; or None."""
    size = chosen.keyframe.shaped[2:4]
    masks = [
        series
        for series in all_series
        if series.keyframe.is_mask and not series.keyframe.is_reduced and series.keyframe.shaped[2:4] == size
    ]
    if len(masks) != 1 or math.prod(masks[0].shape) != math.prod(size):
        return None
    (series,) = masks
    planes, _ = _checked_planes(path, series, 1, options.max_bytes)
    samples = Samples(photometric="minisblack", alpha=None, colours=0, channels=1)
    return _lazy_array(path, planes, samples, (), tag_value(chosen.keyframe, ORIENTATION))


def _opacity_of_bands(page: tifffile.TiffPage, image: Image) -> LazyArray | None:
    """Return the opacity (H, W) that is the last of several bands; None where there is none, or one for each plane."""
    is_opacity = has_opacity(page) and image.metadata.bands and len(image.leading) == 1
    return image.data.select((image.leading[0] - 1,)) if is_opacity and isinstance(image.data, LazyArray) else None


def _ome_image(
    ome: Ome | None, all_series: list[tifffile.TiffPageSeries], chosen: tifffile.TiffPageSeries
) -> OmeImage | None:
    """Return the Image element of the OME-XML that describes the chosen series, or None."""
    if not ome or ome.doubt:
        return None
    if ome.images and ome.images[0].own:
        return ome.images[0]
    if chosen.kind != "ome":
        return None
    if len(ome.images) == len(all_series):
        return ome.images[all_series.index(chosen)]
    return next((image for image in ome.images if image.name == chosen.name), None)


def _leading_axes(path: Path, series: tifffile.TiffPageSeries) -> tuple[str, tuple[int, ...]]:
    """Return letters and lengths of the axes along which pages are counted; axes of length one are left out."""
    size = math.prod(series.shape)
    page_size = math.prod(series.keyframe.shaped)
    if size % page_size:
        found = f"shape {series.shape} in pages of shape {series.keyframe.shape}"
        raise refusal(path, expected="a series of whole pages", found=found, advice="export the file again")
    axes, shape, total = "", [], 1
    for letter, length in zip(series.axes, series.shape, strict=True):
        if total == size // page_size:
            break
        total *= length
        if length > 1:
            axes += "Q" if letter in "YXS" else letter
            shape.append(length)
    return (axes, tuple(shape)) if total == size // page_size else ("Q", (size // page_size,))


def _read_series(
    path: Path,
    file: tifffile.TiffFile,
    series: tifffile.TiffPageSeries,
    ome: OmeImage | None,
    options: ReadOptions,
    notes: tuple[str, ...],
) -> Image:
    """Return the pixels of ``series``, lazily, with its axes, metadata and notes."""
    page = series.keyframe
    if 0 in page.shaped or page.dtype is None or page.dtype.kind not in "buif":
        found = f"shape {page.shape}, dtype {page.dtype}"
        raise refusal(path, expected="pixels of integers or floats", found=found, advice="convert the file")
    if page.bitspersample == _UNSURE_DEPTH and page.dtype.kind != "f":
        found, advice = f"integers of {_UNSURE_DEPTH} bits", "convert it to 16 or 32 bits"
        raise refusal(path, expected="integers of another depth", found=found, advice=advice)
    imagej = file.imagej_metadata if file.is_imagej and series.kind != "ome" else None
    if page.compression == _OLD_JPEG:
        found, advice = "old-style JPEG (compression 6)", "convert it to another compression"
        raise refusal(path, expected="a compression that is read", found=found, advice=advice)
    measured = imagej is not None or series.kind in _MEASURED_KINDS
    samples = samples_of(path, page, indices=options.indices, measured=measured)
    axes, leading = _leading_axes(path, series)
    if ome and ome.own and math.prod(ome.own.lengths) == math.prod(leading):
        axes, leading = ome.own.axes, ome.own.lengths
    notes += ome.notes if ome else ()
    planes, missing = _checked_planes(path, series, math.prod(leading), options.max_bytes)
    depth = page.shaped[1]
    if depth > 1:
        axes, leading = axes + "Z", (*leading, depth)
    if samples.channels > 1:
        axes, leading = axes + ("C" if "C" not in axes else "Q"), (*leading, samples.channels)
    ome = ome or confocal_image(file, series, list(zip(axes, leading, strict=True)))
    metadata = metadata_of(
        path,
        options.name,
        page,
        samples,
        imagej=imagej,
        ome=ome,
    )
    orientation = tag_value(page, ORIENTATION)
    notes += (*samples.notes, *orientation_notes(orientation))
    if turns(orientation) and georeference_tags(page):
        notes += ("the georeference was left out: the orientation tag turns the image",)
    left_out = [*metadata.left_out]
    if samples.channels > 1 and has_opacity(page):
        left_out.append("that the last band is opacity")
    if samples.applied is not None:
        left_out.append("the palette (RGB instead)")
    elif samples.inks:
        left_out.append("CMYK (RGB instead)")
    elif page.bitspersample in _PADDED_DEPTHS:
        left_out.append(f"the depth of {page.bitspersample} bit ({page.dtype.itemsize * 8} instead)")
    metadata = replace(metadata, left_out=tuple(left_out))
    if missing:
        notes += (f"{missing} planes are missing in the file and were read as 0",)
    absent, segments = planes.absent if nodata_of(page) is None else (0, 0)
    if absent:
        kind = "tiles" if page.is_tiled else "strips"
        notes += (f"{absent} of {segments} {kind} are left out of the file and were read as 0",)
    data = _lazy_array(path, planes, samples, leading, orientation)
    axes += "YXS" if samples.colours else "YX"
    return Image(data=data, axes=axes, metadata=metadata, notes=notes, absent=absent)


def _checked_planes(path: Path, series: tifffile.TiffPageSeries, count: int, max_bytes: int) -> tuple[Planes, int]:
    """Return the ``count`` pages of ``series`` after all checks of sizes, and how many of them are missing."""
    keyframe = series.keyframe
    contiguous = keyframe.is_final
    bits = keyframe.bitspersample
    nbytes = math.prod(keyframe.shaped) * (bits // 8 if isinstance(bits, int) else 0)
    start = series.dataoffset if contiguous and count > 1 else None
    if start is not None:
        end, size = start + count * nbytes, path.stat().st_size
        if end > size:
            advice = "it was cut off; copy or export it again"
            raise refusal(path, expected=f"a file of at least {end} bytes", found=f"{size} bytes", advice=advice)
        # All pages are one run of bytes; only the first may have tags of its own.
        starts: list[Any] = [np.array([start + number * nbytes], dtype=np.int64) for number in range(count)]
        planes = Planes(
            path,
            keyframe,
            starts,
            [np.array([nbytes])] * count,
            [None] * count,
            True,
            segment_cache(keyframe, max_bytes),
        )
        check_pages(path, planes)
        return planes, 0
    pages = list(series.pages)
    if len(pages) != count:
        found = f"{len(pages)} pages for {count} planes"
        raise refusal(path, expected="a page for each plane", found=found, advice="export the file again")
    planes = Planes(
        path,
        keyframe,
        [None if page is None else np.array(page.dataoffsets, dtype=np.int64) for page in pages],
        [None if page is None else _byte_counts(page, keyframe) for page in pages],
        [None if page is None else page.jpegtables for page in pages],
        contiguous and all(page is None or page.is_final for page in pages),
        segment_cache(keyframe, max_bytes),
        nodata_of(keyframe) or 0,
    )
    if not planes.contiguous:
        check_segment(path, keyframe, max_bytes)
    check_pages(path, planes)
    keyframe.init_decode()
    return planes, sum(page is None for page in pages)


def _byte_counts(page: tifffile.TiffPage | tifffile.TiffFrame, keyframe: tifffile.TiffPage) -> NDArray[np.int64]:
    """Return the bytes of each strip or tile; where an old program wrote 0 for all strips, those of their pixels."""
    counts, offsets = (np.array(values, dtype=np.int64) for values in (page.databytecounts, page.dataoffsets))
    bits = keyframe.bitspersample
    is_plain = int(keyframe.compression) == 1 and not keyframe.is_tiled and isinstance(bits, int)
    is_given = counts.any() or nodata_of(keyframe) is not None or not len(offsets) or not (offsets > 0).all()
    separate, _, height, width, samples = keyframe.shaped
    per_plane = math.ceil(height / max(1, keyframe.rowsperstrip))
    if is_given or not is_plain or len(counts) != len(offsets) or len(offsets) != separate * per_plane:
        return counts
    first_rows = np.arange(len(offsets)) % per_plane * keyframe.rowsperstrip
    rows = np.minimum(keyframe.rowsperstrip, height - first_rows)
    return rows * -(-width * samples * int(bits) // 8)


def _lazy_array(path: Path, planes: Planes, samples: Samples, leading: tuple[int, ...], orientation: Any) -> LazyArray:
    """Return the lazy array (*leading, H, W) or (*leading, H, W, S) of ``planes``, turned as the orientation says."""
    page = planes.keyframe
    separate, depths, height, width, _ = page.shaped
    shown_shape = (width, height) if transposes(orientation) else (height, width)
    colours = None if samples.applied is None else samples.applied.rgb()
    assert page.dtype is not None
    dtype = native_dtype(page.dtype) if colours is None else colours.dtype

    def read(index: tuple[int, ...], rows: range, columns: range) -> NDArray[Any]:
        number = int(np.ravel_multi_index(index, leading)) if leading else 0
        number, channel = divmod(number, samples.channels)
        number, depth = divmod(number, depths)
        part = (depth, *stored_part(orientation, shown_shape, rows, columns))
        with input_errors(path):
            if samples.colours and separate > 1:
                pixels = np.concatenate([planes.read(number, s, *part) for s in range(separate)], axis=2)
            elif separate > 1:
                pixels = planes.read(number, channel, *part)[..., 0]
            else:
                pixels = planes.read(number, 0, *part)
                pixels = pixels if samples.colours and colours is None else pixels[..., channel]
            if samples.inks:
                pixels = rgb_of_inks(pixels)
            if samples.is_palette and pixels.dtype.kind == "b":
                pixels = pixels.astype(np.uint8)
            if colours is not None:
                pixels = colours[pixels]
        return np.ascontiguousarray(oriented(bits_as_uint8(pixels), orientation), dtype=dtype)

    plane = (*shown_shape, samples.colours) if samples.colours else shown_shape
    return LazyArray((*leading, *plane), dtype, len(plane), read)
