"""The tags of a TIFF that is written: samples and further tags of one image, those of the grid of another."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from zncc_cli.files.fits_header import lost_sky, moved_sky, with_cards
from zncc_cli.files.metadata import Flavor, Metadata, PageTags, Resolution, Tag
from zncc_cli.files.tag_values import DESCRIPTION, text_of
from zncc_cli.files.tiff import georeference
from zncc_cli.files.tiff.copied_tags import is_copied, tag_name
from zncc_cli.files.tiff.layout import Layout
from zncc_cli.files.tiff.regridded import is_same_scale
from zncc_cli.files.tiff.xmp import XMP, xmp_on_grid
from zncc_cli.text import one_line

_GDAL_METADATA, _GDAL_NODATA = 42112, 42113
_ASCII = 2  # TIFF's data type of text

# Names in a note; the file has the others.
_MAX_NAMES = 12


def color_map_of(layout: Layout, like: Metadata | None, flavor: Flavor) -> NDArray[np.uint16] | None:
    """Return the tag ColorMap, (3, N); None where the image has no palette, or the file cannot hold it."""
    if like is None or like.palette is None or layout.samples > 1 or layout.bands > 1:
        return None
    if flavor == "imagej":
        return like.palette.color_map(8) if layout.dtype != np.int16 else None
    is_index = layout.dtype in (np.uint8, np.uint16)
    return like.palette.color_map(8 * layout.dtype.itemsize) if is_index else None


def sample_options(
    layout: Layout, like: Metadata | None, color_map: NDArray[np.uint16] | None, flavor: Flavor
) -> dict[str, Any]:
    """Return tifffile's options for colour, alpha and the order of samples."""
    if color_map is not None and (flavor != "imagej" or layout.dtype == np.uint8):
        return {"photometric": "palette", "colormap": color_map}
    samples = layout.samples * layout.bands
    has_colour = like.photometric == "rgb" if like else layout.samples in (3, 4)
    if like and like.photometric == "miniswhite":
        photometric = "miniswhite"
    else:
        photometric = "rgb" if has_colour and layout.samples >= 3 else "minisblack"
    extra = samples - (3 if photometric == "rgb" else 1)
    kind = "unspecified"
    if like and like.alpha and layout.bands == 1:
        kind = "assocalpha" if like.premultiplied else "unassalpha"
    planar = "separate" if layout.bands > 1 else "contig"
    return {
        "photometric": photometric,
        "colormap": color_map,
        "planarconfig": planar if samples > 1 else None,
        "extrasamples": [kind] * extra if extra else None,
    }


def with_sky(like: Metadata | None, frame: Metadata | None, offset: tuple[float, float]) -> Metadata | None:
    """Return metadata whose description ends in the coordinate system of the grid, as cards of a FITS header."""
    if like is None:
        return None
    is_kept = like.flavor == "plain"
    cards = moved_sky(frame, offset) if is_kept else ()
    description = with_cards(like.description, cards)
    return replace(like, description=description, left_out=(*like.left_out, *lost_sky(like, frame, is_kept=is_kept)))


def description_of(like: Metadata | None) -> bytes | None:
    """Return the description of a plain file; None for one by which programs recognise ImageJ, OME or tifffile."""
    text = like.description.replace("\0", " ").strip() if like and like.flavor == "plain" else ""
    return text.encode("utf-8", "replace") if text and not _is_of_flavor(text) else None


def _is_of_flavor(text: str) -> bool:
    """Tell whether a description is one by which programs recognise ImageJ, OME or tifffile."""
    return text.startswith(("ImageJ=", "SCIFIO=", '{"shape":')) or text.rstrip().endswith(("</OME>", "OME>"))


def page_tags_of(layout: Layout, like: Metadata | None) -> tuple[tuple[PageTags, ...], list[str]]:
    """Return the tags that each page of the file gets of its own, and a sentence where they are not those of planes."""
    if like is None or not like.page_tags:
        return (), []
    if len(like.page_tags) != layout.planes:
        return (), ["left out: the tags of further pages"]
    pages = (page for page in like.page_tags[:: layout.bands])
    return tuple(
        tuple(tag for tag in page if tag[0] != DESCRIPTION or not _is_of_flavor(text_of(tag) or "")) for page in pages
    ), []


def further_tags(
    like: Metadata | None,
    frame: Metadata | None,
    offset: tuple[float, float],
    layout: Layout,
    resolution: Resolution | None,
) -> tuple[list[Tag], list[str]]:
    """Return the further tags, GeoTIFF tags of ``frame`` and all others of ``like``, and notes of those left out."""
    notes: list[str] = []
    geotiff: Sequence[Tag] = ()
    if frame and frame.georeference:
        moved = georeference.moved(frame.georeference, offset)
        if moved is None:
            notes.append("the georeference cannot be moved to the new corner: left out")
        geotiff = moved or ()
    further = [tag for tag in like.tags if is_copied(tag[0])] if like else []
    tags = {tag[0]: _without_statistics(tag) for tag in (*further, *geotiff)}
    left_out = [code for code, tag in tags.items() if not _writable(tag)]
    if XMP in tags and like is not None:
        code, kind, _, value = tags[XMP]
        content = value.encode("utf-8", "replace") if isinstance(value, str) else value
        same = frame is like or is_same_scale(like, frame)
        shape = layout.height, layout.width
        is_packet = isinstance(content, bytes)  # numbers are none, and one of them may be a large one
        packet = xmp_on_grid(content, shape, resolution, same_scale=same) if is_packet else None
        if packet is None:
            left_out.append(code)
        else:
            tags[XMP] = (code, kind, len(packet), packet)
    names = [*dict.fromkeys((*(like.left_out if like else ()), *map(tag_name, left_out)))]
    if names:
        rest = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
        notes.append(f"left out: {', '.join(map(one_line, names[:_MAX_NAMES]))}{rest}")
    if like and like.nodata is not None:
        # Programs read that of 64-bit integers digit by digit.
        exact = layout.dtype.kind != "f" and like.nodata.is_integer()
        tags[_GDAL_NODATA] = (_GDAL_NODATA, 2, 0, str(int(like.nodata)) if exact else f"{like.nodata:.17g}")
    return [tag for code, tag in tags.items() if code not in left_out], notes


def _without_statistics(tag: Tag) -> Tag:
    """Return GDAL's metadata without minimum, maximum and so on of the pixels, which have changed."""
    code, kind, count, value = tag
    if code != _GDAL_METADATA or not isinstance(value, str):
        return tag
    return code, kind, count, re.sub(r'<Item name="STATISTICS_[^>]*>[^<]*</Item>\s*', "", value)


def encoded_text(tag: Tag) -> Tag:
    """Return a tag of text with letters beyond ASCII as UTF-8, as other programs write it; others as they are."""
    code, kind, _, value = tag
    if kind != _ASCII or not isinstance(value, str) or value.isascii():
        return tag
    content = value.encode("utf-8", "replace") + b"\0"
    return code, kind, len(content), content


def _writable(tag: Tag) -> bool:
    """Tell whether tifffile can write ``tag``; the tags of unknown programs can hold anything."""
    try:
        tifffile.imwrite(
            io.BytesIO(), np.zeros((1, 1), np.uint8), metadata=None, extratags=[(*encoded_text(tag), True)]
        )
    except Exception:  # whatever it is, an image is worth more than a tag
        return False
    return True
