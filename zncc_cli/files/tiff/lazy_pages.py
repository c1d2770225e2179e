"""The pages of a series as a lazy array: checked, decoded by parts, turned and coloured as each of them says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from zncc_cli.files.lazy import LazyArray, bits_as_uint8, native_dtype
from zncc_cli.files.palette import Palette
from zncc_cli.files.paths import refusal
from zncc_cli.files.tiff.checks import check_pages, check_segment
from zncc_cli.files.tiff.input_errors import input_errors
from zncc_cli.files.tiff.orientation import oriented, stored_part, transposes
from zncc_cli.files.tiff.page_metadata import nodata_of
from zncc_cli.files.tiff.samples import Samples, rgb_of_inks
from zncc_cli.files.tiff.segments import Planes, segment_cache


@dataclass(frozen=True)
class PageLooks:
    """How each page is shown: its orientation, and the colours that its numbers become; of one, or of every page."""

    orientations: Sequence[Any]
    palettes: Sequence[Palette] = ()

    def orientation(self, page: int) -> Any:
        """Return the orientation tag of a page."""
        return self.orientations[page if len(self.orientations) > 1 else 0]

    def colours(self) -> list[NDArray[Any]]:
        """Return the colours of each palette, (N, 3), all of the same dtype."""
        tables = [palette.rgb() for palette in self.palettes]
        is_8_bit = all(table.dtype == np.uint8 for table in tables)
        return tables if is_8_bit else [palette.colours for palette in self.palettes]


def checked_planes(path: Path, series: tifffile.TiffPageSeries, count: int, max_bytes: int) -> tuple[Planes, int]:
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


def lazy_array(path: Path, planes: Planes, samples: Samples, leading: tuple[int, ...], looks: PageLooks) -> LazyArray:
    """Return the lazy array (*leading, H, W) or (*leading, H, W, S) of ``planes``, each turned and coloured as it says.

    Raises:
        InputError: some pages are turned on their side, and they are no squares.
    """
    page = planes.keyframe
    separate, depths, height, width, _ = page.shaped
    on_side = {transposes(orientation) for orientation in looks.orientations}
    if len(on_side) > 1 and height != width:
        found, advice = "some that are turned on their side", "save them as files of their own"
        raise refusal(path, expected="pages of one size as they are shown", found=found, advice=advice)
    shown_shape = (width, height) if True in on_side else (height, width)
    tables = looks.colours()
    assert page.dtype is not None
    dtype = tables[0].dtype if tables else native_dtype(page.dtype)

    def read(index: tuple[int, ...], rows: range, columns: range) -> NDArray[Any]:
        number = int(np.ravel_multi_index(index, leading)) if leading else 0
        number, channel = divmod(number, samples.channels)
        number, depth = divmod(number, depths)
        orientation = looks.orientation(number)
        part = (depth, *stored_part(orientation, shown_shape, rows, columns))
        with input_errors(path):
            if samples.colours and separate > 1:
                pixels = np.concatenate([planes.read(number, s, *part) for s in range(separate)], axis=2)
            elif separate > 1:
                pixels = planes.read(number, channel, *part)[..., 0]
            else:
                pixels = planes.read(number, 0, *part)
                pixels = pixels if samples.colours and not tables else pixels[..., channel]
            if samples.inks:
                pixels = rgb_of_inks(pixels)
            if samples.is_palette and pixels.dtype.kind == "b":
                pixels = pixels.astype(np.uint8)
            if tables:
                pixels = tables[number if len(tables) > 1 else 0][pixels]
        return np.ascontiguousarray(oriented(bits_as_uint8(pixels), orientation), dtype=dtype)

    plane = (*shown_shape, samples.colours) if samples.colours else shown_shape
    return LazyArray((*leading, *plane), dtype, len(plane), read)
