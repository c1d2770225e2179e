"""The pyramids of both images of a pair, and the metric on each of their levels."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from zncc_cli.config import Interpolation, RegistrationConfig
from zncc_cli.registration.metric.level_metric import Agreement, LevelMetric
from zncc_cli.registration.pyramid import Level, coarsest_of

_MAX_DESCENDED_PIXELS = 2**18  # of a level: larger ones take longer than all coarser ones together
_JUDGED_SIDE_PX = 256  # the coarsest level with at least this shorter side is judged, beside the finest


@dataclass(frozen=True, eq=False)
class PairPyramid:
    """Both pyramids of a pair, the finest level first.

    Attributes:
        fixed, moving: the levels; both lists are of the same length.
        inverted: whether the moving image is compared by its negative: bright in one image is dark in the other.
    """

    fixed: list[Level]
    moving: list[Level]
    inverted: bool = False

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the fixed image."""
        return self.fixed[0].shape

    @property
    def moving_shape(self) -> tuple[int, int]:
        """(H, W) of the moving image."""
        return self.moving[0].shape

    @property
    def judged(self) -> int:
        """The index of the level that is judged beside the finest; 0 where that is the finest itself."""
        return coarsest_of(self.fixed, _JUDGED_SIDE_PX)

    def is_descended(self, index: int) -> bool:
        """Tell whether a level between the judged and the finest one is worth a descent.

        A descent ends within a tenth of a level pixel, from where the refinement finds its way over two levels. Every
        second one of large levels is left out.
        """
        return math.prod(self.fixed[index].shape) <= _MAX_DESCENDED_PIXELS or index % 2 == 0

    def finest_of(self, most: int) -> int | None:
        """Return the index of the finest level of which neither image has more than ``most`` pixels; None for none."""
        sizes = (max(math.prod(each.shape) for each in self.level(index)) for index in range(len(self)))
        return next((index for index, pixels in enumerate(sizes) if pixels <= most), None)

    def __len__(self) -> int:
        return len(self.fixed)

    def level(self, index: int) -> tuple[Level, Level]:
        """Return one level of the fixed and of the moving image, in the contrast in which they are compared."""
        moving = self.moving[index]
        return self.fixed[index], moving.negative if self.inverted else moving

    @property
    def exchanged(self) -> PairPyramid:
        """The same pair with the roles of the images exchanged."""
        return PairPyramid(self.moving, self.fixed, self.inverted)

    def in_contrast(self, inverted: bool) -> PairPyramid:
        """Return the same pyramids, compared in the contrast that is asked for."""
        return replace(self, inverted=inverted)


class LevelMetrics:
    """The metric of each level of a pair, built when it is first asked for.

    Args:
        pair: the pyramids, in one contrast.
        config: window and least overlap are used.
    """

    def __init__(self, pair: PairPyramid, config: RegistrationConfig) -> None:
        self.pair = pair
        self._config = config
        self._built: dict[int, LevelMetric] = {}

    def __getitem__(self, index: int) -> LevelMetric:
        if index not in self._built:
            fixed, moving = self.pair.level(index)
            self._built[index] = LevelMetric(
                fixed,
                moving,
                self.pair.shape,
                self._config.window_side,
                self._config.first_min_overlap,
                Interpolation.CUBIC if fixed.factor == 1 else Interpolation.LINEAR,
            )
        return self._built[index]

    def agreement(self, index: int, matrix: np.ndarray) -> Agreement | None:
        """Return how well the images of a level agree at ``matrix`` (3, 3), fixed -> moving, by what both of them hold.

        The geometric mean of what the fixed image shows and is found in the moving one, and the other way round: what
        meets empty ground counts against a place, whichever image shows it. None with too little overlap.
        """
        there = self[index].agreement(matrix)
        if there is None or not there.zncc > 0:
            return there
        back = np.linalg.inv(matrix)
        again = self._exchanged[index].agreement(back / back[2, 2])
        if again is None:
            return None
        return Agreement(math.sqrt(there.zncc * max(0.0, again.zncc)), math.sqrt(there.share * again.share))

    @cached_property
    def _exchanged(self) -> LevelMetrics:
        return LevelMetrics(self.pair.exchanged, self._config)
