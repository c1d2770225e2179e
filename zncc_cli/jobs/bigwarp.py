"""BigWarp's landmarks in pixels: it writes lengths in the unit of each image's pixel size."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.image import Image
from zncc_cli.files.landmarks.landmarks import Pairs
from zncc_cli.files.tiff.calibration import INCH, pixel_size

_IMAGEJ_NO_INCHES = 72  # pixels per inch: ImageJ takes it for a default that nobody set


def in_pixels(pairs: Pairs, fixed: Image, moving: Image) -> tuple[Pairs, tuple[str, ...]]:
    """Return BigWarp's landmarks in pixels, and sentences on how.

    They are divided by the pixel size of their image; where that takes them beyond it, and they lie on it as they are,
    BigWarp was given the image without its pixel size.
    """
    scaled, notes = [], list[str]()
    for name, points, image in (("fixed", pairs.fixed, fixed), ("moving", pairs.moving, moving)):
        x, y = _imagej_pixel_size(image)
        divided = points / [x, y]
        of_image = f"BigWarp's landmarks of the {name} image"
        if not _are_inside(divided, image.shape) and _are_inside(points, image.shape):
            divided = points
            notes.append(f"{of_image} are taken to be in pixels: divided by the pixel size they lie beyond it")
        elif (x, y) != (1, 1):
            notes.append(f"{of_image} were divided by its pixel size, {x:.6g} x {y:.6g}")
        scaled.append(divided)
    return dataclasses.replace(pairs, fixed=scaled[0], moving=scaled[1], calibrated=False), tuple(notes)


def _are_inside(points: NDArray[np.float64], shape: tuple[int, int]) -> bool:
    return bool((points > -1).all() and (points < [shape[1], shape[0]]).all())


def _imagej_pixel_size(image: Image) -> tuple[float, float]:
    """Return the size of a pixel as ImageJ, and BigWarp in it, reads it; (1, 1) where the file has none."""
    size, resolution = pixel_size(image.metadata), image.metadata.resolution
    is_default = image.metadata.pixel_size is None and resolution is not None and resolution.unit == INCH
    if size is None or (is_default and size.x * _IMAGEJ_NO_INCHES == 1):
        return 1.0, 1.0
    return size.x, size.y
