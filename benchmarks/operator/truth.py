"""The true values and gradients of both tasks in float64: means first, so that no sums of squares cancel.

The cost grows with the window; the memory does not. f and m are fixed and moving, v their Var, cov their N times
covariance; by_f and by_m weigh a window's (f - mean) and (m - mean) in the gradient.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """A value, StdMap or loss, and its gradient in the image, or in the moving image."""

    value: Array
    gradient: Array


def std(image: Array, g: Array, w: int, eps: float) -> Truth:
    """Return StdMap, and the gradient of sum(g * StdMap): exact, and zero where a window is constant."""
    mean = _means(image, w)
    variance = np.zeros_like(mean)
    for view in _views(mean.shape, w):
        variance += (image[view] - mean) ** 2
    value = np.sqrt(variance + eps)
    weight = np.where(variance > 0, g / value, 0)
    gradient = np.zeros_like(image)
    for view in _views(mean.shape, w):
        gradient[view] += weight * (image[view] - mean)
    return Truth(value, gradient)


def loss(fixed: Array, moving: Array, w: int, eps: float, formula: str, border: str) -> Truth:
    """Return the loss of a contender's ``formula`` and ``border``, and its gradient in ``moving``.

    With 'relative', ``eps`` counts in units of each image's variance, whose derivative in ``moving`` is part of it.
    """
    pad = w // 2 if border == "same" else 0
    f, m = np.pad(fixed, pad), np.pad(moving, pad)
    relative = formula == "relative"
    eps_f, eps_m = (eps * f.var(), eps * m.var()) if relative else (eps, eps)
    mean_f, mean_m = _means(f, w), _means(m, w)
    v_f, v_m, cov = (np.zeros_like(mean_f) for _ in range(3))
    for view in _views(cov.shape, w):
        a, b = f[view] - mean_f, m[view] - mean_m
        v_f += a * a
        v_m += b * b
        cov += a * b
    if formula == "squared":  # the larger of Var and eps, not their sum
        v_f, v_m = np.maximum(v_f, eps_f), np.maximum(v_m, eps_m)
        values = cov * cov / (v_f * v_m)
        by_f, by_m = 2 * cov / (v_f * v_m), -2 * values / v_m
        value = -values.mean()
    else:
        v_f, v_m = v_f + eps_f, v_m + eps_m
        values = cov / np.sqrt(v_f * v_m)
        by_f, by_m = 1 / np.sqrt(v_f * v_m), -values / v_m
        value = 1 - values.mean()
    gradient = np.zeros_like(m)
    for view in _views(cov.shape, w):
        gradient[view] += by_f * (f[view] - mean_f) + by_m * (m[view] - mean_m)
    if relative:
        gradient += by_m.sum() / 2 * eps * 2 * (m - m.mean()) / m.size
    inside = (slice(pad, pad + moving.shape[0]), slice(pad, pad + moving.shape[1]))
    return Truth(np.asarray(value), -gradient[inside] / values.size)


def _views(shape: tuple[int, ...], w: int) -> Iterator[tuple[slice, slice]]:
    """Yield, for each pixel of a window, where that pixel of all windows lies."""
    for y, x in np.ndindex(w, w):
        yield slice(y, y + shape[0]), slice(x, x + shape[1])


def _means(image: Array, w: int) -> Array:
    rows, columns = image.shape[0] - w + 1, image.shape[1] - w + 1
    centre = image[w // 2 : w // 2 + rows, w // 2 : w // 2 + columns]
    total = np.zeros((rows, columns))
    for view in _views(total.shape, w):
        total += image[view] - centre
    return centre + total / (w * w)
