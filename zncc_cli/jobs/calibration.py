"""The size of a pixel of a frame that has none, from the image that is resampled onto it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from zncc_cli.files.metadata import Metadata, PixelSize
from zncc_cli.files.tiff.calibration import INCH, pixel_size, scene_pixel_size
from zncc_cli.registration.transforms.bending import Transform, mapped_points

_DEFAULT_DPI = (72, 96)  # programs write them where nobody has measured anything


def calibrated_grid(
    grid: Metadata | None, image: Metadata, transform: Transform, shape: tuple[int, int]
) -> tuple[Metadata | None, tuple[str, ...]]:
    """Return the frame's metadata with a pixel size, and a sentence where it is the image's.

    A step of one pixel along x or y of the frame, in its middle, is so many pixels of the image, and so long.

    Args:
        grid: metadata of the frame; None where nothing is known of it.
        image: metadata of the image.
        transform: a matrix (3, 3) or a field, maps pixels of the frame to those of the image, (x, y).
        shape: (H, W) of the frame.
    """
    size = pixel_size(image)
    if (grid is not None and _has_size(grid)) or size is None or not _is_of_scene(image):
        return grid, ()
    middle = np.array([shape[1] - 1, shape[0] - 1]) / 2
    start, right, down = mapped_points(transform, middle + np.array([[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5]]))
    x, y = (math.hypot(*((end - start) * [size.x, size.y])) for end in (right, down))
    if not all(math.isfinite(side) and side > 0 for side in (x, y)):
        return grid, ()
    found = PixelSize(x=x, y=y, unit=size.unit)
    place = grid or Metadata(path=image.path, format="TIFF")
    name = "the frame" if grid is None else grid.path.name
    note = (
        f"the size of a pixel, {x:.6g} x {y:.6g} {size.unit}, is that of {image.path.name} through the transform's "
        f"scale: {name} has none"
    )
    return dataclasses.replace(place, pixel_size=found, resolution=None), (note,)


def _has_size(metadata: Metadata) -> bool:
    """Tell whether a file says how large its pixels are, beyond a resolution that is a default."""
    return pixel_size(metadata) is not None and not _is_default(metadata)


def _is_default(metadata: Metadata) -> bool:
    resolution = metadata.resolution
    if metadata.pixel_size is not None or resolution is None or resolution.unit != INCH:
        return False
    return all(count / per in _DEFAULT_DPI for count, per in (resolution.x, resolution.y))


def _is_of_scene(metadata: Metadata) -> bool:
    """Tell whether the size of a pixel is one of the scene, not of a print or a screen."""
    return metadata.pixel_size is not None or scene_pixel_size(metadata) is not None
