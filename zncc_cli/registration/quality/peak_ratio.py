"""Another shift at which an aligned pair agrees as well: a texture that repeats itself, or no agreement at all.

The aligned images, less their shading, are slid over each other by whole pixels. What is compared is the ZNCC of the
overlap in units of chance (`significance`), here and at the best other place. A place counts as another one where the
way to it leads through a valley: along a straight edge, or on the flanks of a broad peak, all shifts agree alike, which
is a matter of uncertainty and not of another place.

On three grids: all of the overlap coarsely, where noise hides little, and twice as finely; and its middle on the
finest level. A coarse grid does not see a fine texture, and the middle no period longer than itself. A pair is at its
place when one of them says so: bricks that all look alike may make a wall that is not.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.config import Interpolation
from zncc_cli.registration.pyramid import Level, background, fill_holes, smooth
from zncc_cli.registration.search.global_search import MaskedZncc, significance
from zncc_cli.registration.warp import Sampler, coordinates, inside, level_scale

_SIDES = (48, 96)  # pixels: the shorter side of the overlap on a grid, or up to twice as many
_MIDDLE = 128  # pixels: the side of what is looked at on the finest level
_ALL = slice(None)
_FINE_SIGMA = 0.85  # pixels: what the pixels' own noise and aliasing are damped by on the finest level
_SHADING = 1 / 8  # of the grid's shorter side: what changes more slowly says nothing about position
_POWERS = [
    (i, j) for i in range(5) for j in range(5 - i)
]  # of x and y: what light falls off by, up to the frame's edge
_LEAST_OVERLAP = 0.25  # of what lies on the grid
_NEAR = 2  # grid pixels; the result itself is the best place within them
_VALLEY = 0.5  # of the lower one of two peaks: what lies between them is lower where they are two
_BLOCK = 8  # grid pixels; of each block of shifts the best is looked at
_STEPS = 65  # on the way there, which is twice as many pixels long at most
_LEAST_PIXELS = 256  # fewer say nothing


def peak_ratio(fixed: list[Level], moving: list[Level], matrix: np.ndarray) -> float | None:
    """Return how many times as significant the agreement at ``matrix`` is as at the best other shift.

    Args:
        fixed, moving: the pyramids, the finest level first, of the same contrast.
        matrix: (3, 3), fixed -> moving, full-resolution pixels.

    Returns:
        The ratio; below one where another shift agrees better; None where none agrees at all.
    """
    top = len(fixed) - 1
    held = _overlap(fixed[top], moving[top], matrix, fixed[top].shape)
    if not bool(held.any()):
        return None
    # The first and the last row and column of the overlap, full-resolution pixels.
    box = torch.stack([axis[[0, -1]] for axis in (held.any(dim=d).nonzero()[:, 0] for d in (1, 0))])
    rows, columns = (box * fixed[top].factor).tolist()
    shorter = min(rows[1] - rows[0], columns[1] - columns[0])
    looks = {
        max((k for k, level in enumerate(fixed) if shorter >= side * level.factor), default=0): None for side in _SIDES
    }
    ratios = [_ratio(fixed[k], moving[k], matrix, _part(rows, fixed[k]), _part(columns, fixed[k])) for k in looks]
    if 0 not in looks:
        middle = [slice(max(0, (a + b - _MIDDLE) // 2), (a + b + _MIDDLE) // 2) for a, b in (rows, columns)]
        ratios.append(_ratio(fixed[0], moving[0], matrix, *middle))
    return max((ratio for ratio in ratios if ratio is not None), default=None)


def _part(ends: list[int], level: Level) -> slice:
    """Return the pixels of a level between full-resolution ones."""
    return slice(ends[0] // level.factor, ends[1] // level.factor + 1)


def _overlap(
    fixed: Level, moving: Level, matrix: np.ndarray, shape: tuple[int, int], rows: slice = _ALL, columns: slice = _ALL
) -> Tensor:
    """Return which pixels (H, W) of a part of the fixed level ``matrix`` sends to valid ones of the moving level."""
    x, y = coordinates(_pull(fixed, matrix, rows, columns).to(moving.image), shape)
    held = inside(None if bool(moving.mask.all()) else moving.mask, moving.shape, x, y)
    return held & fixed.mask[rows, columns]


def _pull(level: Level, matrix: np.ndarray, rows: slice, columns: slice) -> Tensor:
    first = np.array([[1, 0, columns.start or 0], [0, 1, rows.start or 0], [0, 0, 1]], dtype=np.float64)
    return torch.from_numpy(matrix * level_scale(level.factor) @ first)


def _ratio(fixed: Level, moving: Level, matrix: np.ndarray, rows: slice, columns: slice) -> float | None:
    """Return the ratio on a part of a level's overlap; None without a rival, or without pixels enough."""
    f = fixed.image[..., rows, columns]
    shape = int(f.shape[-2]), int(f.shape[-1])
    held = _overlap(fixed, moving, matrix, shape, rows, columns)
    if int(held.sum()) < _LEAST_PIXELS:
        return None
    sampler = Sampler(fill_holes(moving.image, moving.mask), Interpolation.LINEAR)
    m = sampler.warped(_pull(fixed, matrix, rows, columns), shape)[0][None]
    if fixed.factor == 1:
        f, m = (smooth(image, held, _FINE_SIGMA, enough=0.0)[0] for image in (f, m))
    # Less their shading over the same pixels, they differ only in what they show.
    f, m = _without_shading(torch.cat((f, m)), held)
    zncc, count = MaskedZncc(f, held.to(f), shape)(m, held.to(m), _LEAST_OVERLAP)
    return _against_rivals(significance(zncc, count))


def _without_shading(images: Tensor, mask: Tensor) -> Tensor:
    """Return ``images`` (N, 1, H, W) less surfaces of the fourth degree and what else changes slowly, (N, H, W)."""
    height, width = mask.shape
    y, x = (torch.linspace(-1, 1, n, dtype=images.dtype, device=images.device) for n in (height, width))
    basis = torch.stack([y[:, None] ** i * x**j for i, j in _POWERS]).flatten(1)
    held = basis * mask.flatten()
    normal, right = (held @ basis.T).double().cpu(), (held @ images.flatten(1).T).double().cpu()
    # A narrow mask holds fewer surfaces.
    weights = (torch.linalg.pinv(normal, hermitian=True, rtol=1e-6) @ right).to(images)
    rest = torch.where(mask, images - (weights.T @ basis).view(images.shape), 0)
    slowly = [background(image[None], mask, min(height, width) * _SHADING) for image in rest]
    return torch.where(mask, rest - torch.cat(slowly), 0)[:, 0]


def _against_rivals(surface: Tensor) -> float | None:
    """Return the peak at no shift over the best other one of ``surface`` (H, W), no shift being at its first entry."""
    height, width = surface.shape
    cy, cx = height // 2, width // 2
    surface = surface.roll((cy, cx), (0, 1))
    here = max(0.0, float(surface[cy - _NEAR : cy + _NEAR + 1, cx - _NEAR : cx + _NEAR + 1].max()))
    tops, where = F.max_pool2d(surface[None, None], _BLOCK, ceil_mode=True, return_indices=True)
    values, heights, places = surface.cpu().numpy(), tops.flatten().cpu().numpy(), where.flatten().cpu().numpy()
    dy, dx = places // width - cy, places % width - cx
    away = (heights > 0) & (np.maximum(np.abs(dy), np.abs(dx)) > _NEAR)
    way = np.linspace(0, 1, _STEPS)[:, None]
    between = values[cy + np.rint(dy * way).astype(int), cx + np.rint(dx * way).astype(int)].min(axis=0)
    rivals = heights[away & (between < _VALLEY * np.minimum(here, heights))]
    return here / float(rivals.max()) if len(rivals) else None
