"""The registration of a pair by a transform that bends, after the search for a matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from zncc_cli.config import DEFAULT_SPACING, RegistrationConfig
from zncc_cli.registration.nonrigid.blur_match import blur_matched
from zncc_cli.registration.nonrigid.concentration import with_concentrations
from zncc_cli.registration.nonrigid.error_map import ErrorMap
from zncc_cli.registration.nonrigid.expected_error import Samples, expected_error, sampled
from zncc_cli.registration.nonrigid.field_level import field_levels
from zncc_cli.registration.nonrigid.finest_level import with_closer_nodes, with_smoother_images
from zncc_cli.registration.nonrigid.fit import (
    FieldFit,
    FitSettings,
    fit_field,
    log_probability,
    search_level,
)
from zncc_cli.registration.nonrigid.held_out import HeldOut, held_out
from zncc_cli.registration.nonrigid.prior import Smoothness
from zncc_cli.registration.nonrigid.stiffness import usual_agreement
from zncc_cli.registration.nonrigid.unfold import unfolded
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.quality.peak_ratio import peak_ratio
from zncc_cli.registration.transforms.spline_field import SplineField
from zncc_cli.registration.warp import corners, map_points

# The coarsest level of an image of this shorter side, and how many levels it has; of a larger one, with it twice as
# many pixels, one more.
_SMALLEST_SIDE_PX, _USUAL_LEVELS, _USUAL_SIDE_PX = 32, 4, 512
_MIN_DETERMINANT = 0.0
_SAME_START_PX = 0.5  # of the coarsest level; starts nearer than that everywhere lead to one field


@dataclass(frozen=True, eq=False)
class Bending:
    """A transform that bends, and what is known about it; lengths are moving pixels where not said otherwise.

    Attributes:
        field: the transform.
        smoothness: of the prior: deviation s in moving, length l in fixed pixels.
        zncc: mean local ZNCC of the windows around all pixels that both images show; None without any.
        folded: pixels of the fixed frame at which the Jacobian has no positive determinant.
        least_determinant: the least of the Jacobian over the frame.
        overlap: share of the fixed frame's pixels that both images show.
        expected_error: None where the images leave none.
        held_out: None where there are too few windows.
        usual_agreement: what windows held out have by the usual spacing and smoothness; None where the settings are no
            stiffer.
        peak_ratio: how many times better the images agree as the field puts them than at the best other shift; None
            where none agrees at all.
        line_shift: by how much rows or columns are shifted one by one, RMS, which no smooth field follows; 0 if not
            surely.
    """

    field: SplineField
    smoothness: Smoothness
    zncc: float | None
    folded: int
    least_determinant: float
    overlap: float
    expected_error: ErrorMap | None
    held_out: HeldOut | None
    usual_agreement: float | None
    peak_ratio: float | None
    line_shift: float = 0.0

    def between(self, field: SplineField, by_fixed: int, by_moving: int) -> Bending:
        """Return the same of images that are finer by factors, with their ``field``."""
        error, smoothness = self.expected_error, self.smoothness
        if error is not None:
            error = replace(
                error, rows=error.rows * by_fixed, columns=error.columns * by_fixed, error=error.error * by_moving
            )
        smoothness = replace(
            smoothness, deviation=smoothness.deviation * by_moving, length=smoothness.length * by_fixed
        )
        line_shift = self.line_shift * by_moving
        return replace(self, field=field, smoothness=smoothness, expected_error=error, line_shift=line_shift)


def bend(
    fixed: Level,
    moving: Level,
    starts: Sequence[np.ndarray],
    config: RegistrationConfig,
    window: int,
    start: SplineField | None = None,
) -> Bending:
    """Fit a spline field to a pair, upon the best of some matrices.

    Args:
        fixed, moving: the images at full resolution, in the contrast in which they are compared.
        starts: (3, 3), fixed -> moving; the fit goes on from the one that leads to more agreement on coarse levels.
        config: spacing and smoothness are used.
        window: side of the windows.
        start: a field, fixed -> moving, from which the coarsest level goes on; None for the matrix.
    """
    fixed, moving = blur_matched(fixed, moving)
    count = _level_count(min(*fixed.shape, *moving.shape))
    of_fixed, of_moving = field_levels(fixed, count), field_levels(moving, count)
    settings = FitSettings(window, config.spacing or DEFAULT_SPACING, factor=config.smoothness, start=start)
    matrix, coarse = _best_coarse(of_fixed, of_moving, starts, settings)
    if count > 1 and (coarse is None or coarse.index > 1):
        coarse = fit_field(of_fixed, of_moving, matrix, settings, last=1, after=coarse)
    if coarse is not None and coarse.index == 0:  # a small image, of which the search level is the finest one
        fit, coarse = coarse, None
    else:
        fit = fit_field(of_fixed, of_moving, matrix, settings, after=coarse)
    if config.spacing is None:
        fit = with_closer_nodes(fit, of_fixed[0], of_moving[0], matrix, settings)
    fit = with_smoother_images(fit, of_fixed, of_moving, matrix, settings, coarse)
    if config.spacing is None:
        fit = with_concentrations(fit, of_fixed[0], of_moving[0], matrix, settings)
    told = held_out(of_fixed, of_moving, fit, matrix, settings)
    usual = usual_agreement(of_fixed, of_moving, matrix, settings)
    del fixed, moving, of_moving
    fit, agreement = _agreement(fit, of_fixed)
    return Bending(
        field=SplineField(matrix, np.asarray(fit.coefficients.cpu()), fit.level.grid.spacing, fit.level.grid.shape),
        smoothness=fit.smoothness[0],
        zncc=agreement.zncc,
        folded=agreement.folded,
        least_determinant=agreement.least_determinant,
        overlap=agreement.overlap,
        expected_error=expected_error(fit, coarse, agreement.samples),
        held_out=told,
        usual_agreement=usual,
        peak_ratio=agreement.peak_ratio,
        line_shift=agreement.samples.line_shift,
    )


def _level_count(side: int) -> int:
    usual = min(_USUAL_LEVELS, int(math.log2(side / _SMALLEST_SIDE_PX)) + 1) if side >= _SMALLEST_SIDE_PX else 1
    return max(1, usual + max(0, math.floor(math.log2(side / _USUAL_SIDE_PX))))


def _best_coarse(
    fixed: list[Level], moving: list[Level], starts: Sequence[np.ndarray], settings: FitSettings
) -> tuple[np.ndarray, FieldFit | None]:
    """Return the start that explains most on the coarse levels, and where it leads; None for a single one."""
    reach = _SAME_START_PX * fixed[-1].factor
    first, *others = starts
    starts = [first, *(other for other in others if not _corner_distance(first, other, fixed[0].shape) <= reach)]
    if len(starts) == 1:
        return first, None
    fits = [fit_field(fixed, moving, matrix, settings, last=search_level(fixed)) for matrix in starts]
    heat = min(fit.equations.temperature for fit in fits)
    loosest = max((fit.smoothness[fit.index] for fit in fits), key=lambda smoothness: smoothness.deviation)
    best = max(range(len(starts)), key=lambda k: log_probability(fits[k], heat, loosest))
    return starts[best], fits[best]


def _corner_distance(a: np.ndarray, b: np.ndarray, shape: tuple[int, int]) -> float:
    """Return how far two matrices (3, 3) take the corners of a frame apart at most, pixels."""
    return float(np.linalg.norm(map_points(a, corners(shape)) - map_points(b, corners(shape)), axis=-1).max())


@dataclass(frozen=True)
class _Agreement:
    """How well a field puts the images on each other: figures of `Bending`, and samples."""

    zncc: float | None
    folded: int
    least_determinant: float
    overlap: float
    peak_ratio: float | None
    samples: Samples


def _agreement(fit: FieldFit, fixed: list[Level]) -> tuple[FieldFit, _Agreement]:
    """Return a fit without folds, and how well it puts the images on each other; large maps do not outlive this."""
    fit, metric = unfolded(fit)
    assert metric.maps is not None
    zncc, valid = metric.maps[0], metric.maps[4]
    return fit, _Agreement(
        zncc=float(torch.sum(zncc * valid, dtype=torch.float64)) / metric.valid if metric.valid else None,
        folded=int((metric.determinant <= _MIN_DETERMINANT).count_nonzero()),
        least_determinant=float(metric.determinant.min()),
        overlap=metric.valid / valid.numel(),
        peak_ratio=_peak_ratio(fixed, metric.maps[3], valid > 0),
        samples=sampled(metric, fit.level.windows),
    )


def _peak_ratio(fixed: list[Level], warped: Tensor, valid: Tensor) -> float | None:
    """Return the peak ratio of a warped moving image (H, W), which is valid where ``valid`` says so."""
    if not bool(valid.any()):
        return None
    moving = field_levels(Level(warped[None, None], valid, 1), len(fixed))
    return peak_ratio(fixed, moving, np.eye(3))
