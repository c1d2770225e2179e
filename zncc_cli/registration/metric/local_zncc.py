"""Zero-normalized cross-correlation: the map of a template, and the local ZNCC of two images with its loss.

    zncc = cov / sqrt((Var_f + eps_f) (Var_m + eps_m))        per window, in [-1, 1]

Var is N times the population variance of a window and cov N times its covariance. Maps come from
LocalStandardDeviation, the covariance by polarisation:  2 cov(f, m) = Var(f + m) - Var(f) - Var(m).
The loss needs no map, only the sum over all windows, which `local_zncc_sum` takes in one pass.
Lewis 1995, "Fast normalized cross-correlation"; eps as in the operator keeps windows without texture at zero.

Names: f fixed, m moving, v their Var, z a zncc map; maps have the 'valid' shape (H-h+1, W-w+1).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.errors import ContentError, OptionError, WindowError
from zncc_cli.operators import native_ops
from zncc_cli.operators.fft import fft_cc
from zncc_cli.operators.local_std import local_std
from zncc_cli.operators.local_zncc import local_zncc_sum

# eps of the operator inside this file: it only has to keep the square root's derivative finite, far below
# the variance of any window that counts. Images are scaled to a variance of about one.
_TINY = 1e-12
# A window counts as textured from about this share of the image's own variance on.
RELATIVE_EPS = 1e-4
_AT_ONCE = 2**22  # pixels of windows that are copied at a time


def zncc_map(image: Tensor, template: Tensor, eps: float = 1e-5) -> Tensor:
    """Return the ZNCC of a template with every window of an image.

    Args:
        image: (..., H, W), float.
        template: (h, w), no larger than the image.
        eps: added to N times the variance of a window; a window whose Var is far below it gives about zero.

    Returns:
        (..., H-h+1, W-w+1) in [-1, 1]; entry (y, x) belongs to the window whose top-left pixel is (x, y).
        Differentiable in both arguments.

    Raises:
        ContentError: the template is constant.
        WindowError: the template is larger than the image.
    """
    if not bool(template.amax() > template.amin()):  # nor is it where there is a NaN
        raise ContentError(
            f"template: expected texture, found {template.shape[-2]}x{template.shape[-1]} pixels that are all "
            "equal or not finite; choose a part of the image that has structure"
        )
    centred = template - template.mean()
    norm = centred.square().sum().sqrt()
    std = local_std(image, (template.shape[-2], template.shape[-1]), eps)
    # A zero-mean template does not see the image's mean; without it the correlation keeps its digits. An FFT spreads
    # a pixel that is not finite over the plane; std already marks the windows that hold it.
    finite = image.isfinite()
    count = finite.sum(dim=(-2, -1), keepdim=True).clamp_min(1)
    image = torch.where(finite, image, 0)
    image = torch.where(finite, image - image.detach().sum(dim=(-2, -1), keepdim=True) / count, 0)
    return (fft_cc(image, centred / norm) / std).clamp(-1, 1)


def window_variance(image: Tensor, window: int) -> Tensor:
    """Return N times the population variance, (..., H-w+1, W-w+1), of every ``window`` x ``window`` window."""
    return local_std(image, window, _TINY).square() - _TINY


def local_zncc(fixed: Tensor, moving: Tensor, window: int, eps: tuple[Tensor | float, Tensor | float]) -> Tensor:
    """Return the local ZNCC of two images, in [-1, 1].

    Args:
        fixed, moving: (..., H, W), float, of about unit variance; differentiable in both.
        window: side of the square window, pixels.
        eps: added to N times the variance of fixed and moving; where it dominates, the result is about zero.

    Returns:
        (..., H-w+1, W-w+1).
    """
    v_fixed = window_variance(fixed, window)
    v_moving, covariance = variance_and_covariance(fixed, v_fixed, moving, window)
    return correlation(covariance, v_fixed, v_moving, eps)


def correlation(
    covariance: Tensor, v_fixed: Tensor, v_moving: Tensor, eps: tuple[Tensor | float, Tensor | float]
) -> Tensor:
    """Return the local ZNCC of N times the covariance and the variances of windows, all of one shape; eps as there."""
    return covariance / ((v_fixed.clamp_min(0) + eps[0]) * (v_moving.clamp_min(0) + eps[1])).sqrt()


def variance_and_covariance(fixed: Tensor, v_fixed: Tensor, moving: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Return N times the variance of every window of ``moving``, and N times its covariance with that of ``fixed``.

    ``v_fixed`` is ``window_variance(fixed, window)``; shapes as in `local_zncc`.
    """
    v_moving, v_sum = window_variance(torch.stack((moving, fixed + moving)), window).unbind()
    return v_moving, (v_sum - v_fixed - v_moving) / 2


def window_weights(weight: Tensor, window: int) -> Tensor:
    """Return (H-w+1, W-w+1): the least ``weight`` (H, W) in [0, 1] of a pixel in each window.

    Differentiable where it lies between zero and one; at these it is taken as constant.
    """
    least: Tensor = _LeastInWindow.apply(weight, window)  # type: ignore[no-untyped-call]
    return least


class _LeastInWindow(torch.autograd.Function):
    """autograd's own way back through every comparison takes many times longer than these few windows."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, window: int) -> Tensor:
        least = over_windows(weight, window, torch.minimum)
        ctx.save_for_backward(weight, least)
        ctx.window = window
        return least

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        weight, least = ctx.saved_tensors
        side, by_pixel = ctx.window, torch.zeros_like(weight)
        windows = weight.unfold(0, side, 1).unfold(1, side, 1)
        for some in ((least > 0) & (least < 1)).nonzero().split(max(1, _AT_ONCE // side**2)):
            top, left = some.unbind(dim=1)
            where = windows[top, left].flatten(1).argmin(dim=1)
            by_pixel.index_put_((top + where // side, left + where % side), g[top, left], accumulate=True)
        return by_pixel, None


def over_windows(planes: Tensor, window: int, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return (..., H-w+1, W-w+1): all pixels (..., H, W) of each window, combined; `torch.minimum` for the least.

    Runs of 1, 2, 4, ... pixels are combined to one of the window's length: log2(w) passes, and no sum of more than as
    many roundings.
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


def window_sums(planes: Tensor, window: int) -> Tensor:
    """Return (..., H-w+1, W-w+1): the sums of the pixels (..., H, W), float, of each window. Not differentiable."""
    if planes.is_cpu and native_ops.is_native(planes):
        return native_ops.window_sums(planes.contiguous(), window, window)
    return over_windows(planes, window, torch.add)


def spread(maps: Tensor, window: int) -> Tensor:
    """Return for each pixel (H, W) the sum over the windows (H-w+1, W-w+1) that hold it. Not differentiable."""
    return window_sums(F.pad(maps, [window - 1] * 4), window)


def full_windows(mask: Tensor, window: int) -> Tensor:
    """Return (..., H-w+1, W-w+1) bool: every pixel of the window is set in ``mask`` (..., H, W) bool."""
    return over_windows(mask, window, torch.logical_and)


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
            f"window: expected 1 to {min(fixed.shape[-2:])} pixels, the shorter side of the images, got {window}"
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
            f"mask: expected at least {min_overlap:.0%} of the {window}x{window} windows inside it, found "
            f"{int(windows.sum())} of {windows.numel()}; choose a smaller window or a larger mask"
        )
    fixed, moving = _standardized(fixed, mask), _standardized(moving, mask)
    weight = windows.to(fixed.dtype)
    return 1 - local_zncc_sum(fixed, moving, window, eps * window**2, weight).sum() / windows.sum()


def _centred(image: Tensor, mask: Tensor) -> Tensor:
    """Return (..., H, W), float64, with mean zero over the mask, and zero outside it."""
    # float64: the squares of float32 numbers may overflow, and their sum loses what a large mean leaves.
    wide = torch.where(mask, image, 0).double()
    return torch.where(mask, wide - wide.sum(dim=_PLANE, keepdim=True) / _count(mask), 0)


class _Standardized(torch.autograd.Function):
    """(image, mask or None for all) -> O (..., H, W), mean zero and variance one over the mask, and zero outside it.

    The way back needs the result alone, dI = (g - mean(g) - O mean(g O)) / deviation over the mask; autograd's own
    keeps several planes of float64.
    """

    @staticmethod
    def forward(ctx: Any, image: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            centred, variance = _of_all(image)
        else:
            centred = _centred(image, mask)
            variance = centred.square().sum(dim=_PLANE, keepdim=True) / _count(mask)
        deviation = torch.where(variance > 0, variance, 1).sqrt()
        out = (centred / deviation).to(image.dtype)
        ctx.save_for_backward(out, deviation, mask)
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        out, deviation, mask = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph
            with torch.no_grad():
                found, _ = _Standardized.backward(ctx, g)
            return _Once.apply(found, g, out), None  # type: ignore[no-untyped-call]
        g = g if mask is None else torch.where(mask, g, 0)
        count = out.shape[-2] * out.shape[-1] if mask is None else _count(mask)
        mean, along = (
            (planes.sum(dim=_PLANE, keepdim=True, dtype=torch.float64) / count).to(out.dtype) for planes in (g, g * out)
        )
        found = (g - mean).addcmul_(out, along, value=-1).div_(deviation)
        return found if mask is None else torch.where(mask, found, 0), None


class _Once(torch.autograd.Function):
    """(gradient, what it depends on) -> gradient, whose own derivative is refused."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *_: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Any:
        raise NotImplementedError("zncc_loss can be differentiated once; take create_graph=True away")


_PLANE = (-2, -1)
_LEAST = 1e-30  # well above where float32 ends


def _standardized(image: Tensor, mask: Tensor | None) -> Tensor:
    out: Tensor = _Standardized.apply(image, mask)  # type: ignore[no-untyped-call]
    return out


def _count(mask: Tensor) -> Tensor:
    return mask.sum(dim=_PLANE, keepdim=True).clamp_min(1)


def _of_all(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the image less its mean, as far as its dtype tells it, and its variance. torch adds up in float64."""
    image = image.float() if image.dtype.itemsize < 4 else image
    variance, mean = torch.var_mean(image, _PLANE, correction=0, keepdim=True)
    if not bool((variance > _LEAST).logical_and(variance.isfinite()).all()):  # constant, or no float32 holds squares
        variance, mean = torch.var_mean(image.double(), _PLANE, correction=0, keepdim=True)
    return image - mean, variance


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
    spread = (wide.square().sum() / mask.sum().clamp_min(1)).sqrt()
    spread = torch.where(spread > 0, spread, 1)
    std = local_std((wide / spread).to(image.dtype), window, _TINY, method)
    std = (std.double().square() - _TINY).clamp_min(0).sqrt() * spread
    std = torch.where(full_windows(mask, window), std, torch.nan).to(image.dtype)
    return on_frame(std if norm else std / window, window)


def on_frame(valid: Tensor, window: int) -> Tensor:
    """Place a 'valid' map (h, w) on its image's frame (h+window-1, w+window-1), NaN around it."""
    before = window // 2
    after = window - 1 - before
    return F.pad(valid, (before, after, before, after), value=torch.nan)


def zncc_frame_map(fixed: Tensor, moving: Tensor, mask: Tensor, window: int, spreads: tuple[float, float]) -> Tensor:
    """Return the local ZNCC of two images (H, W) on their frame, NaN where the window leaves ``mask`` (H, W) bool.

    ``spreads``: the standard deviations of the whole images, of which these may be strips: a window that varies by less
    than a hundredth of that counts as flat and is about zero.
    """
    fixed, moving = (
        (_centred(image, mask) / (spread or 1.0)).to(image.dtype)
        for image, spread in zip((fixed, moving), spreads, strict=True)
    )
    eps = RELATIVE_EPS * window**2
    z = local_zncc(fixed, moving, window, (eps, eps)).clamp(-1, 1)
    return on_frame(torch.where(full_windows(mask, window), z, torch.nan), window)
