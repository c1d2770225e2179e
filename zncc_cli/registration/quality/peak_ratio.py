"""The peak ratio: how much better an aligned pair agrees than at the best other shift.

It is small where a texture repeats itself, or where nothing agrees at all. The aligned images, less their shading, are
shifted over each other by whole pixels, and the ZNCC of their overlap is taken in units of chance (`significance`). A
second peak counts as another one where the straight line to it leads through a valley: along a straight edge, or on the
flanks of a broad peak, all shifts agree alike, which is a matter of uncertainty and not of another place.

There are three grids: all of the overlap coarsely, where noise hides little, and twice as finely; and its middle on the
finest level. A coarse grid does not show a fine texture, and the middle no period longer than itself. The largest of
the three ratios is the result: bricks that all look alike may make a wall that does not repeat itself.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.config import Interpolation
from zncc_cli.registration.pyramid import Level, background, fill_holes, smooth
from zncc_cli.registration.search.masked_zncc import MaskedZncc, significance
from zncc_cli.registration.warp import Sampler, coordinates, inside, level_scale

_GRID_SIDES = (48, 96)  # pixels: the shorter side of the overlap on a grid, or up to twice as many
_MIDDLE_SIDE = 128  # pixels, of the part that is compared on the finest level
_ALL = slice(None)
_FINE_SIGMA = 0.85  # pixels, of the Gaussian that damps the pixels' own noise and aliasing on the finest level
_SHADING_SHARE = 1 / 8  # of the grid's shorter side: what changes more slowly says nothing about position
_POWERS = [(i, j) for i in range(5) for j in range(5 - i)]  # of y and x: light falls off so towards the frame's edge
_MIN_OVERLAP = 0.25  # of the pixels on the grid
_PEAK_RADIUS = 2  # grid pixels; the peak of the result is the best shift within them
_VALLEY_DEPTH = 0.5  # of the lower one of two peaks: the values between them fall below it where the peaks are two
_BLOCK = 8  # grid pixels; of each block of shifts the best is a candidate
_STEPS = 65  # along the line to a candidate, which is at most twice as many pixels long
_MIN_PIXELS = 256  # fewer say nothing


def peak_ratio(fixed: list[Level], moving: list[Level], matrix: np.ndarray) -> float | None:
    """Return the significance of the agreement at ``matrix`` over that at the best other shift.

    Args:
        fixed, moving: the pyramids, the finest level first, of the same contrast.
        matrix: (3, 3), fixed -> moving, full-resolution pixels.

    Returns:
        The ratio; below one where another shift agrees better; None where none agrees at all.
    """
    top = len(fixed) - 1
    overlap = _overlap(fixed[top], moving[top], matrix, fixed[top].shape)
    if not bool(overlap.any()):
        return None
    # The first and the last row and column of the overlap, full-resolution pixels.
    box = torch.stack([axis[[0, -1]] for axis in (overlap.any(dim=d).nonzero()[:, 0] for d in (1, 0))])
    rows, columns = (box * fixed[top].factor).tolist()
    shorter = min(rows[1] - rows[0], columns[1] - columns[0])
    coarsest = (
        max((k for k, level in enumerate(fixed) if shorter >= side * level.factor), default=0) for side in _GRID_SIDES
    )
    levels = list(dict.fromkeys(coarsest))
    ratios = [_ratio(fixed[k], moving[k], matrix, _part(rows, fixed[k]), _part(columns, fixed[k])) for k in levels]
    if 0 not in levels:
        middle = [slice(max(0, (a + b - _MIDDLE_SIDE) // 2), (a + b + _MIDDLE_SIDE) // 2) for a, b in (rows, columns)]
        ratios.append(_ratio(fixed[0], moving[0], matrix, *middle))
    return max((ratio for ratio in ratios if ratio is not None), default=None)


def _part(ends: list[int], level: Level) -> slice:
    """Return the rows or columns of a level from the first to the last of ``ends``, full-resolution pixels."""
    return slice(ends[0] // level.factor, ends[1] // level.factor + 1)


def _overlap(
    fixed: Level, moving: Level, matrix: np.ndarray, shape: tuple[int, int], rows: slice = _ALL, columns: slice = _ALL
) -> Tensor:
    """Tell which pixels of a part (H, W) of the fixed level are valid in both levels at ``matrix``, (H, W) bool."""
    x, y = coordinates(_pull(fixed, matrix, rows, columns).to(moving.image), shape)
    return inside(None if bool(moving.mask.all()) else moving.mask, moving.shape, x, y) & fixed.mask[rows, columns]


def _pull(level: Level, matrix: np.ndarray, rows: slice, columns: slice) -> Tensor:
    """Return the matrix (3, 3) from pixels of a part of a fixed level to pixels of the moving one."""
    first = np.array([[1, 0, columns.start or 0], [0, 1, rows.start or 0], [0, 0, 1]], dtype=np.float64)
    return torch.from_numpy(matrix * level_scale(level.factor) @ first)


def _ratio(fixed: Level, moving: Level, matrix: np.ndarray, rows: slice, columns: slice) -> float | None:
    """Return the peak ratio on a part of a level's overlap; None without a second peak, or with too few pixels."""
    f = fixed.image[..., rows, columns]
    shape = int(f.shape[-2]), int(f.shape[-1])
    overlap = _overlap(fixed, moving, matrix, shape, rows, columns)
    if int(overlap.sum()) < _MIN_PIXELS:
        return None
    sampler = Sampler(fill_holes(moving.image, moving.mask), Interpolation.LINEAR)
    m = sampler.warped(_pull(fixed, matrix, rows, columns), shape)[0][None]
    if fixed.factor == 1:
        f, m = (smooth(image, overlap, _FINE_SIGMA, min_share=0.0)[0] for image in (f, m))
    # Both over the same pixels, so that their shading is taken off alike.
    f, m = _without_shading(torch.cat((f, m)), overlap)
    zncc, count = MaskedZncc(f, overlap.to(f), shape)(m, overlap.to(m), _MIN_OVERLAP)
    return _ratio_of_peaks(significance(zncc, count))


def _without_shading(images: Tensor, mask: Tensor) -> Tensor:
    """Return ``images`` (N, 1, H, W) less surfaces of the fourth degree and then all that changes slowly, (N, H, W).

    ``mask``: (H, W) bool, pixels that count; the others are zero.
    """
    height, width = mask.shape
    y, x = (torch.linspace(-1, 1, n, dtype=images.dtype, device=images.device) for n in (height, width))
    basis = torch.stack([y[:, None] ** i * x**j for i, j in _POWERS]).flatten(1)
    masked = basis * mask.flatten()
    normal, right = (masked @ basis.T).double().cpu(), (masked @ images.flatten(1).T).double().cpu()
    # The pseudo-inverse, because a narrow mask does not determine all surfaces.
    weights = (torch.linalg.pinv(normal, hermitian=True, rtol=1e-6) @ right).to(images)
    rest = torch.where(mask, images - (weights.T @ basis).view(images.shape), 0)
    slowly = [background(image[None], mask, min(height, width) * _SHADING_SHARE) for image in rest]
    return torch.where(mask, rest - torch.cat(slowly), 0)[:, 0]


def _ratio_of_peaks(surface: Tensor) -> float | None:
    """Return the peak at no shift over the best other one of ``surface`` (H, W), of significance by shift.

    The first entry belongs to no shift, negative shifts are at the end. None without another peak.
    """
    height, width = surface.shape
    cy, cx = height // 2, width // 2
    surface = surface.roll((cy, cx), (0, 1))
    r = _PEAK_RADIUS
    peak = max(0.0, float(surface[cy - r : cy + r + 1, cx - r : cx + r + 1].max()))
    maxima, indices = F.max_pool2d(surface[None, None], _BLOCK, ceil_mode=True, return_indices=True)
    values, heights, places = surface.cpu().numpy(), maxima.flatten().cpu().numpy(), indices.flatten().cpu().numpy()
    dy, dx = places // width - cy, places % width - cx
    apart = (heights > 0) & (np.maximum(np.abs(dy), np.abs(dx)) > r)
    steps = np.linspace(0, 1, _STEPS)[:, None]
    valley = values[cy + np.rint(dy * steps).astype(int), cx + np.rint(dx * steps).astype(int)].min(axis=0)
    others = heights[apart & (valley < _VALLEY_DEPTH * np.minimum(peak, heights))]
    return peak / float(others.max()) if len(others) else None
