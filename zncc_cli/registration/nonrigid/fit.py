"""The fit of a spline field to a pair, level by level from the coarsest.

for each level    large motions by a discrete search, on the two levels of about 128 pixels
    three times   normal equations at the field so far, by the scores of local ZNCC
                  how smooth the field is, by the evidence (not on the finest level)
                  a step of Gauss and Newton that the smoothness holds
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zncc_cli.operators.spline_system import multiplied, solve
from zncc_cli.progress import advance, say, size_words
from zncc_cli.registration.nonrigid.discrete_search import discrete_residual
from zncc_cli.registration.nonrigid.evidence import most_likely
from zncc_cli.registration.nonrigid.field_level import FINEST_SIGMA_PX, SIGMA_PX, Equations, FieldLevel
from zncc_cli.registration.nonrigid.prior import Smoothness, prior_stencil
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.transforms.spline_field import SplineField
from zncc_cli.registration.transforms.spline_fit import fit_spline

FIRST_SMOOTHNESS = Smoothness(deviation=1.0, length=16.0)  # full-resolution pixels, until the images tell
_ITERATIONS = 3  # on the finest level
_EVIDENCE_ITERATIONS = (0, 2)
_STEPS, _TOLERANCE = 200, 1e-3  # of conjugate gradients
# A step is the last one that raises the logarithm of the probability by less, a node, and moves no coefficient by more,
# level pixels: under strong noise many small gains lead far.
_SETTLED_GAIN, _SETTLED_PX = 0.005, 0.25
# The discrete search: the shorter side of its first level, its reach there and on the next finer one, level pixels, and
# how often it is repeated.
_SEARCH_SIDE_PX, _REACHES_PX, _SEARCHES = 128, (6, 4), 4
# Where less than this share of the windows with texture (share of their variance that is no noise) has so much less
# ZNCC than the usual one, and that is no less than this, nothing is left to search.
_TEXTURED, _STRAY_SHARE, _MUCH_LESS, _LEAST_USUAL = 0.5, 0.01, 0.6, 0.5
_LEAST_MOVED_PX = 0.05  # RMS; less is left to the steps
_LEAST_GAIN = 1.02  # of the agreement, against as many steps without the search
_SETTLING_STEPS, _SETTLING_TOLERANCE, _MOST_SETTLED_PX = 2, 1e-2, 2.0

_FINEST_LEVEL_SHARE = 0.6  # of the time of a field, when its finest level is done


@dataclass(frozen=True, eq=False)
class FieldFit:
    """A spline field on one level.

    Attributes:
        level: what it was fitted to.
        index: of the level.
        coefficients: (2, rows, columns) float64, level pixels.
        smoothness: full-resolution pixels, of every level that was fitted, by its index.
        equations: those of the last step.
        searched: the levels on which the discrete search found something.
    """

    level: FieldLevel
    index: int
    coefficients: Tensor
    smoothness: dict[int, Smoothness]
    equations: Equations
    searched: frozenset[int] = frozenset()


@dataclass(frozen=True)
class FitSettings:
    """How a field is fitted.

    Attributes:
        window: side of the windows, level pixels.
        spacing: of the nodes, level pixels.
        smoothness: of each level, where it is known; else the evidence tells.
        searched: the levels of a discrete search, where they are known.
        coarse_iterations: on all levels but the finest, where they cost little.
        factor: by which the smoothness is multiplied.
        start: fixed -> moving, full-resolution pixels: where the coarsest level begins; None for the matrix.
        finest_sigma: of the Gaussian by which the images of the finest level are smoothed, pixels.
    """

    window: int
    spacing: float
    smoothness: dict[int, Smoothness] | None = None
    searched: frozenset[int] | None = None
    coarse_iterations: int = 5
    factor: float = 1.0
    start: SplineField | None = None
    finest_sigma: float = FINEST_SIGMA_PX


def fit_field(
    fixed: Sequence[Level],
    moving: Sequence[Level],
    matrix: np.ndarray,
    settings: FitSettings,
    *,
    last: int = 0,
    after: FieldFit | None = None,
    chosen: Sequence[Tensor] | None = None,
) -> FieldFit:
    """Fit a spline field to a pair.

    Args:
        fixed, moving: the pyramids, the finest level first.
        matrix: (3, 3), fixed -> moving, full-resolution pixels, upon which the field is.
        settings: how.
        last: index of the finest level that is fitted.
        after: the fit of coarser levels from which it goes on; None to begin on the coarsest.
        chosen: (H, W) float32 of each level, how much the window around each pixel counts; None for one.
    """
    search = search_level(fixed)
    fit, first = after, len(fixed) - 1
    if after is not None:
        first = after.index - 1
    smoothness = {} if after is None else after.smoothness
    searched = frozenset[int]() if after is None else after.searched
    for index in range(first, last - 1, -1):
        say(f"bending, level {len(fixed) - index} of {len(fixed)}, {size_words(fixed[index].factor)}")
        weight = None if chosen is None else chosen[index]
        sigma = settings.finest_sigma if index == 0 else SIGMA_PX
        level = FieldLevel(fixed[index], moving[index], matrix, settings.window, settings.spacing, sigma, weight)
        c = _started(level, settings.start) if fit is None else level.grid.refined(2 * fit.coefficients)
        before = smoothness.get(index + 1, replace(FIRST_SMOOTHNESS, factor=settings.factor))
        known = None if settings.smoothness is None else settings.smoothness[index]
        current = known or before
        if index in (search, search - 1) and (settings.searched is None or index in settings.searched):
            c, found = _searched(level, c, _REACHES_PX[search - index])
            searched |= {index} if found else set()
            if found and known is None:
                current = replace(FIRST_SMOOTHNESS, factor=settings.factor)
        iterations = _ITERATIONS if index == 0 else settings.coarse_iterations
        c, current, equations = descended(level, c, current, tell=index > 0 and known is None, iterations=iterations)
        smoothness = {**smoothness, index: current}
        fit = FieldFit(level, index, c, smoothness, equations, searched)
        advance(_FINEST_LEVEL_SHARE / 4**index)  # four times the pixels on each finer level
    assert fit is not None
    return fit


def _started(level: FieldLevel, start: SplineField | None) -> Tensor:
    """Return the coefficients by which a level begins, level pixels."""
    if start is None:
        return level.grid.zeros(level.device)

    def mapping(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return start.map_points(points * level.factor) / level.factor

    field = fit_spline(mapping, level.matrix, level.grid.shape, level.grid.spacing)
    return torch.from_numpy(field.coefficients).to(level.device)


def search_level(levels: Sequence[Level]) -> int:
    """Return the index of the coarsest level of the discrete search."""
    return max(0, min(len(levels) - 1, round(math.log2(min(levels[0].shape) / _SEARCH_SIDE_PX))))


def descended(
    level: FieldLevel,
    c: Tensor,
    smoothness: Smoothness,
    *,
    tell: bool,
    iterations: int,
    fine: bool = False,
) -> tuple[Tensor, Smoothness, Equations]:
    """Return the field after some steps of Gauss and Newton, its smoothness, and the equations of the last step.

    Args:
        level: of the pair.
        c: (2, rows, columns), where it begins, level pixels.
        smoothness: where it begins.
        tell: whether the evidence tells the smoothness.
        iterations: the most steps.
        fine: see `most_likely`.
    """
    for iteration in range(iterations):
        equations = level.equations(c)
        if tell and iteration in _EVIDENCE_ITERATIONS:
            smoothness = most_likely(equations, c, level.grid, level.factor, smoothness, near=iteration > 0, fine=fine)
        step, gain = gauss_newton_step(equations, c, level, smoothness)
        c = c + step
        told = not tell or iteration >= _EVIDENCE_ITERATIONS[-1]
        little = gain < _SETTLED_GAIN * math.prod(level.grid.nodes) and float(step.abs().max()) < _SETTLED_PX
        if told and little:
            break
    return c, smoothness, equations


def log_probability(fit: FieldFit, heat: float, smoothness: Smoothness) -> float:
    """Return the logarithm of how probable a field is, by the images and the prior, up to a constant.

    ``heat`` is the temperature, and ``smoothness`` that of the prior, by which several fields are compared.
    """
    prior = _prior(fit.level, smoothness)
    prior = torch.stack((prior, torch.zeros_like(prior), prior), dim=1)
    energy = float((fit.coefficients * multiplied(prior, fit.coefficients)).sum())
    return fit.level.at(fit.coefficients).zncc / heat - energy / 2


def gauss_newton_step(
    equations: Equations,
    c: Tensor,
    level: FieldLevel,
    smoothness: Smoothness,
    most: int = _STEPS,
    tolerance: float = _TOLERANCE,
) -> tuple[Tensor, float]:
    """Return d with (H + P) d = scores - P c, (2, rows, columns), level pixels, and its gain in log probability."""
    prior = _prior(level, smoothness)
    both = equations.stencil.clone()
    both[:, 0] += prior
    both[:, 2] += prior
    # scores - P c, without P as a stencil of both components.
    b = equations.scores + multiplied(equations.stencil, c) - multiplied(both, c)
    step = solve(both, b, most=most, tolerance=tolerance)
    return step, float((step * b).sum()) / 2


def _prior(level: FieldLevel, smoothness: Smoothness) -> Tensor:
    """Return the prior of each of both components as a stencil (25, rows, columns)."""
    tightness = None if level.tightness is None else level.tightness.cpu()
    prior = prior_stencil(level.grid.nodes, level.grid.spacing, smoothness.at_level(level.factor), tightness)
    return prior.to(level.device)


def _searched(level: FieldLevel, c: Tensor, reach: int) -> tuple[Tensor, bool]:
    """Return the coefficients after the discrete search, and whether it found anything.

    Nothing is searched where all windows agree, nor is anything taken that does not agree better than as many steps
    without it.
    """
    if _agrees(level, c):
        return c, False
    best, agreement = _settled(level, c)
    taken = False
    for _ in range(_SEARCHES):
        residual = discrete_residual(level, best, reach)
        if float(residual.square().sum(dim=0).mean().sqrt()) < _LEAST_MOVED_PX:
            break
        moved, then = _settled(level, level.grid.fit(level.grid.field(best) + residual))
        if not then > _LEAST_GAIN * agreement:
            break
        best, agreement, taken = moved, then, True
    level.trust_again()
    return (best if taken else c), taken


def _agrees(level: FieldLevel, c: Tensor) -> bool:
    """Tell whether hardly a window that shows texture agrees much less than half of them do."""
    maps = level.at(c, with_maps=True).maps
    assert maps is not None
    z = maps[0][maps[2] > _TEXTURED]
    if not len(z):
        return False
    usual = float(z.median())
    return usual > _LEAST_USUAL and float((z < _MUCH_LESS * usual).float().mean()) < _STRAY_SHARE


def _settled(level: FieldLevel, c: Tensor) -> tuple[Tensor, float]:
    """Return the coefficients after a few careful steps, and how well the images agree then."""
    loose = replace(FIRST_SMOOTHNESS, deviation=2 * FIRST_SMOOTHNESS.deviation)
    for _ in range(_SETTLING_STEPS):
        step, _ = gauss_newton_step(level.equations(c), c, level, loose, most=100, tolerance=_SETTLING_TOLERANCE)
        c = c + step.clamp(-_MOST_SETTLED_PX, _MOST_SETTLED_PX)
    return c, level.at(c).zncc
