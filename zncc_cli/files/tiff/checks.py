"""Checks of the sizes that a TIFF claims, against what its file can hold and what fits into memory."""

from __future__ import annotations

import math
from pathlib import Path

import tifffile

from zncc_cli.files.paths import refusal
from zncc_cli.files.tiff.page_metadata import GDAL_NODATA
from zncc_cli.files.tiff.segments import Planes, segment_shape

# A strip or tile is decoded whole. Tiles have a megabyte or so; the standard recommends strips of 8 kilobytes.
_MAX_SEGMENT_BYTES = 2**28
# Bytes that one compressed byte can inflate to: the longest match over the shortest code. Codecs for pictures have no
# such bound.
_MAX_INFLATION = {
    1: 1,  # none
    5: 1500,  # LZW
    8: 1100,  # deflate
    32946: 1100,  # deflate, old number
    50013: 1100,  # deflate, Pixar's number
    32773: 130,  # PackBits
    34925: 10_000,  # LZMA
    50000: 40_000,  # Zstandard
    34926: 40_000,  # Zstandard, old number
}


def check_segment(path: Path, page: tifffile.TiffPage, max_bytes: int) -> None:
    """Check that a decoded strip or tile of ``page`` fits into memory.

    Raises:
        InputError: it does not fit, or has no pixels.
    """
    assert page.dtype is not None
    shape = segment_shape(page)
    size = math.prod(shape) * page.dtype.itemsize
    limit = min(_MAX_SEGMENT_BYTES, max_bytes)
    if min(shape) < 1 or size > limit:
        kind = "tiles" if page.is_tiled else "strips"
        found = f"{kind} of {shape[2]} x {shape[1]} pixels ({size} bytes)"
        advice = "they are decoded whole; save the file again in smaller tiles or strips"
        raise refusal(path, expected=f"{kind} of at most {limit} bytes", found=found, advice=advice)


def check_pages(path: Path, planes: Planes) -> None:
    """Check that no strip or tile is missing or beyond the file's end, and that the file can hold so many pixels.

    Raises:
        InputError: a strip or tile is missing or cut off, or more pixels are claimed than the file can hold.
    """
    page = planes.keyframe
    size = path.stat().st_size
    pixels = math.prod(page.shaped)
    bits = page.bitspersample if isinstance(page.bitspersample, int) else sum(page.bitspersample)
    plane_bytes = -(-pixels * bits // 8)
    expected_count = 1 if planes.contiguous else math.prod(page.chunked)
    segment_bytes = 0 if planes.contiguous else -(-math.prod(segment_shape(page)) * bits // 8)
    has_nodata = GDAL_NODATA in page.tags
    claimed = 0
    advice = "copy or export the file again"
    for offsets, counts in zip(planes.offsets, planes.counts, strict=True):
        if offsets is None or counts is None:
            continue
        if planes.contiguous:
            end = int(offsets[0]) + plane_bytes if len(offsets) else 0
            present, absent = len(offsets), 0
        else:
            common = min(len(offsets), len(counts))
            end = int((offsets[:common] + counts[:common]).max(initial=0))
            present = int(((offsets[:common] > 0) & (counts[:common] > 0)).sum())
            # GDAL leaves out strips and tiles without data, and writes 0 for their offset and their length.
            absent = int(((counts[:common] == 0) & ((offsets[:common] == 0) | has_nodata)).sum())
        stored = int(counts.sum())
        if end > size or (len(offsets) and int(offsets.min()) < 0) or (len(counts) and int(counts.min()) < 0):
            found = f"{size} bytes"
            cut = "it was cut off; copy or export it again"
            raise refusal(path, expected=f"a file of at least {end} bytes", found=found, advice=cut)
        needed = plane_bytes - absent * segment_bytes if page.compression == 1 else 1
        if present + absent < expected_count or (stored < needed and present):
            expected = f"all strips or tiles of {page.imagewidth} x {page.imagelength} pixels"
            found = f"{present} with {stored} bytes"
            raise refusal(path, expected=expected, found=found, advice=advice)
        claimed += plane_bytes * min(present, expected_count) // expected_count
    if claimed > _MAX_INFLATION.get(int(page.compression), math.inf) * size:
        expected = f"pixels that {size} bytes can hold"
        found = f"{len(planes.offsets)} planes of {page.imagewidth} x {page.imagelength} ({claimed} bytes)"
        raise refusal(path, expected=expected, found=found, advice=advice)
