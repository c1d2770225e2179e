"""The three fused kernels of the local standard deviation: the native ones, or plain torch of the same formulas.

All tensors are contiguous. Sums (S1, S2, their gradients, the centred image I) are float64; maps (std, g) have the
image's dtype, float32 or float64. Formulas and NaN policy: csrc/local_std.h.
"""

from __future__ import annotations

import math

import torch

from zncc_cli.operators import native

_NATIVE = torch.ops.zncc

# Two units in the last place: torch takes square roots by MKL, which rounds them within one.
_SQRT_ERROR = {torch.float32: 2.4e-7, torch.float64: 4.5e-16}


def is_native(tensor: torch.Tensor) -> bool:
    """Return whether the native kernels compute on the tensor's device."""
    return native.load(tensor.device).used == "native"


def std_map(S1: torch.Tensor, S2: torch.Tensor, N: int, eps: float, dtype: torch.dtype) -> torch.Tensor:
    """Return StdMap = sqrt(max(0, (N * S2 - S1^2) / N) + eps) in ``dtype``."""
    if is_native(S1):
        std = torch.empty_like(S1, dtype=dtype)
        _NATIVE.local_std_forward(S1, S2, N, eps, std)
        return std
    # clamp keeps a NaN, unlike a maximum by comparison.
    return ((N * S2 - S1 * S1) * (1.0 / N)).clamp(min=0.0).add(eps).to(dtype).sqrt()


def sum_gradients(g: torch.Tensor, std: torch.Tensor, S1: torch.Tensor, N: int, eps: float, d: float) -> torch.Tensor:
    """Return dS1 and dS2, stacked for one pass: shape (2, ...), float64. ``d`` is added to 2 * StdMap."""
    stacked = S1.new_empty((2, *S1.shape))
    dS1, dS2 = stacked
    if is_native(S1):
        _NATIVE.local_std_prepare_gradients(g, std, S1, N, eps, d, dS1, dS2)
        return stacked
    # Var was clamped where std is sqrt(eps), rounded as std is; torch's own sqrt may be off in the last place.
    floor = torch.full((), math.sqrt(eps) * (1.0 + _SQRT_ERROR[std.dtype]), dtype=std.dtype, device=std.device)
    # A factor, not a choice: NaN * 0 stays NaN.
    dS2.copy_(g / (2.0 * std + d) * ~(std <= floor))
    torch.mul(dS2, S1 * (-2.0 * (1.0 / N)), out=dS1)
    return stacked


def image_gradient(dI_S1: torch.Tensor, dI_S2: torch.Tensor, I: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:  # noqa: E741
    """Return dI = dI_S1 + 2 * I * dI_S2 in ``dtype``."""
    if is_native(I):
        dI = torch.empty_like(I, dtype=dtype)
        _NATIVE.local_std_combine_gradients(dI_S1, dI_S2, I, dI)
        return dI
    return (dI_S1 + 2.0 * I * dI_S2).to(dtype)


# The widest window of the CUDA kernels, kMaxTileWindow in csrc/tile_grid.h, in columns.
MAX_CUDA_WINDOW = 384


def has_box(tensor: torch.Tensor, w: int) -> bool:
    """Return whether there are native kernels of the box path, for windows of w columns on the tensor's device."""
    return (tensor.is_cpu or w <= MAX_CUDA_WINDOW) and is_native(tensor)


def box_forward(image: torch.Tensor, h: int, w: int, eps: float) -> torch.Tensor:
    """Return StdMap of an image (..., H, W) by the native box path."""
    std = new_map(image, h, w)
    _NATIVE.local_std_box_forward(image, h, w, eps, std)
    return std


def box_forward_with_mean(image: torch.Tensor, h: int, w: int, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the same and M, from which the gradient takes the windows' means (csrc/local_std_tiles.h); CUDA only."""
    std = new_map(image, h, w)
    M = torch.empty_like(std)
    _NATIVE.local_std_box_forward_with_mean(image, h, w, eps, std, M)
    return std, M


def box_backward(
    g: torch.Tensor, image: torch.Tensor, std: torch.Tensor, M: torch.Tensor | None, h: int, w: int, eps: float
) -> torch.Tensor:
    """Return dI of an image (..., H, W) by the native box path; without M it is computed again, where it is needed."""
    dI = torch.empty_like(image)
    _NATIVE.local_std_box_backward(g, image, std, M, h, w, eps, dI)
    return dI


def scaled_planes(planes: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Return planes (..., H, W), each times its factor (...), by the native kernels of the CPU."""
    out = torch.empty_like(planes)
    _NATIVE.scaled_planes(planes, factors, out)
    return out


def window_sums(planes: torch.Tensor, h: int, w: int) -> torch.Tensor:
    """Return the sums over all h x w windows of planes (..., H, W) by the native kernels of the CPU."""
    sums = new_map(planes, h, w)
    _NATIVE.window_sums(planes, h, w, sums)
    return sums


def new_map(image: torch.Tensor, h: int, w: int) -> torch.Tensor:
    """Return an empty map of the windows of an image (..., H, W): shape (..., H-h+1, W-w+1)."""
    *batch, height, width = image.shape
    return image.new_empty((*batch, height - h + 1, width - w + 1))
