"""Residual shifts of the parts of two images that are said to be aligned, each window for itself.

A window of the fixed image is compared with the aligned image at all shifts up to the reach, by ZNCC. Where one place
is clearly the best, Gauss-Newton steps find it to a fraction of a pixel: with both windows centred and scaled to one
norm, f and m, and their gradients by cubic splines, f' and m', a step is

    -J^-1 sum of (f' + m') / 2 (m - f),     J = sum of f' m'^T, symmetrized

Noise is in f' and m' alike, but not in the mean of their product. The covariance is that of `quality.uncertainty`, with
squares of `_SQUARE` pixels for blocks, where one square may hold most of the texture. It draws the fit to itself then,
and differs little from it; so each square is held to the fit to all others (the jackknife; Bell and McCaffrey 2002):

    c (n - 1) / n J^-1 (sum over n squares of t t^T) J^-1,     t = (1 - K J^-1)^-1 s

s and K are a square's parts of the sum and of J, and c = `_SHARED_NOISE` is for the noise that adjacent squares share.

Shifts that differ from those around them by more than these differ are outliers: the normalized median test of
Westerweel and Scarano 2005, doi:10.1007/s00348-005-0016-6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from zncc_cli.config import Choice, Interpolation
from zncc_cli.config.check import WINDOW_SIDE
from zncc_cli.registration.metric.windows import window_variance
from zncc_cli.registration.pyramid import Level, background, fill_holes, smooth
from zncc_cli.registration.quality.block_consensus import significance
from zncc_cli.registration.quality.uncertainty import FLOOR
from zncc_cli.registration.warp import Sampler

_Floats = NDArray[np.float64]

MAX_WINDOWS_PER_SIDE = 32  # of the frame; with more than that they no longer overlap by half
_REACH = 12  # pixels: the largest shift along an axis
_SQUARE = 8
# Noise of single pixels is interpolated to less between pixels than on them, and draws shifts there. Smoothed by this
# much, pixels, 30 percent of it draw a shift of 0.24 pixels by 0.001 to 0.002; smoothed by 0.8, by 0.005 to 0.007.
_SMOOTHING_PX = 1.0
# The correlation of noise that is smoothed by s reaches 2 s / sqrt(pi) pixels along an axis, in the mean: that much of
# the variance of a sum is lost at the edges of squares, along both axes.
_SHARED_NOISE = (1 - 2 * _SMOOTHING_PX / math.sqrt(math.pi) / _SQUARE) ** -2
# What changes over more than a window agrees at all shifts alike: of the window's side, the standard deviation of the
# Gaussian whose means are subtracted.
_SHADING_SHARE = 0.25
_LEAST_DEVIATION = 1e-6  # of the image's: below it what is left is rounding
_FLOOR_VARIANCE = 0.02  # of the images': a window that varies by less is flat
_OTHER_PX, _MAX_OTHER_SHARE = 4.0, 0.9  # as in `block_consensus`: no other place may agree by more than this share
_MIN_ZNCC = 0.2
_STEPS, _DONE_PX = 8, 1e-3
_MAX_DISTANCE_PX = 1.5  # from the best whole shift
_MAX_SIGMA_PX = 0.5
_OUTLIER_RATIO, _OUTLIER_FLOOR_PX = 3.0, 0.1
_MIN_NEIGHBOURS = 3
_SAME_PX, _FREE_WINDOWS = 2.5, 1  # as in `block_consensus`: what is the same shift, and how many a common one explains


class WindowStatus(Choice):
    """What became of a window."""

    OK = "ok"
    OUTSIDE = "outside"  # too few of its pixels are valid in both images
    UNCLEAR = "unclear"  # flat, or no place is clearly the best, or nothing around it was measured
    OUTLIER = "outlier"  # unlike the windows around it


@dataclass(frozen=True, eq=False)
class LocalShifts:
    """The shifts of windows on a grid, in the order of rows.

    Attributes:
        window, step: side of the windows and their mean distance, pixels.
        centres: (N, 2), (x, y) pixels.
        shifts: (N, 2), (dx, dy): where the aligned image shows what the fixed image shows at the centre, less the
            centre; NaN where nothing was measured.
        covariances: (N, 2, 2), pixels^2.
        zncc: (N,), at the best shift.
        status: (N,), of `WindowStatus`.
        consensus: how sure it is that the windows have places at all, each for itself: as in `block_consensus`, but
            for shifts like those around them in place of none.
    """

    window: int
    step: float
    centres: _Floats
    shifts: _Floats
    covariances: _Floats
    zncc: _Floats
    status: NDArray[np.object_]
    consensus: float

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Which windows were measured and fit to the others, (N,)."""
        return np.asarray(self.status == WindowStatus.OK)

    @property
    def sigmas(self) -> _Floats:
        """Standard deviations (N, 2) along x and y, pixels."""
        return np.sqrt(np.diagonal(self.covariances, axis1=1, axis2=2))


def local_shifts(fixed: Level, aligned: Level, window: int = WINDOW_SIDE) -> LocalShifts:
    """Return the shifts of windows of ``window`` pixels a side, which overlap by half in images that are not large.

    Args:
        fixed, aligned: of one shape, of a variance of about one.
        window: at least 16, so that it holds some squares, and at most the shorter side.
    """
    tops, lefts = (_starts(side, window) for side in fixed.shape)
    both = fixed.mask & aligned.mask  # what one of them has beyond it would show in its bands near there
    images = _Splined.of(fixed.image, both, window), _Splined.of(aligned.image, both, window)
    measured = [_measured_row(*images, top, lefts, window) for top in tops.tolist()]
    shifts, covariances, zncc, decided = (np.concatenate(parts) for parts in zip(*measured, strict=True))
    middle = (window - 1) / 2
    y, x = (grid.ravel() + middle for grid in np.meshgrid(tops, lefts, indexing="ij"))
    status = np.where(decided, WindowStatus.OK, np.where(np.isnan(zncc), WindowStatus.OUTSIDE, WindowStatus.UNCLEAR))
    status = status.astype(object)
    sigma = np.sqrt(np.trace(covariances, axis1=1, axis2=2))
    distance, scatter = _to_neighbours((len(tops), len(lefts)), shifts)
    status[decided & np.isnan(distance)] = WindowStatus.UNCLEAR  # nothing around it speaks for it
    status[distance > _OUTLIER_RATIO * (scatter + _OUTLIER_FLOOR_PX + sigma)] = WindowStatus.OUTLIER
    steps = ((side - window) / max(1, n - 1) for side, n in zip(fixed.shape, (len(tops), len(lefts)), strict=True))
    step = max(window / 4, *steps)
    share = min(1.0, (step / window) ** 2)  # windows overlap; every pixel counts once
    counts = (round(share * int(each.sum())) - _FREE_WINDOWS for each in (decided, decided & (distance <= _SAME_PX)))
    count, hits = counts
    consensus = significance(hits, count, math.pi * (_SAME_PX / (2 * _REACH + 1)) ** 2)
    centres = np.stack([x, y], axis=-1)
    return LocalShifts(window, step, centres, shifts, covariances, zncc, status, consensus)


def _starts(side: int, window: int) -> NDArray[np.int64]:
    """Return the first pixels of windows along a side of the frame: the first and the last window touch its ends."""
    count = min(MAX_WINDOWS_PER_SIDE, 1 + math.ceil((side - window) / (window / 2)))
    return np.rint(np.linspace(0, side - window, count)).astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Splined:
    """A band of an image: its pixels, the knots of its cubic spline with a margin, and which pixels count.

    values, valid: (H, W). knots: (H + 2 m, W + 2 m), m = `_MARGIN`.
    """

    values: Tensor
    knots: Tensor
    valid: Tensor

    @classmethod
    def of(cls, image: Tensor, mask: Tensor, window: int) -> _Splined:
        # At the edge of what is valid the Gaussian lacks a part, in both images alike: windows there count as well.
        smoothed, _ = smooth(image, mask, _SMOOTHING_PX, min_share=0.0)
        band = torch.where(mask, smoothed - background(image, mask, window * _SHADING_SHARE), 0)
        deviation = (band.square().sum() / mask.sum().clamp_min(1)).sqrt().clamp_min(_LEAST_DEVIATION)
        band = fill_holes(band / deviation, mask)
        knots = Sampler(band, Interpolation.CUBIC).knots
        padded = F.pad(knots, (_MARGIN,) * 4, mode="reflect")
        return cls(band[0, 0].double(), padded[0, 0].double(), mask)


_MARGIN = _REACH + 4  # a shift, as far as a step may lead it, and the spline's reach


def _measured_row(
    fixed: _Splined, aligned: _Splined, top: int, lefts: NDArray[np.int64], window: int
) -> tuple[_Floats, _Floats, _Floats, NDArray[np.bool_]]:
    """Return shifts (n, 2), covariances (n, 2, 2) and ZNCC (n,) of a row of windows, and which were measured (n,)."""
    n = len(lefts)
    shifts, covariances = np.full((n, 2), np.nan), np.full((n, 2, 2), np.nan)
    zncc, decided = np.full(n, np.nan), np.zeros(n, bool)
    starts = torch.from_numpy(lefts)
    blocks = _cut(fixed.values, torch.full_like(starts, top), starts, window)
    inside = _cut(fixed.valid, torch.full_like(starts, top), starts, window).all(dim=(1, 2))
    surfaces = _surfaces(blocks, aligned, top, starts)
    best, index = surfaces.flatten(1).max(dim=1)
    usable = inside & (best > -1)
    side = 2 * _REACH + 1
    whole = torch.stack([index % side, index // side], dim=1) - _REACH  # (x, y)
    shift = torch.arange(-_REACH, _REACH + 1)
    y, x = (each.flatten() for each in torch.meshgrid(shift, shift, indexing="ij"))
    far = torch.hypot((y - whole[:, 1:]).double(), (x - whole[:, :1]).double()) > _OTHER_PX
    other = surfaces.flatten(1).masked_fill(~far, -1).amax(dim=1)
    clear = usable & (best > _MIN_ZNCC) & (other <= _MAX_OTHER_SHARE * best)
    zncc[usable.numpy()] = best[usable].numpy()
    chosen = clear.nonzero()[:, 0]
    if len(chosen):
        fit = _refined(fixed, aligned, top, starts[chosen], whole[chosen].double(), window)
        rows = chosen.numpy()
        kept = fit[2]
        shifts[rows[kept]], covariances[rows[kept]] = fit[0][kept], fit[1][kept]
        decided[rows[kept]] = True
    return shifts, covariances, zncc, decided


def _cut(plane: Tensor, tops: Tensor, lefts: Tensor, side: int) -> Tensor:
    """Return squares (n, side, side) of a plane (H, W) from their first rows and columns (n,)."""
    along = torch.arange(side)
    return plane[(tops[:, None] + along)[:, :, None], (lefts[:, None] + along)[:, None, :]]


def _surfaces(blocks: Tensor, aligned: _Splined, top: int, lefts: Tensor) -> Tensor:
    """Return the ZNCC of blocks (n, w, w) at all shifts, (n, 2 r + 1, 2 r + 1); -1 where a shift leaves valid pixels.

    Entry [r + dy, r + dx] is that of the shift (dx, dy).
    """
    window = blocks.shape[-1]
    side, count = window + 2 * _REACH, 2 * _REACH + 1
    padded = F.pad(aligned.values[None, None], (_REACH,) * 4, mode="reflect")[0, 0]
    outside = F.pad((~aligned.valid).double()[None, None], (_REACH,) * 4, value=1.0)[0, 0]
    tops = torch.full_like(lefts, top)
    regions, missing = _cut(padded, tops, lefts, side), _cut(outside, tops, lefts, side)
    blocks = blocks - blocks.mean(dim=(1, 2), keepdim=True)
    regions = regions - regions.mean(dim=(1, 2), keepdim=True)
    spectra = torch.fft.rfft2(regions) * torch.fft.rfft2(blocks, s=(side, side)).conj()
    covariance = torch.fft.irfft2(spectra, s=(side, side))[:, :count, :count] / window**2
    variance = window_variance(regions, window).clamp_min(0) / window**2
    own = blocks.square().mean(dim=(1, 2))[:, None, None]
    left_out = F.avg_pool2d(missing[:, None], window, 1)[:, 0] > 0
    surfaces: Tensor = covariance / ((own + _FLOOR_VARIANCE) * (variance + _FLOOR_VARIANCE)).sqrt()
    return surfaces.masked_fill(left_out, -1)


def _refined(
    fixed: _Splined, aligned: _Splined, top: int, lefts: Tensor, whole: Tensor, window: int
) -> tuple[_Floats, _Floats, NDArray[np.bool_]]:
    """Return shifts (n, 2) and covariances (n, 2, 2) from whole shifts (n, 2), and which converged near them (n,)."""
    tops = torch.full_like(lefts, top)
    f, f_slope = _centred(*_sampled(fixed.knots, tops, lefts, torch.zeros_like(whole), window))
    u, at_limit = whole.clone(), torch.zeros(len(whole), dtype=torch.bool)
    limit = torch.tensor(float(_REACH + 1))
    for _ in range(_STEPS):
        m, m_slope = _centred(*_sampled(aligned.knots, tops, lefts, u, window))
        difference, slope = m - f, (f_slope + m_slope) / 2
        slope = slope - f[:, None] * (slope * f[:, None]).sum(dim=(2, 3), keepdim=True)  # what a gain makes good
        cross = torch.einsum("naij,nbij->nab", f_slope, m_slope)
        cross = (cross + cross.transpose(1, 2)) / 2
        least = torch.linalg.eigvalsh(cross)[:, 0]
        bread = torch.linalg.inv(torch.where((least > 0)[:, None, None], cross, torch.eye(2, dtype=cross.dtype)))
        parts = slope * difference[:, None]
        step = -(bread @ parts.sum(dim=(2, 3))[:, :, None])[:, :, 0]
        step = step * (1 / step.norm(dim=1, keepdim=True).clamp_min(1))  # at most a pixel
        moved = u + step
        at_limit |= (moved.abs() > limit).any(dim=1)
        u = moved.clamp(-limit, limit)
        if float(step.norm(dim=1).max()) < _DONE_PX:
            break
    covariance = _covariance(parts, torch.einsum("naij,nbij->nabij", f_slope, m_slope), bread)
    sigma = covariance.diagonal(dim1=1, dim2=2).sum(dim=1).sqrt()
    near = (u - whole).norm(dim=1) <= _MAX_DISTANCE_PX
    kept = near & (least > 0) & (sigma <= _MAX_SIGMA_PX) & ~at_limit & (step.norm(dim=1) < 10 * _DONE_PX)
    return u.numpy(), covariance.numpy(), kept.numpy()


def _covariance(parts: Tensor, products: Tensor, bread: Tensor) -> Tensor:
    """Return the covariances (n, 2, 2) of shifts, pixels^2.

    Args:
        parts: (n, 2, w, w), of the sum that is zero at a shift.
        products: (n, 2, 2, w, w), of J. bread: (n, 2, 2), J^-1.
    """
    scores = _over_squares(parts)
    shares = torch.einsum("nabk,nbc->nkac", _over_squares(products + products.transpose(1, 2)) / 2, bread)
    others = torch.eye(2, dtype=scores.dtype) - shares  # the share of J that the other squares hold
    held_out = torch.linalg.solve(others, scores.transpose(1, 2)[..., None])[..., 0]
    count = held_out.shape[1]
    meat = _SHARED_NOISE * (count - 1) / count * torch.einsum("nka,nkb->nab", held_out, held_out)
    covariances: Tensor = bread @ meat @ bread + FLOOR**2 * torch.eye(2, dtype=meat.dtype)
    return covariances


def _over_squares(planes: Tensor) -> Tensor:
    """Return the sums (..., k) of planes (..., w, w) over squares, the last of which may be smaller."""
    missing = -planes.shape[-1] % _SQUARE
    padded = F.pad(planes, (0, missing, 0, missing)).flatten(0, -3)
    sums: Tensor = (F.avg_pool2d(padded, _SQUARE).flatten(1) * _SQUARE**2).unflatten(0, planes.shape[:-2])
    return sums


def _centred(values: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Return windows (n, w, w) of mean zero and norm one, and their gradients (n, 2, w, w) of mean zero, alike."""
    values = values - values.mean(dim=(1, 2), keepdim=True)
    norm = values.square().sum(dim=(1, 2)).sqrt().clamp_min(1e-12)[:, None, None]
    return values / norm, (slopes - slopes.mean(dim=(2, 3), keepdim=True)) / norm[:, None]


def _sampled(knots: Tensor, tops: Tensor, lefts: Tensor, shifts: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Return windows of a spline moved by ``shifts`` (n, 2), (n, w, w), and its derivatives by x and y (n, 2, w, w)."""
    floor = shifts.floor()
    (wx, dx), (wy, dy) = (_weights(fraction) for fraction in (shifts - floor).unbind(dim=1))
    x, y = (floor[:, axis].long() + _MARGIN - 1 for axis in (0, 1))
    near = _cut(knots, tops + y, lefts + x, window + 3)

    def along_x(weights: Tensor) -> Tensor:
        return sum((weights[:, i, None, None] * near[:, :, i : i + window] for i in range(4)), torch.zeros(()))

    def along_y(rows: Tensor, weights: Tensor) -> Tensor:
        return sum((weights[:, i, None, None] * rows[:, i : i + window] for i in range(4)), torch.zeros(()))

    rows = along_x(wx)
    return along_y(rows, wy), torch.stack([along_y(along_x(dx), wy), along_y(rows, dy)], dim=1)


def _weights(t: Tensor) -> tuple[Tensor, Tensor]:
    """Return the weights (n, 4) of the cubic B-spline's knots at fractions t (n,) of a pixel, and their derivatives."""
    values = torch.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], dim=1) / 6
    slopes = torch.stack([-((1 - t) ** 2), 3 * t**2 - 4 * t, -3 * t**2 + 2 * t + 1, t**2], dim=1) / 2
    return values, slopes


def _to_neighbours(grid: tuple[int, int], shifts: _Floats) -> tuple[_Floats, _Floats]:
    """Return how far the shifts (N, 2) on a grid (rows, columns) lie from the median of those around them, pixels (N,).

    And the median distance of these from it, (N,). NaN where nothing was measured, or too little around it.
    """
    rows, columns = grid
    padded = np.full((rows + 2, columns + 2, 2), np.nan)
    padded[1:-1, 1:-1] = shifts.reshape(rows, columns, 2)
    places = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    around = np.stack([padded[i : i + rows, j : j + columns].reshape(-1, 2) for i, j in places])  # (8, N, 2)
    distance, scatter = np.full(len(shifts), np.nan), np.full(len(shifts), np.nan)
    enough = np.isfinite(shifts[:, 0]) & (np.isfinite(around[..., 0]).sum(axis=0) >= _MIN_NEIGHBOURS)
    if enough.any():
        near = around[:, enough]
        median = np.nanmedian(near, axis=0)
        distance[enough] = np.hypot(*(shifts[enough] - median).T)
        scatter[enough] = np.nanmedian(np.hypot(*np.moveaxis(near - median, -1, 0)), axis=0)
    return distance, scatter
