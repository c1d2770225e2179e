"""Maps to look at: the ZNCC of a template, and local standard deviation and local ZNCC on an image's own frame.

The first has the 'valid' shape (H-h+1, W-w+1), the others the image's, with NaN where a window leaves the frame or the
mask. Lewis 1995, "Fast normalized cross-correlation".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zncc_cli.errors import ContentError
from zncc_cli.operators.fft import fft_cc
from zncc_cli.operators.filters import is_full
from zncc_cli.operators.local_std import local_std
from zncc_cli.registration.metric.local_zncc import RELATIVE_EPS
from zncc_cli.registration.metric.windows import STD_EPS, full_windows


def zncc_map(image: Tensor, template: Tensor, eps: float = 1e-5) -> Tensor:
    """Return the ZNCC of a template with every window of an image.

    Args:
        image: (..., H, W), float.
        template: (h, w), no larger than the image.
        eps: added to N times the variance of a window of N pixels, in the image's squared units; where it is far
            larger than that, the result is about zero.

    Returns:
        (..., H-h+1, W-w+1) in [-1, 1]; entry (y, x) belongs to the window whose top-left pixel is (x, y).
        Differentiable in both images.

    Raises:
        ContentError: the template is constant, or holds a value that is not finite.
        WindowError: the template is larger than the image.
    """
    if not bool(template.amax() > template.amin()):  # nor is it where there is a NaN
        raise ContentError(
            f"`template`: expected texture, found {template.shape[-2]}x{template.shape[-1]} pixels that are all "
            "equal or not finite; choose a part of the image that has structure"
        )
    centred_template = template - template.mean()
    norm = centred_template.square().sum().sqrt()
    std = local_std(image, (template.shape[-2], template.shape[-1]), eps)
    # A zero-mean template does not see the image's mean; without it the correlation keeps its digits. An FFT spreads
    # a pixel that is not finite over the plane; std already marks the windows that hold it.
    finite = image.isfinite()
    count = finite.sum(dim=(-2, -1), keepdim=True).clamp_min(1)
    image = torch.where(finite, image, 0)
    image = torch.where(finite, image - image.detach().sum(dim=(-2, -1), keepdim=True) / count, 0)
    return (fft_cc(image, centred_template / norm) / std).clamp(-1, 1)


def std_map(image: Tensor, mask: Tensor, window: int, *, norm: bool = False, method: str = "auto") -> Tensor:
    """Return the local standard deviation on the image's own frame.

    Args:
        image: (H, W) float; values outside the mask are not used.
        mask: (H, W) bool.
        window: side of the square window; it spans rows y - window // 2 to y - window // 2 + window - 1.
        norm: return sqrt(N) times the standard deviation, what ZNCC divides by, instead of the population
            standard deviation in the image's own units.
        method: as in `local_std`.

    Returns:
        (H, W); NaN where the window leaves the frame or the mask.
    """
    # On an image of variance one the operator's eps is far below float32's resolution, whatever the image's units.
    wide = _centred(image, mask)
    scale = float(torch.linalg.vector_norm(wide)) / math.sqrt(max(1, int(mask.sum()))) or 1.0
    std = local_std(wide.div_(scale).to(image.dtype), window, STD_EPS, method)
    std.square_().sub_(STD_EPS).clamp_min_(0).sqrt_().mul_(scale if norm else scale / window)
    return _on_frame(std, mask, window)


def zncc_frame_map(fixed: Tensor, moving: Tensor, mask: Tensor, window: int, deviations: tuple[float, float]) -> Tensor:
    """Return the local ZNCC of two aligned images on their frame, (H, W), in [-1, 1].

    Args:
        fixed, moving: (H, W) float; these may be strips of rows of larger images.
        mask: (H, W) bool, pixels that are valid in both.
        window: side of the square window, pixels.
        deviations: the standard deviations of the whole fixed and moving image: a window that varies by less than a
            hundredth of that counts as flat and is about zero.

    Returns:
        NaN where the window leaves the frame or the mask.
    """
    fixed, moving = (
        _centred(image, mask).div_(deviation or 1.0).to(image.dtype)
        for image, deviation in zip((fixed, moving), deviations, strict=True)
    )
    v_fixed, v_moving, covariance = (
        local_std(image, window, STD_EPS).square_().sub_(STD_EPS) for image in (fixed, moving, fixed + moving)
    )
    covariance.sub_(v_fixed).sub_(v_moving).div_(2)
    eps = RELATIVE_EPS * window**2
    for variance in (v_fixed, v_moving):
        variance.clamp_min_(0).add_(eps)
    return _on_frame(covariance.div_(v_fixed.mul_(v_moving).sqrt_()).clamp_(-1, 1), mask, window)


def _centred(image: Tensor, mask: Tensor) -> Tensor:
    """Return ``image`` (H, W) less its mean over ``mask``, and zero outside it; float64, and a tensor of its own."""
    wide = image.to(torch.float64, copy=True)
    if is_full(mask):
        return wide.sub_(wide.mean())
    outside = ~mask
    mean = wide.masked_fill_(outside, 0).sum() / mask.sum().clamp_min(1)
    return wide.sub_(mean).masked_fill_(outside, 0)


def _on_frame(valid: Tensor, mask: Tensor, window: int) -> Tensor:
    """Return a 'valid' map (h, w) on its image's frame (H, W), NaN where a window leaves the frame or ``mask``."""
    on_frame = valid.new_full(mask.shape, torch.nan)
    place = on_frame[window // 2 :, window // 2 :][: valid.shape[0], : valid.shape[1]]
    place.copy_(valid)
    if not is_full(mask):
        place.masked_fill_(~full_windows(mask, window), torch.nan)
    return on_frame
