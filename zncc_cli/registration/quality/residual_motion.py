"""How far the parts of an image lie, each for itself, from where a transform puts them.

A model that is too simple for a pair leaves parts behind: tissue that bends, a scene with depth. The mean agreement of
all windows does not tell, since some parts are right everywhere, nor does the scatter of the windows about the fit,
which sees no farther than they correlate. So blocks are slid over the other image, as for `block_consensus`; those of
them count whose neighbours find the same shift to within `_SAME_PX`, which chance and noise do not bring about. Where a
fit is right, most of them find none.

The neighbours' test is that of Westerweel and Scarano 2005, doi:10.1007/s00348-005-0016-6, with a fixed tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from zncc_cli.registration.inputs.orientation_map import OrientedPair
from zncc_cli.registration.metric.block_surfaces import BLOCK_PX, BlockShifts
from zncc_cli.registration.quality.block_consensus import REACH_PX

# Blocks side by side, so that their shifts are alike for no other reason than that the motion is.
_STEP_PX = BLOCK_PX
_SAME_PX, _MIN_NEIGHBOURS = 2.5, 3  # of the eight around a block, at least half must have its shift
# Blocks that agree with their neighbours tell something where they are more than a handful, and more than a few of
# those that decide: in noise a twentieth agrees by chance.
_MIN_BLOCKS, _MIN_SHARE = 10, 0.2
# A block tells its shift to a whole pixel of the level, that of another sensor to about two. Half of the blocks say
# what the transform is off by; of another sensor the better half may be the one that the fit is made of, and a quarter
# is more than what moves in a scene by itself, as clouds do.
_SHARE_OFF, _RESOLUTION_PX = 0.5, 1.0
_SHARE_OFF_IF_UNLIKE, _RESOLUTION_IF_UNLIKE_PX = 0.25, 2.0
# A part that moves by itself: a block that is one pixel off along both axes may be so by rounding, and a fiftieth of
# the overlap is the least that a transform that bends speaks of.
_LEFT_PX, _MIN_SHARE_LEFT = 2.0, 0.02


@dataclass(frozen=True, eq=False)
class Parts:
    """Where the parts of an overlap lie, each for itself, against a transform.

    Attributes:
        lengths: (n,), how far each part lies off that is of one mind with its neighbours, pixels of the level.
        count: of the parts that find a place at all. factor: full-resolution pixels per pixel of the level.
    """

    lengths: np.ndarray
    count: int
    factor: int

    @classmethod
    def of(cls, pair: OrientedPair, matrix: np.ndarray) -> Self:
        """Return the parts of both images, as blocks are compared; ``matrix`` (3, 3) maps fixed to moving pixels."""
        found = pair.shifts(pair.at_level(matrix), REACH_PX, _STEP_PX)
        return cls(_agreed_lengths(found), len(found.shifts), pair.factor)

    def residual_motion(self, *, alike: bool) -> float | None:
        """Return how far half of the parts are off at least, full-resolution pixels; 0 for less than they tell.

        Args:
            alike: whether the images look alike, but for noise and contrast; else it is how far a quarter of them is.

        Returns:
            None where too few parts find a place and agree on it with those around them.
        """
        if len(self.lengths) < max(_MIN_BLOCKS, _MIN_SHARE * self.count):
            return None
        share, resolution = (_SHARE_OFF, _RESOLUTION_PX) if alike else (_SHARE_OFF_IF_UNLIKE, _RESOLUTION_IF_UNLIKE_PX)
        off = float(np.quantile(self.lengths, 1 - share))
        return off * self.factor if off >= resolution else 0.0

    @property
    def left_behind(self) -> float:
        """How far the parts that lie off put the overlap off, RMS over all parts, full-resolution pixels.

        Those in place count zero; so do all where too few lie off.
        """
        left = self.lengths[self.lengths >= _LEFT_PX]
        told = len(self.lengths) >= _MIN_SHARE * self.count
        if not told or len(left) < max(_MIN_BLOCKS, _MIN_SHARE_LEFT * len(self.lengths)):
            return 0.0
        return float(np.sqrt((left**2).sum() / len(self.lengths))) * self.factor


def _agreed_lengths(found: BlockShifts) -> np.ndarray:
    """Return how long the shifts are that blocks agree on with their neighbours, (n,), pixels of the level.

    Each is the median of the block and of those neighbours that agree with it.
    """
    if not len(found.shifts):
        return np.empty(0)
    places = np.rint(found.centres.double().cpu().numpy() / _STEP_PX).astype(int)
    column, row = (places - places.min(axis=0)).T
    grid = np.full((row.max() + 3, column.max() + 3, 2), np.nan)
    grid[row + 1, column + 1] = found.shifts.double().cpu().numpy()
    around = np.stack([grid[row + i, column + j] for i in range(3) for j in range(3)])  # (9, N, 2)
    own = grid[row + 1, column + 1]
    there = np.isfinite(around[..., 0])
    same = there & (np.linalg.norm(around - own, axis=-1) <= _SAME_PX)
    neighbours, agreeing = there.sum(axis=0) - 1, same.sum(axis=0) - 1
    agrees = (neighbours >= _MIN_NEIGHBOURS) & (agreeing >= neighbours / 2)
    if not agrees.any():
        return np.empty(0)
    shifts = np.nanmedian(np.where(same[..., None], around, np.nan)[:, agrees], axis=0)
    return np.asarray(np.hypot(*shifts.T))
