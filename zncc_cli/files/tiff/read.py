"""TIFF, read through tifffile: one series of pages with its axes, decoded by parts.

Headers may lie: pages are counted, and claimed sizes compared with the file's, before memory is taken.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import tifffile

from zncc_cli.errors import ZnccError
from zncc_cli.files.image import Image
from zncc_cli.files.lazy import LazyArray
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.paths import refusal
from zncc_cli.files.tag_values import ORIENTATION
from zncc_cli.files.tiff.confocal import confocal_image
from zncc_cli.files.tiff.copied_tags import georeference_tags
from zncc_cli.files.tiff.further_pages import looks_of, page_tags_of
from zncc_cli.files.tiff.ifd_chain import PageChain, follow_pages
from zncc_cli.files.tiff.input_errors import input_errors
from zncc_cli.files.tiff.lazy_pages import PageLooks, checked_planes, lazy_array
from zncc_cli.files.tiff.ome_xml import Ome, OmeImage, read_ome
from zncc_cli.files.tiff.orientation import orientation_notes, turns
from zncc_cli.files.tiff.page_metadata import metadata_of, nodata_of, tag_value
from zncc_cli.files.tiff.samples import Samples, has_opacity, samples_of
from zncc_cli.files.tiff.series import all_series_of, choose_series, left_out_series

# Kinds of file that are read as plain TIFFs: they name further files, which tifffile would open, or store pixels that
# need a conversion.
_PLAIN_FLAGS: dict[str, Any] = {"is_mmstack": False, "is_ndtiff": False, "is_ndpi": False, "is_mdgel": False}
# OME-XML is parsed several times, by tifffile as well: 40 MB take a minute.
_MAX_OME_BYTES = 2**23

# Series of microscopes, whose pixels are measured values, in whatever colours they are shown.
_MEASURED_KINDS = ("imagej", "ome", "lsm", "stk", "fluoview", "scanimage", "mmstack", "nih")
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
            all_series, kind_notes = all_series_of(file)
            chosen, notes = choose_series(path, all_series, options.series, log)
            notes += kind_notes
            if ome and ome.doubt:
                notes += (f"the OME-XML was not used: {ome.doubt}",)
            image = _read_series(path, file, chain, chosen, _ome_image(ome, all_series, chosen), options, notes)
            levels = _levels(path, chosen, image, options)
            mask = _mask(path, chosen, all_series, options) or _opacity_of_bands(chosen.keyframe, image)
            image = replace(image, mask=mask, levels=levels)
            page_tags, left_out_tags = page_tags_of(chain, chosen, image)
            left_out = (*image.metadata.left_out, *left_out_series(chosen, all_series), *left_out_tags)
            return replace(image, metadata=replace(image.metadata, page_tags=page_tags, left_out=left_out))


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
            planes, missing = checked_planes(path, level, count, options.max_bytes)
        except ZnccError:  # the image itself is whole, and a smaller copy is not needed
            continue
        if not missing:
            levels.append(lazy_array(path, planes, samples, image.leading, PageLooks((None,))))
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
    planes, _ = checked_planes(path, series, 1, options.max_bytes)
    samples = Samples(photometric="minisblack", alpha=None, colours=0, channels=1)
    return lazy_array(path, planes, samples, (), PageLooks((tag_value(chosen.keyframe, ORIENTATION),)))


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
    chain: PageChain,
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
    planes, missing = checked_planes(path, series, math.prod(leading), options.max_bytes)
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
    looks, look_notes = looks_of(chain, series, samples, orientation)
    notes += look_notes
    data = lazy_array(path, planes, samples, leading, looks)
    axes += "YXS" if samples.colours else "YX"
    return Image(data=data, axes=axes, metadata=metadata, notes=notes, absent=absent)
