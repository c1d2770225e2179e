"""One level of a pair as a spline field is fitted to it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.config import Interpolation
from zncc_cli.operators import filters
from zncc_cli.operators.field_metric import FieldMetric, FieldPlanes, FieldWindows, field_metric
from zncc_cli.operators.spline_system import spline_adjoint, spline_curvature
from zncc_cli.registration.metric.level_metric import NOISE_WEIGHT
from zncc_cli.registration.nonrigid.node_grid import NodeGrid
from zncc_cli.registration.nonrigid.smoothing import box_means, smoothed
from zncc_cli.registration.nonrigid.temperature import temperature
from zncc_cli.registration.pyramid import DECIMATION_SIGMA, Level, fill_holes
from zncc_cli.registration.warp import Sampler, area_scale, level_scale

FINEST_SIGMA_PX, SIGMA_PX = 0.6, 0.5  # of the smoothing before gradients are taken; 0.85 is a tenth to a third worse
_FLAT_VARIANCE = 1e-6  # of images of unit variance without noise
# Where less than this is left of the area, in units of what the matrix leaves, the windows around are doubted; what is
# below the second bound is a fold.
_DOUBTFUL_DETERMINANT, LEAST_DETERMINANT = 0.2, 0.1
_DOUBT, _LEAST_WEIGHT = 6.0, 0.05


def field_levels(level: Level, count: int) -> list[Level]:
    """Return the pyramid of an image, the finest level first, with the edges of its frame."""
    levels = [level]
    while len(levels) < count:
        last = levels[-1]
        levels.append(Level(*smoothed(last.image, last.mask, DECIMATION_SIGMA, 2), 2 * last.factor))
    return levels


@dataclass(frozen=True, eq=False)
class Equations:
    """The normal equations of a step from coefficients c: (H + P) d = scores - P c.

    Attributes:
        stencil: (25, 3, rows, columns), H.
        scores: (2, rows, columns).
        zncc: the sum of the local ZNCC at c, windows by their weight.
        temperature: by which stencil and scores were divided.
    """

    stencil: Tensor
    scores: Tensor
    zncc: float
    temperature: float


class FieldLevel:
    """A level of a pair: both images, and the metric of a field on it. Lengths are level pixels.

    Args:
        fixed, moving: the level's images.
        matrix: (3, 3), fixed -> moving, full-resolution pixels.
        window: side of the windows.
        spacing: of the nodes.
        sigma: of the Gaussian by which both images are smoothed before gradients are taken.
        chosen: (H, W) float32, how much the window around each pixel counts; None for one.
        heat: by which the temperature is multiplied.
    """

    def __init__(
        self,
        fixed: Level,
        moving: Level,
        matrix: np.ndarray,
        window: int,
        spacing: float,
        sigma: float,
        chosen: Tensor | None = None,
        heat: float = 1.0,
    ) -> None:
        self.factor, self.grid = fixed.factor, NodeGrid(fixed.shape, spacing)
        self.matrix = matrix * level_scale(fixed.factor)
        self._area = abs(area_scale(self.matrix, fixed.shape))
        self._planes = _planes(fixed, moving, sigma)
        side = window // 2 * 2 + 1
        of_fixed, of_moving = (_noise_variance(level, sigma) for level in (fixed, moving))
        # Gradients are correlated over nearly two sides.
        least = _DOUBTFUL_DETERMINANT * self._area
        self.windows = FieldWindows(side, 2 * side - 1, of_fixed, of_moving, least)
        self._chosen: Tensor | None = chosen
        self._doubt: Tensor | None = None
        self._heat = heat
        # How much the smoothness counts in each cell of the grid, (rows - 3, columns - 3); None for one.
        self.tightness: Tensor | None = None

    @property
    def device(self) -> torch.device:
        """Where the images are."""
        return self._planes.fixed.device

    @property
    def planes(self) -> FieldPlanes:
        """The images."""
        return self._planes

    def at(self, coefficients: Tensor, *, with_maps: bool = False) -> FieldMetric:
        """Return the metric at coefficients (2, rows, columns), level pixels.

        Windows near pixels that are nearly folded count less from then on.
        """
        found = self._metric(coefficients, with_maps)
        if not found.folded:
            return found
        bad = found.determinant < self.windows.least_determinant
        side = 2 * self.windows.side + 1
        near = box_means(bad.float()[None], side)[0]
        doubt = 1 - (1 - _LEAST_WEIGHT) * (_DOUBT * near).clamp_max(1)
        self._doubt = doubt if self._doubt is None else torch.minimum(self._doubt, doubt)
        return self._metric(coefficients, with_maps)

    def trust_again(self) -> None:
        """Let all windows count again that were doubted."""
        self._doubt = None

    def folds(self, coefficients: Tensor) -> Tensor:
        """Tell which pixels are folded, (H, W) bool, whether the images overlap there or not."""
        return self.folded(self._metric(coefficients, False))

    def folded(self, metric: FieldMetric) -> Tensor:
        """Tell which pixels are folded, (H, W) bool, by a metric of this level."""
        return metric.determinant < LEAST_DETERMINANT * self._area

    def equations(self, coefficients: Tensor) -> Equations:
        """Return the normal equations of a step from coefficients (2, rows, columns)."""
        metric = self.at(coefficients)
        heat = self._heat * temperature(metric)
        stencil = spline_curvature(metric.curvature, self.grid.nodes, self.grid.spacing)
        scores = spline_adjoint(metric.scores, self.grid.nodes, self.grid.spacing)
        return Equations(stencil.div_(heat), scores.div_(heat), metric.zncc, heat)

    def _metric(self, coefficients: Tensor, with_maps: bool) -> FieldMetric:
        weight = self._chosen if self._doubt is None else self._doubt * (1 if self._chosen is None else self._chosen)
        return field_metric(
            self._planes, self.matrix, coefficients, self.grid.spacing, self.windows, weight=weight, with_maps=with_maps
        )


def _planes(fixed: Level, moving: Level, sigma: float) -> FieldPlanes:
    image, mask = smoothed(fixed.image, fixed.mask, sigma)
    warped, valid = smoothed(moving.image, moving.mask, sigma)
    knots = Sampler(fill_holes(image, mask), Interpolation.CUBIC).knots
    moving_sampler = Sampler(fill_holes(warped, valid), Interpolation.CUBIC, valid)
    return FieldPlanes(
        image[0, 0].contiguous(),
        _spline_gradient(knots),
        moving_sampler.knots[0, 0].contiguous(),
        moving_sampler.box,
        None if filters.is_full(mask) else mask,
        None if moving_sampler.mask is None else moving_sampler.mask[0].contiguous(),
    )


def _spline_gradient(knots: Tensor) -> Tensor:
    """Return the gradient (2, H, W), by x and y, of the cubic spline with ``knots`` (1, 1, H, W) at its pixels."""
    padded = F.pad(knots, (1, 1, 1, 1), mode="reflect")[0, 0]
    across = (padded[:, 2:] - padded[:, :-2]) / 2
    down = (padded[2:] - padded[:-2]) / 2
    by_x = (across[:-2] + 4 * across[1:-1] + across[2:]) / 6
    by_y = (down[:, :-2] + 4 * down[:, 1:-1] + down[:, 2:]) / 6
    return torch.stack((by_x, by_y))


def _noise_variance(level: Level, sigma: float) -> float:
    """Return the variance at which a window counts by half, of an image that is smoothed by a Gaussian of ``sigma``."""
    left = min(1.0, 1 / (4 * math.pi * sigma**2))  # of the variance of white noise
    return max(NOISE_WEIGHT * left * level.noise_sigma**2, _FLAT_VARIANCE)
