"""Another shift at which an aligned pair agrees as well: a texture that repeats itself, or no agreement at all.

The aligned images, less their shading, are slid over each other by whole pixels. What is compared is the ZNCC of the
overlap in units of chance (`significance`), here and at the best other place. A place counts as another one where the
way to it leads through a valley: along a straight edge, or on the flanks of a broad peak, all shifts agree alike, which
is a matter of uncertainty and not of another place.

Twice: all of the overlap on a coarse level, and its middle on the finest, since one does not see a fine texture and the
other no period longer than itself. A pair is at its place when one of them says so: bricks that all look alike may
make a wall that is not, and a wall's own shape be seen through any noise.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.registration.initialization import MaskedZncc, significance
from zncc_cli.registration.pyramid import Level, background, coarsest_of, fill_holes, smooth
from zncc_cli.registration.warp import Interpolation, Sampler, coordinates, inside, level_scale

_SIDE = 128  # pixels: the side of the grid, or a little more
_FINE_SIGMA = 0.85  # pixels: what the pixels' own noise and aliasing are damped by on the finest level
_SHADING = 1 / 8  # of the grid's shorter side: what changes more slowly says nothing about position
_POWERS = [
    (i, j) for i in range(5) for j in range(5 - i)
]  # of x and y: what light falls off by, up to the frame's edge
_LEAST_OVERLAP = 0.25  # of what lies on the grid
_NEAR = 2  # grid pixels; the result itself is the best place within them
_VALLEY = 0.5  # of the lower one of two peaks: what lies between them is lower where they are two
_BLOCK, _PLACES = 8, 12  # of each block of shifts the best is looked at, and of these the best few
_LEAST_PIXELS = 256  # fewer say nothing


def peak_ratio(fixed: list[Level], moving: list[Level], matrix: np.ndarray) -> float | None:
    """Return how many times as significant the agreement at ``matrix`` is as at the best other shift.

    Args:
        fixed, moving: the pyramids, the finest level first, of the same contrast.
        matrix: (3, 3), fixed -> moving, full-resolution pixels.

    Returns:
        The ratio; below one where another shift agrees better; None where none agrees at all.
    """
    coarse = coarsest_of(fixed, _SIDE)
    level = fixed[coarse]
    at = matrix * level_scale(level.factor)
    ratios = [_ratio(level, moving[coarse], at, (0, 0), level.shape, smoothed=False)]
    if coarse > 0:
        middle = _middle(level, moving[coarse], at) * level.factor
        shape = fixed[0].shape
        sides = min(shape[0], _SIDE), min(shape[1], _SIDE)
        top, left = (int(np.clip(m - s / 2, 0, n - s)) for m, s, n in zip(middle, sides, shape, strict=True))
        ratios.append(_ratio(fixed[0], moving[0], matrix, (top, left), sides, smoothed=True))
    return max((ratio for ratio in ratios if ratio is not None), default=None)


def _middle(fixed: Level, moving: Level, matrix: np.ndarray) -> np.ndarray:
    """Return the centroid (y, x) of the overlap, or of the frame where there is none; pixels of the level."""
    held = torch.nonzero(fixed.mask & _held(moving, torch.from_numpy(matrix), fixed.shape))
    return held.double().mean(dim=0).cpu().numpy() if len(held) else np.array(fixed.shape) / 2


def _held(moving: Level, pull: Tensor, shape: tuple[int, int]) -> Tensor:
    x, y = coordinates(pull.to(moving.image), shape)
    return inside(None if bool(moving.mask.all()) else moving.mask, moving.shape, x, y)


def _ratio(
    fixed: Level, moving: Level, matrix: np.ndarray, first: tuple[int, int], shape: tuple[int, int], *, smoothed: bool
) -> float | None:
    """Return the ratio on a part of the fixed frame, (H, W) from (y, x) on; None without a rival, or without pixels."""
    top, left = first
    part = slice(top, top + shape[0]), slice(left, left + shape[1])
    pull = torch.from_numpy(matrix @ np.array([[1, 0, left], [0, 1, top], [0, 0, 1]], dtype=np.float64))
    f, f_mask = fixed.image[..., part[0], part[1]], fixed.mask[part]
    m_mask = _held(moving, pull, shape)
    if min(int(f_mask.sum()), int(m_mask.sum())) < _LEAST_PIXELS:
        return None
    m = Sampler(fill_holes(moving.image, moving.mask), Interpolation.LINEAR).warped(pull, shape)[0][None]
    if smoothed:
        f, m = (smooth(image, mask, _FINE_SIGMA, enough=0.0)[0] for image, mask in ((f, f_mask), (m, m_mask)))
    f, m = _without_shading(f, f_mask), _without_shading(m, m_mask)
    zncc, count = MaskedZncc(f, f_mask.to(f), shape)(m, m_mask.to(m), _LEAST_OVERLAP)
    return _against_rivals(significance(zncc, count))


def _without_shading(image: Tensor, mask: Tensor) -> Tensor:
    """Return ``image`` (1, 1, H, W) less a surface of the fourth degree and what else changes slowly, (H, W)."""
    height, width = mask.shape
    y, x = (torch.linspace(-1, 1, n, dtype=image.dtype, device=image.device) for n in (height, width))
    basis = torch.stack([y[:, None] ** i * x**j for i, j in _POWERS]).flatten(1)
    held = basis * mask.flatten()
    normal, right = (held @ basis.T).double().cpu(), (held @ image.flatten()).double().cpu()
    # A narrow mask holds fewer surfaces.
    weights = (torch.linalg.pinv(normal, hermitian=True, rtol=1e-6) @ right).to(image)
    rest = torch.where(mask, image - (weights @ basis).view(mask.shape), 0)
    slowly = background(rest, mask, min(height, width) * _SHADING)
    return torch.where(mask, rest - slowly, 0)[0, 0]


def _against_rivals(surface: Tensor) -> float | None:
    """Return the peak at no shift over the best other one of ``surface`` (H, W), no shift being at its first entry."""
    height, width = surface.shape
    cy, cx = height // 2, width // 2
    surface = surface.roll((cy, cx), (0, 1))
    here = max(0.0, float(surface[cy - _NEAR : cy + _NEAR + 1, cx - _NEAR : cx + _NEAR + 1].max()))
    tops, where = F.max_pool2d(surface[None, None], _BLOCK, ceil_mode=True, return_indices=True)
    best = tops.flatten().topk(min(_PLACES, tops.numel())).indices
    values = surface.cpu().numpy()
    for place in where.flatten()[best].tolist():
        dy, dx = place // width - cy, place % width - cx
        there, far = float(values[cy + dy, cx + dx]), max(abs(dy), abs(dx))
        if far <= _NEAR or there <= 0:
            continue
        way = np.linspace(0, 1, 2 * far + 1)
        between = values[cy + np.rint(dy * way).astype(int), cx + np.rint(dx * way).astype(int)]
        if between.min() < _VALLEY * min(here, there) or math.isclose(here, 0):
            return here / there
    return None
