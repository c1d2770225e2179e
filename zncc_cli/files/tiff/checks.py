"""Believe no header: what a TIFF claims is compared with what its file can hold."""

from __future__ import annotations

import math
from pathlib import Path

import tifffile

from zncc_cli.files.paths import refusal
from zncc_cli.files.tiff.page_metadata import GDAL_NODATA
from zncc_cli.files.tiff.segments import Planes, segment_shape

# A strip or tile is decoded whole. Tiles have a megabyte or so; strips are to have 8 kilobytes by the standard.
_LARGEST_SEGMENT = 2**28
# Bytes out of a byte, at most: the longest match over the shortest code. Codecs for pictures have no such bound.
_INFLATION = {1: 1, 5: 1500, 8: 1100, 32946: 1100, 50013: 1100, 32773: 130, 34925: 10_000, 50000: 40_000, 34926: 40_000}


def check_segment(path: Path, page: tifffile.TiffPage, max_bytes: int) -> None:
    """A strip or tile of ``page`` must fit into memory, and there must be no more of them than the tags say.

    Raises:
        InputError: it does not fit.
    """
    assert page.dtype is not None
    shape = segment_shape(page)
    size = math.prod(shape) * page.dtype.itemsize
    limit = min(_LARGEST_SEGMENT, max_bytes)
    if min(shape) < 1 or size > limit:
        kind = "tiles" if page.is_tiled else "strips"
        found = f"{kind} of {shape[2]} x {shape[1]} pixels ({size} bytes)"
        advice = "they are decoded whole; save the file again in smaller tiles or strips"
        raise refusal(path, expected=f"{kind} of at most {limit} bytes", found=found, advice=advice)


def check_pages(path: Path, planes: Planes) -> None:
    """No strip or tile may be missing or beyond the file's end, and no more be claimed than the file can hold.

    Raises:
        InputError: so it is.
    """
    page = planes.keyframe
    size = path.stat().st_size
    pixels = math.prod(page.shaped)
    bits = page.bitspersample if isinstance(page.bitspersample, int) else sum(page.bitspersample)
    plain = -(-pixels * bits // 8)
    wanted = 1 if planes.contiguous else math.prod(page.chunked)
    sparse = GDAL_NODATA in page.tags  # GDAL leaves out strips and tiles without data; the tag says what they hold
    claimed = 0
    advice = "copy or export the file again"
    for offsets, counts in zip(planes.offsets, planes.counts, strict=True):
        if offsets is None or counts is None:
            continue
        if planes.contiguous:
            end = int(offsets[0]) + plain if len(offsets) else 0
            present = len(offsets)
        else:
            both = min(len(offsets), len(counts))
            end = int((offsets[:both] + counts[:both]).max(initial=0))
            present = int(((offsets[:both] > 0) & (counts[:both] > 0)).sum())
        stored = int(counts.sum())
        if end > size or (len(offsets) and int(offsets.min()) < 0) or (len(counts) and int(counts.min()) < 0):
            found = f"{size} bytes"
            cut = "it was cut off; copy or export it again"
            raise refusal(path, expected=f"a file of at least {end} bytes", found=found, advice=cut)
        needed = plain if page.compression == 1 and not sparse else 1
        complete = present >= wanted or (sparse and len(offsets) >= wanted and len(counts) >= wanted)
        if not complete or (stored < needed and not sparse):
            expected = f"all strips or tiles of {page.imagewidth} x {page.imagelength} pixels"
            found = f"{present} with {stored} bytes"
            raise refusal(path, expected=expected, found=found, advice=advice)
        claimed += plain * min(present, wanted) // wanted
    most = _INFLATION.get(int(page.compression), math.inf) * size
    if claimed > most:
        expected = f"pixels that {size} bytes can hold"
        found = f"{len(planes.offsets)} planes of {page.imagewidth} x {page.imagelength} ({claimed} bytes)"
        raise refusal(path, expected=expected, found=found, advice=advice)
