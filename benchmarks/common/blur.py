"""Gaussian blur by NumPy alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def gaussian_blur(image: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Return ``image`` (H, W) blurred by ``sigma`` pixels, smaller by ceil(4 sigma) pixels on each side."""
    radius = math.ceil(4 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    for axis in (0, 1):
        image = np.apply_along_axis(np.convolve, axis, image, kernel / kernel.sum(), "valid")
    return image
