"""The normal equations of a displacement field that is a cubic B-spline on a grid of nodes.

Formulas, shapes and the order of the stencil's planes: csrc/cpu/spline_system.h. On a CPU by its native kernels,
elsewhere in plain torch; the two agree to rounding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.operators.native_ops import is_native

_NATIVE = torch.ops.zncc
_DEGREE = 3

STENCIL = tuple((0, k) for k in range(4)) + tuple((down, across) for down in range(1, 4) for across in range(-3, 4))
"""(rows, columns) from a node to the neighbour that each plane of a stencil is about."""


def has_splines(tensor: Tensor) -> bool:
    """Return whether there are native kernels on the tensor's device."""
    return tensor.is_cpu and is_native(tensor)


def basis(pixels: int, nodes: int, spacing: float, *, slope: bool = False, like: Tensor) -> Tensor:
    """Return the B-splines of the nodes, or their derivatives, at the pixels of an axis, (pixels, nodes).

    Node k lies on pixel (k - 1) ``spacing``. The dtype and the device are those of ``like``.
    """
    place = torch.arange(pixels, dtype=torch.float64) / spacing
    first = place.long().clamp_max(nodes - _DEGREE - 1)
    t = place - first
    if slope:
        weights = [-((1 - t) ** 2) / 2, 1.5 * t**2 - 2 * t, -1.5 * t**2 + t + 0.5, t**2 / 2]
        weights = [weight / spacing for weight in weights]
    else:
        weights = [(1 - t) ** 3 / 6, t**3 / 2 - t**2 + 2 / 3, (-(t**3) + t**2 + t) / 2 + 1 / 6, t**3 / 6]
    out = torch.zeros(pixels, nodes, dtype=torch.float64)
    for k, weight in enumerate(weights):
        out[torch.arange(pixels), first + k] = weight
    return out.to(like)


def spline_adjoint(scores: Tensor, nodes: tuple[int, int], spacing: float) -> Tensor:
    """Return the sums over all pixels of each node's B-spline times the scores (2, H, W) float32.

    The result is (2, rows, columns) float64, of the ``nodes``.
    """
    height, width = scores.shape[-2:]
    if has_splines(scores):
        out = scores.new_empty((2, *nodes), dtype=torch.float64)
        _NATIVE.spline_adjoint(scores.contiguous(), height, width, spacing, out)
        return out
    down, across = (basis(n, k, spacing, like=scores.double()) for n, k in zip((height, width), nodes, strict=True))
    return down.T @ scores.double() @ across


def spline_curvature(curvature: Tensor, nodes: tuple[int, int], spacing: float) -> Tensor:
    """Return the stencil (25, 3, rows, columns) float64 of the curvature (3, H, W) float32 of each pixel."""
    height, width = curvature.shape[-2:]
    rows, columns = nodes
    out = curvature.new_zeros((len(STENCIL), 3, rows, columns), dtype=torch.float64)
    if has_splines(curvature):
        _NATIVE.spline_curvature(curvature.contiguous(), height, width, spacing, out)
        return out
    down, across = (basis(n, k, spacing, like=curvature) for n, k in zip((height, width), nodes, strict=True))
    for k, (j, i) in enumerate(STENCIL):
        left, right = max(0, -i), columns - max(0, i)
        by_row = down[:, : rows - j] * down[:, j:]
        by_column = across[:, left:right] * across[:, left + i : right + i]
        out[k, :, : rows - j, left:right] = (by_row.T @ curvature @ by_column).double()
    return out


def multiplied(stencil: Tensor, x: Tensor) -> Tensor:
    """Return the product (2, rows, columns) of a stencil (25, 3, rows, columns) and coefficients x of that shape."""
    if has_splines(x):
        product = torch.empty_like(x, memory_format=torch.contiguous_format)
        _NATIVE.stencil_product(stencil.contiguous(), x.contiguous(), product)
        return product
    return _Product(stencil)(x)


class _Product:
    """The product with a stencil in plain torch, which holds the neighbours on either side of each node."""

    def __init__(self, stencil: Tensor) -> None:
        rows, columns = stencil.shape[-2:]
        self._all = stencil.new_zeros((3, 7, 7, rows, columns))
        for (j, i), plane in zip(STENCIL, stencil, strict=True):
            self._all[:, 3 + j, 3 + i] = plane
            left, right = max(0, i), columns + min(0, i)
            self._all[:, 3 - j, 3 - i, j:, left:right] = plane[:, : rows - j, left - i : right - i]

    def __call__(self, x: Tensor) -> Tensor:
        """Return the product (2, rows, columns)."""
        rows, columns = x.shape[-2:]
        around = F.unfold(F.pad(x, (3, 3, 3, 3))[:, None], (rows, columns)).view(2, rows, columns, 7, 7)
        u, v = around.permute(0, 3, 4, 1, 2)
        xx, xy, yy = self._all
        return torch.stack(((xx * u + xy * v).sum(dim=(0, 1)), (xy * u + yy * v).sum(dim=(0, 1))))


def solve(stencil: Tensor, b: Tensor, *, most: int, tolerance: float) -> Tensor:
    """Return x (2, rows, columns) with S x = b, by conjugate gradients from zero.

    Args:
        stencil: (25, 3, rows, columns) float64, of S, positive definite.
        b: (2, rows, columns) float64.
        most: steps.
        tolerance: the part of the residual that may be left.
    """
    x = torch.zeros_like(b)
    if has_splines(b):
        _NATIVE.conjugate_gradients(stencil.contiguous(), b.contiguous(), most, tolerance, x)
        return x
    a, c, d = stencil[0]
    det = (a * d - c * c).clamp_min(1e-14 * float((a * d).max()))
    r = b.clone()

    def preconditioned() -> Tensor:
        return torch.stack(((d * r[0] - c * r[1]) / det, (a * r[1] - c * r[0]) / det))

    product = _Product(stencil)
    z = preconditioned()
    p, rz = z.clone(), (r * z).sum()
    enough = tolerance**2 * float(rz)
    for _ in range(most):
        if not float(rz) > enough:
            break
        q = product(p)
        length = rz / (p * q).sum()
        x += length * p
        r -= length * q
        z = preconditioned()
        before, rz = rz, (r * z).sum()
        p = z + (rz / before) * p
    return x


def lag_products(planes: Tensor, reach: int, step: int = 1) -> Tensor:
    """Return the sums of planes (C, H, W) float32 times themselves shifted, (reach + 1, 2 reach + 1) float64.

    Entry (j, reach + i) is that of a shift by j rows and i columns. Only every ``step``-th row is looked at.
    """
    out = planes.new_zeros((reach + 1, 2 * reach + 1), dtype=torch.float64)
    if has_splines(planes):
        _NATIVE.lag_products(planes.contiguous(), step, out)
        return out
    height, width = planes.shape[-2:]
    for j in range(min(reach, height - 1) + 1):
        for i in range(-min(reach, width - 1), min(reach, width - 1) + 1):
            here = planes[:, : height - j : step, max(0, -i) : width - max(0, i)]
            there = planes[:, j::step, max(0, i) : width - max(0, -i)]
            out[j, reach + i] = torch.sum(here * there, dtype=torch.float64)
    return out


SHIFT_STRIDE = 3
"""From one window of `shift_products` to the next, pixels: kShiftStride in csrc/cpu/spline_system.h."""


def shift_products(f: Tensor, m: Tensor, side: int, reach: int) -> Tensor:
    """Return the sums of two images' products over windows, at all shifts of up to ``reach`` pixels of one of them.

    Args:
        f, m: (H, W) float32.
        side: of the windows, odd; they lie around every third pixel of every third row, from the second on.
        reach: pixels.

    Returns:
        ((2 reach + 1)^2, rows, columns) float32, by the shifts of m from (-reach, -reach) on, row by row. Beyond the
        frames there are zeros.
    """
    height, width = f.shape
    windows = tuple((n + 1) // SHIFT_STRIDE for n in (height, width))
    count = 2 * reach + 1
    out = f.new_empty((count**2, *windows))
    if has_splines(f):
        _NATIVE.shift_products(f.contiguous(), m.contiguous(), side, reach, out)
        return out
    first = SHIFT_STRIDE // 2
    around = F.pad(m, (reach,) * 4)
    for k in range(count**2):
        moved = around[k // count : k // count + height, k % count : k % count + width]
        padded = F.pad(f * moved, (side // 2,) * 4)[None, None, first:, first:]
        out[k] = side**2 * F.avg_pool2d(padded, side, stride=SHIFT_STRIDE)[0, 0, : windows[0], : windows[1]]
    return out
