"""The local standard deviation of an image, and its gradient.

    S1  = I * 1,  S2 = I^2 * 1               sums over a window 1 of h x w ones, N = h * w, 'valid' borders
    Var = S2 - S1^2 / N                      N times the population variance
    StdMap = sqrt(max(0, Var) + eps)

    dVar = g / (2 * StdMap + d)              zero where Var was clamped; d = eps with 'fft', 0 with 'box'
    dS2 = dVar,  dS1 = dVar * (-2/N * S1)
    dI = dS1 (*) 1 + 2 * I * (dS2 (*) 1)     full convolution: every pixel collects from the windows that hold it

Legend: I image less the mean of its plane, (..., H, W); S1, S2 sums and g, StdMap maps, (..., H-h+1, W-w+1);
x_lost pixels that are not finite. The operator does not see a constant offset, so centring changes neither value nor
gradient; without it Var is the difference of two numbers that can be 10^8 times larger. Sums are float64 for the same
reason, also between the FFTs of a float32 image.

A pixel that is not finite makes exactly the windows that hold it NaN, and in the gradient exactly the pixels of these
windows. An FFT would spread it over the plane, so it is replaced by the mean before and marked after.

Two methods. 'box' takes the sums as they are, in one pass over the image in each direction on the native kernels
(csrc/local_std_box.h), saves image and StdMap for the gradient, and on CUDA the windows' means (M,
csrc/cuda/local_std_tiles.h); its gradient is the derivative itself. 'fft' is the specification's form, with eps in the
denominator of dVar too: 4e-7 of a gradient at StdMap 11 and eps 1e-5.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import torch
from torch import is_grad_enabled
from torch.compiler import is_compiling
from torch.nn import functional

from zncc_cli.errors import ContentError, OptionError, WindowError
from zncc_cli.operators import native, native_ops
from zncc_cli.operators.dispatch import direct_apply, gradient, is_plain, refuse_forward_mode, run
from zncc_cli.operators.fft import fft_cc

Window = int | tuple[int, int]

_HALF_DTYPES = (torch.float16, torch.bfloat16)


# Reference ------------------------------------------------------------------------------------------------------------


def local_std_reference(image: torch.Tensor, window: Window, eps: float = 1e-5) -> torch.Tensor:
    """Compute `local_std` window by window in float64; the gradient comes from autograd alone.

    Shapes, dtypes and errors as in `local_std`. The cost grows with the window.
    """
    h, w = checked_window(image, window, eps)
    windows = image.double().unfold(-2, h, 1).unfold(-2, w, 1)
    variance = windows.var(dim=(-2, -1), correction=0)
    return (h * w * variance + eps).sqrt().to(image.dtype)


# The formulas, by the native kernels or by plain torch ----------------------------------------------------------------


# Two units in the last place: torch takes square roots by MKL, which rounds them within one.
_SQRT_ERROR = {torch.float32: 2.4e-7, torch.float64: 4.5e-16}


def std_map(S1: torch.Tensor, S2: torch.Tensor, N: int, eps: float, dtype: torch.dtype) -> torch.Tensor:
    """Return StdMap = sqrt(max(0, (N * S2 - S1^2) / N) + eps) in ``dtype``."""
    if native_ops.is_native(S1):
        return native_ops.std_map(S1, S2, N, eps, dtype)
    # clamp keeps a NaN, unlike a maximum by comparison.
    return ((N * S2 - S1 * S1) * (1.0 / N)).clamp(min=0.0).add(eps).to(dtype).sqrt()


def sum_gradients(g: torch.Tensor, std: torch.Tensor, S1: torch.Tensor, N: int, eps: float, d: float) -> torch.Tensor:
    """Return dS1 and dS2, stacked for one pass: shape (2, ...), float64. ``d`` is added to 2 * StdMap."""
    if native_ops.is_native(S1):
        return native_ops.sum_gradients(g, std, S1, N, eps, d)
    stacked = S1.new_empty((2, *S1.shape))
    dS1, dS2 = stacked
    # Var was clamped where std is sqrt(eps), rounded as std is; torch's own sqrt may be off in the last place.
    floor = torch.full((), math.sqrt(eps) * (1.0 + _SQRT_ERROR[std.dtype]), dtype=std.dtype, device=std.device)
    # A factor, not a choice: NaN * 0 stays NaN.
    dS2.copy_(g / (2.0 * std + d) * ~(std <= floor))
    torch.mul(dS2, S1 * (-2.0 * (1.0 / N)), out=dS1)
    return stacked


def image_gradient(dI_S1: torch.Tensor, dI_S2: torch.Tensor, I: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:  # noqa: E741
    """Return dI = dI_S1 + 2 * I * dI_S2 in ``dtype``."""
    if native_ops.is_native(I):
        return native_ops.image_gradient(dI_S1, dI_S2, I, dtype)
    return (dI_S1 + 2.0 * I * dI_S2).to(dtype)


def box_sums(planes: torch.Tensor, h: int, w: int, mode: str = "valid") -> torch.Tensor:
    """Return the sums over h x w windows, 'valid' (..., H-h+1, W-w+1) or 'full' (..., H+h-1, W+w-1), by plain torch.

    Every window of length n is the end of one block of n values and the beginning of the next one (van Herk 1992,
    doi:10.1016/0167-8655(92)90069-C). Two running sums per axis, whatever the window; nothing is subtracted, so that a
    sum holds its own pixels only: their rounding, their NaN, and no others'.

    Args:
        planes: (..., H, W) float64, no smaller than the window where it is 'valid'.
        h, w: the window, in pixels.
        mode: as in `zncc_cli.operators.fft.fft_cc` with a kernel of ones.
    """
    if mode == "full":
        planes = functional.pad(planes, (w - 1, w - 1, h - 1, h - 1))
    return _sums_of_runs(_sums_of_runs(planes.transpose(-2, -1), h).transpose(-2, -1), w)


def _sums_of_runs(lines: torch.Tensor, n: int) -> torch.Tensor:
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


# The FFT method -------------------------------------------------------------------------------------------------------


# Rounding error of Var by a float64 FFT over the plane's largest S2: at most 3e-15 on planes from 33^2 to 2048^2, half
# of them black and half white, with windows from 3 to 31.
_FFT_NOISE = 1e-14


def _centred(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return I, float64 and contiguous, with zeros at the pixels that are not finite; and these, or None."""
    x = image.to(torch.float64).contiguous()
    mean = x.mean(dim=(-2, -1), keepdim=True)
    if bool(mean.isfinite().all()):
        return x - mean, None
    x_lost = ~image.isfinite()
    x = x.masked_fill(x_lost, 0.0)
    count = (~x_lost).sum(dim=(-2, -1), keepdim=True).clamp(min=1)
    return (x - x.sum(dim=(-2, -1), keepdim=True) / count).masked_fill(x_lost, 0.0), x_lost


def _sums(planes: torch.Tensor, h: int, w: int, mode: str) -> torch.Tensor:
    """Return the sums of each plane over h x w windows, 'valid' or 'full', in one FFT pass; contiguous."""
    if h == w == 1:
        return planes  # exact, so that Var cancels to zero
    return fft_cc(planes, planes.new_ones((h, w)), mode).contiguous()


def _any_in_window(mask: torch.Tensor, h: int, w: int, mode: str) -> torch.Tensor:
    """Return whether each h x w window, 'valid' or 'full', holds a pixel of ``mask``: exact, by prefix counts."""
    for dim, length in ((-2, h), (-1, w)):
        border = length - 1 if mode == "full" else 0
        padding = (border + 1, border) if dim == -1 else (0, 0, border + 1, border)
        counts = functional.pad(mask.to(torch.int32), padding).cumsum(dim, dtype=torch.int32)
        windows = counts.shape[dim] - length
        mask = counts.narrow(dim, length, windows) > counts.narrow(dim, 0, windows)
    return mask


def _forward_fft(image: torch.Tensor, h: int, w: int, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    x, x_lost = _centred(image)
    S1, S2 = _sums(torch.stack((x, x * x)), h, w, "valid")
    # Where an image is flat, Var is what the FFT's rounding left: any digits, up to the noise. There Var becomes zero.
    noise = _FFT_NOISE * S2.amax(dim=(-2, -1), keepdim=True)
    S2 = torch.where(S2 - S1 * S1 / (h * w) < noise, 0.0, S2)  # Var <= 0, which is clamped
    std = std_map(S1, S2, h * w, eps, image.dtype)
    if x_lost is not None:
        std.masked_fill_(_any_in_window(x_lost, h, w, "valid"), math.nan)
    return std, S1


def _backward_fft(
    g: torch.Tensor, image: torch.Tensor, std: torch.Tensor, S1: torch.Tensor, h: int, w: int, eps: float
) -> torch.Tensor:
    x, _ = _centred(image)
    dS = sum_gradients(g.to(std.dtype).contiguous(), std, S1, h * w, eps, eps)
    lost = ~dS.isfinite().all(dim=0)
    any_lost = bool(lost.any())
    if any_lost:
        dS = dS.masked_fill(lost, 0.0)
    dI_S1, dI_S2 = _sums(dS, h, w, "full")
    dI = image_gradient(dI_S1, dI_S2, x, image.dtype)
    if any_lost:
        dI.masked_fill_(_any_in_window(lost, h, w, "full"), math.nan)
    return dI


# The box method -------------------------------------------------------------------------------------------------------


def _forward_box(image: torch.Tensor, h: int, w: int, eps: float) -> torch.Tensor:
    image = image.contiguous()
    if native_ops.has_box(image, w):
        return native_ops.box_forward(image, h, w, eps)
    x = minus_central_pixel(image)
    S1, S2 = box_sums(torch.stack((x, x * x)), h, w)
    return std_map(S1, S2, h * w, eps, image.dtype)


def _forward_box_with_mean(image: torch.Tensor, h: int, w: int, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    image = image.contiguous()
    if image.is_cuda and native_ops.has_box(image, w):
        return native_ops.box_forward_with_mean(image, h, w, eps)
    std = _forward_box(image, h, w, eps)
    # M, which the CUDA kernels alone read. Infinite, so that their gradient of this map is seen to be none.
    return std, torch.full_like(std, math.inf)


def _backward_box(
    g: torch.Tensor, image: torch.Tensor, std: torch.Tensor, M: torch.Tensor | None, h: int, w: int, eps: float
) -> torch.Tensor:
    g, image = g.to(std.dtype).contiguous(), image.contiguous()
    if native_ops.has_box(image, w):
        return native_ops.box_backward(g, image, std, M, h, w, eps)
    x = minus_central_pixel(image)
    dS = sum_gradients(g, std, box_sums(x, h, w), h * w, eps, 0.0)
    dI_S1, dI_S2 = box_sums(dS, h, w, "full")
    return image_gradient(dI_S1, dI_S2, x, image.dtype)


def minus_central_pixel(image: torch.Tensor, counts: torch.Tensor | None = None) -> torch.Tensor:
    """Return the image, float64, minus its pixel nearest to the mean, for exact sums (csrc/local_std_box.h).

    The mean is of the finite pixels, and where ``counts`` is given of those that count.
    """
    x = image.to(torch.float64)
    finite = x.isfinite() if counts is None else x.isfinite() & counts
    count = finite.sum(dim=(-2, -1), keepdim=True).clamp(min=1)
    mean = torch.where(finite, x, 0.0).sum(dim=(-2, -1), keepdim=True) / count
    if x.numel() == 0:
        return x
    nearest = torch.where(finite, (x - mean).abs(), math.inf).flatten(-2).argmin(dim=-1, keepdim=True)
    return x - torch.nan_to_num(x.flatten(-2).gather(-1, nearest), posinf=0.0, neginf=0.0).unsqueeze(-1)


# The dispatcher's operators -------------------------------------------------------------------------------------------
# torch.library.Library and not custom_op, whose first call imports torch._dynamo. What is saved for the gradient is
# given back, too: StdMap, and S1 where it cost an FFT, or M on CUDA, where the means would cost another kernel.

_LIBRARY: Any = torch.library.Library("zncc", "FRAGMENT")
_LIBRARY.define("local_std_box(Tensor image, int h, int w, float eps) -> Tensor")
_LIBRARY.define("local_std_box_with_mean(Tensor image, int h, int w, float eps) -> (Tensor std, Tensor M)")
_LIBRARY.define("local_std_fft(Tensor image, int h, int w, float eps) -> (Tensor std, Tensor S1)")
_LIBRARY.define(
    "local_std_box_gradient(Tensor g, Tensor image, Tensor std, Tensor? M, int h, int w, float eps) -> Tensor"
)
_LIBRARY.define(
    "local_std_fft_gradient(Tensor g, Tensor image, Tensor std, Tensor S1, int h, int w, float eps) -> Tensor"
)
_LIBRARY.impl("local_std_box", _forward_box, "CompositeExplicitAutograd")
_LIBRARY.impl("local_std_box_with_mean", _forward_box_with_mean, "CompositeExplicitAutograd")
_LIBRARY.impl("local_std_fft", _forward_fft, "CompositeExplicitAutograd")
_LIBRARY.impl("local_std_box_gradient", _backward_box, "CompositeExplicitAutograd")
_LIBRARY.impl("local_std_fft_gradient", _backward_fft, "CompositeExplicitAutograd")


def _box_fake(image: torch.Tensor, h: int, w: int, eps: float) -> torch.Tensor:
    return native_ops.new_map(image, h, w)


def _mean_fake(image: torch.Tensor, h: int, w: int, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    return _box_fake(image, h, w, eps), _box_fake(image, h, w, eps)


def _fft_fake(image: torch.Tensor, h: int, w: int, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    std = _box_fake(image, h, w, eps)
    return std, torch.empty_like(std, dtype=torch.float64)


def _gradient_fake(g: torch.Tensor, image: torch.Tensor, *_: Any) -> torch.Tensor:
    return image.new_empty(image.shape)


def _save_for_box(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor | tuple[torch.Tensor, torch.Tensor]) -> None:
    image, *ctx.options = inputs
    ctx.backend = native.selection()
    if isinstance(output, tuple):
        ctx.save_for_backward(image, *output)
        ctx.mark_non_differentiable(output[1])
    else:
        ctx.save_for_backward(image, output, None)


def _box_backward(ctx: Any, g: torch.Tensor, *_: Any) -> tuple[torch.Tensor | None, ...]:
    dI = gradient(ctx.backend, "local_std_box_gradient", _backward_box, (g, *ctx.saved_tensors), tuple(ctx.options))
    return dI, None, None, None


def _save_for_fft(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor]) -> None:
    image, *ctx.options = inputs
    ctx.backend = native.selection()
    ctx.save_for_backward(image, *output)
    ctx.mark_non_differentiable(output[1])


def _fft_backward(ctx: Any, g: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    with native.selected(ctx.backend):
        return torch.ops.zncc.local_std_fft_gradient(g, *ctx.saved_tensors, *ctx.options), None, None, None


def _no_second_derivative(ctx: Any, *_: Any) -> None:
    raise NotImplementedError("local_std can be differentiated once; take create_graph=True away")


# Fakes as kernels on Meta tensors: register_fake looks for its source line in all loaded modules, for 5 ms.
_LIBRARY.impl("local_std_box", _box_fake, "Meta")
_LIBRARY.impl("local_std_box_with_mean", _mean_fake, "Meta")
_LIBRARY.impl("local_std_fft", _fft_fake, "Meta")
for _name in ("zncc::local_std_box", "zncc::local_std_box_with_mean"):
    torch.library.register_autograd(_name, _box_backward, setup_context=_save_for_box, lib=_LIBRARY)
torch.library.register_autograd("zncc::local_std_fft", _fft_backward, setup_context=_save_for_fft, lib=_LIBRARY)
for _name in ("zncc::local_std_box_gradient", "zncc::local_std_fft_gradient"):
    _LIBRARY.impl(_name, _gradient_fake, "Meta")
    torch.library.register_autograd(_name, _no_second_derivative, lib=_LIBRARY)


# The same for plain images, without the dispatcher --------------------------------------------------------------------


def _box_forward(ctx: Any, plain: bool, image: torch.Tensor, h: int, w: int, eps: float) -> torch.Tensor:
    """Return StdMap, and save for `_box_backward` what it needs."""
    std: torch.Tensor
    M: torch.Tensor | None
    if image.is_cuda and any(ctx.needs_input_grad) and native_ops.has_box(image, w):
        std, M = run(plain, "local_std_box_with_mean", _forward_box_with_mean, image, h, w, eps)
    else:
        std, M = run(plain, "local_std_box", _forward_box, image, h, w, eps), None
    ctx.options, ctx.backend = (h, w, eps), native.selection()
    ctx.save_for_backward(image, std, M)
    return std


class _Box(torch.autograd.Function):
    """What torch.library.register_autograd makes of the box method, in half the time: 15 us less a call."""

    @staticmethod
    def forward(ctx: Any, image: torch.Tensor, h: int, w: int, eps: float) -> torch.Tensor:
        return _box_forward(ctx, True, image, h, w, eps)

    backward = staticmethod(_box_backward)


class _NativeBox(torch.autograd.Function):
    """What `_Box` comes to for a plain image on the CPU with native kernels: the two kernels, and little else.

    Between the kernels, which drive all else out of the caches, every function that is called costs 5 us.
    """

    @staticmethod
    def forward(ctx: Any, image: torch.Tensor, h: int, w: int, eps: float) -> torch.Tensor:
        std = native_ops.box_forward(image.contiguous(), h, w, eps)
        ctx.options, ctx.backend = (h, w, eps), native.selection()
        ctx.save_for_backward(image, std)
        return std

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        image, std = ctx.saved_tensors
        tensors = g.contiguous(), image.contiguous(), std, None
        dI = gradient(ctx.backend, "local_std_box_gradient", native_ops.box_backward, tensors, ctx.options)
        return dI, None, None, None


_plain_box = direct_apply(_Box)
_native_box = direct_apply(_NativeBox)


# Choosing -------------------------------------------------------------------------------------------------------------


def _by_box(image: torch.Tensor, h: int, w: int, eps: float) -> torch.Tensor:
    std: torch.Tensor
    if not is_plain(image):
        refuse_forward_mode("local_std", image)
        # A compiler cannot ask for the backend: its backward pass computes M again.
        needs_mean = image.is_cuda and image.requires_grad and is_grad_enabled() and not is_compiling()
        if needs_mean and native_ops.has_box(image, w):
            std = torch.ops.zncc.local_std_box_with_mean(image, h, w, eps)[0]
        else:
            std = torch.ops.zncc.local_std_box(image, h, w, eps)
    elif not is_grad_enabled():
        std = _forward_box(image, h, w, eps)  # which saves nothing
    elif image.is_cpu and native_ops.has_box(image, w):
        std = _native_box(image, h, w, eps)
    else:
        std = _plain_box(image, h, w, eps)
    return std


def _by_fft(image: torch.Tensor, h: int, w: int, eps: float) -> torch.Tensor:
    refuse_forward_mode("local_std", image)
    std: torch.Tensor = torch.ops.zncc.local_std_fft(image, h, w, eps)[0]
    return std


METHODS = {"auto": _by_box, "box": _by_box, "fft": _by_fft}


# Public ---------------------------------------------------------------------------------------------------------------


class LocalStandardDeviation(torch.autograd.Function):
    """StdMap = LocalStandardDeviation.apply(image, ones_kernel, eps), the operator in the form that it is specified in.

    ``ones_kernel`` has shape (h, w) and holds ones only (`OptionError` otherwise); it gets no gradient. Everything
    else is as in `local_std`.
    """

    @staticmethod
    def forward(ctx: Any, image: torch.Tensor, ones_kernel: torch.Tensor, eps: float = 1e-5) -> torch.Tensor:
        """Return StdMap; see `local_std`."""
        if ones_kernel.dim() != 2 or not bool((ones_kernel == 1).all()):
            raise OptionError(
                f"ones_kernel must hold ones only and have shape (h, w), got {ones_kernel.dim()} dimensions and values "
                f"other than 1 at {int((ones_kernel != 1).sum())} places; use torch.ones(h, w)"
            )
        h, w = checked_window(image, (ones_kernel.shape[0], ones_kernel.shape[1]), eps)
        return _box_forward(ctx, is_plain(image), to_working_dtype(image), h, w, eps).to(image.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradient of the image."""
        return _box_backward(ctx, g)[0], None, None


def local_std(image: torch.Tensor, window: Window, eps: float = 1e-5, method: str = "auto") -> torch.Tensor:
    """Return StdMap = sqrt(N * local population variance + eps) of every window that lies inside the image.

    Divide by sqrt(N) for the standard deviation in the image's own units.

    Args:
        image: shape (..., H, W), any strides; float32 or float64; half and bfloat16 are computed in float32.
        window: side of the square window, or its (height, width), in pixels; odd or even, no larger than the image.
        eps: added under the root, in squared units of the image; StdMap >= sqrt(eps).
        method: 'box', 'fft', or 'auto' for the faster of the two.

    Returns:
        Shape (..., H-h+1, W-w+1) in the image's dtype; the value at (y, x) belongs to the window whose top left pixel
        is (y, x). Differentiable once in ``image``. Windows that hold a pixel that is not finite are NaN.

    Raises:
        WindowError: the window is no positive size, or larger than the image.
        ContentError: the image has fewer than two dimensions or does not hold floating-point numbers.
        OptionError: ``eps`` is not positive and finite, or ``method`` is unknown.
        BackendError: the native kernels were asked for (`native.selected`) and are not there.
    """
    h, w = checked_window(image, window, eps)
    if method not in METHODS:
        raise OptionError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    if image.dtype in _HALF_DTYPES:
        return local_std(to_working_dtype(image), (h, w), eps, method).to(image.dtype)
    return METHODS[method](image, h, w, float(eps))


def to_working_dtype(image: torch.Tensor) -> torch.Tensor:
    """Return the image in the dtype of the computation: float32 for half and bfloat16, else its own."""
    return image.float() if image.dtype in _HALF_DTYPES else image


def checked_window(image: torch.Tensor, window: Window, eps: float) -> tuple[int, int]:
    """Return the window's (h, w) after a check of all arguments."""
    if image.dim() < 2:
        raise ContentError(f"image must have shape (..., H, W), got {tuple(image.shape)}")
    if not image.is_floating_point():
        raise ContentError(f"image must hold floating-point numbers, got {image.dtype}; use image.float()")
    if not 0.0 < eps < math.inf:
        raise OptionError(f"eps must be positive and finite, got {eps}")
    try:
        h, w = map(operator.index, window if isinstance(window, (tuple, list)) else (window, window))
    except (TypeError, ValueError):
        raise WindowError(f"window must be a whole number of pixels or (height, width), got {window!r}") from None
    height, width = image.shape[-2:]
    if h < 1 or w < 1:
        raise WindowError(f"window must be at least 1x1 pixel, got {h}x{w}")
    if h > height or w > width:
        raise WindowError(
            f"window {h}x{w} must fit into the image of {height}x{width} pixels (height x width); "
            f"use one of at most {height}x{width}"
        )
    return h, w
