"""What is tried upon a fit on the finest level: closer nodes on clean images, smoother images under noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from zncc_cli.registration.nonrigid.field_level import FieldLevel
from zncc_cli.registration.nonrigid.fit import FieldFit, FitSettings, descended, fit_field
from zncc_cli.registration.nonrigid.node_grid import MOST_NODES, NodeGrid
from zncc_cli.registration.nonrigid.posterior import posterior
from zncc_cli.registration.pyramid import Level

# Closer nodes are worth their time where the length of the smoothness is less than so many spacings, and noise and
# misfit leave so little.
_FINE_LENGTH, _CLEAN_TEMPERATURE, _FINE_ITERATIONS = 1.25, 0.1, 6
_FINE_HEAT = 0.4  # what is still to be fitted by them counts as misfit, though it is none
# Of the images, where noise and misfit leave much: strong noise hides the gradients. It is taken where the field is
# expected to be off by less than this share of what it was. Of 11 pairs with known truth the one that came below it was
# a quarter less wrong then, and those above it, from 0.9 on, were as wrong as before or more.
_SMOOTHER_SIGMA_PX, _LESS_ERROR = 1.0, 0.85
_NOISY_TEMPERATURE = 0.05
_ERROR_STEP_PX = 8  # of the points at which the error is expected


def with_closer_nodes(
    fit: FieldFit, fixed: Level, moving: Level, matrix: np.ndarray, settings: FitSettings
) -> FieldFit:
    """Return the fit on nodes half as far apart, where clean images tell that the field is as fine as these.

    A grid of too many nodes is left as it is.

    Args:
        fit: on the finest level.
        fixed, moving: that level.
        matrix: (3, 3), upon which the field is.
        settings: of the fit.
    """
    before = fit.smoothness[fit.index]
    if before.length > _FINE_LENGTH * settings.spacing or fit.equations.temperature > _CLEAN_TEMPERATURE:
        return fit
    if math.prod(NodeGrid(fixed.shape, settings.spacing / 2).nodes) > MOST_NODES:
        return fit
    level = FieldLevel(
        fixed, moving, matrix, settings.window, settings.spacing / 2, settings.finest_sigma, heat=_FINE_HEAT
    )
    c = level.grid.refined(fit.coefficients)
    c, current, equations = descended(level, c, before, tell=True, iterations=_FINE_ITERATIONS, fine=True)
    return FieldFit(level, fit.index, c, {**fit.smoothness, fit.index: current}, equations, fit.searched)


def with_smoother_images(
    fit: FieldFit,
    fixed: Sequence[Level],
    moving: Sequence[Level],
    matrix: np.ndarray,
    settings: FitSettings,
    after: FieldFit | None,
) -> FieldFit:
    """Return the fit to images that are smoothed more, where noise leaves less error to it.

    Args:
        fit: on the finest level.
        fixed, moving: the pyramids of the fit.
        matrix: (3, 3), upon which the field is.
        settings: of the fit.
        after: the fit of the coarser levels, from which it goes on again; None without any.
    """
    if fit.equations.temperature < _NOISY_TEMPERATURE:
        return fit
    maps = fit.level.at(fit.coefficients, with_maps=True).maps
    assert maps is not None
    rows, columns = (np.arange(0, n, _ERROR_STEP_PX) for n in fit.level.grid.shape)
    shown = np.asarray((maps[4] > 0).cpu())[np.ix_(rows, columns)]

    def expected(of: FieldFit) -> float:
        found = posterior(of)
        if found is None or not shown.any():
            return math.inf
        return float(np.sqrt(np.mean(found.deviation(rows, columns)[shown] ** 2)))

    level = FieldLevel(fixed[0], moving[0], matrix, settings.window, fit.level.grid.spacing, _SMOOTHER_SIGMA_PX)
    smoother = replace(fit, level=level, equations=level.equations(fit.coefficients))
    error = expected(fit)
    if not expected(smoother) < error:
        return fit
    # Not from the field so far: it has followed the noise.
    smoother = fit_field(fixed, moving, matrix, replace(settings, finest_sigma=_SMOOTHER_SIGMA_PX), after=after)
    return smoother if expected(smoother) < _LESS_ERROR * error else fit
