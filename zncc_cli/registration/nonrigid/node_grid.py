"""The grid of nodes of a B-spline on one level of a pyramid; those of the levels are nested.

On every level the nodes lie as many level pixels apart, so that those of the next finer level halve the distances. A
spline of the coarser grid is one of the finer grid as well (the two-scale relation; Unser 1999, doi:10.1109/79.799930).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from zncc_cli.errors import OptionError
from zncc_cli.operators.spline_system import basis, solve, spline_adjoint, spline_curvature
from zncc_cli.registration.nonrigid.prior import Smoothness, prior_stencil
from zncc_cli.registration.transforms.spline_field import node_count

# Of a fit to a field: it holds nodes that see too little of it.
_FIT_SMOOTHNESS = Smoothness(deviation=30.0, length=2.0)
_FIT_SHARE = 0.05
_FIT_STEPS, _FIT_TOLERANCE = 200, 1e-4

# Nodes of a grid: each takes two kilobytes, most of them for the equations with its neighbours.
MOST_NODES = 5 * 2**18


def check_spacing(spacing: float, shape: tuple[int, int]) -> None:
    """Raise `OptionError` where the nodes of a ``spacing`` in pixels are too many for a frame (H, W)."""
    height, width = shape
    if node_count(height, spacing) * node_count(width, spacing) > MOST_NODES:
        least = math.ceil(10 * math.sqrt(height * width / MOST_NODES)) / 10
        while node_count(height, least) * node_count(width, least) > MOST_NODES:
            least = round(least + 0.1, 1)
        raise OptionError(
            f"`spacing`: expected at least {least:g} pixels for a fixed image of {width} x {height}, "
            f"as there may be {MOST_NODES} nodes, got {spacing:g}; choose a wider one, or bin or crop the images"
        )


@dataclass(frozen=True)
class NodeGrid:
    """The nodes of a B-spline on a frame.

    Attributes:
        shape: (H, W) of the frame, pixels.
        spacing: of the nodes, pixels.
    """

    shape: tuple[int, int]
    spacing: float

    @property
    def nodes(self) -> tuple[int, int]:
        """Rows and columns of nodes."""
        return node_count(self.shape[0], self.spacing), node_count(self.shape[1], self.spacing)

    def zeros(self, device: torch.device) -> Tensor:
        """Return the coefficients (2, rows, columns) float64 of no displacement."""
        return torch.zeros((2, *self.nodes), dtype=torch.float64, device=device)

    def refined(self, coefficients: Tensor) -> Tensor:
        """Return coefficients (2, rows, columns) of the grid of twice this spacing as those of this grid."""
        for axis, count in ((1, self.nodes[0]), (2, self.nodes[1])):
            coefficients = _halved(coefficients.movedim(axis, -1), count).movedim(-1, axis)
        return coefficients.contiguous()

    def field(self, coefficients: Tensor) -> Tensor:
        """Return the displacements (2, H, W) float64 at the pixels of the frame."""
        down, across = (
            basis(n, k, self.spacing, like=coefficients) for n, k in zip(self.shape, self.nodes, strict=True)
        )
        return down @ coefficients @ across.T

    def fit(self, field: Tensor) -> Tensor:
        """Return the coefficients (2, rows, columns) float64 of least squares to a field (2, H, W)."""
        ones = torch.zeros((3, *self.shape), dtype=torch.float32, device=field.device)
        ones[0] = ones[2] = 1
        stencil = spline_curvature(ones, self.nodes, self.spacing)
        little = Smoothness(_FIT_SMOOTHNESS.deviation, _FIT_SMOOTHNESS.length * self.spacing)
        prior = prior_stencil(self.nodes, self.spacing, little).to(field.device)
        stencil[:, 0] += _FIT_SHARE * prior
        stencil[:, 2] += _FIT_SHARE * prior
        b = spline_adjoint(field.float(), self.nodes, self.spacing)
        return solve(stencil, b, most=_FIT_STEPS, tolerance=_FIT_TOLERANCE)


def _halved(coarse: Tensor, count: int) -> Tensor:
    """Return the coefficients (..., count) of nodes half as far apart, from those of an axis (..., n).

    Node 0 lies one spacing before the frame. Beyond the ends the coefficients go on along straight lines.
    """
    n = coarse.shape[-1]
    ends = 2 * coarse[..., :1] - coarse[..., 1:2], 2 * coarse[..., -1:] - coarse[..., -2:-1]
    extended = torch.cat((ends[0], coarse, ends[1]), dim=-1)  # node k at k + 1
    # Fine node j lies on coarse node (j + 1) / 2, or half way to the next one.
    j = torch.arange(count, device=coarse.device)
    at = ((j + 1) // 2 + 1).clamp_max(n + 1)
    before, here, behind = (extended[..., (at + k).clamp(0, n + 1)] for k in (-1, 0, 1))
    on_node = (before + 6 * here + behind) / 8
    return torch.where(j % 2 == 1, on_node, (here + behind) / 2)
