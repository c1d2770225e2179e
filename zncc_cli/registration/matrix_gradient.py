"""How a function of the moving coordinates changes with the entries of the matrix, pixel by pixel and summed.

With (x', y') a pixel of the fixed frame, (x, y) where the matrix M takes it, d = M[2] . (x', y', 1) and g the gradient
of the function at (x, y), its derivatives by the entries of M, row by row, are

    a x', a y', a, b x', b y', b, c x', c y', c        a = g_x / d,  b = g_y / d,  c = -(a x + b y)

so that sums over pixels of these, or of their products, are moments of a few planes: nine planes are never made.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.registration.warp import applied, coordinates


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
    def of(cls, matrix: Tensor, gx: Tensor, gy: Tensor, projective: bool, first: int = 0) -> MatrixGradient:
        """Return it for a gradient (gx, gy), (H, W), in moving coordinates.

        Args:
            matrix: (3, 3) float64 on the CPU, fixed -> moving.
            projective: whether the last row of the matrix may change.
        """
        if not projective and not bool(matrix[2, :2].any()):
            return cls(gx / float(matrix[2, 2]), gy / float(matrix[2, 2]), None, first)
        here = matrix @ matrix.new_tensor([[1, 0, first], [0, 1, first], [0, 0, 1]])
        here, shape = here.to(gx), (int(gx.shape[0]), int(gx.shape[1]))
        depth = applied(here[2], shape)
        a, b = gx / depth, gy / depth
        if not projective:
            return cls(a, b, None, first)
        x, y = coordinates(here, shape)
        return cls(a, b, -(a * x + b * y), first)

    def products(self, weight: Tensor) -> Tensor:
        """Return the sum over all pixels of weight (H, W) times its outer product with itself, (9, 9) float64."""
        rows = [self.a, self.b] if self.c is None else [self.a, self.b, self.c]
        out = torch.zeros((3, 3, 3, 3), dtype=torch.float64)
        for i, left in enumerate(rows):
            weighted = left * weight
            for j, right in enumerate(rows[: i + 1]):
                out[i, :, j, :] = self._moments(weighted * right)
                out[j, :, i, :] = out[i, :, j, :]
        return out.view(9, 9)

    def scores(self, weight: Tensor, block: int) -> Tensor:
        """Return the sums of weight (H, W) times it over blocks of ``block`` x ``block`` pixels, (9, n) float64."""
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

    def _moments(self, plane: Tensor) -> Tensor:
        """Return the sums (3, 3) of a plane (H, W) times the products of (x', y', 1) with itself."""
        x, y = (self.first + torch.arange(n, dtype=plane.dtype, device=plane.device) for n in reversed(plane.shape))
        by_row = (plane @ torch.stack((x * x, x, torch.ones_like(x)), dim=1)).double()
        y = y.double()
        xx, x1, one = by_row.sum(dim=0).tolist()
        _, xy, y1 = (y @ by_row).tolist()
        yy = float((y * y) @ by_row[:, 2])
        return torch.tensor([[xx, xy, x1], [xy, yy, y1], [x1, y1, one]], dtype=torch.float64)
