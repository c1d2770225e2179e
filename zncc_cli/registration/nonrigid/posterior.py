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

# Nodes across a strip that is inverted by itself, and more on either side that only stand for its neighbourhood:
# the work grows with the third power of their sum, and is least for about these.
_STRIP_NODES, _MARGIN_NODES = 10, 4


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
    # Strips along the longer axis: none is wider than it is long.
    axis = int(grid.nodes[0] > grid.nodes[1])
    for part, own in _strips(grid.nodes[axis]):
        tightness = level.tightness
        if tightness is not None:
            tightness = tightness.cpu().narrow(axis, part.start, part.stop - part.start - 3)
        of_part = information.narrow(2 + axis, part.start, part.stop - part.start)
        found = _covariance(of_part, tightness, grid.spacing, fit)
        if found is None:
            return None
        inner = found.narrow(2 + axis, own.start - part.start, own.stop - own.start)
        covariance.narrow(2 + axis, own.start, own.stop - own.start).copy_(inner)
    return Posterior(grid, covariance)


def _covariance(information: Tensor, tightness: Tensor | None, spacing: float, fit: FieldFit) -> Tensor | None:
    """Return the inverse of a part, as a stencil (25, 3, rows, columns)."""
    nodes = int(information.shape[2]), int(information.shape[3])
    band = node_band(nodes)
    smoothness = fit.smoothness[0].at_level(fit.level.factor)
    form = form_stencil(nodes, spacing, smoothness.length, tightness)
    factor = banded.cholesky(band.of_stencil(information, form, smoothness.precision), overwrite=True)
    return None if factor is None else band.to_stencil(banded.inverse(factor))


def _strips(count: int) -> list[tuple[slice, slice]]:
    """Return the strips of an axis of nodes with their margins, and without."""
    parts = max(1, round(count / _STRIP_NODES))
    ends = [round(k * count / parts) for k in range(parts + 1)]
    owns = [slice(first, last) for first, last in pairwise(ends)]
    return [(slice(max(0, own.start - _MARGIN_NODES), min(count, own.stop + _MARGIN_NODES)), own) for own in owns]
