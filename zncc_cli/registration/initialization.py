"""Where to start: the translation found by masked normalised cross-correlation over all shifts.

Padfield 2012, "Masked object registration in the Fourier domain", doi:10.1109/TIP.2011.2181402.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zncc_cli.operators.fft import good_size
from zncc_cli.registration.pyramid import Level, smooth

# Shading over more than this share of the shorter side says nothing about position; it is subtracted first.
_SHADING = 1 / 8
_CANDIDATES = 5  # peaks that are worth a closer look
_PEAK_RADIUS = 4  # level pixels around a peak that belong to it


@dataclass(frozen=True)
class Shift:
    """A translation fixed -> moving in full-resolution pixels."""

    dx: float
    dy: float

    @property
    def matrix(self) -> np.ndarray:
        """The (3, 3) matrix, fixed -> moving."""
        return np.array([[1, 0, self.dx], [0, 1, self.dy], [0, 0, 1]], dtype=np.float64)


def masked_zncc(
    fixed: Tensor, fixed_mask: Tensor, moving: Tensor, moving_mask: Tensor, min_overlap: float
) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Return the ZNCC of the overlap of two images for every shift by whole pixels.

    Args:
        fixed, moving: (Hf, Wf) and (Hm, Wm) float64, zero outside their masks.
        fixed_mask, moving_mask: float64 of the same shapes, one on valid pixels, zero on others.
        min_overlap: shifts with fewer overlapping pixels than this share of the smaller mask get zero.

    Returns:
        The ZNCC (Hf+Hm-1, Wf+Wm-1) in [-1, 1], the number of overlapping valid pixels in the same layout, and the
        entry (row, column) of shift zero; entry (row + dy, column + dx) is for moving(x + dx, y + dy) lying on
        fixed(x, y).
    """
    shape = (fixed.shape[0] + moving.shape[0] - 1, fixed.shape[1] + moving.shape[1] - 1)
    padded = [good_size(n) for n in shape]
    zero = (fixed.shape[0] - 1, fixed.shape[1] - 1)

    def spectrum(plane: Tensor) -> Tensor:
        out: Tensor = torch.fft.rfft2(plane, s=padded)
        return out

    def correlate(a: Tensor, b: Tensor) -> Tensor:
        sums: Tensor = torch.fft.irfft2(a.conj() * b, s=padded)
        return sums.roll(zero, dims=(0, 1))[: shape[0], : shape[1]]

    f, ff, fm = spectrum(fixed), spectrum(fixed.square()), spectrum(fixed_mask)
    m, mm, mw = spectrum(moving), spectrum(moving.square()), spectrum(moving_mask)
    count = correlate(fm, mw).round().clamp_min(0)
    n = count.clamp_min(1)
    sum_f, sum_m = correlate(f, mw), correlate(fm, m)
    cov = correlate(f, m) - sum_f * sum_m / n
    var_f = (correlate(ff, mw) - sum_f.square() / n).clamp_min(0)
    var_m = (correlate(fm, mm) - sum_m.square() / n).clamp_min(0)
    norm = (var_f * var_m).sqrt()
    enough = count >= min_overlap * min(float(fixed_mask.sum()), float(moving_mask.sum()))
    textured = norm > 1e-9 * norm.max()  # below it the ratio is the rounding of the FFT
    return torch.where(enough & textured, cov / norm.clamp_min(1e-300), 0).clamp(-1, 1), count, zero


def find_shifts(fixed: Level, moving: Level, min_overlap: float) -> list[Shift]:
    """Return the few most plausible translations, the best first; zncc weighed by the overlap's size decides."""
    # What both images show of the scene is no larger than the smaller of them.
    sigma = max(2.0, min(*fixed.shape, *moving.shape) * _SHADING)
    (f, fm), (m, mm) = _without_shading(fixed, sigma), _without_shading(moving, sigma)
    surface, count, zero = masked_zncc(f, fm, m, mm, min_overlap)
    # The ZNCC of n unrelated pixels scatters by 1 / sqrt(n): a small overlap has to agree better than a large one.
    score = surface * count.sqrt()
    shifts = []
    for _ in range(_CANDIDATES):
        row, column = divmod(int(score.argmax()), score.shape[1])
        if not float(score[row, column]) > 0:
            break
        dx, dy = float(column - zero[1]), float(row - zero[0])
        shifts.append(Shift(dx * fixed.factor, dy * fixed.factor))
        r = _PEAK_RADIUS
        score[max(0, row - r) : row + r + 1, max(0, column - r) : column + r + 1] = 0
    return shifts


def _without_shading(level: Level, sigma: float) -> tuple[Tensor, Tensor]:
    """Return image and mask, (H, W) float64, less the image's own broad shading."""
    image = level.image.double()
    background, held = smooth(image, level.mask, sigma, enough=0.0)
    return torch.where(held, image - background, 0)[0, 0], held.double()
