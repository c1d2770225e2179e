"""The local zero-normalized cross-correlation (ZNCC) of two images.

    zncc = cov / sqrt((Var_f + eps_f) (Var_m + eps_m))        per window, in [-1, 1]

Var is N times the population variance of a window of N pixels and cov N times its covariance. The covariance comes from
three maps of LocalStandardDeviation, by polarisation:  2 cov(f, m) = Var(f + m) - Var(f) - Var(m). eps keeps windows
without texture at zero.
Lewis 1995, "Fast normalized cross-correlation".

Names: f fixed, m moving, v their Var, z local ZNCC; maps have the 'valid' shape (H-w+1, W-w+1).
"""

from __future__ import annotations

import torch
from torch import Tensor

from zncc_cli.registration.metric.windows import window_variance

# A window counts as textured from about this share of the image's own variance on.
RELATIVE_EPS = 1e-4
PLANE = (-2, -1)


def local_zncc(fixed: Tensor, moving: Tensor, window: int, eps: tuple[Tensor | float, Tensor | float]) -> Tensor:
    """Return the local ZNCC of two images, in every window.

    Args:
        fixed, moving: (..., H, W), float, of about unit variance; differentiable in both.
        window: side of the square window, pixels.
        eps: added to N times the variance of fixed and of moving; where it dominates, the result is about zero.

    Returns:
        (..., H-w+1, W-w+1), in [-1, 1].
    """
    v_fixed = window_variance(fixed, window)
    v_moving, covariance = variance_and_covariance(fixed, v_fixed, moving, window)
    return covariance / ((v_fixed.clamp_min(0) + eps[0]) * (v_moving.clamp_min(0) + eps[1])).sqrt()


def variance_and_covariance(fixed: Tensor, v_fixed: Tensor, moving: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Return N times the variance of every window of ``moving``, and N times its covariance with ``fixed`` there.

    ``v_fixed`` is ``window_variance(fixed, window)``; shapes as in `local_zncc`.
    """
    v_moving, v_sum = window_variance(torch.stack((moving, fixed + moving)), window).unbind()
    return v_moving, (v_sum - v_fixed - v_moving) / 2


def centred(image: Tensor, mask: Tensor) -> Tensor:
    """Return ``image`` (..., H, W) less its mean over ``mask``, and zero outside it; float64."""
    # float64: the squares of float32 numbers may overflow, and their sum loses what a large mean leaves.
    wide = torch.where(mask, image, 0).double()
    return torch.where(mask, wide - wide.sum(dim=PLANE, keepdim=True) / pixel_count(mask), 0)


def pixel_count(mask: Tensor) -> Tensor:
    """Return the number of pixels of ``mask`` (..., H, W), (..., 1, 1), at least one."""
    return mask.sum(dim=PLANE, keepdim=True).clamp_min(1)
