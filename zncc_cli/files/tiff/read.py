"""TIFF, read through tifffile: one series of pages with its axes, decoded by parts.

Headers may lie: pages are counted, and claimed sizes compared with the file's, before memory is taken.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from zncc_cli.errors import ZnccError
from zncc_cli.files.image import Image
from zncc_cli.files.lazy import LazyArray
from zncc_cli.files.metadata import PageTags
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.pages import no_such_number, numbered
from zncc_cli.files.palette import palette_of
from zncc_cli.files.paths import refusal
from zncc_cli.files.tag_values import COLOR_MAP, ORIENTATION, decoded
from zncc_cli.files.tiff.confocal import confocal_image
from zncc_cli.files.tiff.copied_tags import georeference_tags, is_copied_of_pages
from zncc_cli.files.tiff.ifd_chain import PageChain, follow_pages, own_tag_name
from zncc_cli.files.tiff.input_errors import UNCLEAR_ERRORS, input_errors
from zncc_cli.files.tiff.lazy_pages import PageLooks, checked_planes, lazy_array
from zncc_cli.files.tiff.ome_xml import Ome, OmeImage, read_ome
from zncc_cli.files.tiff.orientation import orientation_notes, turns
from zncc_cli.files.tiff.page_metadata import metadata_of, nodata_of, tag_value
from zncc_cli.files.tiff.samples import Samples, has_opacity, samples_of

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
            image = _read_series(path, file, chain, chosen, _ome_image(ome, all_series, chosen), options, notes)
            levels = _levels(path, chosen, image, options)
            mask = _mask(path, chosen, all_series, options) or _opacity_of_bands(chosen.keyframe, image)
            image = replace(image, mask=mask, levels=levels)
            page_tags, left_out_tags = _page_tags(chain, chosen, image)
            left_out = (*image.metadata.left_out, *_left_out_series(chosen, all_series), *left_out_tags)
            return replace(image, metadata=replace(image.metadata, page_tags=page_tags, left_out=left_out))


def _places(chain: PageChain, series: tifffile.TiffPageSeries) -> list[int | None]:
    """Return the place of each page of a series in the chain of pages; None for one that is missing or elsewhere."""
    pages = [page.index if page is not None and len(page.treeindex) == 1 else None for page in series.pages]
    return [page if page is not None and page < chain.pages else None for page in pages]


def _looks(
    chain: PageChain, series: tifffile.TiffPageSeries, samples: Samples, orientation: Any
) -> tuple[PageLooks, tuple[str, ...]]:
    """Return how each page of a series is shown, and a note where that differs and cannot be told page by page."""
    one = PageLooks((orientation,), () if samples.applied is None else (samples.applied,))
    places = [place for place in _places(chain, series) if place is not None]
    if len(places) < 2 or len(places) != len(series.pages):
        return one, ()
    if chain.is_cut:
        return one, ("its pages have too many tags to be compared: all were read like the first one",)
    differing = chain.differing(places)
    looks, notes = one, tuple[str, ...]()
    if ORIENTATION in differing:
        tags = [{tag[0]: tag for tag in chain.tags_of(place, (ORIENTATION,))} for place in places]
        turned = [int(decoded(tag[ORIENTATION])[3][0]) if ORIENTATION in tag else orientation for tag in tags]
        looks = replace(looks, orientations=turned)
        notes += ("its pages are turned or mirrored as the orientation tag of each says",)
    if COLOR_MAP not in differing:
        return looks, notes
    maps = [chain.tags_of(place, (COLOR_MAP,)) for place in places]
    if samples.applied is not None and all(maps) and chain.is_whole(places, COLOR_MAP):
        stored = [np.frombuffer(tag[3], "<u2").astype(np.int64).reshape(3, -1).T for (tag,) in maps]
        if all(len(table) == len(samples.applied.colours) for table in stored):
            return replace(looks, palettes=[palette_of(table) for table in stored]), notes
    return looks, (*notes, "its pages have palettes of their own, of which the first was used")


def _page_tags(
    chain: PageChain, series: tifffile.TiffPageSeries, image: Image
) -> tuple[tuple[PageTags, ...], tuple[str, ...]]:
    """Return the tags that the pages of a series have of their own, for each plane, and the names of others."""
    pages = _places(chain, series)
    numbers = [page for page in pages if page is not None]
    planes = math.prod(image.leading)
    if len(numbers) < 2 or planes % len(pages):
        return (), ()
    if chain.is_cut:
        return (), ("the tags of further pages",)
    codes = [code for code in chain.differing(numbers) if code not in (ORIENTATION, COLOR_MAP)]
    kept = [code for code in codes if is_copied_of_pages(code) and chain.is_whole(numbers, code)]
    left_out = tuple(own_tag_name(code) for code in codes if code not in kept)
    if not kept:
        return (), left_out
    own = [() if page is None else chain.tags_of(page, kept) for page in pages]
    return tuple(tags for tags in own for _ in range(planes // len(pages))), left_out


def _all_series(file: tifffile.TiffFile) -> tuple[list[tifffile.TiffPageSeries], tuple[str, ...]]:
    """Return the series of a file; of one that names its kind wrongly those of plain pages, with a note."""
    try:
        return file.series, ()
    except (ValueError, *UNCLEAR_ERRORS):
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
    looks, look_notes = _looks(chain, series, samples, orientation)
    notes += look_notes
    data = lazy_array(path, planes, samples, leading, looks)
    axes += "YXS" if samples.colours else "YX"
    return Image(data=data, axes=axes, metadata=metadata, notes=notes, absent=absent)
