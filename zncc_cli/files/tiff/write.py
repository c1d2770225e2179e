"""TIFF, written strip by strip through tifffile: like one image in its samples, on the grid of another."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from zncc_cli.files.folder import beside
from zncc_cli.files.metadata import Flavor, Metadata, Tag
from zncc_cli.files.tiff import georeference
from zncc_cli.files.tiff.calibration import pixel_size, resolution_tags
from zncc_cli.files.tiff.codecs import NONE, Codec, codec
from zncc_cli.files.tiff.copied_tags import OF_THE_GRID, handed_on, tag_name
from zncc_cli.files.tiff.descriptions import Words, imagej_refusal, imagej_words, ome_words
from zncc_cli.text import one_line

STRIP_ROWS = 512
"""Rows of a strip that `write_tiff` is given; a multiple of the rows of a strip in the file."""

# Above this, 32-bit offsets may not reach the end of the file: 4 GiB less room for tags.
_CLASSIC_BYTES = 2**32 - 2**25

# A compressed strip of the file holds at least so many bytes of pixels: less compresses worse, more is slow to read
# a part of.
_PIECE_BYTES = 2**18

_GDAL_METADATA, _GDAL_NODATA = 42112, 42113

# Names in a note; who wants more of them has the file.
_NAMES = 12


@dataclass(frozen=True)
class _Layout:
    """How an image of ``shape`` and ``axes`` lies in the pages of a file.

    leading: shape of the axes that are pages. bands: channels that are samples of a page, plane after plane; else 1.
    samples: of a pixel, side by side.
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

    def rows_of_piece(self, compression: int) -> int:
        """Rows of a strip in the file."""
        rows, row_bytes = STRIP_ROWS, self.width * self.samples * self.dtype.itemsize
        while compression != NONE and rows > 1 and rows // 2 * row_bytes >= _PIECE_BYTES:
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
) -> tuple[str, ...]:
    """Write ``strips``: samples, flavour, compression and tags as in ``like``, pixel grid as in ``frame``.

    Args:
        path: the file; what stands there is replaced when all is written.
        strips: (h, W) or (h, W, S) each, in the order of the file: plane after plane, rows from top to bottom; every
            strip but the last of a plane has `STRIP_ROWS` rows. One is held at a time.
        shape: leading axes and (H, W) or (H, W, S).
        dtype: an unsigned or signed integer or a float.
        axes: a letter for each of ``shape``.
        like: what the samples are said to be; None: grey, or RGB.
        frame: what the grid is said to be; None: nothing is said.
        offset: (x, y) of the first pixel, in pixels of ``frame``.

    Returns:
        A sentence for each thing that could not be kept.

    Raises:
        OutputError: the file cannot be written; nothing is left behind.
    """
    layout = _layout(shape, np.dtype(dtype).newbyteorder("="), axes, like)
    flavor, words, notes = _words(layout, like, frame, offset)
    packed = codec(like.compression if like else NONE, like.predictor if like else 1, layout.dtype, layout.samples)
    large = layout.nbytes + 2048 * layout.planes > _CLASSIC_BYTES
    if flavor == "imagej" and large and packed.compression != NONE:
        packed = codec(NONE, 1, layout.dtype, layout.samples)
        notes.append("ImageJ reads no compressed files beyond 4 GB: this one is not compressed")
    if flavor == "imagej" and large:
        notes.append("beyond 4 GB an ImageJ file has one page, and other programs see no more than its first plane")
    if packed.note:
        notes.append(packed.note)
    tags, lost = _tags(like, frame, offset)
    notes += lost
    with (
        beside(path) as file,
        tifffile.TiffWriter(
            file, bigtiff=large and flavor != "imagej", imagej=flavor == "imagej", ome=flavor == "ome"
        ) as writer,
    ):
        writer.write(
            _encoded(strips, layout, packed),
            shape=layout.shape,
            dtype=layout.dtype,
            **_samples(layout, like),
            rowsperstrip=layout.rows_of_piece(packed.compression),
            compression=packed.compression,
            predictor=packed.predictor,
            resolution=(words.resolution.x, words.resolution.y) if words.resolution else None,
            resolutionunit=words.resolution.unit if words.resolution else None,
            description=_description(like) if flavor == "plain" else None,
            software="zncc-cli",
            metadata=words.metadata or None,
            extratags=[(*tag, True) for tag in tags],
            truncate=flavor == "imagej" and large,
        )
    return tuple(notes)


def _layout(shape: Sequence[int], dtype: np.dtype[Any], axes: str, like: Metadata | None) -> _Layout:
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


def _words(
    layout: _Layout, like: Metadata | None, frame: Metadata | None, offset: tuple[float, float]
) -> tuple[Flavor, Words, list[str]]:
    """The flavour that can hold the pixels, what it says, and what is lost."""
    resolution = resolution_tags(frame) if frame else None
    lost: list[str] = []
    if like and like.flavor == "imagej":
        reason = imagej_refusal(layout.dtype, layout.shape, layout.axes)
        if not reason:
            words = imagej_words(like, frame, offset, layout.shape, layout.axes)
            return "imagej", words, list(words.notes)
        lost.append(f"ImageJ's format holds {reason}: a plain TIFF was written, without ImageJ's description")
    if like and like.flavor == "ome":
        described = ome_words(like, frame, layout.dtype, layout.shape, layout.axes, layout.stored, resolution)
        if described is not None:
            return "ome", described, list(described.notes)
        lost.append(
            f"OME-TIFF holds no {layout.dtype.name} pixels with axes {layout.axes}: a plain TIFF was written, without "
            "OME's description"
        )
    size = pixel_size(frame) if frame else None
    if size is not None and resolution is None:
        lost.append(f"the resolution of a plain TIFF cannot be in {size.unit}: the pixel size was left out")
    pages = layout.axes[: len(layout.leading)]
    # Pages in a row are what every program expects of a file; further axes are told to those who know tifffile's way.
    further = pages not in ("", "I", "Q") and layout.width > 1
    return "plain", Words({"axes": layout.axes} if further else {}, resolution), lost


def _samples(layout: _Layout, like: Metadata | None) -> dict[str, Any]:
    samples = layout.samples * layout.bands
    colour = like.photometric == "rgb" if like else layout.samples in (3, 4)
    if like and like.photometric == "miniswhite":
        photometric = "miniswhite"
    else:
        photometric = "rgb" if colour and layout.samples >= 3 else "minisblack"
    extra = samples - (3 if photometric == "rgb" else 1)
    kind = "unspecified"
    if like and like.alpha and layout.bands == 1:
        kind = "assocalpha" if like.premultiplied else "unassalpha"
    planar = "separate" if layout.bands > 1 else "contig"
    return {
        "photometric": photometric,
        "planarconfig": planar if samples > 1 else None,
        "extrasamples": [kind] * extra if extra else None,
    }


def _encoded(strips: Iterable[NDArray[Any]], layout: _Layout, packed: Codec) -> Iterator[bytes]:
    """The strips of the file, in order."""
    rows = layout.rows_of_piece(packed.compression)
    expected = [min(STRIP_ROWS, layout.height - top) for top in range(0, layout.height, STRIP_ROWS)] * layout.planes
    with ThreadPoolExecutor() as pool:
        for strip, height in zip(strips, expected, strict=True):
            assert strip.shape[:2] == (height, layout.width), f"strip of {strip.shape}"
            pixels = np.ascontiguousarray(strip, layout.dtype).reshape(height, layout.width, layout.samples)
            if packed.compression == NONE:
                yield packed.encode(pixels)
            else:
                yield from pool.map(packed.encode, [pixels[top : top + rows] for top in range(0, height, rows)])


def _description(like: Metadata | None) -> bytes | None:
    """The text of a plain file; not one by which programs take a file for ImageJ's, OME's or tifffile's."""
    text = like.description.replace("\0", " ").strip() if like and like.flavor == "plain" else ""
    other = text.startswith(("ImageJ=", "SCIFIO=", '{"shape":')) or text.rstrip().endswith(("</OME>", "OME>"))
    return text.encode("utf-8", "replace") if text and not other else None


def _tags(like: Metadata | None, frame: Metadata | None, offset: tuple[float, float]) -> tuple[list[Tag], list[str]]:
    """The further tags: place on the Earth of ``frame``, all others of ``like``."""
    notes: list[str] = []
    place: Sequence[Tag] = ()
    if frame and frame.georeference:
        moved = georeference.moved(frame.georeference, offset)
        if moved is None:
            notes.append("the georeference cannot be moved to the new corner: left out")
        place = moved or ()
    further = [tag for tag in like.tags if handed_on(tag[0])] if like else []
    tags = {tag[0]: _without_statistics(tag) for tag in (*further, *place)}
    same_grid = like and frame and pixel_size(like) == pixel_size(frame)
    lost = [code for code, tag in tags.items() if (code in OF_THE_GRID and not same_grid) or not _writable(tag)]
    names = [*dict.fromkeys((*(like.left_out if like else ()), *map(tag_name, lost)))]
    if names:
        rest = f" and {len(names) - _NAMES} more" if len(names) > _NAMES else ""
        notes.append(f"left out: {', '.join(map(one_line, names[:_NAMES]))}{rest}")
    if like and like.nodata is not None:
        tags[_GDAL_NODATA] = (_GDAL_NODATA, 2, 0, f"{like.nodata:.17g}")
    return [tag for code, tag in tags.items() if code not in lost], notes


def _without_statistics(tag: Tag) -> Tag:
    """GDAL keeps minimum, maximum and so on of the pixels in its metadata; they are others now."""
    code, kind, count, value = tag
    if code != _GDAL_METADATA or not isinstance(value, str):
        return tag
    return code, kind, count, re.sub(r'<Item name="STATISTICS_[^>]*>[^<]*</Item>\s*', "", value)


def _writable(tag: Tag) -> bool:
    """Whether tifffile can write ``tag``; strangers' tags can hold anything."""
    try:
        tifffile.imwrite(io.BytesIO(), np.zeros((1, 1), np.uint8), metadata=None, extratags=[(*tag, True)])
    except Exception:  # whatever it is, this tag is not the reason to lose an image
        return False
    return True
