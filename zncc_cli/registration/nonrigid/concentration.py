"""Where a motion is concentrated: shear bands, the tips of cracks, necks.

One smoothness holds for the whole field, and smears what bends much more than that in a few places. Where the energy of
the bend stands out, the belief in smoothness gives way as Student's t does, of which the normal distribution is a
mixture over many scales (West 1984, doi:10.1111/j.2517-6161.1984.tb01317.x):

    tightness = (nu + 2) / (nu + energy),   at most one
"""

from __future__ import annotations

import math

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.registration.nonrigid.field_level import FieldLevel
from zncc_cli.registration.nonrigid.fit import FieldFit, FitSettings, gauss_newton_step
from zncc_cli.registration.nonrigid.node_grid import MOST_NODES, NodeGrid
from zncc_cli.registration.nonrigid.prior import Smoothness, bending_energy
from zncc_cli.registration.pyramid import Level

_CLEAN_TEMPERATURE = 0.1  # with more left by noise and misfit nothing so small is seen
# Of the energy in a cell of the usual grid, of which the smoothness expects two at most.
_CONCENTRATED = 20.0
_FREEDOM, _LEAST_TIGHTNESS = 1.0, 0.01
_WINDOW_SHARE = 2 / 3  # of the usual window, which holds both sides of what is narrow
_ITERATIONS = 5
_LEAST_GAIN = 1.001  # of the agreement, on the same windows


def with_concentrations(
    fit: FieldFit, fixed: Level, moving: Level, matrix: np.ndarray, settings: FitSettings
) -> FieldFit:
    """Return the fit on nodes half as far apart, less smooth where the motion is concentrated; itself where nowhere.

    It is taken only where smaller windows agree more then.

    Args:
        fit: on the finest level.
        fixed, moving: that level.
        matrix: (3, 3), upon which the field is.
        settings: of the fit.
    """
    smoothness, spacing = fit.smoothness[fit.index], fit.level.grid.spacing / 2
    if fit.equations.temperature > _CLEAN_TEMPERATURE or math.prod(NodeGrid(fixed.shape, spacing).nodes) > MOST_NODES:
        return fit
    at_level = smoothness.at_level(fit.level.factor)
    if not float(_energy(fit.coefficients, fit.level.grid.spacing, at_level).max()) > _CONCENTRATED:
        return fit
    window = math.ceil(_WINDOW_SHARE * settings.window)
    level = FieldLevel(fixed, moving, matrix, window, spacing, settings.finest_sigma)
    c = start = level.grid.refined(fit.coefficients)
    first = most = 0.0
    tightness = best = None
    for k in range(_ITERATIONS):
        energy = 4 * _energy(c, spacing, at_level)  # of a cell of the wider grid
        level.tightness = ((_FREEDOM + 2) / (_FREEDOM + energy)).clamp(_LEAST_TIGHTNESS, 1)
        equations = level.equations(c)
        if k == 0:
            first = equations.zncc
        elif not equations.zncc > most:
            break
        else:
            best, tightness = c, level.tightness
        most = equations.zncc
        c = c + gauss_newton_step(equations, c, level, smoothness)[0]
    if best is None or best is start or not most > _LEAST_GAIN * first:
        return fit
    usual = FieldLevel(fixed, moving, matrix, settings.window, spacing, settings.finest_sigma)
    usual.tightness = tightness
    return FieldFit(usual, fit.index, best, fit.smoothness, usual.equations(best), fit.searched)


def _energy(c: Tensor, spacing: float, smoothness: Smoothness) -> Tensor:
    """Return the energy of the bend in each cell (rows - 3, columns - 3), the mean with its neighbours."""
    energy = smoothness.precision * smoothness.length**6 * bending_energy(c, spacing)
    return F.avg_pool2d(energy[None, None], 3, stride=1, padding=1, count_include_pad=False)[0, 0]
