"""What a fit says of windows that took no part in it, on the fields of a chessboard.

A field that bends can put noise on noise where it is fitted. Where the black fields tell how the white ones lie, both
images show one scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from zncc_cli.registration.nonrigid.field_level import SIGMA_PX, FieldLevel
from zncc_cli.registration.nonrigid.fit import FieldFit, FitSettings, fit_field
from zncc_cli.registration.pyramid import Level, coarsest_of

_COARSE_ITERATIONS = 3  # of the halves: they need not be as good as the fit itself
_JUDGED_SIDE_PX = 192  # the coarsest level with at least this shorter side is looked at
_FIELD_WINDOWS, _LEAST_FIELD_WINDOWS = 3, 2  # side of a field of the chessboard, windows; on a small frame
_LEAST_WEIGHT = 1e-2  # of a field, of the most that one has
_FIELDS, _FEWEST_FIELDS = 6, 4  # along the shorter side of the frame, where there is room; with fewer nothing is told


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Mean local ZNCC, windows weighted by their signal.

    Attributes:
        before: where the matrix alone puts the windows.
        fitted: of windows that a field was fitted to.
        after: of windows held out, where the field that was fitted to the others puts them.
        blocks: the same of each field of the chessboard, (n,).
        gains: how much more that is than before, of each field, (n,).
    """

    before: float
    fitted: float
    after: float
    blocks: np.ndarray
    gains: np.ndarray


def held_out(
    fixed: Sequence[Level], moving: Sequence[Level], fit: FieldFit, matrix: np.ndarray, settings: FitSettings
) -> HeldOut | None:
    """Return how well the halves of a chessboard tell each other; None where there are too few windows.

    Args:
        fixed, moving: the pyramids of the fit.
        fit: of all windows; its smoothness is taken, and nothing else.
        matrix: (3, 3), fixed -> moving, full-resolution pixels.
        settings: of the fit.
    """
    judged = judged_level(fixed)
    side = _field_side(fixed[judged], settings.window)
    if min(fixed[judged].shape) < _FEWEST_FIELDS * side:
        return None
    boards = [_board(level, side * fixed[judged].factor) for level in fixed]
    known = replace(settings, smoothness=fit.smoothness, searched=fit.searched, coarse_iterations=_COARSE_ITERATIONS)
    looks = [_Look(fixed[judged].shape, side, settings.window, black, boards[judged].device) for black in (True, False)]
    sigma = settings.finest_sigma if judged == 0 else SIGMA_PX
    of_all = FieldLevel(fixed[judged], moving[judged], matrix, settings.window, settings.spacing, sigma)
    before = of_all.at(of_all.grid.zeros(of_all.device), with_maps=True).maps
    first = [look.sums(before) for look in looks]
    fitted, after = [], []
    for black, (own, other) in ((True, looks), (False, looks[::-1])):
        chosen = [board if black else 1 - board for board in boards]
        half = fit_field(fixed, moving, matrix, known, last=judged, chosen=chosen)
        maps = of_all.at(half.coefficients, with_maps=True).maps
        fitted.append(own.sums(maps))
        after.append(other.sums(maps))
    sums = [torch.stack(parts).sum(dim=(0, 2, 3)) for parts in (first, fitted, after)]
    if not all(float(total[0]) > 0 for total in sums):
        return None
    (weight_before, zncc_before), (weight, zncc) = (torch.stack(parts).sum(dim=0).cpu() for parts in (first, after))
    seen = (weight > weight.max() * _LEAST_WEIGHT) & (weight_before > weight_before.max() * _LEAST_WEIGHT)
    blocks = zncc[seen] / weight[seen]
    gains = blocks - zncc_before[seen] / weight_before[seen]
    unfitted, of_fit, others = (float(total[1] / total[0]) for total in sums)
    return HeldOut(unfitted, of_fit, others, np.asarray(blocks.double()), np.asarray(gains.double()))


def judged_level(levels: Sequence[Level]) -> int:
    """Return the index of the level on which the windows are looked at."""
    return coarsest_of(list(levels), _JUDGED_SIDE_PX)


def _field_side(level: Level, window: int) -> int:
    """Return the side of the chessboard's fields, level pixels: three windows, or less on a small frame."""
    return min(_FIELD_WINDOWS * window, max(_LEAST_FIELD_WINDOWS * window, min(level.shape) // _FIELDS))


def _board(level: Level, side: int) -> Tensor:
    """Return a chessboard (H, W) float32 on a level, one in its black fields of ``side`` full-resolution pixels."""
    rows, columns = (torch.arange(n, device=level.mask.device) * level.factor // side for n in level.shape)
    return ((rows[:, None] + columns) % 2 == 0).float()


class _Look:
    """The windows of one colour that lie apart from those of the other one."""

    def __init__(self, shape: tuple[int, int], side: int, window: int, black: bool, device: torch.device) -> None:
        self._shape, self._side = shape, side
        rows, columns = (torch.arange(n, device=device) for n in shape)
        apart = window - 1  # neither shares a pixel with a window around a pixel of the other colour
        down, across = ((line % side >= apart) & (line % side < side - apart) for line in (rows, columns))
        colour = (rows[:, None] // side + columns // side) % 2 == (0 if black else 1)
        self._inside = (colour & down[:, None] & across).float()

    def sums(self, maps: Tensor | None) -> Tensor:
        """Return the sums of the weights and of the weighted ZNCC over each field, (2, rows, columns)."""
        assert maps is not None
        weight = maps[2] * self._inside
        planes = torch.stack((weight, weight * maps[0]))
        height, width = self._shape
        padded = torch.nn.functional.pad(planes, (0, -width % self._side, 0, -height % self._side))
        return padded.view(2, padded.shape[1] // self._side, self._side, -1, self._side).sum(dim=(2, 4))
