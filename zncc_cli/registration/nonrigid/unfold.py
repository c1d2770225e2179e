"""A field without folds: where it folds, it gives way to a stiffer solution of the same data."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.operators import filters
from zncc_cli.operators.field_metric import FieldMetric
from zncc_cli.registration.nonrigid.fit import FieldFit, gauss_newton_step
from zncc_cli.registration.nonrigid.smoothing import gaussian_taps

_ROUNDS = 16
_STIFFER = 30.0  # by which factor the smoothness grows, every second round
_REACH = 4.0  # spacings: side of the square around a fold that gives way
_SHARE = 1.5  # of the stiffer solution, times the blurred square, at most one
_STEPS, _TOLERANCE = 400, 1e-3


def unfolded(fit: FieldFit) -> tuple[FieldFit, FieldMetric]:
    """Return a fit whose Jacobian keeps at least a tenth of the area that the matrix leaves, everywhere in the frame.

    And its metric, with maps.

    Where some rounds do not lead there, some folds are left: `FieldLevel.folds` tells.
    """
    level, c = fit.level, fit.coefficients
    smoothness = fit.smoothness[0]
    metric = level.at(c, with_maps=True)
    folded, stiff = level.folded(metric), c
    for k in range(_ROUNDS):
        if not bool(folded.any()):
            break
        if k % 2 == 0:
            smoothness = replace(smoothness, factor=smoothness.factor * _STIFFER)
            equations = level.equations(c)
            stiff = c + gauss_newton_step(equations, c, level, smoothness, _STEPS, _TOLERANCE)[0]
        share = _near(folded, level.grid.spacing, level.grid.nodes)
        c = (1 - share) * c + share * stiff
        folded = level.folds(c)
    if c is fit.coefficients:
        return fit, metric
    return replace(fit, coefficients=c, equations=level.equations(c)), level.at(c, with_maps=True)


def _near(folded: Tensor, spacing: float, nodes: tuple[int, int]) -> Tensor:
    """Return how near each node lies to folded pixels (H, W) bool, (rows, columns) in [0, 1]."""
    side = int(_REACH * spacing) // 2 * 2 + 1
    around = F.max_pool2d(folded[None, None].float(), side, stride=1, padding=side // 2)
    smooth = filters.blur(around, gaussian_taps(spacing))[0, 0]
    rows, columns = (
        ((torch.arange(count, device=folded.device) - 1) * spacing).round().long().clamp(0, length - 1)
        for count, length in zip(nodes, folded.shape, strict=True)
    )
    return (_SHARE * smooth[rows][:, columns]).clamp_max(1).double()
