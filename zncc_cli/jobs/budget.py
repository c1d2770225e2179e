"""What a pair takes of memory and disk, estimated before it is taken."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from zncc_cli.errors import ResourceError
from zncc_cli.files.images import Image
from zncc_cli.files.memory import available
from zncc_cli.jobs.reduction import FULL, reduction_factor
from zncc_cli.registration.canvas import Frame

# Measured at the peak of pairs of 0.3 to 8 million pixels: bytes beyond the program itself for each pixel of the larger
# image, and for each column of a strip of the maps.
_PER_PIXEL = 200
_PER_COLUMN = 512 * 80
_LEAST = 2**18  # pixels: an image reduced further would say little of its motion
_SHARE = 0.8  # of what is free: others want some, too
_MAP_BYTES = 3 * 4 + 1  # a pixel of the maps and the mask


def affordable_factor(fixed: Image, moving: Image) -> int:
    """Return the side of the blocks by which a pair is reduced so that its registration fits into the memory.

    Raises:
        ResourceError: even then it does not fit.
    """
    free = int(_SHARE * available())
    spare = free - _PER_COLUMN * max(fixed.shape[1], moving.shape[1])
    if spare < _LEAST * _PER_PIXEL:
        large = max(fixed, moving, key=lambda image: math.prod(image.shape))
        height, width = large.shape
        needed = _LEAST * _PER_PIXEL + free - spare
        raise ResourceError(
            f"{large.metadata.path}: expected {_gigabytes(needed)} of memory for {width} x {height} pixels, found "
            f"{_gigabytes(free)} that can be used; close other programs, raise the limit, or bin the images"
        )
    return reduction_factor(fixed.shape, moving.shape, most=min(FULL, spare // _PER_PIXEL))


def check_disk(folder: Path, image: Image, frame: Frame, maps: bool = True) -> None:
    """See that an image on a frame, and the maps beside it, have room in a folder, or the nearest one that exists.

    Raises:
        ResourceError: there is not enough.
    """
    height, width = frame.shape
    plane = math.prod(image.data.shape) // math.prod(image.shape) * image.dtype.itemsize
    needed = height * width * (plane + (_MAP_BYTES if maps else 0))
    nearest = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(nearest).free
    if needed > free:
        raise ResourceError(
            f"{folder}: expected {_gigabytes(needed)} of free disk for files of {width} x {height} pixels, found "
            f"{_gigabytes(free)}; choose another --out"
        )


def _gigabytes(count: int) -> str:
    return f"{count / 1e9:.2f} GB"
