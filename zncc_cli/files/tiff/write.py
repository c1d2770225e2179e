"""TIFF, written strip by strip through tifffile: with the samples of one image, on the grid of another."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from zncc_cli.files.metadata import Flavor, Metadata, PageTags, Resolution, Tag
from zncc_cli.files.output_folder import atomic_write
from zncc_cli.files.pyramid import MIN_SIDE, TILE, Level, level_shapes, tiles
from zncc_cli.files.tag_values import DESCRIPTION, text_of
from zncc_cli.files.tiff import georeference
from zncc_cli.files.tiff.calibration import pixel_size, resolution_tags
from zncc_cli.files.tiff.codecs import DEFLATE, FLOATING_POINT_PREDICTOR, NONE, Codec, codec
from zncc_cli.files.tiff.copied_tags import is_copied, tag_name
from zncc_cli.files.tiff.descriptions import Description, imagej_description, imagej_obstacle, ome_description
from zncc_cli.files.tiff.page_tags import page_tag_bytes, put_page_tags
from zncc_cli.files.tiff.regridded import is_same_scale, on_the_grid_of
from zncc_cli.files.tiff.xmp import XMP, xmp_on_grid
from zncc_cli.text import one_line

STRIP_ROWS = 512
"""Rows of a strip that `write_tiff` is given; a multiple of the rows of a strip in the file."""

# Of pixels: a larger file needs BigTIFF. 32-bit offsets reach 4 GiB, less room for tags.
_MAX_CLASSIC_TIFF_BYTES = 2**32 - 2**25

# Of pixels in a compressed strip of the file. Smaller strips compress worse; of larger ones parts are slow to read.
_MIN_STRIP_BYTES = 2**18

_GDAL_METADATA, _GDAL_NODATA = 42112, 42113
_ASCII = 2  # TIFF's data type of text

# Names in a note; the file has the others.
_MAX_NAMES = 12


@dataclass(frozen=True)
class _Layout:
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
        return math.prod(self.leading) * self.bands

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def stored(self) -> tuple[int, int, int, int, int, int]:
        return (math.prod(self.leading), self.bands, 1, self.height, self.width, self.samples)

    def rows_per_strip(self, compression: int) -> int:
        """Rows of a strip in the file."""
        rows, row_bytes = STRIP_ROWS, self.width * self.samples * self.dtype.itemsize
        while compression != NONE and rows > 1 and rows // 2 * row_bytes >= _MIN_STRIP_BYTES:
            rows //= 2
        return min(rows, self.height)


def write_tiff(
    path: Path,
    strips: Iterable[NDArray[Any]],
    *,
    shape: Sequence[int],
    dtype: np.dtype[Any],
    axes: str,
    like: Metadata | None,
    frame: Metadata | None,
    offset: tuple[float, float] = (0, 0),
    pyramid: bool = False,
    is_labels: bool = False,
) -> tuple[str, ...]:
    """Write ``strips``: samples, flavour, compression and tags as in ``like``, pixel grid as in ``frame``.

    Args:
        path: the file; an existing one is replaced once all strips are written.
        strips: arrays (h, W) or (h, W, S) in the order of the file: plane after plane, rows from top to bottom; every
            strip but the last of a plane has `STRIP_ROWS` rows. One of them is in memory at a time.
        shape: leading axes and (H, W) or (H, W, S).
        dtype: an unsigned or signed integer or a float.
        axes: a letter for each dimension of ``shape``.
        like: metadata for the samples; None: plain grey or RGB, compressed.
        frame: metadata for the grid; None: no pixel size, resolution or georeference.
        offset: (x, y) of the first pixel, in pixels of ``frame``.
        pyramid: a large image is written in tiles, with smaller copies: as an OME-TIFF, or, with a georeference, as a
            GeoTIFF with overviews. ImageJ's files have none.
        is_labels: smaller copies take pixels, and never means of them; so do those of numbers of colours.

    Returns:
        Sentences for the user: what could not be kept.

    Raises:
        OutputError: the file cannot be written; nothing is left behind.
    """
    layout = _layout(shape, np.dtype(dtype).newbyteorder("="), axes, like)
    like, scale_notes = on_the_grid_of(like, frame)
    pyramid = pyramid and max(layout.height, layout.width) > MIN_SIDE
    is_map = bool(frame and frame.georeference) or layout.bands > 1
    as_ome = _as_ome(like, frame) if pyramid and not is_map and (like is None or like.flavor == "plain") else like
    flavor, description, notes = _describe(layout, as_ome, frame, offset)
    if flavor == "plain" and as_ome is not like:
        flavor, description, notes = _describe(layout, like, frame, offset)
    elif flavor == "ome":
        like = as_ome
    notes += scale_notes
    compression = _compression(like, frame)
    encoder = codec(compression, _predictor(like, layout, flavor), layout.dtype, layout.samples)
    is_one_page = math.prod(layout.leading) == 1
    has_levels = pyramid and (flavor == "ome" or (flavor == "plain" and is_map and is_one_page))
    levels = level_shapes(layout.height, layout.width) if has_levels else []
    page_tags, page_notes = _page_tags(layout, like)
    notes += page_notes
    table_bytes = 2048 * layout.planes + page_tag_bytes(page_tags)
    large = layout.nbytes * (4 if levels else 3) // 3 + table_bytes > _MAX_CLASSIC_TIFF_BYTES
    if flavor == "imagej" and large and encoder.compression != NONE:
        encoder = codec(NONE, 1, layout.dtype, layout.samples)
        notes.append("ImageJ reads no compressed files beyond 4 GB: this one is not compressed")
    if flavor == "imagej" and large:
        notes.append("beyond 4 GB an ImageJ file has one page, and other programs see no more than its first plane")
        notes += ["left out: the tags of further pages"] if page_tags else []
        page_tags = ()
    if encoder.note:
        notes.append(encoder.note)
    color_map = _color_map(layout, like, flavor)
    if color_map is None and like and like.palette is not None:
        notes.append("left out: the palette")
    tags, tag_notes = _tags(like, frame, offset, layout, description.resolution)
    notes += tag_notes
    is_labels = is_labels or (like is not None and (like.palette is not None or like.photometric == "palette"))
    with atomic_write(path) as file, ExitStack() as stack:
        writer = stack.enter_context(
            tifffile.TiffWriter(
                file, bigtiff=large and flavor != "imagej", imagej=flavor == "imagej", ome=flavor == "ome"
            )
        )
        options: dict[str, Any] = {
            "dtype": layout.dtype,
            **_sample_options(layout, like, color_map, flavor),
            "compression": encoder.compression,
            "predictor": encoder.predictor,
        }
        if levels:
            options["tile"] = (TILE, TILE)
            level = stack.enter_context(_level(path, layout, is_labels))
            encoded = _encoded_tiles(level.collect(strips), encoder)
        else:
            options["rowsperstrip"] = layout.rows_per_strip(encoder.compression)
            encoded = _encoded_strips(strips, layout, encoder)
        writer.write(
            encoded,
            shape=layout.shape,
            **options,
            subifds=len(levels) if flavor == "ome" and levels else None,
            resolution=(description.resolution.x, description.resolution.y) if description.resolution else None,
            resolutionunit=description.resolution.unit if description.resolution else None,
            description=_description(like) if flavor == "plain" else None,
            software="zncc-cli",
            metadata=description.metadata or None,
            extratags=[(*_encoded(tag), True) for tag in tags],
            truncate=flavor == "imagej" and large,
        )
        for number, (height, width) in enumerate(levels):
            smaller = level.strips(layout.planes, height, width)
            if number < len(levels) - 1:
                level = stack.enter_context(_level(path, layout, is_labels))
                smaller = level.collect(smaller)
            shape = _resized(layout, height, width)
            writer.write(_encoded_tiles(smaller, encoder), shape=shape, **options, subfiletype=1, metadata=None)
        writer.close()
        put_page_tags(file, page_tags)
    return tuple(notes)


def _layout(shape: Sequence[int], dtype: np.dtype[Any], axes: str, like: Metadata | None) -> _Layout:
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
    return _Layout(tuple(shape), axes, dtype, leading, bands, height, width, samples)


def _describe(
    layout: _Layout, like: Metadata | None, frame: Metadata | None, offset: tuple[float, float]
) -> tuple[Flavor, Description, list[str]]:
    """Return the flavour that can hold the pixels, its description, and notes of what is lost."""
    resolution = resolution_tags(frame) if frame else None
    notes: list[str] = []
    if like and like.flavor == "imagej":
        reason = imagej_obstacle(layout.dtype, layout.shape, layout.axes)
        if not reason:
            imagej = imagej_description(like, frame, offset, layout.shape, layout.axes)
            return "imagej", imagej, list(imagej.notes)
        notes.append(f"ImageJ's format holds {reason}: a plain TIFF was written, without ImageJ's description")
    if like and like.flavor == "ome":
        ome = ome_description(like, frame, layout.dtype, layout.shape, layout.axes, layout.stored, resolution)
        if ome is not None:
            return "ome", ome, list(ome.notes)
        notes.append(
            f"OME-TIFF holds no {layout.dtype.name} pixels with axes {layout.axes}: a plain TIFF was written, without "
            "OME's description"
        )
    size = pixel_size(frame) if frame else None
    if size is not None and resolution is None:
        notes.append(f"the resolution of a plain TIFF cannot be in {size.unit}: the pixel size was left out")
    pages = layout.axes[: len(layout.leading)]
    # Every program reads a sequence of pages. Further axes are described as tifffile does.
    has_further_axes = pages not in ("", "I", "Q") and layout.width > 1
    return "plain", Description({"axes": layout.axes} if has_further_axes else {}, resolution), notes


def _compression(like: Metadata | None, frame: Metadata | None) -> int:
    """Return TIFF's number of the compression. Results that are like no image, maps and masks, get one.

    But not where the frame's file is of ImageJ, which reads no predictor of floats.
    """
    if like is not None:
        return like.compression
    return NONE if frame is not None and frame.flavor == "imagej" else DEFLATE


def _predictor(like: Metadata | None, layout: _Layout, flavor: Flavor) -> int:
    """Return TIFF's number of the predictor, for compressed pixels.

    Floats get one in any case: without it they hardly compress. ImageJ reads none for floats.
    """
    if layout.dtype.kind == "f" and flavor != "imagej":
        return FLOATING_POINT_PREDICTOR
    return like.predictor if like else 1


def _color_map(layout: _Layout, like: Metadata | None, flavor: Flavor) -> NDArray[np.uint16] | None:
    """Return the tag ColorMap, (3, N); None where the image has no palette, or the file cannot hold it."""
    if like is None or like.palette is None or layout.samples > 1 or layout.bands > 1:
        return None
    if flavor == "imagej":
        return like.palette.color_map(8) if layout.dtype != np.int16 else None
    is_index = layout.dtype in (np.uint8, np.uint16)
    return like.palette.color_map(8 * layout.dtype.itemsize) if is_index else None


def _sample_options(
    layout: _Layout, like: Metadata | None, color_map: NDArray[np.uint16] | None, flavor: Flavor
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


def _as_ome(like: Metadata | None, frame: Metadata | None) -> Metadata:
    """Return the metadata of an image in the flavour OME, of which other programs read pyramids."""
    like = like or Metadata(path=frame.path if frame else Path("image"), format="TIFF")
    text = like.description.strip()
    return replace(like, flavor="ome", bands=False, properties={"Description": text} if text else {}, description="")


def _resized(layout: _Layout, height: int, width: int) -> tuple[int, ...]:
    """Return the shape of a smaller copy of an image."""
    rows = layout.axes.index("Y")
    return (*layout.shape[:rows], height, width, *layout.shape[rows + 2 :])


def _level(path: Path, layout: _Layout, is_labels: bool) -> Level:
    """Return a new level of a pyramid beside the file."""
    return Level(path.parent, layout.dtype, layout.samples, is_labels=is_labels, strip_rows=STRIP_ROWS)


def _encoded_tiles(strips: Iterable[NDArray[Any]], encoder: Codec) -> Iterator[bytes]:
    """Yield the encoded tiles of the file, in order."""
    with ThreadPoolExecutor() as pool:
        for strip in strips:
            yield from pool.map(encoder.encode, tiles(strip.reshape(*strip.shape[:2], -1)))


def _encoded_strips(strips: Iterable[NDArray[Any]], layout: _Layout, encoder: Codec) -> Iterator[bytes]:
    """Yield the encoded strips of the file, in order."""
    rows = layout.rows_per_strip(encoder.compression)
    heights = [min(STRIP_ROWS, layout.height - top) for top in range(0, layout.height, STRIP_ROWS)] * layout.planes
    with ThreadPoolExecutor() as pool:
        for strip, height in zip(strips, heights, strict=True):
            assert strip.shape[:2] == (height, layout.width), f"strip of {strip.shape}"
            pixels = np.ascontiguousarray(strip, layout.dtype).reshape(height, layout.width, layout.samples)
            if encoder.compression == NONE:
                yield encoder.encode(pixels)
            else:
                yield from pool.map(encoder.encode, [pixels[top : top + rows] for top in range(0, height, rows)])


def _description(like: Metadata | None) -> bytes | None:
    """Return the description of a plain file; None for one by which programs recognise ImageJ, OME or tifffile."""
    text = like.description.replace("\0", " ").strip() if like and like.flavor == "plain" else ""
    return text.encode("utf-8", "replace") if text and not _is_of_flavor(text) else None


def _is_of_flavor(text: str) -> bool:
    """Tell whether a description is one by which programs recognise ImageJ, OME or tifffile."""
    return text.startswith(("ImageJ=", "SCIFIO=", '{"shape":')) or text.rstrip().endswith(("</OME>", "OME>"))


def _page_tags(layout: _Layout, like: Metadata | None) -> tuple[tuple[PageTags, ...], list[str]]:
    """Return the tags that each page of the file gets of its own, and a sentence where they are not those of planes."""
    if like is None or not like.page_tags:
        return (), []
    if len(like.page_tags) != layout.planes:
        return (), ["left out: the tags of further pages"]
    pages = (page for page in like.page_tags[:: layout.bands])
    return tuple(
        tuple(tag for tag in page if tag[0] != DESCRIPTION or not _is_of_flavor(text_of(tag) or "")) for page in pages
    ), []


def _tags(
    like: Metadata | None,
    frame: Metadata | None,
    offset: tuple[float, float],
    layout: _Layout,
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


def _encoded(tag: Tag) -> Tag:
    """Return a tag of text with letters beyond ASCII as UTF-8, as other programs write it; others as they are."""
    code, kind, _, value = tag
    if kind != _ASCII or not isinstance(value, str) or value.isascii():
        return tag
    content = value.encode("utf-8", "replace") + b"\0"
    return code, kind, len(content), content


def _writable(tag: Tag) -> bool:
    """Tell whether tifffile can write ``tag``; the tags of unknown programs can hold anything."""
    try:
        tifffile.imwrite(io.BytesIO(), np.zeros((1, 1), np.uint8), metadata=None, extratags=[(*_encoded(tag), True)])
    except Exception:  # whatever it is, an image is worth more than a tag
        return False
    return True
