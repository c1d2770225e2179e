"""Which model explains a pair: the simplest one that no richer one beats on windows that it was not fitted to.

The overlap is divided into blocks like a chessboard. Every model is fitted to the windows inside the black blocks and
judged by its local ZNCC inside the white ones, and the other way round (two-fold cross-validation): no pixel is in a
window of both. A richer model fits the noise of its own blocks better, and gains nothing by that on others. The gains
of the blocks are as good as independent, so Student's t says whether their mean is more than chance.

Fits are cheap: one linearization near the truth gives score G and curvature H of each half in the entries of the
matrix, and the fit of a model is the member of its family that minimises the quadratic -G . d + d . H d / 2 of the
change d. Stone 1974, "Cross-validatory choice and assessment of statistical predictions",
doi:10.1111/j.2517-6161.1974.tb00994.x.

Legend: G, H as above, theta the nine entries of a matrix, row-major; n blocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zncc_cli.config import NESTED_MODELS, Model, RegistrationConfig
from zncc_cli.registration.optimizer import safe_inverse
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.refine.symmetric_metric import SymmetricMetric, local_metric
from zncc_cli.registration.transforms import TRANSFORMS, TransformFamily
from zncc_cli.registration.warp import area_scale, level_scale, map_points
from zncc_cli.text import told_apart

_BLOCKS = 8  # along each side of the overlap, where its windows leave room for as many
_LEAST_SIDE = 1.5  # windows along the side of a block: fewer, and hardly any window lies inside one
# Standard normal quantile of one in a hundred. A parameter too many costs a little noise and one too few a little bias,
# so no more certainty is asked for; without a reason for a richer model the mean gain is negative, not zero.
_QUANTILE = 2.33
# Pixels of the level, RMS over the overlap: interpolation and shading move a fit by this much, the same in both halves,
# and a model that is richer can follow them.
_NOTABLE = 0.05
_STEPS, _SMALL = 5, 0.01  # Gauss-Newton steps on the quadratic, and the pixels that end them: only the family bends
_LEAST_CONDITION = 1e-6  # of the curvature: below it interpolation alone holds a parameter
_GRID = 9  # points along each side of the frame, where motions are compared


@dataclass(frozen=True)
class Selection:
    """The model that was chosen.

    Attributes:
        model: which one.
        matrix: (3, 3) float64, fixed -> moving, its fit.
        held_out: the mean local ZNCC on windows held out from the fit, by model; those that could not be fitted lack.
        reason: why it was chosen, in words and figures.
    """

    model: Model
    matrix: np.ndarray
    held_out: dict[Model, float]
    reason: str


def select_model(fixed: Level, moving: Level, start: np.ndarray, config: RegistrationConfig) -> Selection:
    """Return the simplest model that explains the pair.

    Args:
        fixed, moving: the levels on which the models are compared, of about unit variance.
        start: (3, 3), fixed -> moving, full-resolution pixels, the fit of the richest model, good to a level pixel.
        config: its window is used.
    """
    to_level = level_scale(fixed.factor)
    at = start * to_level
    look = local_metric(fixed, moving, math.sqrt(area_scale(at, fixed.shape)), config)
    fits = _cross_validated(look, at, config.window_side)
    if not fits:
        simplest = NESTED_MODELS[0]
        family = TRANSFORMS[simplest](simplest, fixed.shape)
        reason = "the overlap holds too little texture to tell models apart"
        return Selection(simplest, family.matrix(family.parameters(at)) / to_level, {}, reason)
    chosen = next(
        fit for k, fit in enumerate(fits) if all(_beaten(fit, richer, look) is None for richer in fits[k + 1 :])
    )
    return Selection(
        chosen.model,
        chosen.matrix / to_level,
        {fit.model: fit.zncc for fit in fits},
        _reason(fits, chosen, look),
    )


@dataclass(frozen=True)
class _Fit:
    """A model's matrix (3, 3) from all windows, and sum(w z) of each block (n,) held out; weight is sum(w), (n,)."""

    model: Model
    matrix: np.ndarray
    agreeing: np.ndarray
    weight: np.ndarray

    @property
    def zncc(self) -> float:
        return float(self.agreeing.sum() / self.weight.sum())


def _cross_validated(look: SymmetricMetric, at: np.ndarray, window: int) -> list[_Fit]:
    """Return the fits of the models that the texture holds, from the simplest on."""
    start = look.local_zncc(at)
    if start is None:
        return []
    weight = start[1]
    block, black = _chessboard(weight, window)
    halves = [black & (block >= 0), ~black & (block >= 0)]
    linear = [
        got
        for half in halves
        if (got := look.among(half).linearized(at, projective=True, with_curvature=True)) is not None
    ]
    if len(linear) < len(halves):
        return []
    quadratics = [(half.scores.sum(axis=1), half.curvature) for half in linear]
    both = quadratics[0][0] + quadratics[1][0], quadratics[0][1] + quadratics[1][1]
    fits = list[_Fit]()
    for model in NESTED_MODELS:
        family = TRANSFORMS[model](model, look.shape)
        matrices = [m for G, H in (*quadratics, both) if (m := _fitted(family, at, G, H)) is not None]
        seen = [zw[0] for m in matrices[:2] if (zw := look.local_zncc(m)) is not None]
        if len(matrices) < 3 or len(seen) < 2:
            break
        # Each half is judged at the matrix that the other one was fitted to.
        z = torch.where(halves[0], seen[1], seen[0])
        agreeing, held = (_by_block(plane, block) for plane in (weight * z, weight))
        fits.append(_Fit(model, matrices[2], agreeing, held))
    return fits


def _chessboard(weight: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Return for each window the number of the block that holds it, -1 where none does, and whether that is black."""
    rows, columns = ((weight > 0).any(dim=d).nonzero() for d in (1, 0))
    places, counts = [], []
    for held, length in ((rows, weight.shape[0]), (columns, weight.shape[1])):
        first, extent = int(held[0]), int(held[-1] - held[0]) + window
        side = max(math.ceil(extent / _BLOCKS), math.ceil(_LEAST_SIDE * window))
        place = torch.arange(length, device=weight.device) - first
        places.append(torch.where((place >= 0) & (place % side <= side - window), place // side, -1))
        counts.append(-(-extent // side))
    row, column = places[0][:, None], places[1][None, :]
    inside = (row >= 0) & (column >= 0)
    return torch.where(inside, row * counts[1] + column, -1), (row + column) % 2 == 0


def _by_block(plane: Tensor, block: Tensor) -> np.ndarray:
    """Return the sums of ``plane`` over the windows of each block, (n,)."""
    sums = plane.new_zeros(int(block.max()) + 2, dtype=torch.float64)
    sums.index_add_(0, (block + 1).flatten(), plane.double().flatten())
    out: np.ndarray = sums[1:].cpu().numpy()
    return out


def _fitted(family: TransformFamily, at: np.ndarray, G: np.ndarray, H: np.ndarray) -> np.ndarray | None:
    """Return the member of ``family`` that minimises the quadratic about ``at``; None where texture lacks for it."""
    p, theta = family.parameters(at), at.flatten()
    for _ in range(_STEPS):
        J = family.jacobian(p)
        inverse = safe_inverse(J.T @ H @ J, _LEAST_CONDITION)
        if inverse is None:
            return None
        step = inverse @ (J.T @ (G - H @ (family.matrix(p).flatten() - theta)))
        p = p + step
        if np.linalg.norm(step) < _SMALL:
            break
    return family.matrix(p)


def _beaten(simple: _Fit, rich: _Fit, look: SymmetricMetric) -> float | None:
    """Return t of the gain of ``rich`` on held-out windows, where it is more than chance and moves notably; or None."""
    t, needed = _gain(simple, rich)
    return t if t > needed and _motion(simple.matrix, rich.matrix, look) > _NOTABLE else None


def _gain(simple: _Fit, rich: _Fit) -> tuple[float, float]:
    """Return Student's t of the blocks' gains, and how much is needed."""
    gains = (rich.agreeing - simple.agreeing)[simple.weight > 0]
    n = len(gains)
    if n < 2 or not gains.any():
        return 0.0, math.inf
    # The quantile of t by that of the normal distribution, to first order in one over the degrees of freedom.
    needed = _QUANTILE + (_QUANTILE**3 + _QUANTILE) / (4 * (n - 1))
    return float(gains.mean() / max(gains.std(ddof=1) / math.sqrt(n), 1e-12)), needed


def _motion(a: np.ndarray, b: np.ndarray, look: SymmetricMetric) -> float:
    """Return the RMS distance over the overlap between where two matrices send a pixel, moving pixels."""
    points = np.stack(np.meshgrid(*(np.linspace(0, n - 1, _GRID) for n in reversed(look.shape))), axis=-1)
    ends = map_points(b, points)
    held = ((ends >= 0) & (ends <= np.array(look.moving_shape[::-1]) - 1)).all(axis=-1)
    moved = np.square(map_points(a, points) - ends).sum(axis=-1)[held]
    return math.sqrt(moved.mean()) if len(moved) else 0.0


def _reason(fits: list[_Fit], chosen: _Fit, look: SymmetricMetric) -> str:
    """Return what speaks against the next simpler model, and what not for richer ones."""
    said, k = [], fits.index(chosen)
    if k > 0:
        simpler = fits[k - 1]
        better = max(fits[k:], key=lambda richer: _gain(simpler, richer)[0])
        t, needed = told_apart(*_gain(simpler, better), 1)
        said.append(
            f"{simpler.model} explains held-out windows worse than {better.model} (ZNCC {simpler.zncc:.4f} and "
            f"{better.zncc:.4f}, t = {t} where {needed} is needed; "
            f"{_motion(simpler.matrix, better.matrix, look):.2f} px apart)"
        )
    if k + 1 < len(fits):
        best = max(fits[k + 1 :], key=lambda richer: _gain(chosen, richer)[0])
        t, needed = told_apart(*_gain(chosen, best), 1)
        said.append(
            f"no richer model explains them better (at most {best.model}: ZNCC {chosen.zncc:.4f} and {best.zncc:.4f}, "
            f"t = {t} where {needed} is needed; {_motion(chosen.matrix, best.matrix, look):.2f} px apart)"
        )
    return "; ".join(said)
