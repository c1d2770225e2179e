"""TIFF, written strip by strip through tifffile: with the samples of one image, on the grid of another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from zncc_cli.files.metadata import Flavor, Metadata
from zncc_cli.files.output_folder import atomic_write
from zncc_cli.files.pyramid import MIN_SIDE, TILE, Level, level_shapes, tiles
from zncc_cli.files.tiff.calibration import pixel_size, resolution_tags
from zncc_cli.files.tiff.codecs import DEFLATE, FLOATING_POINT_PREDICTOR, NONE, Codec, codec
from zncc_cli.files.tiff.descriptions import Description, imagej_description, imagej_obstacle, ome_description
from zncc_cli.files.tiff.layout import STRIP_ROWS, Layout, layout_of, resized
from zncc_cli.files.tiff.page_tags import page_tag_bytes, put_page_tags
from zncc_cli.files.tiff.regridded import on_the_grid_of
from zncc_cli.files.tiff.written_tags import (
    color_map_of,
    description_of,
    encoded_text,
    further_tags,
    page_tags_of,
    sample_options,
    with_sky,
)

# Of pixels: a larger file needs BigTIFF. 32-bit offsets reach 4 GiB, less room for tags.
_MAX_CLASSIC_TIFF_BYTES = 2**32 - 2**25


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
    layout = layout_of(shape, np.dtype(dtype).newbyteorder("="), axes, like)
    like, scale_notes = on_the_grid_of(like, frame)
    like = with_sky(like, frame, offset)
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
    page_tags, page_notes = page_tags_of(layout, like)
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
    color_map = color_map_of(layout, like, flavor)
    if color_map is None and like and like.palette is not None:
        notes.append("left out: the palette")
    tags, tag_notes = further_tags(like, frame, offset, layout, description.resolution)
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
            **sample_options(layout, like, color_map, flavor),
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
            description=description_of(like) if flavor == "plain" else None,
            software="zncc-cli",
            metadata=description.metadata or None,
            extratags=[(*encoded_text(tag), True) for tag in tags],
            truncate=flavor == "imagej" and large,
        )
        for number, (height, width) in enumerate(levels):
            smaller = level.strips(layout.planes, height, width)
            if number < len(levels) - 1:
                level = stack.enter_context(_level(path, layout, is_labels))
                smaller = level.collect(smaller)
            shape = resized(layout, height, width)
            writer.write(_encoded_tiles(smaller, encoder), shape=shape, **options, subfiletype=1, metadata=None)
        writer.close()
        put_page_tags(file, page_tags)
    return tuple(notes)


def _describe(
    layout: Layout, like: Metadata | None, frame: Metadata | None, offset: tuple[float, float]
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


def _predictor(like: Metadata | None, layout: Layout, flavor: Flavor) -> int:
    """Return TIFF's number of the predictor, for compressed pixels.

    Floats get one in any case: without it they hardly compress. ImageJ reads none for floats.
    """
    if layout.dtype.kind == "f" and flavor != "imagej":
        return FLOATING_POINT_PREDICTOR
    return like.predictor if like else 1


def _as_ome(like: Metadata | None, frame: Metadata | None) -> Metadata:
    """Return the metadata of an image in the flavour OME, of which other programs read pyramids."""
    like = like or Metadata(path=frame.path if frame else Path("image"), format="TIFF")
    text = like.description.strip()
    return replace(like, flavor="ome", bands=False, properties={"Description": text} if text else {}, description="")


def _level(path: Path, layout: Layout, is_labels: bool) -> Level:
    """Return a new level of a pyramid beside the file."""
    return Level(path.parent, layout.dtype, layout.samples, is_labels=is_labels, strip_rows=STRIP_ROWS)


def _encoded_tiles(strips: Iterable[NDArray[Any]], encoder: Codec) -> Iterator[bytes]:
    """Yield the encoded tiles of the file, in order."""
    with ThreadPoolExecutor() as pool:
        for strip in strips:
            yield from pool.map(encoder.encode, tiles(strip.reshape(*strip.shape[:2], -1)))


def _encoded_strips(strips: Iterable[NDArray[Any]], layout: Layout, encoder: Codec) -> Iterator[bytes]:
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
