"""A border of constant pixels that both images have alike: no part of the scene, and it does not move with it.

Frames of masks, of detectors and of scanned slides lie at the same place in both images, and their edges hold a result
at the identity. A plain background around one object looks the same and does move with it. So nothing is left out
beforehand; what is found here is what a result would be without it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.config import RegistrationConfig
from zncc_cli.registration.metric.windows import over_windows
from zncc_cli.registration.optimizer import Ending
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.quality.uncertainty import Uncertainty
from zncc_cli.registration.quality.verdict import BORDER_PULL
from zncc_cli.registration.refine.refine import Refined, refine
from zncc_cli.registration.warp import corners, map_points

_LIKE = 1e-2  # of the image's standard deviation, which is one: pixels that differ by less are of one value
_CORNERS = [(y, x) for y in (0, -1) for x in (0, -1)]
_THIN = 3  # pixels: a border that is thinner is none
_LEAST, _MOST = 0.005, 0.9  # of the frame: less holds nothing, and more leaves nothing
_ALIKE = 0.9  # of what either image has: a background that moved by much is no border of both
_CHANCE = 3.0  # standard deviations: what pulls by less may pull by chance
_REACH = 2  # pixels: an edge between border and scene may be soft


def common_border(fixed: Level, moving: Level) -> Tensor | None:
    """Return the border (H, W) bool that two images of one frame have in common, a little widened; None without one.

    fixed, moving: of about unit variance.
    """
    if fixed.shape != moving.shape:
        return None
    # Nearly every pair without a border is told by three pixels at each corner.
    corner = next((at for at in _CORNERS if all(_is_plain(level, at) for level in (fixed, moving))), None)
    if corner is None:
        return None
    borders = [_border(level, corner) for level in (fixed, moving)]
    common, either = borders[0] & borders[1], borders[0] | borders[1]
    share = float(common.sum()) / common.numel()
    if not _LEAST <= share <= _MOST or float(common.sum()) < _ALIKE * float(either.sum()):
        return None
    side = 2 * _REACH + 1
    padded = F.pad(common, [_REACH] * 4)
    return over_windows(padded, side, torch.logical_or)


@dataclass(frozen=True)
class BorderCheck:
    """A result that no border holds.

    Attributes:
        refined: the result.
        pull: how far a corner moved when the border was left out, pixels; infinite where nothing was found any more;
            None where there is no border, or nothing can be said.
        levels: fixed and moving without the border, by which the result is to be judged: agreement of a frame is none
            of the scenes. As they are without a border, or where they hold nothing without it.
        left_out: whether the border pulled by more than chance, and the result is the one without it.
    """

    refined: Refined
    pull: float | None
    levels: tuple[Level, Level]
    left_out: bool = False


def refine_without_border(fixed: Level, moving: Level, refined: Refined, config: RegistrationConfig) -> BorderCheck:
    """Return the result without a border that both images have alike, where that pulls at it."""
    as_it_is = BorderCheck(refined, None, (fixed, moving))
    border = common_border(fixed, moving)
    if border is None:
        return as_it_is
    levels = _without(fixed, border), _without(moving, border)
    free = refine(*levels, refined.matrix, config)
    known = Uncertainty.of_blocks(config.model, free.matrix, fixed.shape, free.influences)
    if free.ending is Ending.OUT_OF_DOMAIN:
        return replace(as_it_is, pull=math.inf)
    if free.ending is Ending.UNDETERMINED or known is None:
        return as_it_is
    frame = corners(fixed.shape)
    pull = float(np.linalg.norm(map_points(free.matrix, frame) - map_points(refined.matrix, frame), axis=-1).max())
    if pull <= max(BORDER_PULL, _CHANCE * float(known.corners.max())):
        return BorderCheck(refined, pull, levels)
    return BorderCheck(free, pull, levels, left_out=True)


def _without(level: Level, border: Tensor) -> Level:
    mask = level.mask & ~border
    return replace(level, image=level.image * mask.to(level.image), mask=mask)


def _is_plain(level: Level, corner: tuple[int, int]) -> bool:
    """Return whether the pixels next to a corner of the frame are valid and of one value."""
    rows, columns = (slice(0, _THIN) if end == 0 else slice(-_THIN, None) for end in corner)
    pixels = level.image[0, 0, rows, columns]
    return bool(level.mask[rows, columns].all()) and float(pixels.max() - pixels.min()) <= _LIKE


def _border(level: Level, corner: tuple[int, int]) -> Tensor:
    """Return the valid pixels (H, W) from which a straight way leads out through pixels of the corner's value."""
    image = level.image[0, 0]
    plain = ((image - image[corner]).abs() <= _LIKE) & level.mask
    ways = [_from_start(plain, dim) for dim in (0, 1)]
    ways += [_from_start(plain.flip(dim), dim).flip(dim) for dim in (0, 1)]
    return torch.stack(ways).any(dim=0)


def _from_start(plain: Tensor, dim: int) -> Tensor:
    return plain.to(torch.uint8).cumprod(dim=dim).bool()
