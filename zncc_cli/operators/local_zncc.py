"""The local ZNCC of two images summed over all windows, and its gradients, without a map of the windows in memory.

    v_f = max(0, Var_f) + eps_f,  v_m = max(0, Var_m) + eps_m      Var: N times the population variance of a window
    z   = cov / sqrt(v_f v_m)                                      cov: N times the covariance; z in [-1, 1]
    sum = sum over all windows of w z

    A  = w / sqrt(v_f v_m),  B = w z / v_m (zero where v_m was clamped),  C = (A S_f - B S_m) / N
    dm = f (A (*) 1) - m (B (*) 1) - C (*) 1                       full convolution with the window 1 of ones
    dw = z                                                         and df by exchanging f and m

Legend: f fixed, m moving image (..., H, W), each less a pixel of its own; S sums over windows and w weights of the
windows, (..., H-h+1, W-w+1). All sums are float64; formulas and NaN policy in full: csrc/local_zncc.h.

The gradient that arrives is one number for each plane, so that the forward pass can compute the gradients already, in
the same pass over the images, and the backward pass only scales them. They are computed for the arguments that require
a gradient, and for no others.
"""

from __future__ import annotations

from typing import Any

import torch

from zncc_cli.errors import OptionError
from zncc_cli.operators import native, native_ops
from zncc_cli.operators.dispatch import direct_apply, gradient, is_plain, refuse_forward_mode
from zncc_cli.operators.local_std import (
    Window,
    box_sums,
    checked_window,
    local_std_reference,
    minus_central_pixel,
    to_working_dtype,
)

# eps of the variance by which the reference twin takes its covariance: nothing beside any variance.
_SMALL_EPS = 1e-30

# Reference ------------------------------------------------------------------------------------------------------------


def local_zncc_sum_reference(
    fixed: torch.Tensor,
    moving: torch.Tensor,
    window: Window,
    eps: float | tuple[float, float] = 1e-5,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Compute `local_zncc_sum` from three variances: 2 cov(f, m) = Var(f + m) - Var(f) - Var(m).

    Arguments and errors as there, for finite images; in float64, and the gradients come from autograd alone.
    """
    _, _, eps_f, eps_m = _checked(fixed, moving, window, eps, weight)
    f, m = fixed.double(), moving.double()
    v_f, v_m, v_sum = (local_std_reference(x, window, _SMALL_EPS).square() - _SMALL_EPS for x in (f, m, f + m))
    z = (v_sum - v_f - v_m) / 2 / ((v_f + eps_f) * (v_m + eps_m)).sqrt()
    return (z if weight is None else weight * z).sum(dim=(-2, -1)).to(fixed.dtype)


# Plain torch ----------------------------------------------------------------------------------------------------------


def _torch_pass(
    fixed: torch.Tensor,
    moving: torch.Tensor,
    weight: torch.Tensor | None,
    window: tuple[int, int],
    eps: tuple[float, float],
    need_dm: bool,
    need_z: bool,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Return what `native_ops.zncc_box` returns."""
    N = window[0] * window[1]
    counts = None if weight is None else box_sums((weight != 0.0).double(), *window, "full") > 0.0
    f, m = minus_central_pixel(fixed, counts), minus_central_pixel(moving, counts)
    S_f, S_m, S_ff, S_mm, S_fm = box_sums(torch.stack((f, m, f * f, m * m, f * m)), *window)
    var_f, var_m, cov = (
        (N * S_ab - S_a * S_b) * (1.0 / N) for S_a, S_b, S_ab in ((S_f, S_f, S_ff), (S_m, S_m, S_mm), (S_f, S_m, S_fm))
    )
    v_f, v_m = var_f.clamp(min=0.0) + eps[0], var_m.clamp(min=0.0) + eps[1]
    inverse_root = (v_f * v_m).rsqrt()
    z = cov * inverse_root
    w = torch.ones_like(z) if weight is None else weight.double()
    weighs = w != 0.0
    wz = torch.where(weighs, w * z, 0.0).sum(dim=(-2, -1))
    dm = None
    if need_dm:
        A = w * inverse_root
        B = torch.where(var_m < 0.0, 0.0, w * z / v_m)
        ABC = torch.where(weighs, torch.stack((A, B, (A * S_f - B * S_m) / N)), 0.0)
        A, B, C = box_sums(ABC, *window, "full")
        dm = (torch.where(A == 0.0, 0.0, f * A) - torch.where(B == 0.0, 0.0, m * B) - C).to(moving.dtype)
    return wz, dm, torch.where(weighs | z.isfinite(), z, 0.0).to(fixed.dtype) if need_z else None


# The dispatcher's operators -------------------------------------------------------------------------------------------

_LIBRARY: Any = torch.library.Library("zncc", "FRAGMENT")
_LIBRARY.define(
    "local_zncc_sum(Tensor fixed, Tensor moving, Tensor? weight, int h, int w, float eps_f, float eps_m,"
    " bool need_fixed, bool need_moving, bool need_weight) -> (Tensor sums, Tensor df, Tensor dm, Tensor z)"
)
_LIBRARY.define(
    "local_zncc_sum_backward(Tensor g, Tensor planes, Tensor fixed, Tensor moving, Tensor? weight) -> Tensor"
)


def _local_zncc_sum(
    fixed: torch.Tensor,
    moving: torch.Tensor,
    weight: torch.Tensor | None,
    h: int,
    w: int,
    eps_f: float,
    eps_m: float,
    need_fixed: bool,
    need_moving: bool,
    need_weight: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    fixed, moving = fixed.contiguous(), moving.contiguous()
    weight = None if weight is None else weight.contiguous()
    compute = native_ops.zncc_box if native_ops.has_box(fixed, w) else _torch_pass
    sums, dm, z = compute(fixed, moving, weight, (h, w), (eps_f, eps_m), need_moving, need_weight)
    df = compute(moving, fixed, weight, (h, w), (eps_m, eps_f), True, False)[1] if need_fixed else None
    df, dm, z = (fixed.new_empty(0) if x is None else x for x in (df, dm, z))
    return sums.to(fixed.dtype), df, dm, z


def _local_zncc_sum_backward(g: torch.Tensor, planes: torch.Tensor, *_: torch.Tensor | None) -> torch.Tensor:
    # The images are arguments so that a second derivative is refused, and not taken for zero.
    if planes.is_cpu and native_ops.is_native(planes):
        return native_ops.scaled_planes(planes, g.contiguous())
    return planes * g[..., None, None]


_LIBRARY.impl("local_zncc_sum", _local_zncc_sum, "CompositeExplicitAutograd")
_LIBRARY.impl("local_zncc_sum_backward", _local_zncc_sum_backward, "CompositeExplicitAutograd")


def _local_zncc_sum_fake(
    fixed: torch.Tensor,
    moving: torch.Tensor,
    weight: torch.Tensor | None,
    h: int,
    w: int,
    eps_f: float,
    eps_m: float,
    need_fixed: bool,
    need_moving: bool,
    need_weight: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    batch, (height, width) = fixed.shape[:-2], fixed.shape[-2:]
    return (
        fixed.new_empty(batch),
        fixed.new_empty(fixed.shape if need_fixed else (0,)),
        fixed.new_empty(fixed.shape if need_moving else (0,)),
        fixed.new_empty((*batch, height - h + 1, width - w + 1) if need_weight else (0,)),
    )


def _local_zncc_sum_backward_fake(g: torch.Tensor, planes: torch.Tensor, *_: torch.Tensor | None) -> torch.Tensor:
    return planes.new_empty(planes.shape)


torch.library.register_fake("zncc::local_zncc_sum", _local_zncc_sum_fake, lib=_LIBRARY)
torch.library.register_fake("zncc::local_zncc_sum_backward", _local_zncc_sum_backward_fake, lib=_LIBRARY)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
    ctx.needed, ctx.backend = inputs[-3:], native.selection()
    ctx.save_for_backward(*output[1:], *inputs[:3])
    ctx.mark_non_differentiable(*output[1:])
    ctx.set_materialize_grads(False)  # no planes of zeros for the gradients' own gradients


def _backward(ctx: Any, g: torch.Tensor | None, *_: Any) -> tuple[torch.Tensor | None, ...]:
    if g is None:
        return (None,) * 10
    saved = ctx.saved_tensors  # once: what was put elsewhere is fetched each time
    gradients, images = saved[:3], saved[3:]
    df, dm, dw = (
        gradient(ctx.backend, "local_zncc_sum_backward", _local_zncc_sum_backward, (g, planes, *images))
        if needed
        else None
        for planes, needed in zip(gradients, ctx.needed, strict=True)
    )
    return (df, dm, dw, *[None] * 7)


def _no_second_derivative(ctx: Any, *_: Any) -> None:
    raise NotImplementedError("local_zncc_sum can be differentiated once; take create_graph=True away")


torch.library.register_autograd("zncc::local_zncc_sum", _backward, setup_context=_save, lib=_LIBRARY)
torch.library.register_autograd("zncc::local_zncc_sum_backward", _no_second_derivative, lib=_LIBRARY)


class _Sum(torch.autograd.Function):
    """What torch.library.register_autograd makes of this for plain arguments, in half the time."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[torch.Tensor, ...]:
        output = _local_zncc_sum(*inputs)
        _save(ctx, inputs, output)
        return output

    backward = staticmethod(_backward)


_plain_sum = direct_apply(_Sum)


# Public ---------------------------------------------------------------------------------------------------------------


def local_zncc_sum(
    fixed: torch.Tensor,
    moving: torch.Tensor,
    window: Window,
    eps: float | tuple[float, float] = 1e-5,
    weight: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the sum over all windows of weight * local ZNCC of two images.

    Args:
        fixed, moving: shape (..., H, W), the same, any strides; float32 or float64, half and bfloat16 are computed in
            float32.
        window: side of the square window, or its (height, width), in pixels; no larger than the images.
        eps: added to N times the variance of both images, or (of fixed, of moving); in their squared units.
        weight: shape (..., H-h+1, W-w+1), of each window; None for ones. A window of weight zero contributes nothing,
            whatever it holds.

    Returns:
        Shape (...), in the images' dtype. Differentiable once in fixed, moving and weight.

    Raises:
        WindowError: the window is no positive size, or larger than the image.
        ContentError: the images have fewer than two dimensions or do not hold floating-point numbers.
        OptionError: the shapes or dtypes do not fit, or ``eps`` is not positive and finite.
        BackendError: the native kernels were asked for (`native.selected`) and are not there.
    """
    h, w, eps_f, eps_m = _checked(fixed, moving, window, eps, weight)
    planes = [to_working_dtype(x) for x in (fixed, moving, *([] if weight is None else [weight]))]
    needed = [torch.is_grad_enabled() and x.requires_grad for x in planes]
    weight, need_weight = (planes[2], needed[2]) if len(planes) == 3 else (None, False)
    arguments = (planes[0], planes[1], weight, h, w, eps_f, eps_m, needed[0], needed[1], need_weight)
    sums: torch.Tensor
    if is_plain(*planes):
        sums, *_ = _plain_sum(*arguments)
    else:
        refuse_forward_mode("local_zncc_sum", *planes)
        sums, *_ = torch.ops.zncc.local_zncc_sum(*arguments)
    return sums.to(fixed.dtype)


def _checked(
    fixed: torch.Tensor,
    moving: torch.Tensor,
    window: Window,
    eps: float | tuple[float, float],
    weight: torch.Tensor | None,
) -> tuple[int, int, float, float]:
    """Return (h, w, eps_f, eps_m) after a check of all arguments."""
    eps_f, eps_m = map(float, eps if isinstance(eps, tuple) else (eps, eps))
    h, w = checked_window(fixed, window, eps_f)
    checked_window(moving, window, eps_m)
    if moving.shape != fixed.shape or moving.dtype != fixed.dtype or moving.device != fixed.device:
        raise OptionError(
            f"moving must be as fixed, {tuple(fixed.shape)} {fixed.dtype} on {fixed.device}, "
            f"got {tuple(moving.shape)} {moving.dtype} on {moving.device}"
        )
    expected = (*fixed.shape[:-2], fixed.shape[-2] - h + 1, fixed.shape[-1] - w + 1)
    if weight is not None and (tuple(weight.shape) != expected or weight.dtype != fixed.dtype):
        raise OptionError(
            f"weight must hold one {fixed.dtype} for each window, {expected}, "
            f"got {tuple(weight.shape)} {weight.dtype}; use weight.expand"
        )
    return h, w, eps_f, eps_m
