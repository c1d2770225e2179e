"""Naive oracles: the formulas as one would write them on paper, in NumPy and float64, as slow as they are plain.

They take two passes, the mean first and then the squares of what is left, and so lose no digits to cancellation.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Array = NDArray[np.float64]


def local_variance(image: Array, h: int, w: int) -> Array:
    """N times the population variance of every h x w window of a 2-D image."""
    windows = sliding_window_view(image, (h, w))
    return np.square(windows - windows.mean(axis=(-2, -1), keepdims=True)).sum(axis=(-2, -1))


def std_map(image: Array, h: int, w: int, eps: float) -> Array:
    """StdMap of a 2-D image."""
    return np.sqrt(local_variance(image, h, w) + eps)


def std_map_gradient(image: Array, g: Array, h: int, w: int, eps: float, d: float = 0.0) -> Array:
    """The gradient of sum(g * StdMap), dI = sum over a pixel's windows of 2 * dVar * (I - window's mean).

    The specification adds d = eps to the denominator of dVar; the derivative has none.
    """
    mean = sliding_window_view(image, (h, w)).mean(axis=(-2, -1))
    variance = local_variance(image, h, w)
    d_var = np.where(variance == 0.0, 0.0, g / (2.0 * np.sqrt(variance + eps) + d))
    gradient = np.zeros_like(image)
    rows, columns = mean.shape
    for y in range(h):
        for x in range(w):
            window_pixel = (slice(y, y + rows), slice(x, x + columns))
            gradient[window_pixel] += 2.0 * d_var * (image[window_pixel] - mean)
    return gradient


def correlate_valid(image: Array, kernel: Array) -> Array:
    """Cross-correlation of a 2-D image wherever the kernel lies inside it."""
    return (sliding_window_view(image, kernel.shape) * kernel).sum(axis=(-2, -1))


def convolve_full(image: Array, kernel: Array) -> Array:
    """Full convolution of a 2-D image: every pixel leaves its own multiple of the kernel."""
    out = np.zeros((image.shape[0] + kernel.shape[0] - 1, image.shape[1] + kernel.shape[1] - 1))
    for y, x in np.ndindex(*image.shape):
        out[y : y + kernel.shape[0], x : x + kernel.shape[1]] += image[y, x] * kernel
    return out


def local_zncc(fixed: Array, moving: Array, h: int, w: int, eps: tuple[float, float]) -> Array:
    """Local ZNCC of every h x w window of two 2-D images, eps added to N times each variance."""
    f, m = (sliding_window_view(image, (h, w)) for image in (fixed, moving))
    f, m = (windows - windows.mean(axis=(-2, -1), keepdims=True) for windows in (f, m))
    v_f, v_m = np.square(f).sum(axis=(-2, -1)) + eps[0], np.square(m).sum(axis=(-2, -1)) + eps[1]
    return np.asarray((f * m).sum(axis=(-2, -1)) / np.sqrt(v_f * v_m))


def local_zncc_gradient(fixed: Array, moving: Array, weight: Array, h: int, w: int, eps: tuple[float, float]) -> Array:
    """The gradient of sum(weight * z) with respect to the moving image, window by window."""
    z = local_zncc(fixed, moving, h, w, eps)
    v_f, v_m = local_variance(fixed, h, w) + eps[0], local_variance(moving, h, w) + eps[1]
    mean_f, mean_m = (sliding_window_view(image, (h, w)).mean(axis=(-2, -1)) for image in (fixed, moving))
    gradient = np.zeros_like(moving)
    rows, columns = z.shape
    for y in range(h):
        for x in range(w):
            pixel = (slice(y, y + rows), slice(x, x + columns))
            gradient[pixel] += weight * (
                (fixed[pixel] - mean_f) / np.sqrt(v_f * v_m) - z * (moving[pixel] - mean_m) / v_m
            )
    return gradient


def pearson(a: Array, b: Array) -> Array:
    """The correlation coefficient over the last two axes."""
    a, b = (v - v.mean(axis=(-2, -1), keepdims=True) for v in (a, b))
    return (a * b).sum((-2, -1)) / np.sqrt((a * a).sum((-2, -1)) * (b * b).sum((-2, -1)))
