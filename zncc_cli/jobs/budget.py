"""How much memory and disk a pair needs, estimated before any work is done."""

from __future__ import annotations

import math

from zncc_cli.errors import ContentError, ResourceError
from zncc_cli.files.images import Image
from zncc_cli.files.memory import available_memory
from zncc_cli.files.pyramid import MIN_SIDE
from zncc_cli.jobs.downsampling import MAX_FULL_RESOLUTION_PIXELS, downsampling_factor
from zncc_cli.registration.inputs.prepare import SMALLEST_IMAGE
from zncc_cli.registration.resampling.canvas import Frame
from zncc_cli.text import byte_count

# Measured at the peak of pairs of 0.3 to 8 million pixels: bytes beyond the program itself for each pixel of the larger
# image, and for each column of a strip of the maps.
_BYTES_PER_PIXEL = 200
_BYTES_PER_COLUMN = 512 * 80
_MIN_REGISTERED_PIXELS = 2**18  # an image downsampled further would say little of its motion
_USABLE_FRACTION = 0.8  # of the free memory: other programs need some, too
# For each pixel: of the maps and the mask, and of the temporary rows that they are made from.
_MAP_BYTES, _ROW_BYTES = 3 * 4 + 1, 4 + 2


def affordable_factor(fixed: Image, moving: Image, window: int | None) -> int:
    """Return the side in pixels of the blocks by which a pair is downsampled, so that memory holds its registration.

    Args:
        fixed, moving: the images.
        window: the side of the windows that was asked for, pixels; None where it is left to the images.

    Raises:
        ResourceError: even downsampled it does not fit. ContentError: too little would be left of the smaller image.
    """
    usable = int(_USABLE_FRACTION * available_memory())
    maps = _BYTES_PER_COLUMN * max(fixed.shape[1], moving.shape[1])
    large = max(fixed, moving, key=lambda image: math.prod(image.shape))
    if usable - maps < _MIN_REGISTERED_PIXELS * _BYTES_PER_PIXEL:
        height, width = large.shape
        needed = _MIN_REGISTERED_PIXELS * _BYTES_PER_PIXEL + maps
        raise ResourceError(
            f"{large.metadata.path}: expected {byte_count(needed)} of memory for {width} x {height} pixels, found "
            f"{byte_count(usable)} that can be used; close other programs, raise the limit, or bin the images"
        )
    max_pixels = min(MAX_FULL_RESOLUTION_PIXELS, (usable - maps) // _BYTES_PER_PIXEL)
    factor = downsampling_factor(fixed.shape, moving.shape, max_pixels=max_pixels)
    small = min(fixed, moving, key=lambda image: min(image.shape))
    min_side = factor * max(2 * (window or 0), SMALLEST_IMAGE)
    if factor > 1 and min(small.shape) < min_side:
        small_size, large_size = (f"{width} x {height}" for height, width in (small.shape, large.shape))
        cause, advice = ("", "") if window is None else (f" (--window {window})", ", or choose a smaller --window")
        raise ContentError(
            f"{small.metadata.path}: expected at least {min_side} pixels a side{cause}, for a pair "
            f"of up to {large_size} is registered on means of {factor} x {factor} pixels, found {small_size}; "
            f"crop the larger image{advice}"
        )
    return factor


def file_bytes(image: Image, canvas: Frame) -> int:
    """Return the bytes of a file of all planes of an image on a canvas, uncompressed, with those of its pyramid."""
    planes = math.prod(image.data.shape) // math.prod(image.shape)
    size = math.prod(canvas.shape) * planes * image.dtype.itemsize
    # Smaller copies are a third of the image, and lie in temporary files as well while they are made.
    return size * 5 // 3 if max(canvas.shape) > MIN_SIDE else size


def map_bytes(canvas: Frame) -> int:
    """Return the bytes of the maps and the mask of a pair on a canvas, and of the temporary files for them."""
    return math.prod(canvas.shape) * (_MAP_BYTES + _ROW_BYTES)
