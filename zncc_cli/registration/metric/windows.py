"""What square windows hold: sums and variances of all windows of an image, and sums back onto pixels.

A window of side w has a value for each place where it lies wholly in the image: maps of windows have the 'valid' shape
(H-w+1, W-w+1), and entry (y, x) belongs to the window whose top-left pixel is (x, y).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.operators import native_ops
from zncc_cli.operators.local_std import local_std

# The eps of `local_std` for images of a variance of about one: it only keeps the derivative of the square root finite,
# and is far below the variance of any window that counts.
STD_EPS = 1e-12


def full_windows(mask: Tensor, window: int) -> Tensor:
    """Return which windows lie wholly in ``mask`` (..., H, W) bool: (..., H-w+1, W-w+1) bool."""
    return over_windows(mask, window, torch.logical_and)


def window_variance(image: Tensor, window: int) -> Tensor:
    """Return N = w^2 times the population variance of every window of ``image`` (..., H, W), (..., H-w+1, W-w+1).

    The image has a variance of about one. Differentiable.
    """
    return local_std(image, window, STD_EPS).square() - STD_EPS


def window_sums(planes: Tensor, window: int) -> Tensor:
    """Return the sums of the pixels (..., H, W), float, of each window, (..., H-w+1, W-w+1). Not differentiable."""
    if planes.is_cpu and native_ops.is_native(planes):
        return native_ops.window_sums(planes.contiguous(), window, window)
    return over_windows(planes, window, torch.add)


def pixel_sums(maps: Tensor, window: int) -> Tensor:
    """Return for each pixel the sum over the windows that hold it, (H, W), of ``maps`` (H-w+1, W-w+1).

    The adjoint of `window_sums`. Not differentiable.
    """
    return window_sums(F.pad(maps, [window - 1] * 4), window)


def over_windows(planes: Tensor, window: int, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Combine all pixels (..., H, W) of each window to one value, (..., H-w+1, W-w+1).

    Runs of 1, 2, 4, ... pixels are combined to one of the window's length: log2(w) passes, and in a sum no more
    roundings than that.

    Args:
        planes: of any dtype.
        window: side of the square window, pixels.
        combine: associative, of two tensors of one shape: `torch.minimum` for the least pixel of each window.
    """
    for dim in (-2, -1):
        count = planes.shape[dim] - window + 1
        run, length, taken, parts = planes, 1, 0, []
        while length <= window:
            if window & length:
                parts.append(run.narrow(dim, taken, count))
                taken += length
            if 2 * length <= window:
                pairs = run.shape[dim] - length
                run = combine(run.narrow(dim, 0, pairs), run.narrow(dim, length, pairs))
            length *= 2
        planes = reduce(combine, parts)
    return planes
