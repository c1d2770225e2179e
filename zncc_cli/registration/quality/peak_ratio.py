"""The peak ratio: how much better an aligned pair agrees than at the best other shift.

It is small where a texture repeats itself, or where nothing agrees at all. The aligned images, less their shading, are
shifted over each other by whole pixels, and the ZNCC of their overlap is taken in units of chance (`significance`). A
second peak counts as another one where the straight line to it leads through a valley: along a straight edge, or on the
flanks of a broad peak, all shifts agree alike, which is a matter of uncertainty and not of another place.

There are three grids: all of the overlap coarsely, where noise hides little, and twice as finely; and its middle on the
finest level. A coarse grid does not show a fine texture, and the middle no period longer than itself. The largest of
the three ratios is the result, since bricks that all look alike may make a wall that does not repeat itself; the grids
are looked at in this order until one ratio leaves no doubt (`CLEAR_PEAK_RATIO`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.config import Interpolation
from zncc_cli.operators.fft import good_size
from zncc_cli.registration.pyramid import Level, background, fill_holes, smooth
from zncc_cli.registration.quality.bounds import CLEAR_PEAK_RATIO
from zncc_cli.registration.search.masked_zncc import ShiftSurface, masked_zncc, significance
from zncc_cli.registration.warp import Sampler, coordinates, corners, in_front, inside, level_scale, map_points

_GRID_SIDES = (48, 96)  # pixels: the shorter side of the overlap on a grid, or up to twice as many
_MIDDLE_SIDE = 128  # pixels, of the part that is compared on the finest level
_MARGIN = 8  # pixels of the moving level around those that are sampled, by which holes are filled
_FINE_SIGMA = 0.85  # pixels, of the Gaussian that damps the pixels' own noise and aliasing on the finest level
_SHADING_SHARE = 1 / 8  # of the grid's shorter side: what changes more slowly says nothing about position
_POWERS = [(i, j) for i in range(5) for j in range(5 - i)]  # of y and x: light falls off so towards the frame's edge
_MIN_OVERLAP = 0.25  # of the pixels on the grid
_PEAK_RADIUS = 2  # grid pixels; the peak of the result is the best shift within them
_VALLEY_DEPTH = 0.5  # of the lower one of two peaks: the values between them fall below it where the peaks are two
_BLOCK = 8  # grid pixels; of each block of shifts the best is a candidate
_CANDIDATES = 32  # that are looked at together
_STEPS = 65  # along the line to a candidate, which is at most twice as many pixels long
_MIN_PIXELS = 256  # fewer say nothing
_OTHERS = 4  # other shifts of a grid that are looked at one by one


def peak_ratio(fixed: list[Level], moving: list[Level], matrix: np.ndarray) -> float | None:
    """Return the significance of the agreement at ``matrix`` over that at the best other shift.

    Args:
        fixed, moving: the pyramids, the finest level first, of the same contrast.
        matrix: (3, 3), fixed -> moving, full-resolution pixels.

    Returns:
        The ratio; below one where another shift agrees better; None where none agrees at all.
    """
    ratios = list[float]()
    for grid in _grids(fixed, moving, matrix):
        best = next(_other_peaks(fixed, moving, matrix, grid), None)
        ratios += [] if best is None else [best.ratio]
        if ratios and ratios[-1] >= CLEAR_PEAK_RATIO:
            break
    return max(ratios, default=None)


def other_shifts(fixed: list[Level], moving: list[Level], matrix: np.ndarray, below: float) -> list[np.ndarray]:
    """Return where the images agree nearly as well: matrices (3, 3) whose own peak ratio is ``below`` a bound.

    They are the highest few of each grid; arguments as for `peak_ratio`.
    """
    peaks = (
        itertools.islice(_other_peaks(fixed, moving, matrix, each), _OTHERS) for each in _grids(fixed, moving, matrix)
    )
    return [peak.matrix for peak in itertools.chain.from_iterable(peaks) if peak.ratio < below]


class _Grid(NamedTuple):
    """A part of a level, by its number: rows and columns."""

    level: int
    rows: slice
    columns: slice


@dataclass(frozen=True, eq=False)
class _Peak:
    """Another shift that agrees: the peak ratio to it alone, and its matrix (3, 3), full-resolution pixels."""

    ratio: float
    matrix: np.ndarray


def _grids(fixed: list[Level], moving: list[Level], matrix: np.ndarray) -> list[_Grid]:
    """Return the grids that are looked at, in turn; none without an overlap."""
    top = len(fixed) - 1
    overlap = _overlap(moving[top], matrix * level_scale(fixed[top].factor), fixed[top].mask)
    if not bool(overlap.any()):
        return []
    # The first and the last row and column of the overlap, full-resolution pixels.
    box = torch.stack([axis[[0, -1]] for axis in (overlap.any(dim=d).nonzero()[:, 0] for d in (1, 0))])
    rows, columns = (box * fixed[top].factor).tolist()
    shorter = min(rows[1] - rows[0], columns[1] - columns[0])
    coarsest = (
        max((k for k, level in enumerate(fixed) if shorter >= side * level.factor), default=0) for side in _GRID_SIDES
    )
    levels = list(dict.fromkeys(coarsest))
    grids = [_Grid(k, _part(rows, fixed[k]), _part(columns, fixed[k])) for k in levels]
    if 0 not in levels:
        middle = [slice(max(0, (a + b - _MIDDLE_SIDE) // 2), (a + b + _MIDDLE_SIDE) // 2) for a, b in (rows, columns)]
        grids.append(_Grid(0, *middle))
    return grids


def _part(ends: list[int], level: Level) -> slice:
    """Return the rows or columns of a level from the first to the last of ``ends``, full-resolution pixels."""
    return slice(ends[0] // level.factor, ends[1] // level.factor + 1)


def _overlap(moving: Level, pull: np.ndarray, fixed_mask: Tensor) -> Tensor:
    """Tell which pixels of a part (H, W) of a fixed level are valid in both levels, (H, W) bool.

    ``pull``: (3, 3), pixels of the part -> pixels of the moving level.
    """
    x, y = coordinates(torch.from_numpy(pull).to(moving.image), (fixed_mask.shape[0], fixed_mask.shape[1]))
    return inside(None if bool(moving.mask.all()) else moving.mask, moving.shape, x, y) & fixed_mask


def _cropped(moving: Level, pull: np.ndarray, shape: tuple[int, int]) -> tuple[Level, np.ndarray]:
    """Return what a part (H, W) of the fixed level needs of the moving one, and the matrix from the one to the other.

    ``pull``: (3, 3), pixels of the part -> pixels of the moving level.
    """
    if not in_front(pull, shape):
        return moving, pull
    mapped, last = map_points(pull, corners(shape)), np.array(moving.shape[::-1]) - 1
    (left, top), (right, bottom) = (
        np.clip(each, 0, last).astype(int).tolist()
        for each in (np.floor(mapped.min(axis=0)) - _MARGIN, np.ceil(mapped.max(axis=0)) + _MARGIN)
    )
    rows, columns = slice(top, bottom + 1), slice(left, right + 1)
    part = Level(moving.image[..., rows, columns], moving.mask[rows, columns], moving.factor)
    return part, np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]]) @ pull


def _other_peaks(fixed: list[Level], moving: list[Level], matrix: np.ndarray, grid: _Grid) -> Iterator[_Peak]:
    """Yield the other shifts that agree on a grid, the best first; none where the overlap has too few pixels."""
    factor = fixed[grid.level].factor
    surface = _surface(fixed[grid.level], moving[grid.level], matrix, grid.rows, grid.columns)
    if surface is None:
        return
    for ratio, dx, dy in _peaks_apart(*surface):
        yield _Peak(ratio, matrix @ np.array([[1, 0, dx * factor], [0, 1, dy * factor], [0, 0, 1]], dtype=np.float64))


def _surface(
    fixed: Level, moving: Level, matrix: np.ndarray, rows: slice, columns: slice
) -> tuple[ShiftSurface, tuple[int, int]] | None:
    """Return the agreement at all shifts of a part of a level's overlap, and its (H, W); None with too few pixels."""
    f, fixed_mask = fixed.image[..., rows, columns], fixed.mask[rows, columns]
    shape = int(f.shape[-2]), int(f.shape[-1])
    first = np.array([[1, 0, columns.start], [0, 1, rows.start], [0, 0, 1]], dtype=np.float64)
    moving, pull = _cropped(moving, matrix * level_scale(fixed.factor) @ first, shape)
    overlap = _overlap(moving, pull, fixed_mask)
    if int(overlap.sum()) < _MIN_PIXELS:
        return None
    sampler = Sampler(fill_holes(moving.image, moving.mask), Interpolation.LINEAR)
    m = sampler.warped(torch.from_numpy(pull), shape)[0][None]
    if fixed.factor == 1:
        f, m = (smooth(image, overlap, _FINE_SIGMA, min_share=0.0)[0] for image in (f, m))
    # Both over the same pixels, so that their shading is taken off alike.
    f, m = _without_shading(torch.cat((f, m)), overlap)
    weight = overlap.to(f)
    return masked_zncc(f, weight, m, weight, _MIN_OVERLAP), shape


def _without_shading(images: Tensor, mask: Tensor) -> Tensor:
    """Return ``images`` (N, 1, H, W) less surfaces of the fourth degree and then all that changes slowly, (N, H, W).

    ``mask``: (H, W) bool, pixels that count; the others are zero.
    """
    height, width = mask.shape
    # The surfaces are products of powers of y and x: their sums over pixels are taken along one axis after the other.
    y, x = (_powers(n).to(images.device) for n in (height, width))
    moments = y.T @ mask.to(y) @ x
    degrees = y.shape[1] // 2 + 1
    right = _along_axes(y[:, :degrees].T, (images[:, 0] * mask).to(y), x[:, :degrees].T).cpu()
    i, j = torch.tensor(_POWERS).T
    normal = moments.cpu()[i[:, None] + i, j[:, None] + j]
    # The pseudo-inverse, because a narrow mask does not determine all surfaces.
    weights = torch.zeros_like(right)
    weights[:, i, j] = right[:, i, j] @ torch.linalg.pinv(normal, hermitian=True, rtol=1e-6)
    surfaces = _along_axes(y[:, :degrees], weights.to(y), x[:, :degrees]).to(images)
    rest = torch.where(mask, images - surfaces[:, None], 0)
    slowly = [background(image[None], mask, min(height, width) * _SHADING_SHARE) for image in rest]
    return torch.where(mask, rest - torch.cat(slowly), 0)[:, 0]


def _along_axes(rows: Tensor, planes: Tensor, columns: Tensor) -> Tensor:
    """Return rows plane columns^T of each of ``planes`` (N, H, W).

    One by one: what is added up in what order depends on the number of threads in a batched product.
    """
    return torch.stack([rows @ plane @ columns.T for plane in planes])


def _powers(length: int) -> Tensor:
    """Return the powers from none to twice the highest one of ``length`` places in [-1, 1], (length, n) float64."""
    return torch.linspace(-1, 1, length, dtype=torch.float64)[:, None] ** torch.arange(2 * max(_POWERS)[0] + 1)


def _peaks_apart(shifts: ShiftSurface, shape: tuple[int, int]) -> Iterator[tuple[float, int, int]]:
    """Yield the significance at no shift over that of another peak, and its (dx, dy), the highest peak first.

    ``shape``: (H, W) of both images.
    """
    surface = significance(shifts.zncc, shifts.pixels)
    # The bounds were chosen with blocks that begin half an FFT of all shifts before none: they lie there still.
    (cy, cx), lengths = shifts.origin, [good_size(2 * n - 1) for n in shape]
    above, left = (lengths[0] // 2 - cy) % _BLOCK, (lengths[1] // 2 - cx) % _BLOCK
    surface, cy, cx = F.pad(surface, (left, 0, above, 0)), cy + above, cx + left
    width = surface.shape[1]
    r = _PEAK_RADIUS
    peak = max(0.0, float(surface[max(0, cy - r) : cy + r + 1, max(0, cx - r) : cx + r + 1].max()))
    maxima, indices = F.max_pool2d(surface[None, None], _BLOCK, ceil_mode=True, return_indices=True)
    values, heights, places = surface.cpu().numpy(), maxima.flatten().cpu().numpy(), indices.flatten().cpu().numpy()
    dy, dx = places // width - cy, places % width - cx
    others = np.flatnonzero((heights > 0) & (np.maximum(np.abs(dy), np.abs(dx)) > r))
    others = others[np.argsort(-heights[others], kind="stable")]
    steps = np.linspace(0, 1, _STEPS)[:, None]
    # The highest first, a few at a time: those beyond a valley are other peaks.
    for first in range(0, len(others), _CANDIDATES):
        part = others[first : first + _CANDIDATES]
        line_y, line_x = (np.rint(d[part] * steps).astype(int) for d in (dy, dx))
        valley = values[cy + line_y, cx + line_x].min(axis=0)
        apart = valley < _VALLEY_DEPTH * np.minimum(peak, heights[part])
        for k in part[apart]:
            yield peak / float(heights[k]), int(dx[k]), int(dy[k])
