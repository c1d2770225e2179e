"""How far a field may be off, at points of a grid: its posterior, and what the model of the images leaves out.

    error^2 = 0.8 q posterior variance + 0.03 |change|^2 + spread^2 + line shift^2

q      how much more than elsewhere the images differ around a point, at least one: misfit is not alike everywhere
change what the finest level still changed of the field: what finer levels would change is a part of that
spread of the displacements around a point where both images show texture and do not agree: a depth edge, a crack, or
       something that only one image shows, across which a smooth field only goes from one side to the other; also where
       there is no texture beside such a point
line shift   of rows or columns one by one, which no smooth field follows
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from zncc_cli.operators.field_metric import FieldMetric, FieldWindows
from zncc_cli.operators.spline_system import basis
from zncc_cli.registration.nonrigid.error_map import ErrorMap
from zncc_cli.registration.nonrigid.fit import FieldFit
from zncc_cli.registration.nonrigid.line_shifts import line_shift
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
_CROSSED_LENGTHS = 2  # of the smoothness, over which a field goes from one side of a tear to the other


@dataclass(frozen=True, eq=False)
class Samples:
    """What the images show at the points of an error map, (h, w) each, once they are aligned.

    Attributes:
        rows, columns: of the points, fixed pixels.
        shown: whether both images are valid.
        textured: whether both show more than noise.
        misfit: see `local_misfit`.
        torn: see `unmatched`.
        line_shift: see `line_shifts`, pixels.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    shown: NDArray[np.bool_]
    textured: NDArray[np.bool_]
    misfit: NDArray[np.float32]
    torn: NDArray[np.bool_]
    line_shift: float


def sampled(metric: FieldMetric, windows: FieldWindows) -> Samples:
    """Return what the images show at the points of an error map, by a metric with maps."""
    assert metric.maps is not None
    shape = int(metric.determinant.shape[0]), int(metric.determinant.shape[1])
    step = _step(shape)
    rows, columns = (np.arange(step // 2, n, step) for n in shape)
    every = slice(step // 2, None, step)
    signal, valid = metric.maps[2][every, every], metric.maps[4][every, every]
    return Samples(
        rows,
        columns,
        np.asarray((valid > 0).cpu()),
        np.asarray((signal > _MIN_SIGNAL).cpu()),
        np.asarray(local_misfit(metric, windows.wide, step).cpu()),
        np.asarray(unmatched(metric, windows.side, step, _MIN_SIGNAL).cpu()),
        line_shift(metric),
    )


def expected_error(fit: FieldFit, coarse: FieldFit | None, at: Samples) -> ErrorMap | None:
    """Return the expected error of a field; None where rounding leaves none.

    Args:
        fit: on the finest level.
        coarse: on the next one, from which it went on; None without any.
        at: what the images show where the fit puts them.
    """
    found = posterior(fit)
    if found is None:
        return None
    rows, columns = at.rows, at.columns
    variance = _OF_POSTERIOR * found.deviation(rows, columns) ** 2 * at.misfit.clip(min=1)
    if coarse is not None:
        variance += _OF_CHANGE * np.square(_at(fit, fit.coefficients - _refined(coarse, fit), rows, columns)).sum(
            axis=0
        )
    doubted = crossed(at, fit.smoothness[0].length)
    variance += np.where(doubted, _spread(_at(fit, fit.coefficients, rows, columns)), 0) + at.line_shift**2
    textured = at.shown & at.textured
    enough = textured.sum() >= _MIN_TEXTURED_SHARE * at.shown.sum()
    textured = textured if enough else at.shown
    return ErrorMap(rows, columns, np.sqrt(variance), at.shown, textured, at.torn & at.shown)


def crossed(at: Samples, length: float) -> NDArray[np.bool_]:
    """Tell which points (h, w) a smooth field only crosses: torn ones, and those beside them without texture.

    Nothing there tells to which side they belong. ``length``: of the smoothness, fixed pixels.
    """
    reach = math.ceil(_CROSSED_LENGTHS * length / (int(at.rows[1] - at.rows[0]) if len(at.rows) > 1 else _STEP_PX))
    torn = torch.from_numpy(at.torn)[None, None].float()
    near = F.max_pool2d(torn, 2 * reach + 1, stride=1, padding=reach)[0, 0].numpy() > 0
    return np.asarray(at.torn | (near & ~at.textured))


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
