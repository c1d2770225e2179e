"""Which of several results is taken: none that agrees less than the start that was given, and none beyond a bound.

From coarse to fine a descent leaves a start where the coarse levels mislead: they do not see fine texture, which may
repeat itself or lie under clouds that are not the same in both images. So the start itself is refined as well, and all
are compared by what they agree by on the finest level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from zncc_cli.config import Model, RegistrationConfig
from zncc_cli.registration.initialization import significance
from zncc_cli.registration.look import fine
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.refinement import Refined
from zncc_cli.registration.selection import Selection
from zncc_cli.registration.warp import area_scale

# Of a ZNCC: interpolation smooths noise, so that a start on whole pixels may seem better than the right place by this.
_NOTABLE = 0.01


@dataclass(frozen=True)
class Candidate:
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


@dataclass(frozen=True)
class Held:
    """How well the images agree at a place: the mean local ZNCC by what windows hold, and how significant that is."""

    zncc: float
    significance: float

    def beats(self, other: Held) -> bool:
        """Tell whether a start that agrees so is better than a result, by more than interpolation makes of noise."""
        return self.zncc > other.zncc + _NOTABLE and self.significance > other.significance


def held(fixed: Level, moving: Level, matrix: np.ndarray, config: RegistrationConfig) -> Held:
    """Return how well the finest levels, of the same contrast, agree at ``matrix`` (3, 3) by fine texture."""
    got = fine(fixed, moving, math.sqrt(area_scale(matrix, fixed.shape)), config).agreement(matrix)
    if got is None:
        return Held(-1.0, -math.inf)
    z, w = got
    total = float(w.sum())
    zncc = float((w * z).sum()) / total
    return Held(zncc, float(significance(*torch.tensor((zncc, total)))))
