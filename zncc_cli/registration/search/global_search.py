"""Where to start: rotation, scale, shift and contrast found by masked normalised cross-correlation.

One image is sampled on a coarse grid; the other, turned and shrunk in small steps, is slid over it by FFT. Only
shrinking is searched: an image that would have to be enlarged is left as it is, and the other one is shrunk. So a
blurred image is never compared with a sharp one, and no grid is finer than it need be.

Padfield 2012, "Masked object registration in the Fourier domain", doi:10.1109/TIP.2011.2181402.

Legend: a the image on the grid, b the one that is turned and shrunk; f, m fixed and moving, w their masks.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch

from zncc_cli.config import NESTED_MODELS, Model
from zncc_cli.registration.pyramid import DECIMATION_SIGMA, Level, smooth
from zncc_cli.registration.search.coarse_search import CoarseSearch, Proposal, scaling
from zncc_cli.registration.search.masked_zncc import significance as significance  # here for all that score
from zncc_cli.registration.search.motion_bound import MotionBound
from zncc_cli.registration.warp import corners, map_points

# Pixels along the side of the coarse grid, of hundreds of linear parts, and of one alone.
_SIDE_PX, _ONE_PART_SIDE_PX = 64, 128
_HALF_DIAGONAL = 0.75  # of the side of a frame that is about square
_TURNED = frozenset(NESTED_MODELS) - {Model.TRANSLATION}
_SCALED = _TURNED - {Model.RIGID}
USUAL_SCALES = 0.5, 2.0  # moving pixels per fixed pixel
# Corner motion between neighbouring angles or scales, grid pixels. The nearest one is off by half of it at most: about
# half the width of the correlation peak of an image that is smoothed for the grid.
_CORNER_STEP_PX = 4.0
# Shading over more than this share of the shorter side says nothing about position; it is subtracted first.
_SHADING_SHARE = 1 / 8
_SCORED = 128  # proposals that are scored exactly: many lie beside one another
_MAX_STARTS = 6  # that are followed
_MIN_DISTANCE_PX = 8.0  # grid pixels at a corner; starts that are nearer descend to the same place


@dataclass(frozen=True)
class Start:
    """Where to start.

    Attributes:
        matrix: (3, 3), fixed -> moving, full-resolution pixels.
        inverted: bright in one image is dark in the other.
    """

    matrix: np.ndarray
    inverted: bool = False


def find_starts(
    fixed: list[Level],
    moving: list[Level],
    model: Model,
    min_overlap: float,
    bound: MotionBound | None = None,
    scales: tuple[float, float] = USUAL_SCALES,
    contrasts: Collection[bool] = (False, True),
) -> list[Start]:
    """Return the few most significant starts of ``model``, the best first.

    Args:
        fixed, moving: the pyramids, the finest level first.
        model: shifts are searched for any model, the full circle for all but translation, and
            ``scales`` for those that have one.
        min_overlap: least share of the smaller image in the overlap.
        bound: starts that lie beyond it by more than a grid pixel are not searched; None for any.
        scales: the least and the most, moving pixels per fixed pixel.
        contrasts: those of the starts, each as whether it is inverted.
    """
    area = math.prod(fixed[0].shape) * math.prod(moving[0].shape)
    # By area; coarser where both are long and narrow, since the number of angles grows with the diagonal.
    narrow = _radius(fixed[0], moving[0], 1.0) / _HALF_DIAGONAL
    spacing = max(1.0, max(area**0.25, narrow) / (_SIDE_PX if model in _TURNED else _ONE_PART_SIDE_PX))
    searches = list[tuple[CoarseSearch, bool]]()
    proposals = list[tuple[Proposal, int]]()
    for scale, exchanged in _scales(fixed[0], moving[0], spacing, scales) if model in _SCALED else [(1.0, False)]:
        angles = _angles(fixed[0], moving[0], spacing * scale) if model in _TURNED else [0.0]
        a, b = (moving, fixed) if exchanged else (fixed, moving)
        shifts = None if bound is None else bound.shifts_back if exchanged else bound.shifts
        # The part of the scene that both images show is no larger than the smaller of them.
        shading = max(2.0, min(*a[0].shape, *(n / scale for n in b[0].shape)) / spacing * _SHADING_SHARE)
        still, turning = _prepared(a, spacing, shading), _prepared(b, spacing * scale, shading)
        search = CoarseSearch(still, turning, (a[0].shape, b[0].shape), (spacing, spacing * scale))
        proposals += [(proposal, len(searches)) for proposal in search.propose(angles, min_overlap, shifts)]
        searches.append((search, exchanged))
    proposals.sort(key=lambda pair: -pair[0].score)
    scored = list[tuple[float, Start]]()
    for k, (search, exchanged) in enumerate(searches):
        own = [proposal for proposal, of in proposals[:_SCORED] if of == k]
        for score, from_grid in search.score(own):
            matrix = from_grid @ scaling(1 / spacing)
            scored.append((abs(score), Start(np.linalg.inv(matrix) if exchanged else matrix, score < 0)))
    scored = [pair for pair in scored if pair[0] > 0 and pair[1].inverted in contrasts]
    scored.sort(key=lambda pair: -pair[0])
    return _distinct([start for _, start in scored], fixed[0].shape, _MIN_DISTANCE_PX * spacing)


def _radius(a: Level, b: Level, spacing: float) -> float:
    """Return half the diagonal of the smaller image, grid pixels."""
    return min(math.hypot(*a.shape), math.hypot(*b.shape)) / 2 / spacing


def _angles(a: Level, b: Level, spacing: float) -> list[float]:
    """Return the angles of the first quarter turn; the search adds three quarter turns to each."""
    count = max(2, math.ceil(math.pi / 2 * _radius(a, b, spacing) / _CORNER_STEP_PX))
    return [k * math.pi / 2 / count for k in range(count)]


def _scales(a: Level, b: Level, spacing: float, scales: tuple[float, float]) -> list[tuple[float, bool]]:
    """Return by how much an image is shrunk, and whether that is the fixed image, for each of the ``scales``."""

    def steps(first: float, last: float) -> list[float]:
        out = [first]
        while out[-1] < last:
            out.append(out[-1] * math.exp(_CORNER_STEP_PX / _radius(a, b, spacing * out[-1])))
        return out

    least, most = scales
    shrunk = [(scale, False) for scale in steps(max(1.0, least), most)] if most >= 1 else []
    if least < 1:
        shrunk += [(scale, True) for scale in steps(max(1.0, 1 / most), 1 / least) if scale > 1 or most < 1]
    return sorted(shrunk)


def _prepared(levels: list[Level], spacing: float, shading: float) -> Level:
    """Return the image smoothed for a grid of ``spacing``, less its shading over more than ``shading`` grid pixels."""
    level = max((level for level in levels if level.factor <= spacing), key=lambda level: level.factor)
    ratio = spacing / level.factor
    image, mask = level.image, level.mask
    if ratio > 1:
        # Halving takes DECIMATION_SIGMA: variances of Gaussians add up, and that of a grid grows with its spacing.
        image, mask = smooth(image, mask, DECIMATION_SIGMA * math.sqrt((ratio**2 - 1) / 3))
    background, inside_mask = smooth(image, mask, shading * ratio, min_share=0.0)
    return Level(torch.where(inside_mask, image - background, 0), inside_mask, level.factor)


def _distinct(starts: list[Start], shape: tuple[int, int], apart: float) -> list[Start]:
    """Return the first few of ``starts``, without those within ``apart`` pixels of one that is kept already.

    The distance of two starts of the same contrast is the largest over the corners of the frame (H, W).
    """
    frame = corners(shape)
    kept: list[Start] = []
    for start in starts:
        # In the pixels of the image that was shrunk the less: those are the grid's.
        scale = min(1.0, math.sqrt(np.linalg.det(start.matrix)))
        back = np.linalg.inv(start.matrix)
        moved = (map_points(back @ other.matrix, frame) - frame for other in kept if other.inverted == start.inverted)
        if all(np.linalg.norm(m, axis=-1).max() * scale >= apart for m in moved):
            kept.append(start)
        if len(kept) == _MAX_STARTS:
            break
    return kept
