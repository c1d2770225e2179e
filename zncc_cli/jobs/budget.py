"""What a pair takes of memory and disk, estimated before it is taken."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from zncc_cli.errors import ContentError, ResourceError
from zncc_cli.files.images import Image
from zncc_cli.files.memory import available_memory
from zncc_cli.jobs.reduction import FULL, reduction_factor
from zncc_cli.registration.inputs.prepare import SMALLEST_IMAGE
from zncc_cli.registration.resampling.canvas import Frame
from zncc_cli.text import byte_count

# Measured at the peak of pairs of 0.3 to 8 million pixels: bytes beyond the program itself for each pixel of the larger
# image, and for each column of a strip of the maps.
_PER_PIXEL = 200
_PER_COLUMN = 512 * 80
_LEAST = 2**18  # pixels: an image reduced further would say little of its motion
_SHARE = 0.8  # of what is free: others want some, too
_MAP_BYTES, _ROWS_BYTES = 3 * 4 + 1, 4 + 2  # a pixel of the maps and the mask, and of the rows they are made from


def affordable_factor(fixed: Image, moving: Image, window: int | None) -> int:
    """Return the side of the blocks by which a pair is reduced so that its registration fits into the memory.

    Raises:
        ResourceError: even reduced it does not fit. ContentError: too little would be left of the smaller image.
    """
    free = int(_SHARE * available_memory())
    spare = free - _PER_COLUMN * max(fixed.shape[1], moving.shape[1])
    large = max(fixed, moving, key=lambda image: math.prod(image.shape))
    if spare < _LEAST * _PER_PIXEL:
        height, width = large.shape
        needed = _LEAST * _PER_PIXEL + free - spare
        raise ResourceError(
            f"{large.metadata.path}: expected {byte_count(needed)} of memory for {width} x {height} pixels, found "
            f"{byte_count(free)} that can be used; close other programs, raise the limit, or bin the images"
        )
    factor = reduction_factor(fixed.shape, moving.shape, most=min(FULL, spare // _PER_PIXEL))
    small = min(fixed, moving, key=lambda image: min(image.shape))
    side, least = min(small.shape), max(2 * (window or 0), SMALLEST_IMAGE)
    if factor > 1 and side < factor * least:
        found, of_large = (f"{width} x {height}" for height, width in (small.shape, large.shape))
        by, advice = ("", "") if window is None else (f" (--window {window})", ", or choose a smaller --window")
        raise ContentError(
            f"{small.metadata.path}: expected at least {factor * least} pixels a side{by}, for a pair "
            f"of up to {of_large} is registered on means of {factor} x {factor} pixels, found {found}; "
            f"crop the larger image{advice}"
        )
    return factor


def check_disk(folder: Path, needed: int) -> None:
    """See that ``needed`` bytes have room in a folder, or in the nearest one that exists.

    Raises:
        ResourceError: they have not.
    """
    nearest = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(nearest).free
    if needed > free:
        raise ResourceError(
            f"{folder}: expected {byte_count(needed)} of free disk for what is to be written, found {byte_count(free)}; "
            "choose another --out"
        )


def file_bytes(image: Image, frame: Frame) -> int:
    """Return the size of a file of all planes of an image on a frame, uncompressed."""
    planes = math.prod(image.data.shape) // math.prod(image.shape)
    return math.prod(frame.shape) * planes * image.dtype.itemsize


def map_bytes(frame: Frame) -> int:
    """Return the size of the maps of a pair on a frame, and of what they are made from meanwhile."""
    return math.prod(frame.shape) * (_MAP_BYTES + _ROWS_BYTES)
