"""Which of several results is taken: none that agrees less than the start that was given, and none beyond a bound.

From coarse to fine a descent leaves a start where the coarse levels mislead: they do not see fine texture, which may
repeat itself or lie under clouds that are not the same in both images. So the start itself is refined as well, and all
are compared by what they agree by on the finest level.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from zncc_cli.config import Model, RegistrationConfig
from zncc_cli.registration.optimizer import Ending
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.refine.refine import Refined
from zncc_cli.registration.refine.symmetric_metric import BLOCK, local_metric
from zncc_cli.registration.search.global_search import significance
from zncc_cli.registration.search.model_selection import Selection
from zncc_cli.registration.warp import area_scale

# Of a ZNCC: interpolation smooths noise, so that a start on whole pixels may seem better than the right place by this.
_NOTABLE = 0.01
# Standard normal quantile of one in a hundred, as in the choice of a model; and blocks to have a deviation of.
_QUANTILE, _LEAST_BLOCKS = 2.33, 4


@dataclass(frozen=True, eq=False)
class Fit:
    """A result that may be taken.

    Attributes:
        refined: where it is, and how sure.
        model: that was fitted.
        inverted: bright in one image is dark in the other.
        selection: why that model, where the choice was left to the pair.
    """

    refined: Refined
    model: Model
    inverted: bool
    selection: Selection | None = None

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3), fixed -> moving."""
        return self.refined.matrix


@dataclass(frozen=True, eq=False)
class PlaceSimilarity:
    """How well the images agree at a place.

    Attributes:
        zncc: the mean local ZNCC, of windows as they count.
        significance: of it, see `initialization.significance`.
        blocks: of each block of the fixed frame, (rows, columns); NaN where none of its windows counts.
    """

    zncc: float
    significance: float
    blocks: np.ndarray

    def beats_as_start(self, other: PlaceSimilarity) -> bool:
        """Tell whether a start that agrees so is better than a result, by more than interpolation makes of noise."""
        return self.zncc > other.zncc + _NOTABLE and self.significance > other.significance

    def beats(self, other: PlaceSimilarity) -> bool:
        """Tell whether this place is better than another one by more than chance.

        In what changes slowly, whatever it is, some place agrees well on the whole, and here better and there worse
        than another: the gains of the blocks say whether their mean is more than chance (Student's t).
        """
        gains = self.blocks - other.blocks
        gains = gains[np.isfinite(gains)]
        if len(gains) < _LEAST_BLOCKS or not self.significance > other.significance:
            return False
        return bool(gains.mean() > _QUANTILE * gains.std(ddof=1) / math.sqrt(len(gains)))


def place_similarity(fixed: Level, moving: Level, matrix: np.ndarray, config: RegistrationConfig) -> PlaceSimilarity:
    """Return how well the finest levels, of the same contrast, agree at ``matrix`` (3, 3) by fine texture."""
    got = local_metric(fixed, moving, math.sqrt(area_scale(matrix, fixed.shape)), config).local_zncc(matrix)
    if got is None:
        return PlaceSimilarity(-1.0, -math.inf, np.empty((0, 0)))
    z, w = got
    total = float(w.sum())
    zncc = float((w * z).sum()) / total
    sums, weights = (F.avg_pool2d(plane[None, None], BLOCK, ceil_mode=True)[0, 0] for plane in (w * z, w))
    blocks = torch.where(weights > 0, sums / weights, torch.nan).cpu().double().numpy()
    return PlaceSimilarity(zncc, float(significance(*torch.tensor((zncc, total)))), blocks)


def preferred(descended: Fit, near: Fit, agreeing: Callable[[Fit], PlaceSimilarity]) -> Fit:
    """Return what was descended to, or what lies near the start where that is better or not clearly worse.

    One that did not converge is none beside one that did.
    """
    converged = [one.refined.ending is Ending.CONVERGED for one in (descended, near)]
    if converged[0] != converged[1]:
        return descended if converged[0] and agreeing(descended).significance > agreeing(near).significance else near
    return descended if agreeing(descended).beats(agreeing(near)) else near
