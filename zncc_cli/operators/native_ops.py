"""Calls of the native kernels: each allocates what its kernel writes. Formulas and NaN policy: csrc/local_std.h.

All tensors are contiguous. Sums (S1, S2, their gradients, the centred image I) are float64; maps (std, g) have the
image's dtype, float32 or float64. The plain-torch fallbacks stand beside the formulas, in `local_std` and `local_zncc`.
"""

from __future__ import annotations

import torch

from zncc_cli.operators import native

_NATIVE = torch.ops.zncc

# The widest window of the CUDA kernels, kMaxTileWindow in csrc/cuda/tile_grid.h, in columns.
MAX_CUDA_WINDOW = 384


def is_native(tensor: torch.Tensor) -> bool:
    """Return whether the native kernels compute on the tensor's device."""
    return native.load(tensor.device).used == "native"


def has_box(tensor: torch.Tensor, w: int) -> bool:
    """Return whether there are native kernels of the box path, for windows of w columns on the tensor's device."""
    return (tensor.is_cpu or w <= MAX_CUDA_WINDOW) and is_native(tensor)


def new_map(image: torch.Tensor, h: int, w: int) -> torch.Tensor:
    """Return an empty map of the windows of an image (..., H, W): shape (..., H-h+1, W-w+1)."""
    *batch, height, width = image.shape
    return image.new_empty((*batch, height - h + 1, width - w + 1))


# The three fused kernels of the FFT path ------------------------------------------------------------------------------


def std_map(S1: torch.Tensor, S2: torch.Tensor, N: int, eps: float, dtype: torch.dtype) -> torch.Tensor:
    """Return StdMap in ``dtype``."""
    std = torch.empty_like(S1, dtype=dtype)
    _NATIVE.local_std_forward(S1, S2, N, eps, std)
    return std


def sum_gradients(g: torch.Tensor, std: torch.Tensor, S1: torch.Tensor, N: int, eps: float, d: float) -> torch.Tensor:
    """Return dS1 and dS2, stacked for one pass: shape (2, ...), float64."""
    stacked = S1.new_empty((2, *S1.shape))
    _NATIVE.local_std_prepare_gradients(g, std, S1, N, eps, d, *stacked)
    return stacked


def image_gradient(dI_S1: torch.Tensor, dI_S2: torch.Tensor, I: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:  # noqa: E741
    """Return dI in ``dtype``."""
    dI = torch.empty_like(I, dtype=dtype)
    _NATIVE.local_std_combine_gradients(dI_S1, dI_S2, I, dI)
    return dI


# The box path ---------------------------------------------------------------------------------------------------------


def box_forward(image: torch.Tensor, h: int, w: int, eps: float) -> torch.Tensor:
    """Return StdMap of an image (..., H, W)."""
    std = new_map(image, h, w)
    _NATIVE.local_std_box_forward(image, h, w, eps, std)
    return std


def box_forward_with_mean(image: torch.Tensor, h: int, w: int, eps: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return StdMap and M, from which the gradient takes the windows' means (csrc/cuda/local_std_tiles.h), on CUDA."""
    std = new_map(image, h, w)
    M = torch.empty_like(std)
    _NATIVE.local_std_box_forward_with_mean(image, h, w, eps, std, M)
    return std, M


def box_backward(
    g: torch.Tensor, image: torch.Tensor, std: torch.Tensor, M: torch.Tensor | None, h: int, w: int, eps: float
) -> torch.Tensor:
    """Return dI of an image (..., H, W); without M it is computed again, where it is needed."""
    dI = torch.empty_like(image)
    _NATIVE.local_std_box_backward(g, image, std, M, h, w, eps, dI)
    return dI


def zncc_box(
    f: torch.Tensor,
    m: torch.Tensor,
    weight: torch.Tensor | None,
    window: tuple[int, int],
    eps: tuple[float, float],
    need_dm: bool,
    need_z: bool,
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Return the summed local ZNCC (...), float64, of images (..., H, W), and where they are needed dm and z."""
    h, w = window
    height, width = f.shape[-2:]
    strip_sums = f.new_empty((*f.shape[:-2], _NATIVE.local_zncc_strips(height, width, h)), dtype=torch.float64)
    dm = torch.empty_like(m) if need_dm else None
    z = new_map(f, h, w) if need_z else None
    _NATIVE.local_zncc_box(f, m, weight, h, w, *eps, strip_sums, dm, z)
    return strip_sums.sum(-1), dm, z


def scaled_planes(planes: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Return planes (..., H, W), each times its factor (...); CPU only."""
    out = torch.empty_like(planes)
    _NATIVE.scaled_planes(planes, factors, out)
    return out


def window_sums(planes: torch.Tensor, h: int, w: int) -> torch.Tensor:
    """Return the sums over all h x w windows of planes (..., H, W); CPU only."""
    sums = new_map(planes, h, w)
    _NATIVE.window_sums(planes, h, w, sums)
    return sums
