"""A transform that was fitted on the finest level, and how well the images agree there by their fine texture."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from zncc_cli.config import Model, RegistrationConfig
from zncc_cli.operators.pair_metric import BLOCK, CellGrid, Wanted
from zncc_cli.registration.pair_pyramid import PairPyramid
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.refine.refine import Refined, refine
from zncc_cli.registration.refine.symmetric_metric import local_metric
from zncc_cli.registration.search.global_search import significance
from zncc_cli.registration.search.model_selection import Selection
from zncc_cli.registration.search.multistart import LevelRecord
from zncc_cli.registration.warp import area_scale

# Interpolation smooths noise, so that a start on whole pixels may seem better than the right place by this ZNCC.
_INTERPOLATION_ZNCC = 0.01
# Standard normal quantile of one in a hundred, as in the choice of a model; and the blocks that a deviation needs.
_QUANTILE, _MIN_BLOCKS = 2.33, 4


@dataclass(frozen=True, eq=False)
class Fit:
    """A transform of one model, refined on the finest level.

    Attributes:
        refined: the transform, with its expected error.
        model: the model that was fitted.
        inverted: bright in one image is dark in the other.
        selection: why that model, where the choice was left to the pair; else None.
    """

    refined: Refined
    model: Model
    inverted: bool
    selection: Selection | None = None

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3), fixed -> moving."""
        return self.refined.matrix


def refined_fit(
    pair: PairPyramid,
    matrix: np.ndarray,
    model: Model,
    config: RegistrationConfig,
    selection: Selection | None = None,
    *,
    thorough: bool = True,
) -> tuple[Fit, LevelRecord]:
    """Refine ``matrix`` (3, 3) on the finest level of ``pair``; return the fit, and what it took.

    ``thorough`` as in `refine`.
    """
    start = time.perf_counter()
    refined = refine(*pair.level(0), matrix, replace(config, model=model), thorough=thorough)
    counts = refined.iterations, refined.evaluations
    record = LevelRecord(model, 1, refined.loss, refined.ending, *counts, time.perf_counter() - start)
    return Fit(refined, model, pair.inverted, selection), record


@dataclass(frozen=True, eq=False)
class FitSimilarity:
    """How well the finest levels agree at a transform, by their fine texture.

    Attributes:
        zncc: the mean local ZNCC over all windows, weighted.
        significance: of that mean, see `global_search.significance`.
        blocks: the mean of each block of the fixed frame, (rows, columns); NaN where none of its windows counts.
    """

    zncc: float
    significance: float
    blocks: np.ndarray

    def beats_as_start(self, other: FitSimilarity) -> bool:
        """Tell whether a start with this similarity is better than a result, by more than interpolation explains."""
        return self.zncc > other.zncc + _INTERPOLATION_ZNCC and self.significance > other.significance

    def beats(self, other: FitSimilarity) -> bool:
        """Tell whether this transform is better than another one by more than chance.

        In images that change slowly some transform agrees well on the whole whatever they show, here better and there
        worse than another: Student's t of the blocks' gains says whether their mean is more than chance.
        """
        gains = self.blocks - other.blocks
        gains = gains[np.isfinite(gains)]
        if len(gains) < _MIN_BLOCKS or not self.significance > other.significance:
            return False
        return bool(gains.mean() > _QUANTILE * gains.std(ddof=1) / math.sqrt(len(gains)))


def fit_similarity(fixed: Level, moving: Level, matrix: np.ndarray, config: RegistrationConfig) -> FitSimilarity:
    """Return how well two finest levels of the same contrast agree at ``matrix`` (3, 3)."""
    metric = local_metric(fixed, moving, math.sqrt(area_scale(matrix, fixed.shape)), config)
    rows, columns = (-(-n // BLOCK) for n in fixed.shape)
    sums = metric.pair.at(matrix, Wanted(cells=CellGrid(0, 0, BLOCK, BLOCK, rows, columns)))
    if sums is None or sums.cells is None or not sums.totals.weight > 0:
        return FitSimilarity(-1.0, -math.inf, np.empty((0, 0)))
    zncc = sums.totals.weighted_zncc / sums.totals.weight
    weights, weighted = sums.cells[1], sums.cells[3]
    blocks = torch.where(weights > 0, weighted / weights, torch.nan).numpy()
    total = sums.totals.weight
    return FitSimilarity(zncc, float(significance(*torch.tensor((zncc, total)))), blocks)
