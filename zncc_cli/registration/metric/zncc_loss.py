"""`zncc_loss`: one minus the mean local ZNCC, differentiable in both images, for users who build on it.

The loss needs no map, only the sum over all windows, which `local_zncc_sum` takes in one pass. The descent of a
registration minimises a weighted form of it (`zncc_cli.registration.metric.level_metric`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from zncc_cli.errors import ContentError, OptionError, WindowError
from zncc_cli.operators.local_zncc import local_zncc_sum
from zncc_cli.registration.metric.local_zncc import PLANE, RELATIVE_EPS, centred, pixel_count
from zncc_cli.registration.metric.windows import full_windows

_MIN_FLOAT32_VARIANCE = 1e-30  # well above where float32 ends


def zncc_loss(
    fixed: Tensor,
    moving: Tensor,
    window: int = 11,
    mask: Tensor | None = None,
    *,
    eps: float = RELATIVE_EPS,
    min_overlap: float = 0.05,
) -> Tensor:
    """Return one minus the mean local ZNCC over the windows that lie wholly in the mask.

    Args:
        fixed, moving: (..., H, W), the same shape, float; moving already lies on the fixed frame.
        window: side of the square window, pixels.
        mask: (..., H, W) or (H, W), true or above zero for pixels that are valid in both images; None for all. The
            others may hold anything.
        eps: variance, relative to each image's own, at which a window counts as textured. A window without
            texture has a ZNCC of about zero: it does not count as agreement.
        min_overlap: least fraction of windows that must lie in the mask.

    Returns:
        A scalar in [0, 2], differentiable in both images.

    Raises:
        OptionError: the shapes differ.
        WindowError: the window is larger than the image.
        ContentError: too few windows lie in the mask; there is no image, or it does not hold floating-point numbers.
    """
    if fixed.shape != moving.shape or (mask is not None and mask.shape not in (fixed.shape, fixed.shape[-2:])):
        raise OptionError(
            "zncc_loss: expected fixed, moving and mask of one shape, got "
            f"{tuple(fixed.shape)}, {tuple(moving.shape)} and {None if mask is None else tuple(mask.shape)}"
        )
    if not 1 <= window <= min(fixed.shape[-2:]):
        raise WindowError(
            f"`window`: expected 1 to {min(fixed.shape[-2:])} pixels, the shorter side of the images, got {window}"
        )
    if not (fixed.is_floating_point() and moving.is_floating_point()):
        raise ContentError(
            f"zncc_loss: expected floating-point images, got {fixed.dtype} and {moving.dtype}; use image.float()"
        )
    if mask is None:
        count = (fixed.shape[-2] - window + 1) * (fixed.shape[-1] - window + 1) * fixed.shape[:-2].numel()
        if count == 0:
            raise ContentError(f"zncc_loss: expected at least one image, got shape {tuple(fixed.shape)}")
        fixed, moving = _standardized(fixed, None), _standardized(moving, None)
        return 1 - local_zncc_sum(fixed, moving, window, eps * window**2).sum() / count
    mask = mask.expand(fixed.shape)
    mask = mask > 0 if mask.dtype is not torch.bool else mask
    windows = full_windows(mask, window)
    if float(windows.sum()) < max(min_overlap * windows.numel(), 1):
        raise ContentError(
            f"`mask`: expected at least {min_overlap:.0%} of the {window}x{window} windows inside it, found "
            f"{int(windows.sum())} of {windows.numel()}; choose a smaller window or a larger mask"
        )
    fixed, moving = _standardized(fixed, mask), _standardized(moving, mask)
    weight = windows.to(fixed.dtype)
    return 1 - local_zncc_sum(fixed, moving, window, eps * window**2, weight).sum() / windows.sum()


def _standardized(image: Tensor, mask: Tensor | None) -> Tensor:
    """Return ``image`` (..., H, W) with mean zero and variance one over ``mask``, None for all; zero outside it."""
    out: Tensor = _Standardized.apply(image, mask)  # type: ignore[no-untyped-call]
    return out


class _Standardized(torch.autograd.Function):
    """(image, mask or None for all) -> O (..., H, W), mean zero and variance one over the mask, and zero outside it.

    The way back needs the result alone, dI = (g - mean(g) - O mean(g O)) / deviation over the mask; autograd's own
    keeps several planes of float64.
    """

    @staticmethod
    def forward(ctx: Any, image: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            difference, variance = _centred_frame(image)
        else:
            difference = centred(image, mask)
            variance = difference.square().sum(dim=PLANE, keepdim=True) / pixel_count(mask)
        deviation = torch.where(variance > 0, variance, 1).sqrt()
        out = (difference / deviation).to(image.dtype)
        ctx.save_for_backward(out, deviation, mask)
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        out, deviation, mask = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph
            with torch.no_grad():
                gradient, _ = _Standardized.backward(ctx, g)
            return _OnceDifferentiable.apply(gradient, g, out), None  # type: ignore[no-untyped-call]
        g = g if mask is None else torch.where(mask, g, 0)
        count = out.shape[-2] * out.shape[-1] if mask is None else pixel_count(mask)
        mean, along = (
            (planes.sum(dim=PLANE, keepdim=True, dtype=torch.float64) / count).to(out.dtype) for planes in (g, g * out)
        )
        gradient = (g - mean).addcmul_(out, along, value=-1).div_(deviation)
        return gradient if mask is None else torch.where(mask, gradient, 0), None


class _OnceDifferentiable(torch.autograd.Function):
    """(gradient, what it depends on) -> gradient, whose own derivative is refused."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *_: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Any:
        raise NotImplementedError("zncc_loss can be differentiated once; take create_graph=True away")


def _centred_frame(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``image`` (..., H, W) less its mean, in its own dtype where that holds it, and its variance.

    torch adds up in float64.
    """
    image = image.float() if image.dtype.itemsize < 4 else image
    variance, mean = torch.var_mean(image, PLANE, correction=0, keepdim=True)
    # The image may be constant, or too large or small for its squares to be float32 numbers.
    if not bool((variance > _MIN_FLOAT32_VARIANCE).logical_and(variance.isfinite()).all()):
        variance, mean = torch.var_mean(image.double(), PLANE, correction=0, keepdim=True)
    return image - mean, variance
