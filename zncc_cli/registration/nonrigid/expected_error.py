"""How far a field may be off, at points of a grid: its posterior, and what the model of the images leaves out.

    error^2 = 0.8 q posterior variance + 0.03 |change|^2 + spread^2

q      how much more than elsewhere the images differ around a point, at least one: misfit is not alike everywhere
change what the finest level still changed of the field: what finer levels would change is a part of that
spread of the displacements around a point where both images show texture and do not agree: a depth edge, a crack, or
       something that only one image shows, across which a smooth field only goes from one side to the other
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from zncc_cli.operators.field_metric import FieldMetric
from zncc_cli.operators.spline_system import basis
from zncc_cli.registration.nonrigid.error_map import ErrorMap
from zncc_cli.registration.nonrigid.fit import FieldFit
from zncc_cli.registration.nonrigid.local_misfit import local_misfit, unmatched
from zncc_cli.registration.nonrigid.node_grid import NodeGrid
from zncc_cli.registration.nonrigid.posterior import posterior

# Of 31 pairs with known truth 76 and 90 percent of the pixels lay within the regions of 68 and 95 percent; of 31
# others, which had no part in the choice, 75 and 89, and by the posterior alone 72 and 87.
_OF_POSTERIOR, _OF_CHANGE = 0.8, 0.03
_STEP_PX = 8  # of the grid, fixed pixels; more on large frames
_SIDE = 256  # points along a side of it, at most
_MIN_SIGNAL, _MIN_TEXTURED_SHARE = 0.5, 0.1  # of the variance of a window, and of the overlap
_SPREAD_SIDE = 5  # points


def expected_error(fit: FieldFit, coarse: FieldFit | None, metric: FieldMetric) -> ErrorMap | None:
    """Return the expected error of a field; None where rounding leaves none.

    Args:
        fit: on the finest level.
        coarse: on the next one, from which it went on; None without any.
        metric: of the fit, with maps.
    """
    found = posterior(fit)
    if found is None:
        return None
    assert metric.maps is not None
    windows = fit.level.windows
    step = _step(fit.level.grid.shape)
    rows, columns = (np.arange(step // 2, n, step) for n in fit.level.grid.shape)
    at = np.ix_(rows, columns)
    signal = metric.maps[2]
    shown, level = (np.asarray(each.cpu())[at] for each in (metric.maps[4] > 0, signal > _MIN_SIGNAL))
    much = np.asarray(local_misfit(metric, windows.wide, step).cpu())
    torn = np.asarray(unmatched(metric, windows.side, step, _MIN_SIGNAL).cpu())
    variance = _OF_POSTERIOR * found.deviation(rows, columns) ** 2 * much.clip(min=1)
    if coarse is not None:
        variance += _OF_CHANGE * np.square(_at(fit, fit.coefficients - _refined(coarse, fit), rows, columns)).sum(
            axis=0
        )
    variance += np.where(torn, _spread(_at(fit, fit.coefficients, rows, columns)), 0)
    textured = shown & level
    enough = textured.sum() >= _MIN_TEXTURED_SHARE * shown.sum()
    return ErrorMap(rows, columns, np.sqrt(variance), shown, textured if enough else shown, torn & shown)


def _refined(coarse: FieldFit, fit: FieldFit) -> Tensor:
    """Return the coefficients of the field of a coarser level on the nodes of a finer one, pixels of the finer one."""
    factor = coarse.level.factor / fit.level.factor
    c, spacing = factor * coarse.coefficients, factor * coarse.level.grid.spacing
    while spacing > fit.level.grid.spacing:
        spacing /= 2
        c = NodeGrid(fit.level.grid.shape, spacing).refined(c)
    return c


def _at(fit: FieldFit, c: Tensor, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the displacements (2, h, w) of coefficients on the nodes of a fit at pixels of some rows and columns."""
    grid, c = fit.level.grid, c.cpu()
    down, across = (
        basis(n, nodes, grid.spacing, like=c)[torch.from_numpy(places)]
        for n, nodes, places in zip(grid.shape, grid.nodes, (rows, columns), strict=True)
    )
    return np.asarray(down @ c @ across.T)


def _spread(displacements: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the variance, both components together, of displacements (2, h, w) among the points around each."""
    planes = torch.from_numpy(np.concatenate((displacements, displacements**2)))
    means = F.avg_pool2d(planes, _SPREAD_SIDE, stride=1, padding=_SPREAD_SIDE // 2, count_include_pad=False).numpy()
    return np.asarray((means[2:] - means[:2] ** 2).sum(axis=0).clip(min=0))


def _step(shape: tuple[int, int]) -> int:
    """Return the step of evenly spaced points on a frame."""
    return min(max(_STEP_PX, -(-max(shape) // _SIDE)), min(shape))
