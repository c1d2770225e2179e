"""The digest of an image: of its pixels and of what is written of its grid, whatever else is in the file."""

from __future__ import annotations

import hashlib

import numpy as np

from zncc_cli.files.digest import DIGEST_BYTES
from zncc_cli.files.image import Image

_STRIP_ROWS = 256


def image_digest(image: Image) -> str:
    """Return the BLAKE2b digest of the pixels of an image, its axes, dtype and calibration.

    Raises:
        InputError: a part of the image is damaged.
    """
    metadata = image.metadata
    grid: tuple[object, ...] = (metadata.pixel_size, metadata.resolution, metadata.georeference, metadata.nodata)
    grid += (metadata.photometric,) if metadata.nodata_limit is None else (metadata.photometric, metadata.nodata_limit)
    content = hashlib.blake2b(digest_size=DIGEST_BYTES)
    content.update(repr((image.axes, tuple(image.data.shape), image.dtype.str, grid)).encode())
    for index in np.ndindex(*image.leading):
        for row in range(0, image.shape[0], _STRIP_ROWS):
            part = image.read(index, slice(row, row + _STRIP_ROWS))
            content.update(np.ascontiguousarray(part.data).data)
    return f"blake2b of pixels:{content.hexdigest()}"
