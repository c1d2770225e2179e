"""How much less a pixel tells of the displacement than it would if all pixels told by themselves.

    T = 2 sum over lags d of C_r(d) C_g(d) / C_g(0),   |d| <= 5

C_r the autocorrelation of the residual of the images, C_g that of the gradient: the variance of the scores of a smooth
displacement over their curvature. Noise, its correlation by smoothing, and whatever else the images do not have in
common raise it alike. It anneals a registration by itself: from about 1 at the start to 0.002 on clean images.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from zncc_cli.operators.field_metric import FieldMetric
from zncc_cli.operators.spline_system import lag_products

_REACH_PX = 5
_MARGIN = 2.0  # windows and model see the images less well than is assumed: the best factor of 1 to 2.5 on 11 pairs
_LEAST = 1e-4
_SAMPLED_PIXELS = 2**14  # tell the correlations well enough


def temperature(metric: FieldMetric) -> float:
    """Return T of a metric, by which its scores and its curvature are to be divided."""
    step = max(1, metric.residual.numel() // _SAMPLED_PIXELS)
    of_residual = lag_products(metric.residual[None], _REACH_PX, step)
    of_gradient = lag_products(metric.weighted_gradient, _REACH_PX, step)
    by_lag = float((_times().to(of_residual) * of_residual * of_gradient).sum())
    own = float(of_gradient[0, _REACH_PX])
    # Sums over a part of the rows stand for all.
    weight = max(metric.weight / step, 1e-9)
    plain, with_rho = metric.information
    return _MARGIN * max(by_lag / weight / max(own, 1e-12), _LEAST) * plain / max(with_rho, 1e-9)


@cache
def _times() -> Tensor:
    """Return how often each lag of `lag_products` counts, (reach + 1, 2 reach + 1) float64."""
    down, across = torch.meshgrid(torch.arange(_REACH_PX + 1), torch.arange(-_REACH_PX, _REACH_PX + 1), indexing="ij")
    # A lag and its opposite are one: those that come first in a row are counted twice, and the others not.
    times = torch.where((down > 0) | (across > 0), 2.0, torch.where(across == 0, 1.0, 0.0)).double()
    times[down**2 + across**2 > _REACH_PX**2] = 0
    return times
