"""What is known of a field after the images were seen: how far it may be off, anywhere.

The covariance of the coefficients is the inverse of H + P, of which the part between nodes whose splines overlap is
needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zncc_cli.operators import banded
from zncc_cli.operators.node_band import node_band
from zncc_cli.operators.spline_system import STENCIL, basis
from zncc_cli.registration.nonrigid.fit import FieldFit
from zncc_cli.registration.nonrigid.node_grid import NodeGrid
from zncc_cli.registration.nonrigid.prior import form_stencil

# Nodes along the side of a part that is inverted by itself, of which the outer ones only stand for their neighbourhood.
_PART_NODES, _MARGIN_NODES = 40, 6


@dataclass(frozen=True, eq=False)
class Posterior:
    """The deviation of a field from the truth, as the images and the smoothness leave it.

    Attributes:
        grid: nodes on the frame, full-resolution pixels.
        covariance: (25, 3, rows, columns) float64, of two nodes' coefficients by xx, xy, yy, as `STENCIL` has them.
    """

    grid: NodeGrid
    covariance: Tensor

    def deviation(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the root of the summed variances of both components at pixels of some rows and columns, (h, w)."""
        trace = self.covariance[:, 0] + self.covariance[:, 2]
        (height, width), (down_nodes, across_nodes) = self.grid.shape, self.grid.nodes
        down = basis(height, down_nodes, self.grid.spacing, like=trace)[torch.from_numpy(rows)]
        across = basis(width, across_nodes, self.grid.spacing, like=trace)[torch.from_numpy(columns)]
        variance = torch.zeros(len(rows), len(columns), dtype=torch.float64)
        for k, (j, i) in enumerate(STENCIL):
            left, right = max(0, -i), across_nodes - max(0, i)
            by_row = down[:, : down_nodes - j] * down[:, j:]
            by_column = across[:, left:right] * across[:, left + i : right + i]
            variance += (1 if k == 0 else 2) * (by_row @ trace[k, : down_nodes - j, left:right] @ by_column.T)
        return np.asarray(variance.clamp_min(0).sqrt())


def posterior(fit: FieldFit) -> Posterior | None:
    """Return the posterior of a fit on the finest level; None where rounding leaves none."""
    level, equations = fit.level, fit.equations
    grid, information = level.grid, equations.stencil.cpu()
    covariance = torch.zeros_like(information)
    for rows, own_rows in _parts(grid.nodes[0]):
        for columns, own_columns in _parts(grid.nodes[1]):
            part = information[:, :, rows, columns]
            found = _covariance(part, grid.spacing, fit)
            if found is None:
                return None
            inner = _relative(own_rows, rows), _relative(own_columns, columns)
            covariance[:, :, own_rows, own_columns] = found[:, :, inner[0], inner[1]]
    return Posterior(grid, covariance)


def _covariance(information: Tensor, spacing: float, fit: FieldFit) -> Tensor | None:
    """Return the inverse of a part, as a stencil (25, 3, rows, columns)."""
    nodes = int(information.shape[2]), int(information.shape[3])
    band = node_band(nodes)
    smoothness = fit.smoothness[0].at_level(fit.level.factor)
    form = form_stencil(nodes, spacing, smoothness.length)
    factor = banded.cholesky(band.of_stencil(information, form, smoothness.precision), overwrite=True)
    return None if factor is None else band.to_stencil(banded.inverse(factor))


def _parts(count: int) -> list[tuple[slice, slice]]:
    """Return the parts of an axis of nodes with their margins, and without."""
    if count <= _PART_NODES:
        return [(slice(0, count), slice(0, count))]
    parts = -(-count // (_PART_NODES - 2 * _MARGIN_NODES))
    ends = [round(k * count / parts) for k in range(parts + 1)]
    owns = [slice(first, last) for first, last in pairwise(ends)]
    return [(slice(max(0, own.start - _MARGIN_NODES), min(count, own.stop + _MARGIN_NODES)), own) for own in owns]


def _relative(own: slice, part: slice) -> slice:
    return slice(own.start - part.start, own.stop - part.start)
