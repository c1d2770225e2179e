"""Maps to look at: the ZNCC of a template, and local standard deviation and local ZNCC on an image's own frame.

The first has the 'valid' shape (H-h+1, W-w+1), the others the image's, with NaN where a window leaves the frame or the
mask. Lewis 1995, "Fast normalized cross-correlation".
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.errors import ContentError
from zncc_cli.operators.fft import fft_cc
from zncc_cli.operators.local_std import local_std
from zncc_cli.registration.metric.local_zncc import RELATIVE_EPS, centred, local_zncc
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
    wide = centred(image, mask)
    scale = (wide.square().sum() / mask.sum().clamp_min(1)).sqrt()
    scale = torch.where(scale > 0, scale, 1)
    std = local_std((wide / scale).to(image.dtype), window, STD_EPS, method)
    std = (std.double().square() - STD_EPS).clamp_min(0).sqrt() * scale
    std = torch.where(full_windows(mask, window), std, torch.nan).to(image.dtype)
    return pad_to_frame(std if norm else std / window, window)


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
        (centred(image, mask) / (deviation or 1.0)).to(image.dtype)
        for image, deviation in zip((fixed, moving), deviations, strict=True)
    )
    eps = RELATIVE_EPS * window**2
    z = local_zncc(fixed, moving, window, (eps, eps)).clamp(-1, 1)
    return pad_to_frame(torch.where(full_windows(mask, window), z, torch.nan), window)


def pad_to_frame(valid: Tensor, window: int) -> Tensor:
    """Return a 'valid' map (h, w) on its image's frame, (h+window-1, w+window-1), with NaN around it."""
    before = window // 2
    after = window - 1 - before
    return F.pad(valid, (before, after, before, after), value=torch.nan)
