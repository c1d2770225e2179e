"""The ZNCC of the overlap of two masked images for every shift, by FFT, and its significance.

Padfield 2012, "Masked object registration in the Fourier domain", doi:10.1109/TIP.2011.2181402.

Legend: f, m fixed and moving, w their masks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zncc_cli.operators.fft import good_size

_MAX_ZNCC = 0.9999  # a larger ZNCC counts as this one: atanh(1) is infinite


class MaskedZncc:
    """The ZNCC of the overlap of one image with others, for every shift by whole pixels.

    Args:
        fixed: (Hf, Wf), zero outside its mask.
        fixed_mask: of the same shape and dtype, one on valid pixels, zero on others.
        moving_shape: (Hm, Wm) of the others.
    """

    def __init__(self, fixed: Tensor, fixed_mask: Tensor, moving_shape: tuple[int, int]) -> None:
        self._padded = [good_size(a + b - 1) for a, b in zip(fixed.shape, moving_shape, strict=True)]
        self._valid = float(fixed_mask.sum())
        self._f, self._ff, self._fw = (self._spectrum(plane) for plane in (fixed, fixed.square(), fixed_mask))

    def __call__(self, moving: Tensor, moving_mask: Tensor, min_overlap: float) -> tuple[Tensor, Tensor]:
        """Return the ZNCC in [-1, 1] and the number of overlapping valid pixels, (..., H, W).

        Entry [dy, dx] is for moving(x + dx, y + dy) lying on fixed(x, y); negative shifts count from the end.

        Args:
            moving, moving_mask: (..., Hm, Wm), as the fixed ones.
            min_overlap: shifts with fewer overlapping pixels than this share of the smaller mask get zero.
        """
        m, mm, mw = (self._spectrum(p) for p in (moving, moving.square(), moving_mask))
        count = self._correlate(self._fw, mw).round_().clamp_min_(0)
        n = count.clamp_min(1)
        sum_f, sum_m = self._correlate(self._f, mw), self._correlate(self._fw, m)
        cov = self._correlate(self._f, m) - sum_f * sum_m / n
        var_f = (self._correlate(self._ff, mw) - sum_f.square() / n).clamp_min_(0)
        var_m = (self._correlate(self._fw, mm) - sum_m.square() / n).clamp_min_(0)
        norm = (var_f * var_m).sqrt_()
        enough = count >= min_overlap * moving_mask.sum((-2, -1), keepdim=True).clamp_max(self._valid)
        # Below it the ratio is the rounding of the FFT.
        textured = norm > 100 * torch.finfo(norm.dtype).eps * norm.amax((-2, -1), keepdim=True)
        return torch.where(enough & textured, cov / norm, 0).clamp_(-1, 1), count

    def _spectrum(self, plane: Tensor) -> Tensor:
        out: Tensor = torch.fft.rfft2(plane, s=self._padded)
        return out

    def _correlate(self, a: Tensor, b: Tensor) -> Tensor:
        sums: Tensor = torch.fft.irfft2(a.conj() * b, s=self._padded)
        return sums


def significance(zncc: Tensor, count: Tensor) -> Tensor:
    """Return a ZNCC of ``count`` pixels in units of what chance makes of unrelated ones: atanh(z) sqrt(n).

    A small overlap has to agree better than a large one; one that agrees nearly everywhere outweighs a larger one that
    agrees here and there, as a texture does that is a period off. The unit is right up to a common factor,
    since neighbouring pixels are not independent. Fisher 1915, doi:10.2307/2331838.
    """
    return zncc.clamp(-_MAX_ZNCC, _MAX_ZNCC).atanh() * count.sqrt()
