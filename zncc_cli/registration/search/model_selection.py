"""Which model explains a pair: the simplest one that no richer one beats on windows that it was not fitted to.

The overlap is divided into blocks like a chessboard. Every model is fitted to the windows inside the black blocks and
judged by its local ZNCC inside the white ones, and the other way round (two-fold cross-validation): no pixel is in a
window of both. A richer model fits the noise of its own blocks better, and gains nothing by that on others. The gains
of the blocks are as good as independent, so Student's t says whether their mean is more than chance.

Fits are cheap: one linearization near the truth gives score G and curvature H of each half in the entries of the
matrix, and the fit of a model is the one of its transforms that minimises the quadratic -G . d + d . H d / 2 of the
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
from zncc_cli.registration.geometry import (
    black_fields,
    chessboard_fields,
    frame_extent,
    grid_points,
    inside_extent,
)
from zncc_cli.registration.optimizer import safe_inverse
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.refine.symmetric_metric import SymmetricMetric, local_metric
from zncc_cli.registration.transforms.linear import LinearTransform
from zncc_cli.registration.warp import area_scale, level_scale, map_points
from zncc_cli.text import told_apart

_BLOCKS = 8  # along each side of the overlap, where its windows leave room for as many
_MIN_BLOCK_WINDOWS = 1.5  # windows along the side of a block: with fewer hardly any window lies inside one
# Standard normal quantile of one in a hundred. A parameter too many costs a little noise and one too few a little bias,
# so no more certainty is asked for; without a reason for a richer model the mean gain is negative, not zero.
_QUANTILE = 2.33
# Level pixels, RMS over the overlap: interpolation and shading move a fit by this much, alike in both halves, and a
# richer model can follow them.
_MIN_DISTANCE_PX = 0.05
_MAX_STEPS, _LAST_STEP_PX = 5, 0.01  # Gauss-Newton steps on the quadratic: only the curved transform needs several
_MIN_CONDITION = 1e-6  # of the curvature: below it interpolation alone holds a parameter
_GRID = 9  # points along each side of the frame, where motions are compared


@dataclass(frozen=True)
class Selection:
    """The model that was chosen.

    Attributes:
        model: the chosen one.
        matrix: (3, 3) float64, fixed -> moving, its fit.
        held_out: the mean local ZNCC on windows held out from the fit, by model, of all models that could be fitted.
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
    matrix = start * to_level
    metric = local_metric(fixed, moving, math.sqrt(area_scale(matrix, fixed.shape)), config)
    fits = _cross_validated(metric, matrix, config.window_side)
    if not fits:
        simplest = NESTED_MODELS[0]
        transform = LinearTransform(simplest, fixed.shape)
        reason = "the overlap holds too little texture to tell models apart"
        return Selection(simplest, transform.matrix(transform.parameters(matrix)) / to_level, {}, reason)
    chosen = next(
        fit for k, fit in enumerate(fits) if all(_beaten(fit, richer, metric) is None for richer in fits[k + 1 :])
    )
    return Selection(
        chosen.model,
        chosen.matrix / to_level,
        {fit.model: fit.zncc for fit in fits},
        _reason(fits, chosen, metric),
    )


@dataclass(frozen=True)
class _Fit:
    """A model's matrix (3, 3) from all windows; and of each block held out, (n,), sum(w z) and sum(w)."""

    model: Model
    matrix: np.ndarray
    weighted_zncc: np.ndarray
    weight: np.ndarray

    @property
    def zncc(self) -> float:
        return float(self.weighted_zncc.sum() / self.weight.sum())


def _cross_validated(metric: SymmetricMetric, matrix: np.ndarray, window: int) -> list[_Fit]:
    """Return the fits of the models that the texture determines, from the simplest on."""
    windows = metric.local_zncc(matrix)
    if windows is None:
        return []
    weight = windows[1]
    block, black = _chessboard(weight, window)
    halves = [black & (block >= 0), ~black & (block >= 0)]
    linearized = [metric.among(half).linearized(matrix, projective=True, with_curvature=True) for half in halves]
    quadratics = [(half.scores.sum(axis=1), half.curvature) for half in linearized if half is not None]
    if len(quadratics) < len(halves):
        return []
    both = quadratics[0][0] + quadratics[1][0], quadratics[0][1] + quadratics[1][1]
    fits = list[_Fit]()
    for model in NESTED_MODELS:
        transform = LinearTransform(model, metric.shape)
        matrices = [m for G, H in (*quadratics, both) if (m := _fitted(transform, matrix, G, H)) is not None]
        zncc = [zw[0] for m in matrices[:2] if (zw := metric.local_zncc(m)) is not None]
        if len(matrices) < 3 or len(zncc) < 2:
            break
        # Each half is judged at the matrix that the other one was fitted to.
        z = torch.where(halves[0], zncc[1], zncc[0])
        weighted, weights = (_by_block(plane, block) for plane in (weight * z, weight))
        fits.append(_Fit(model, matrices[2], weighted, weights))
    return fits


def _chessboard(weight: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Return for each window the number of the block that it lies in, -1 for none, and whether that block is black."""
    rows, columns = ((weight > 0).any(dim=d).nonzero() for d in (1, 0))
    fields, counts = list[Tensor](), list[int]()
    for indices, length in ((rows, weight.shape[0]), (columns, weight.shape[1])):
        first, extent = int(indices[0]), int(indices[-1] - indices[0]) + window
        side = max(math.ceil(extent / _BLOCKS), math.ceil(_MIN_BLOCK_WINDOWS * window))
        fields.append(chessboard_fields(length, side, window, first, weight.device))
        counts.append(-(-extent // side))
    row, column = fields[0][:, None], fields[1]
    return torch.where((row >= 0) & (column >= 0), row * counts[1] + column, -1), black_fields(*fields)


def _by_block(plane: Tensor, block: Tensor) -> np.ndarray:
    """Return the sums of ``plane`` over the windows of each block, (n,)."""
    sums = plane.new_zeros(int(block.max()) + 2, dtype=torch.float64)
    sums.index_add_(0, (block + 1).flatten(), plane.double().flatten())
    out: np.ndarray = sums[1:].cpu().numpy()
    return out


def _fitted(transform: LinearTransform, matrix: np.ndarray, G: np.ndarray, H: np.ndarray) -> np.ndarray | None:
    """Return the matrix of ``transform`` that minimises the quadratic about ``matrix``; None without enough texture."""
    p, theta = transform.parameters(matrix), matrix.flatten()
    for _ in range(_MAX_STEPS):
        J = transform.jacobian(p)
        inverse = safe_inverse(J.T @ H @ J, _MIN_CONDITION)
        if inverse is None:
            return None
        step = inverse @ (J.T @ (G - H @ (transform.matrix(p).flatten() - theta)))
        p = p + step
        if np.linalg.norm(step) < _LAST_STEP_PX:
            break
    return transform.matrix(p)


def _beaten(simple: _Fit, rich: _Fit, metric: SymmetricMetric) -> float | None:
    """Return t of the gain of ``rich`` on held-out windows; None where it may be chance, or the fits hardly differ."""
    t, needed = _gain(simple, rich)
    return t if t > needed and _distance(simple.matrix, rich.matrix, metric) > _MIN_DISTANCE_PX else None


def _gain(simple: _Fit, rich: _Fit) -> tuple[float, float]:
    """Return Student's t of the blocks' gains, and how much is needed."""
    return significance((rich.weighted_zncc - simple.weighted_zncc)[simple.weight > 0])


def significance(gains: np.ndarray) -> tuple[float, float]:
    """Return Student's t of gains (n,) on windows held out, and how much is needed."""
    n = len(gains)
    if n < 2 or not gains.any():
        return 0.0, math.inf
    # The quantile of t by that of the normal distribution, to first order in one over the degrees of freedom.
    needed = _QUANTILE + (_QUANTILE**3 + _QUANTILE) / (4 * (n - 1))
    return float(gains.mean() / max(gains.std(ddof=1) / math.sqrt(n), 1e-12)), needed


def _distance(a: np.ndarray, b: np.ndarray, metric: SymmetricMetric) -> float:
    """Return the RMS distance over the overlap between where two matrices send a pixel, moving pixels."""
    points = grid_points(frame_extent(metric.shape), _GRID)
    targets = map_points(b, points)
    inside = inside_extent(targets, frame_extent(metric.moving_shape))
    squares = np.square(map_points(a, points) - targets).sum(axis=-1)[inside]
    return math.sqrt(squares.mean()) if len(squares) else 0.0


def _reason(fits: list[_Fit], chosen: _Fit, metric: SymmetricMetric) -> str:
    """Return why the next simpler model was not chosen, and why no richer one."""
    reasons, k = [], fits.index(chosen)
    if k > 0:
        simpler = fits[k - 1]
        better = max(fits[k:], key=lambda richer: _gain(simpler, richer)[0])
        t, needed = told_apart(*_gain(simpler, better), 1)
        reasons.append(
            f"{simpler.model} explains held-out windows worse than {better.model} (ZNCC {simpler.zncc:.4f} and "
            f"{better.zncc:.4f}, t = {t} where {needed} is needed; "
            f"{_distance(simpler.matrix, better.matrix, metric):.2f} px apart)"
        )
    if k + 1 < len(fits):
        best = max(fits[k + 1 :], key=lambda richer: _gain(chosen, richer)[0])
        t, needed = told_apart(*_gain(chosen, best), 1)
        reasons.append(
            f"no richer model explains them better (at most {best.model}: ZNCC {chosen.zncc:.4f} and {best.zncc:.4f}, "
            f"t = {t} where {needed} is needed; {_distance(chosen.matrix, best.matrix, metric):.2f} px apart)"
        )
    return "; ".join(reasons)
