"""The local standard deviation and the local ZNCC as one writes them in PyTorch, without this project.

    StdMap = sqrt(max(0, S2 - S1^2 / N) + eps)              N = w * w, sums over w x w windows, 'valid' borders
    loss = 1 - mean of cov / sqrt((Var_f + eps) (Var_m + eps))

Each form is a way to take the box sums S. All are uncentred, and float32 unless their name says float64.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

BoxSum = Callable[[Tensor, int], Tensor]


def box_fft(planes: Tensor, w: int) -> Tensor:
    """Cross-correlate (..., H, W) with a window of ones by one FFT, and crop what wraps around."""
    height, width = planes.shape[-2:]
    ones = functional.pad(planes.new_ones(w, w), (0, width - w, 0, height - w))
    spectrum = torch.fft.rfft2(planes) * torch.fft.rfft2(ones).conj()
    sums: Tensor = torch.fft.irfft2(spectrum, s=(height, width))
    return sums[..., : height - w + 1, : width - w + 1]


def box_pooling(planes: Tensor, w: int) -> Tensor:
    rows = functional.avg_pool2d(planes, (1, w), 1, divisor_override=1)
    return functional.avg_pool2d(rows, (w, 1), 1, divisor_override=1)


def box_convolution(planes: Tensor, w: int) -> Tensor:
    ones = planes.new_ones(1, 1, 1, w)
    batch = planes.unsqueeze(1)
    return functional.conv2d(functional.conv2d(batch, ones), ones.transpose(2, 3)).squeeze(1)


def box_prefix_sums(planes: Tensor, w: int) -> Tensor:
    table = functional.pad(planes.cumsum(-1).cumsum(-2), (1, 0, 1, 0))
    rows = table[..., w:, :] - table[..., :-w, :]
    return rows[..., w:] - rows[..., :-w]


def box_prefix_sums_float64(planes: Tensor, w: int) -> Tensor:
    return box_prefix_sums(planes.double(), w)


def std_by(box: BoxSum, eps: float) -> Callable[[Tensor, int], Tensor]:
    """Return StdMap(image (H, W), window) from a box sum; autograd differentiates it."""

    def std(image: Tensor, w: int) -> Tensor:
        # A float64 form needs its squares in float64 too.
        x = image.double() if box is box_prefix_sums_float64 else image
        S1, S2 = box(torch.stack((x, x * x)), w).unbind()
        return ((S2 - S1 * S1 / (w * w)).clamp_min(0) + eps).sqrt().to(image.dtype)

    return std


def loss_by(box: BoxSum, eps: float) -> Callable[[Tensor, Tensor, int], Tensor]:
    """Return loss(fixed (H, W), moving (H, W), window) from five box sums; autograd differentiates it."""

    def loss(fixed: Tensor, moving: Tensor, w: int) -> Tensor:
        f, m = (x.double() if box is box_prefix_sums_float64 else x for x in (fixed, moving))
        F1, M1, F2, M2, FM = box(torch.stack((f, m, f * f, m * m, f * m)), w).unbind()
        N = w * w
        v_fixed = (F2 - F1 * F1 / N).clamp_min(0) + eps
        v_moving = (M2 - M1 * M1 / N).clamp_min(0) + eps
        return 1 - ((FM - F1 * M1 / N) / (v_fixed * v_moving).sqrt()).mean()

    return loss


class Specification(torch.autograd.Function):
    """The specification literally: [I, I^2] in one FFT pass, its stated backward with [dS1, dS2] in another."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, w: int, eps: float) -> Tensor:
        S1, S2 = box_fft(torch.stack((image, image * image)), w).unbind()
        std = ((S2 - S1 * S1 / (w * w)).clamp_min(0) + eps).sqrt()
        ctx.save_for_backward(image, S1, std)
        ctx.options = w, eps
        return std

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        image, S1, std = ctx.saved_tensors
        w, eps = ctx.options
        dS2 = g / (2 * std + eps)
        dS1 = dS2 * (-2 / (w * w) * S1)
        height, width = image.shape
        padding = (0, width - std.shape[1], 0, height - std.shape[0])
        ones = functional.pad(image.new_ones(w, w), (0, width - w, 0, height - w))
        gradients = functional.pad(torch.stack((dS1, dS2)), padding)
        dI_S1, dI_S2 = torch.fft.irfft2(torch.fft.rfft2(gradients) * torch.fft.rfft2(ones), s=image.shape)
        return dI_S1 + 2 * image * dI_S2, None, None
