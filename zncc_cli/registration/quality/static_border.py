"""A static border: constant pixels around both images that are no part of the scene and do not move with it.

Frames of masks, of detectors and of scanned slides lie at the same place in both images, and their edges hold a result
at the identity. A plain background around one object looks the same, but moves with it. So no border is left out
beforehand: the result is computed again without it, and the two results are compared. Where one image leaves out its
border already, as no data or by a mask, that is the same border.
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
from zncc_cli.registration.quality.bounds import MIN_BORDER_PULL_PX
from zncc_cli.registration.quality.uncertainty import Uncertainty
from zncc_cli.registration.refine.refine import Refined, refine
from zncc_cli.registration.warp import corners, map_points

_SAME_VALUE = 1e-2  # of the image's standard deviation, which is one: pixels that differ by less are of one value
_CORNERS = [(y, x) for y in (0, -1) for x in (0, -1)]
_MIN_WIDTH_PX = 3  # a border that is thinner does not count
_MIN_SHARE, _MAX_SHARE = 0.005, 0.9  # of the frame: less holds nothing, and more leaves nothing
_MIN_COMMON_SHARE = 0.9  # of the border of either image: a background that moved by much is no border of both
_CHANCE_DEVIATIONS = 3.0  # standard deviations: a shorter pull may be chance
_SOFT_EDGE_PX = 2  # the edge between border and scene may be soft


def common_border(fixed: Level, moving: Level) -> Tensor | None:
    """Return the border (H, W) bool that two images have in common, widened by a soft edge; None without one.

    Both images are of about unit variance; images of different size have no border in common, nor have those that leave
    out all of it.
    """
    if fixed.shape != moving.shape:
        return None
    # Three pixels at each corner tell nearly every pair without a border.
    corner = next((corner for corner in _CORNERS if all(_is_plain(each, corner) for each in (fixed, moving))), None)
    if corner is None:
        return None
    borders = [_border(level, corner) for level in (fixed, moving)]
    if not any(bool((border & level.mask).any()) for border, level in zip(borders, (fixed, moving), strict=True)):
        return None
    common, either = borders[0] & borders[1], borders[0] | borders[1]
    share = float(common.sum()) / common.numel()
    if not _MIN_SHARE <= share <= _MAX_SHARE or float(common.sum()) < _MIN_COMMON_SHARE * float(either.sum()):
        return None
    side = 2 * _SOFT_EDGE_PX + 1
    padded = F.pad(common, [_SOFT_EDGE_PX] * 4)
    return over_windows(padded, side, torch.logical_or)


@dataclass(frozen=True)
class BorderCheck:
    """A result, checked for the pull of a static border.

    Attributes:
        refined: the result.
        pull: how far a corner moved when the border was left out, pixels; infinite where nothing was found without it;
            None where there is no border, or the texture without it determines no result.
        levels: fixed and moving without the border, by which the result is to be judged, since agreement of borders is
            not agreement of scenes; as they came where there is no border, or nothing was found without it.
        left_out: whether the border pulled by more than chance, and the result is the one without it.
        masked: whether ``levels`` are without a border.
    """

    refined: Refined
    pull: float | None
    levels: tuple[Level, Level]
    left_out: bool = False
    masked: bool = False


def refine_without_border(fixed: Level, moving: Level, refined: Refined, config: RegistrationConfig) -> BorderCheck:
    """Return the result without a static border, where the border pulls at it."""
    with_border = BorderCheck(refined, None, (fixed, moving))
    border = common_border(fixed, moving)
    if border is None:
        return with_border
    levels = without(fixed, border), without(moving, border)
    free = refine(*levels, refined.matrix, config)
    uncertainty = Uncertainty.of_blocks(config.model, free.matrix, fixed.shape, free.influences)
    if free.ending is Ending.OUT_OF_DOMAIN:
        return replace(with_border, pull=math.inf)
    if free.ending is Ending.UNDETERMINED or uncertainty is None:
        return with_border
    frame = corners(fixed.shape)
    pull = float(np.linalg.norm(map_points(free.matrix, frame) - map_points(refined.matrix, frame), axis=-1).max())
    if pull <= max(MIN_BORDER_PULL_PX, _CHANCE_DEVIATIONS * float(uncertainty.corners.max())):
        return BorderCheck(refined, pull, levels, masked=True)
    return BorderCheck(free, pull, levels, left_out=True, masked=True)


def without(level: Level, border: Tensor) -> Level:
    """Return a level of which a ``border`` (H, W) bool does not count."""
    mask = level.mask & ~border
    return replace(level, image=level.image * mask.to(level.image), mask=mask)


def _is_plain(level: Level, corner: tuple[int, int]) -> bool:
    """Tell whether the pixels next to a corner of the frame are of one value, or none of them is valid."""
    rows, columns = (slice(0, _MIN_WIDTH_PX) if end == 0 else slice(-_MIN_WIDTH_PX, None) for end in corner)
    pixels, valid = level.image[0, 0, rows, columns], level.mask[rows, columns]
    return not bool(valid.any()) or (bool(valid.all()) and float(pixels.max() - pixels.min()) <= _SAME_VALUE)


def _border(level: Level, corner: tuple[int, int]) -> Tensor:
    """Return the pixels (H, W) that a row or column joins to the edge of the frame.

    Each is of the corner's value, or not valid; where the corner is not valid, none is.
    """
    image, plain = level.image[0, 0], ~level.mask
    if bool(level.mask[corner]):
        plain |= (image - image[corner]).abs() <= _SAME_VALUE
    runs = [_run_from_start(plain, dim) for dim in (0, 1)]
    runs += [_run_from_start(plain.flip(dim), dim).flip(dim) for dim in (0, 1)]
    return torch.stack(runs).any(dim=0)


def _run_from_start(plain: Tensor, dim: int) -> Tensor:
    """Return the pixels (H, W) before the first one along ``dim`` that is not ``plain``."""
    # The first index of the largest value: several times as fast as a product along the line.
    other = (~plain).to(torch.uint8).max(dim=dim, keepdim=True)
    first = torch.where(other.values > 0, other.indices, plain.shape[dim])
    places = torch.arange(plain.shape[dim], device=plain.device)
    return (places[:, None] if dim == 0 else places) < first
