"""A border of constant pixels that both images have alike: no part of the scene, and it does not move with it.

Frames of masks, of detectors and of scanned slides lie at the same place in both images, and their edges hold a result
at the identity. A plain background around one object looks the same and does move with it. So nothing is left out
beforehand; what is found here is what a result would be without it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.zncc import over_windows

_LIKE = 1e-2  # of the image's standard deviation: pixels that differ by less are of one value
_LEAST, _MOST = 0.005, 0.9  # of the frame: less holds nothing, and more leaves nothing
_ALIKE = 0.9  # of what either image has: a background that moved by much is no border of both
_REACH = 2  # pixels: an edge between border and scene may be soft


def common_border(fixed: Level, moving: Level) -> Tensor | None:
    """Return the border (H, W) bool that two images of one frame have in common, a little widened; None without one."""
    if fixed.shape != moving.shape:
        return None
    borders = [_border(level) for level in (fixed, moving)]
    common, either = borders[0] & borders[1], borders[0] | borders[1]
    share = float(common.sum()) / common.numel()
    if not _LEAST <= share <= _MOST or float(common.sum()) < _ALIKE * float(either.sum()):
        return None
    side = 2 * _REACH + 1
    padded = torch.nn.functional.pad(common, [_REACH] * 4)
    return over_windows(padded, side, torch.logical_or)


def without(level: Level, border: Tensor) -> Level:
    """Return the level with ``border`` (H, W) bool left out."""
    mask = level.mask & ~border
    return Level(level.image * mask.to(level.image), mask, level.factor)


def _border(level: Level) -> Tensor:
    """Return the valid pixels (H, W) from which a straight way leads out of the frame through pixels of one value."""
    image = level.image[0, 0]
    best = torch.zeros_like(level.mask)
    spread = image[level.mask].std() * _LIKE if bool(level.mask.any()) else 0.0
    # The value of a border is that of one of the frame's corners.
    for value in {float(image[y, x]) for y in (0, -1) for x in (0, -1) if bool(level.mask[y, x])}:
        plain = ((image - value).abs() <= spread) & level.mask
        ways = [_from_start(plain, dim) for dim in (0, 1)]
        ways += [_from_start(plain.flip(dim), dim).flip(dim) for dim in (0, 1)]
        found = torch.stack(ways).any(dim=0)
        best = found if int(found.sum()) > int(best.sum()) else best
    return best


def _from_start(plain: Tensor, dim: int) -> Tensor:
    return plain.to(torch.uint8).cumprod(dim=dim).bool()
