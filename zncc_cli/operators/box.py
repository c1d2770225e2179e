"""Sums over every window by prefix sums within blocks: plain torch, float64, nothing subtracted.

Every window of length n is the end of one block of n values and the beginning of the next one (van Herk 1992,
doi:10.1016/0167-8655(92)90069-C). Two running sums per axis, whatever the window; and unlike the difference of two
prefix sums of the whole line, a sum holds its own pixels only: their rounding, their NaN, and no others'.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def box_sums(planes: torch.Tensor, h: int, w: int, mode: str = "valid") -> torch.Tensor:
    """Return the sums over h x w windows, 'valid' (..., H-h+1, W-w+1) or 'full' (..., H+h-1, W+w-1).

    Args:
        planes: (..., H, W) float64, no smaller than the window where it is 'valid'.
        h, w: the window, in pixels.
        mode: as in `zncc_cli.operators.fft.fft_cc` with a kernel of ones.
    """
    if mode == "full":
        planes = functional.pad(planes, (w - 1, w - 1, h - 1, h - 1))
    return _along(_along(planes.transpose(-2, -1), h).transpose(-2, -1), w)


def _along(lines: torch.Tensor, n: int) -> torch.Tensor:
    """Return the sums of n consecutive values on the last axis."""
    if n == 1:
        return lines
    length = lines.shape[-1]
    blocks = functional.pad(lines, (0, -length % n)).unflatten(-1, (-1, n))
    beginnings = blocks.cumsum(-1).flatten(-2)
    ends = blocks.flip(-1).cumsum(-1).flip(-1).flatten(-2)
    count = length - n + 1
    # A window that is a block has no second part.
    second = beginnings[..., n - 1 : length].clone()
    second[..., ::n] = 0.0
    sums: torch.Tensor = ends[..., :count] + second
    return sums
