"""The ZNCC of the overlap of two masked images for every shift, by FFT, and its significance.

Padfield 2012, "Masked object registration in the Fourier domain", doi:10.1109/TIP.2011.2181402.

Legend: f, m fixed and moving, w their masks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.operators.fft import good_size

_MAX_ZNCC = 0.9999  # a larger ZNCC counts as this one: atanh(1) is infinite


class ShiftSurface(NamedTuple):
    """The ZNCC of the overlap for every shift that leaves enough of it.

    Attributes:
        zncc: (H, W), in [-1, 1]; entry [dy + y, dx + x] is for moving(x + dx, y + dy) lying on fixed(x, y).
        pixels: (H, W), how many valid pixels overlap.
        origin: (y, x) of the entry of no shift, which may lie outside where images of unequal sizes are compared.
    """

    zncc: Tensor
    pixels: Tensor
    origin: tuple[int, int]


def masked_zncc(
    fixed: Tensor, fixed_mask: Tensor, moving: Tensor, moving_mask: Tensor, min_overlap: float
) -> ShiftSurface:
    """Return the ZNCC of the overlap for every shift by whole pixels.

    Args:
        fixed, moving: (Hf, Wf), (Hm, Wm) of one floating dtype, zero outside their masks.
        fixed_mask, moving_mask: of the same shapes and dtype, one on valid pixels, zero on others.
        min_overlap: shifts with fewer overlapping pixels than this share of the smaller mask get zero.
    """
    least = min_overlap * min(float(fixed_mask.sum()), float(moving_mask.sum()))
    (before_y, shifts_y, padded_y), (before_x, shifts_x, padded_x) = (
        _shifts(fixed.shape[axis], moving.shape[axis], least / min(fixed.shape[1 - axis], moving.shape[1 - axis]))
        for axis in (0, 1)
    )
    padded = padded_y, padded_x
    # Entry 0 of the correlation is the first shift that is looked at, rather than none.
    slid = F.pad(torch.stack((moving_mask, moving, moving.square())), (before_x, 0, before_y, 0))
    w, f, ff = torch.fft.rfft2(torch.stack((fixed_mask, fixed, fixed.square())), s=padded).conj()
    v, m, mm = torch.fft.rfft2(slid, s=padded)
    products = torch.stack((w * v, f * v, w * m, f * m, ff * v, w * mm))
    sums = torch.fft.irfft2(products, s=padded)[:, :shifts_y, :shifts_x]
    count, sum_f, sum_m, cov, var_f, var_m = sums.unbind()
    count = count.round().clamp_min_(0)
    n = count.clamp_min(1)
    cov = cov - sum_f * sum_m / n
    var_f, var_m = (var_f - sum_f.square() / n).clamp_min_(0), (var_m - sum_m.square() / n).clamp_min_(0)
    norm = var_f.mul_(var_m).sqrt_()
    # Below it the ratio is the rounding of the FFT.
    textured = norm > 100 * torch.finfo(norm.dtype).eps * norm.amax()
    zncc = torch.where((count >= least) & textured, cov / norm, 0).clamp_(-1, 1)
    return ShiftSurface(zncc, count, (before_y, before_x))


def _shifts(fixed: int, moving: int, least: float) -> tuple[int, int, int]:
    """Return, along an axis, how many shifts there are below zero and in all, and the length of the FFTs.

    Only shifts that leave at least ``least`` lines of the overlap are looked at. Those with fewer wrap around, and
    need be kept only from the ones that are looked at.

    Args:
        fixed, moving: lines of the images.
    """
    lines = min(max(1, math.ceil(least)), fixed, moving)
    return fixed - lines, fixed + moving - 2 * lines + 1, good_size(fixed + moving - lines)


def significance(zncc: Tensor, count: Tensor) -> Tensor:
    """Return a ZNCC of ``count`` pixels in units of what chance makes of unrelated ones: atanh(z) sqrt(n).

    A small overlap has to agree better than a large one; one that agrees nearly everywhere outweighs a larger one that
    agrees here and there, as a texture does that is a period off. The unit is right up to a common factor,
    since neighbouring pixels are not independent. Fisher 1915, doi:10.2307/2331838.
    """
    return zncc.clamp(-_MAX_ZNCC, _MAX_ZNCC).atanh() * count.sqrt()
