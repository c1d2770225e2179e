"""Where to start: rotation, scale, shift and contrast found by masked normalised cross-correlation.

One image is sampled on a coarse grid; the other, turned and shrunk in small steps, is slid over it by FFT. Only
shrinking is searched: an image that would have to be enlarged is left as it is, and the other one is shrunk. So a
blurred image is never compared with a sharp one, and no grid is finer than it need be.

Padfield 2012, "Masked object registration in the Fourier domain", doi:10.1109/TIP.2011.2181402.

Legend: a the image on the grid, b the one that is turned and shrunk; f, m fixed and moving, w their masks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.config import NESTED_MODELS, Interpolation, Model
from zncc_cli.operators.fft import good_size
from zncc_cli.registration.pyramid import DECIMATION_SIGMA, Level, smooth
from zncc_cli.registration.search.motion_bound import Discs, MotionBound
from zncc_cli.registration.warp import Sampler, coordinates, corners, inside, map_points

# Pixels along the side of the coarse grid, of hundreds of linear parts, and of one alone.
_SIDE_PX, _ONE_PART_SIDE_PX = 64, 128
_HALF_DIAGONAL = 0.75  # of the side of a frame that is about square
_TURNED = frozenset(NESTED_MODELS) - {Model.TRANSLATION}
_SCALED = _TURNED - {Model.RIGID}
_MAX_SCALE = 2.0
# Corner motion between neighbouring angles or scales, grid pixels. The nearest one is off by half of it at most: about
# half the width of the correlation peak of an image that is smoothed for the grid.
_CORNER_STEP_PX = 4.0
# Shading over more than this share of the shorter side says nothing about position; it is subtracted first.
_SHADING_SHARE = 1 / 8
_MAX_STARTS = 6  # that are followed
_MIN_DISTANCE_PX = 8.0  # grid pixels at a corner; starts that are nearer descend to the same place
_BLOCK_PX = 8  # grid pixels; of each block of shifts only the best is kept
_PEAKS = 4  # blocks that are kept of each linear part
_BATCH_PIXELS = 2**18  # grid pixels of one batch of linear parts, which bounds memory
_MAX_ZNCC = 0.9999  # a larger ZNCC counts as this one: atanh(1) is infinite


@dataclass(frozen=True)
class Start:
    """Where to start.

    Attributes:
        matrix: (3, 3), fixed -> moving, full-resolution pixels.
        inverted: bright in one image is dark in the other.
    """

    matrix: np.ndarray
    inverted: bool = False


class MaskedZncc:
    """The ZNCC of the overlap of one image with others, for every shift by whole pixels.

    Args:
        fixed: (Hf, Wf), zero outside its mask.
        fixed_mask: of the same shape and dtype, one on valid pixels, zero on others.
        moving_shape: (Hm, Wm) of the others.
    """

    def __init__(self, fixed: Tensor, fixed_mask: Tensor, moving_shape: tuple[int, int]) -> None:
        self._padded = [good_size(a + b - 1) for a, b in zip(fixed.shape, moving_shape, strict=True)]
        self._valid = float(fixed_mask.sum())
        self._f, self._ff, self._fw = (self._spectrum(plane) for plane in (fixed, fixed.square(), fixed_mask))

    def __call__(self, moving: Tensor, moving_mask: Tensor, min_overlap: float) -> tuple[Tensor, Tensor]:
        """Return the ZNCC in [-1, 1] and the number of overlapping valid pixels, (..., H, W).

        Entry [dy, dx] is for moving(x + dx, y + dy) lying on fixed(x, y); negative shifts count from the end.

        Args:
            moving, moving_mask: (..., Hm, Wm), as the fixed ones.
            min_overlap: shifts with fewer overlapping pixels than this share of the smaller mask get zero.
        """
        m, mm, mw = (self._spectrum(p) for p in (moving, moving.square(), moving_mask))
        count = self._correlate(self._fw, mw).round_().clamp_min_(0)
        n = count.clamp_min(1)
        sum_f, sum_m = self._correlate(self._f, mw), self._correlate(self._fw, m)
        cov = self._correlate(self._f, m) - sum_f * sum_m / n
        var_f = (self._correlate(self._ff, mw) - sum_f.square() / n).clamp_min_(0)
        var_m = (self._correlate(self._fw, mm) - sum_m.square() / n).clamp_min_(0)
        norm = (var_f * var_m).sqrt_()
        enough = count >= min_overlap * moving_mask.sum((-2, -1), keepdim=True).clamp_max(self._valid)
        # Below it the ratio is the rounding of the FFT.
        textured = norm > 100 * torch.finfo(norm.dtype).eps * norm.amax((-2, -1), keepdim=True)
        return torch.where(enough & textured, cov / norm, 0).clamp_(-1, 1), count

    def _spectrum(self, plane: Tensor) -> Tensor:
        out: Tensor = torch.fft.rfft2(plane, s=self._padded)
        return out

    def _correlate(self, a: Tensor, b: Tensor) -> Tensor:
        sums: Tensor = torch.fft.irfft2(a.conj() * b, s=self._padded)
        return sums


def significance(zncc: Tensor, count: Tensor) -> Tensor:
    """Return a ZNCC of ``count`` pixels in units of what chance makes of unrelated ones: atanh(z) sqrt(n).

    A small overlap has to agree better than a large one; one that agrees nearly everywhere outweighs a larger one that
    agrees here and there, as a texture does that is a period off. The unit is right up to a common factor,
    since neighbouring pixels are not independent. Fisher 1915, doi:10.2307/2331838.
    """
    return zncc.clamp(-_MAX_ZNCC, _MAX_ZNCC).atanh() * count.sqrt()


def find_starts(
    fixed: list[Level], moving: list[Level], model: Model, min_overlap: float, bound: MotionBound | None = None
) -> list[Start]:
    """Return the few most significant starts of ``model``, the best first, those of an inverted contrast among them.

    Args:
        fixed, moving: the pyramids, the finest level first.
        model: shifts and both contrasts are searched for any model, the full circle for all but translation, and scales
            of 0.5 to 2 for those that have one.
        min_overlap: least share of the smaller image in the overlap.
        bound: starts that lie beyond it by more than a grid pixel are not searched; None for any.
    """
    area = math.prod(fixed[0].shape) * math.prod(moving[0].shape)
    # By area; coarser where both are long and narrow, since the number of angles grows with the diagonal.
    narrow = _radius(fixed[0], moving[0], 1.0) / _HALF_DIAGONAL
    spacing = max(1.0, max(area**0.25, narrow) / (_SIDE_PX if model in _TURNED else _ONE_PART_SIDE_PX))
    scored = list[tuple[float, Start]]()
    for scale in _scales(fixed[0], moving[0], spacing) if model in _SCALED else [1.0]:
        angles = _angles(fixed[0], moving[0], spacing * scale) if model in _TURNED else torch.zeros(1)
        forward, back = (None, None) if bound is None else (bound.shifts, bound.shifts_back)
        scored += _search_angles(fixed, moving, spacing, scale, angles, min_overlap, forward)
        if scale > 1:
            exchanged = _search_angles(moving, fixed, spacing, scale, angles, min_overlap, back)
            scored += [(score, Start(np.linalg.inv(s.matrix), s.inverted)) for score, s in exchanged]
    scored.sort(key=lambda pair: -pair[0])
    return _distinct([start for _, start in scored], fixed[0].shape, _MIN_DISTANCE_PX * spacing)


def _radius(a: Level, b: Level, spacing: float) -> float:
    """Return half the diagonal of the smaller image, grid pixels."""
    return min(math.hypot(*a.shape), math.hypot(*b.shape)) / 2 / spacing


def _angles(a: Level, b: Level, spacing: float) -> Tensor:
    count = math.ceil(2 * math.pi * _radius(a, b, spacing) / _CORNER_STEP_PX)
    return torch.arange(count) * (2 * math.pi / count)


def _scales(a: Level, b: Level, spacing: float) -> list[float]:
    scales = [1.0]
    while scales[-1] < _MAX_SCALE:
        scales.append(scales[-1] * math.exp(_CORNER_STEP_PX / _radius(a, b, spacing * scales[-1])))
    return scales


def _search_angles(
    a: list[Level],
    b: list[Level],
    spacing: float,
    scale: float,
    angles: Tensor,
    min_overlap: float,
    allowed: Callable[[np.ndarray, float], Discs] | None,
) -> list[tuple[float, Start]]:
    """Return the best starts a -> b with their scores, of ``b`` shrunk by ``scale`` and turned by ``angles`` (n,).

    ``allowed``: from_canvas (3, 3), spacing -> the shifts that are searched; None for all.
    """
    # The part of the scene that both images show is no larger than the smaller of them.
    shading = max(2.0, min(*a[0].shape, *(n / scale for n in b[0].shape)) / spacing * _SHADING_SHARE)
    still_level, turning_level = _prepared(a, spacing, shading), _prepared(b, spacing * scale, shading)
    height, width = (math.ceil(n / spacing) for n in a[0].shape)
    plane, mask = _sampled(still_level, [_linear(spacing, 0.0)], (height, width))
    # The canvas of the turned image is centred on its centre and as wide as its diagonal.
    side = math.ceil(math.hypot(*b[0].shape) / (spacing * scale)) | 1
    zncc = MaskedZncc(plane[0], mask[0], (side, side))
    centre = _shift(*corners(b[0].shape).mean(axis=0))
    uncentred = _shift(-(side - 1) / 2, -(side - 1) / 2)
    turned = [centre @ _linear(spacing * scale, angle) @ uncentred for angle in angles.tolist()]
    discs = [] if allowed is None else [allowed(matrix, spacing) for matrix in turned]
    if allowed is not None:
        turned = [matrix for matrix, disc in zip(turned, discs, strict=True) if disc.meet]
        discs = [disc for disc in discs if disc.meet]
    starts, batch = list[tuple[float, Start]](), max(1, _BATCH_PIXELS // ((height + side) * (width + side)))
    for first in range(0, len(turned), batch):
        from_canvas = turned[first : first + batch]
        surface, count = zncc(*_sampled(turning_level, from_canvas, (side, side)), min_overlap)
        scores = significance(surface, count)
        if allowed is not None:
            down, across = (_signed(torch.arange(n), side, n) for n in surface.shape[-2:])
            inside_bound = np.stack(
                [disc.hold(across.numpy()[None], down.numpy()[:, None]) for disc in discs[first : first + batch]]
            )
            scores = torch.where(torch.from_numpy(inside_bound).to(scores.device), scores, 0)
        for k, dx, dy, score in _peaks(scores, side):
            matrix = from_canvas[k] @ _shift(dx, dy) @ _linear(1 / spacing, 0.0)
            starts.append((abs(score), Start(matrix, score < 0)))
    return starts


def _peaks(score: Tensor, side: int) -> list[tuple[int, int, int, float]]:
    """Return (index, dx, dy, score) of the few largest by magnitude of each plane of ``score`` (n, H, W).

    ``side``: of the canvas; a larger shift is a negative one, counted from the end.
    """
    height, width = score.shape[-2:]
    tops, where = F.max_pool2d(score.abs(), _BLOCK_PX, ceil_mode=True, return_indices=True)
    blocks = tops.flatten(1).topk(min(_PEAKS, tops[0].numel())).indices
    where = where.flatten(1).gather(1, blocks)
    values = score.flatten(1).gather(1, where)
    dy, dx = where // width, where % width
    dy, dx = _signed(dy, side, height), _signed(dx, side, width)
    rows = (axis.flatten().tolist() for axis in (dx, dy, values))
    return [(k // where.shape[1], *entry) for k, entry in enumerate(zip(*rows, strict=True)) if entry[2]]


def _signed(place: Tensor, side: int, length: int) -> Tensor:
    """Return the shifts at the entries ``place`` of an axis of ``length`` entries, for a canvas of ``side``."""
    return torch.where(place < side, place, place - length)


def _linear(scale: float, angle: float) -> np.ndarray:
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _shift(dx: float, dy: float) -> np.ndarray:
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]], dtype=np.float64)


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


def _sampled(level: Level, matrices: list[np.ndarray], shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return image and mask, (n, H, W) float, on canvases of (H, W); matrices: canvas -> full-resolution pixels."""
    pulls = torch.from_numpy(np.array([_linear(1 / level.factor, 0.0) @ m for m in matrices])).to(level.image)
    x, y = (torch.cat(axis) for axis in zip(*(coordinates(pull, shape) for pull in pulls), strict=True))
    inside_mask = inside(None if bool(level.mask.all()) else level.mask, level.shape, x, y)
    image = torch.where(inside_mask, Sampler(level.image, Interpolation.LINEAR)(x, y)[0, 0], 0)
    return image.view(-1, *shape), inside_mask.to(image).view(-1, *shape)


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
