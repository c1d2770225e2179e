"""Derivatives of a function of the moving coordinates by the entries of the matrix, at each pixel and summed.

With (x', y') a pixel of the fixed frame, (x, y) where the matrix M takes it, d = M[2] . (x', y', 1) and g the gradient
of the function at (x, y), the derivatives by the entries of M, row by row, are

    a x', a y', a, b x', b y', b, c x', c y', c        a = g_x / d,  b = g_y / d,  c = -(a x + b y)

so that sums over pixels of these, or of their products, are moments of three planes: nine planes are never made.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.registration.warp import applied, coordinates

# The powers in the outer product of (x, y, 1) with itself.
_POWERS_OF_X = torch.tensor([[2, 1, 1], [1, 0, 0], [1, 0, 0]])
_POWERS_OF_Y = torch.tensor([[0, 1, 0], [1, 2, 1], [0, 1, 0]])


@dataclass(frozen=True)
class MatrixGradient:
    """The derivatives of a function by the nine entries of the matrix, at every pixel.

    Attributes:
        a, b, c: (H, W), see above. c is None where the last row of the matrix does not change, and counts as zero.
        first: row and column of the fixed frame where these H x W pixels begin.
    """

    a: Tensor
    b: Tensor
    c: Tensor | None
    first: int = 0

    @classmethod
    def of(
        cls,
        matrix: Tensor,
        gx: Tensor,
        gy: Tensor,
        projective: bool,
        first: int = 0,
        at: tuple[Tensor, Tensor] | None = None,
    ) -> MatrixGradient:
        """Return the derivatives of a function whose gradient in moving coordinates is (gx, gy), (H, W) each.

        Args:
            matrix: (3, 3) float64 on the CPU, fixed -> moving.
            gx, gy: at every pixel of a part of the fixed frame.
            projective: whether the last row of the matrix may change.
            first: row and column of the fixed frame where that part begins.
            at: the moving coordinates x, y of these pixels, where they are at hand.
        """
        if not projective and not bool(matrix[2, :2].any()):
            return cls(gx / float(matrix[2, 2]), gy / float(matrix[2, 2]), None, first)
        from_part = matrix @ matrix.new_tensor([[1, 0, first], [0, 1, first], [0, 0, 1]])
        from_part, shape = from_part.to(gx), (int(gx.shape[0]), int(gx.shape[1]))
        depth = applied(from_part[2], shape)
        a, b = gx / depth, gy / depth
        if not projective:
            return cls(a, b, None, first)
        x, y = coordinates(from_part, shape) if at is None else at
        return cls(a, b, -(a * x + b * y), first)

    def along(self, change: np.ndarray) -> Tensor:
        """Return the derivative along a ``change`` (3, 3) of the matrix at every pixel, (H, W)."""
        shape = int(self.a.shape[0]), int(self.a.shape[1])
        part_change = torch.from_numpy(change @ np.array([[1, 0, self.first], [0, 1, self.first], [0, 0, 1]]))
        part_change = part_change.to(self.a)
        affine = self.a * applied(part_change[0], shape) + self.b * applied(part_change[1], shape)
        return affine if self.c is None else affine + self.c * applied(part_change[2], shape)

    def products(self, weight: Tensor) -> Tensor:
        """Return the sum over all pixels of weight (H, W) times the derivatives' outer product, (9, 9) float64."""
        rows = [self.a, self.b] if self.c is None else [self.a, self.b, self.c]
        x, y = (self.first + torch.arange(n, dtype=weight.dtype, device=weight.device) for n in reversed(weight.shape))
        powers = torch.stack((torch.ones_like(x), x, x * x), dim=1)
        pairs = [(i, j) for i in range(len(rows)) for j in range(i + 1)]
        weighted = [row * weight for row in rows]
        by_row = torch.stack([(weighted[i] * rows[j]) @ powers for i, j in pairs]).double()
        y = y.double()
        # For each pair of rows the moments with y^k x^l, in the order of the outer product of (x, y, 1) with itself.
        moments = (torch.stack((torch.ones_like(y), y, y * y)) @ by_row).cpu()[:, _POWERS_OF_Y, _POWERS_OF_X]
        out = torch.zeros((3, 3, 3, 3), dtype=torch.float64)
        for (i, j), moment in zip(pairs, moments, strict=True):
            out[i, :, j, :] = out[j, :, i, :] = moment
        return out.view(9, 9)

    def scores(self, weight: Tensor, block: int) -> Tensor:
        """Return the sums of weight (H, W) times the derivatives over n blocks of pixels, (9, n) float64.

        ``block``: side of a block, pixels. Blocks follow each other row by row; the last ones may be cut off.
        """
        height, width = weight.shape
        rows = [self.a, self.b] if self.c is None else [self.a, self.b, self.c]
        down, across = -(-height // block), -(-width // block)
        steps = torch.arange(block, dtype=weight.dtype, device=weight.device)
        basis = torch.stack((torch.ones_like(steps), steps))
        out = torch.zeros((3, 3, down, across), dtype=torch.float64)
        left, top = (self.first + block * torch.arange(n, dtype=torch.float64) for n in (across, down))
        for k, row in enumerate(rows):
            blocks = F.pad(row * weight, (0, across * block - width, 0, down * block - height))
            by_column = blocks.view(-1, block) @ basis.T
            by_block = basis @ by_column.view(down, block, across * 2)
            sums = by_block.view(down, 2, across, 2).cpu().double()
            plain = sums[:, 0, :, 0]
            out[k, 0] = sums[:, 0, :, 1] + left * plain
            out[k, 1] = sums[:, 1, :, 0] + top[:, None] * plain
            out[k, 2] = plain
        return out.view(9, -1)
