"""A stencil over a grid of nodes as a banded matrix.

Both components of a node follow each other, and the nodes along the shorter axis.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from zncc_cli.operators.spline_system import STENCIL, has_splines

_NATIVE = torch.ops.zncc


class NodeBand:
    """Where the entries of a stencil lie in a banded matrix (`zncc_cli.operators.banded`).

    Args:
        nodes: rows and columns of the grid.
    """

    def __init__(self, nodes: tuple[int, int]) -> None:
        rows, columns = nodes
        self.nodes, self.count = nodes, rows * columns
        numbers = torch.arange(self.count)
        # (rows, columns), the place of each node in the order.
        self.order = numbers.view(rows, columns) if columns <= rows else numbers.view(columns, rows).T
        self._entries = [self._entry(*offset) for offset in STENCIL]
        self.node_width = max(step for step, *_ in self._entries)

    def of_stencil(self, stencil: Tensor, form: Tensor, factor: float) -> Tensor:
        """Return a matrix (2 count, 2 node_width + 2).

        Args:
            stencil: (25, 3, rows, columns) float64, of both components.
            form: (25, rows, columns) float64, what is added for each component, times the factor.
            factor: see there.
        """
        if has_splines(form):
            out = torch.empty((2 * self.count, 2 * self.node_width + 2), dtype=torch.float64)
            _NATIVE.stencil_band(stencil.cpu().contiguous(), form, factor, out)
            return out
        whole = stencil.cpu().clone()
        whole[:, 0] += factor * form
        whole[:, 2] += factor * form
        band = torch.zeros((self.count, 2, 2 * self.node_width + 2), dtype=torch.float64)
        for (step, here, first), (xx, xy, yy) in zip(self._entries, whole, strict=True):
            band[first, 0, 2 * step], band[first, 1, 2 * step] = xx[here].flatten(), yy[here].flatten()
            band[first, 0, 2 * step + 1] = xy[here].flatten()
            if step:
                band[first, 1, 2 * step - 1] = xy[here].flatten()
        return band.view(2 * self.count, -1)

    def to_stencil(self, band: Tensor) -> Tensor:
        """Return the stencil (25, 3, rows, columns) of a matrix; the mean of xy and yx of two nodes."""
        by_node, out = band.view(self.count, 2, -1), torch.zeros((len(STENCIL), 3, *self.nodes), dtype=torch.float64)
        for plane, (step, here, first) in zip(out, self._entries, strict=True):
            shape = plane[0][here].shape
            xy = by_node[first, 0, 2 * step + 1]
            xy = (xy + by_node[first, 1, 2 * step - 1]) / 2 if step else xy
            for entry, values in enumerate((by_node[first, 0, 2 * step], xy, by_node[first, 1, 2 * step])):
                plane[entry][here] = values.view(shape)
        return out

    def of_one(self, stencil: Tensor) -> Tensor:
        """Return the matrix (count, node_width + 1) of a stencil (25, rows, columns) of one component."""
        out = torch.zeros((self.count, self.node_width + 1), dtype=torch.float64)
        for (step, here, first), plane in zip(self._entries, stencil, strict=True):
            out[first, step] = plane[here].flatten()
        return out

    def vector(self, coefficients: Tensor) -> Tensor:
        """Return coefficients (2, rows, columns) in the order of the matrix, (2 count,)."""
        out = torch.empty((self.count, 2), dtype=torch.float64)
        out[self.order.flatten()] = coefficients.cpu().reshape(2, -1).T
        return out.flatten()

    def _entry(self, down: int, across: int) -> tuple[int, tuple[slice, slice], Tensor]:
        """Return how far apart two nodes lie in the order, the first ones on the grid, and those that come first."""
        rows, columns = self.nodes
        here = slice(0, rows - down), slice(max(0, -across), columns - max(0, across))
        there = slice(down, rows), slice(max(0, across), columns - max(0, -across))
        first, second = self.order[here].flatten(), self.order[there].flatten()
        step = int(second[0] - first[0])
        return abs(step), here, first if step >= 0 else second


@lru_cache(maxsize=16)
def node_band(nodes: tuple[int, int]) -> NodeBand:
    """Return the band of a grid, which the parts of a large one share."""
    return NodeBand(nodes)
