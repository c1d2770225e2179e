"""How two images that are said to be aligned differ in position, everywhere in the frame, from shifts of windows.

At any place a plane and, where the motion bends, a quadric is fitted to the shifts near it, by least squares weighted
by their variances and a Gaussian of the distance (moving least squares; Lancaster and Salkauskas 1981,
doi:10.1090/S0025-5718-1981-0616367-1). So the field has values between the windows and up to the frame, half a window
beyond the outermost centres, less noise than a shift, and bends that are means over windows no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zncc_cli.registration.quality.local_shifts import LocalShifts

_Floats = NDArray[np.float64]

# Standard deviation of the Gaussian, in distances between windows; where the nearest one is farther, it is wider.
_REACH_STEPS, _QUADRIC_REACH_STEPS = 0.65, 1.0  # the quadric has twice as many coefficients
_WIDER = 1.5  # times that reach where it holds too few windows: beside a part that is not measured
_FAR_STEPS = 1.6  # places farther than this from any measured window are not known
_MIN_WINDOWS = 2.5  # in effect, (sum of weights)^2 / sum of squared weights: fewer determine no plane
# Shifts differ from a plane by more than their noise, where the motion bends or texture lies to one side of a window.
_MODEL_SIGMA_PX = 0.01
_PLACES_PER_SIDE = 65  # at which the field is computed; between them it is interpolated
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class ResidualField:
    """Residual shifts at a grid of places over the frame, from corner to corner.

    Attributes:
        x, y: of the columns (w,) and rows (h,) of places, pixels.
        shifts: (h, w, 2), (dx, dy) as in `LocalShifts`; NaN where they are not known.
        variances: (h, w), of both axes together, pixels^2.
    """

    x: _Floats
    y: _Floats
    shifts: _Floats
    variances: _Floats

    @property
    def lengths(self) -> _Floats:
        """The lengths of the shifts (h, w), pixels; NaN where they are not known."""
        return np.asarray(np.hypot(self.shifts[..., 0], self.shifts[..., 1]))

    @property
    def known(self) -> float:
        """The share of the frame in which the field is known."""
        return float(np.isfinite(self.lengths).mean())

    @property
    def ce90(self) -> float | None:
        """The circular error: the length that 90 percent of the known places do not exceed, pixels; None without any.

        Noise makes shifts longer, and their lengths differ more: the lengths are scaled about their mean so that their
        mean square is less by the mean variance of both axes, and their variance by that of one, its part along a
        shift.
        """
        lengths = self.lengths[np.isfinite(self.lengths)]
        if not lengths.size:
            return None
        noise, mean = float(np.nanmean(self.variances)), float(lengths.mean())
        square = max(0.0, float(np.square(lengths).mean()) - noise)
        variance = min(max(0.0, float(lengths.var()) - noise / 2), square)
        beyond = (float(np.percentile(lengths, 90)) - mean) / (float(lengths.std()) or 1.0)
        return float(np.sqrt(square - variance) + beyond * np.sqrt(variance))

    def at_rows(self, rows: range, columns: int) -> _Floats:
        """Return the lengths (h, ``columns``) at the pixels of some rows, pixels, as `at` does."""
        return self.at(np.arange(columns, dtype=float), np.arange(rows.start, rows.stop, dtype=float))

    def at(self, x: _Floats, y: _Floats) -> _Floats:
        """Return the lengths (h, w) at columns x (w,) and rows y (h,), pixels; NaN where they are not known.

        The shifts are linear between the places; beyond the outermost they are theirs.
        """
        dx, dy = (self._between(self.shifts[..., axis], x, y) for axis in (0, 1))
        return np.asarray(np.hypot(dx, dy))

    def deviations_at(self, x: _Floats, y: _Floats) -> _Floats:
        """Return the standard deviations (h, w), of both axes together, at columns x and rows y, as `at` does."""
        return self._between(np.sqrt(self.variances), x, y)

    def _between(self, values: _Floats, x: _Floats, y: _Floats) -> _Floats:
        """Return values of the places (h, w) at columns x and rows y, from the places around that are known.

        NaN where these weigh less than half. So the edge of what is known is smooth, and has no corners of the grid.
        """
        by_y, by_x = _hats(self.y, y), _hats(self.x, x)
        known = np.isfinite(self.lengths)
        share = by_y @ known @ by_x.T
        enough = share > 0.5 - 1e-9
        return np.where(enough, by_y @ np.where(known, values, 0) @ by_x.T / np.where(enough, share, 1), np.nan)


def residual_field(shifts: LocalShifts, shape: tuple[int, int]) -> ResidualField:
    """Return the field of the shifts that were measured, on a frame (H, W)."""
    y, x = (np.linspace(0, side - 1, min(side, _PLACES_PER_SIDE)) for side in shape)
    places = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    ok = shifts.ok
    values, variances = np.full((len(places), 2), np.nan), np.full(len(places), np.nan)
    for first in range(0, len(places), _CHUNK):
        part = slice(first, first + _CHUNK)
        values[part], variances[part] = _fitted(
            places[part],
            shifts.centres[ok],
            shifts.shifts[ok],
            np.square(shifts.sigmas[ok]).mean(axis=1),
            shifts.step,
            shifts.window,
        )
    return ResidualField(x, y, values.reshape(len(y), len(x), 2), variances.reshape(len(y), len(x)))


def _fitted(
    places: _Floats, centres: _Floats, values: _Floats, variances: _Floats, step: float, window: float
) -> tuple[_Floats, _Floats]:
    """Return values (M, 2) at places (M, 2), and their variances of both axes (M,); NaN where unknown.

    A plane follows no bend, and a quadric is noisier: of what the quadric differs by from the plane, that part is added
    which noise does not explain (James and Stein 1961).
    """
    if not len(centres):
        return np.full((len(places), 2), np.nan), np.full(len(places), np.nan)
    offsets = (centres - places[:, None]) / step  # (M, N, 2)
    squares = np.square(offsets).sum(axis=-1)
    x, y = offsets[..., 0], offsets[..., 1]
    planes = np.stack([np.ones_like(x), x, y], axis=-1)
    # A window sees the mean of a motion: of x^2 it is that of its centre and a twelfth of the square of its side.
    spread = (window / step) ** 2 / 12
    quadrics = np.concatenate([planes, np.stack([x * x + spread, x * y, y * y + spread], axis=-1)], axis=-1)
    # Windows that overlap share their noise: the share of their area that they have in common is its correlation.
    common = np.maximum(0, 1 - np.abs(centres[:, None] - centres) / window).prod(axis=-1)
    covariances = common * np.sqrt(np.outer(variances, variances))
    flat, noise = _weighted(planes, squares, values, covariances, _REACH_STEPS)
    bent, bent_noise = _weighted(quadrics, squares, values, covariances, _QUADRIC_REACH_STEPS)
    apart = np.square(bent - flat).sum(axis=1)
    share = np.nan_to_num(np.maximum(0, 1 - bent_noise / np.maximum(apart, 1e-30)))
    return flat + share[:, None] * np.nan_to_num(bent - flat), noise + share * np.nan_to_num(bent_noise - noise)


def _weighted(
    basis: _Floats, squares: _Floats, values: _Floats, covariances: _Floats, reach: float
) -> tuple[_Floats, _Floats]:
    """Return the value at each place of what is fitted there, and its variance; NaN where too few windows are near.

    Args:
        basis: (M, N, K), what is fitted, at N windows for each of M places; the first function is one.
        squares: (M, N), squared distances in steps.
        values: (N, 2), of the windows. covariances: (N, N), of the noise of one axis, pixels^2.
        reach: standard deviation of the weights, in steps.
    """
    functions = basis.shape[-1]
    nearest = squares.min(axis=1, keepdims=True)
    near = np.exp(-squares / (2 * reach**2 + 1.5 * nearest))
    least = _MIN_WINDOWS * functions / 3
    few = _count(near) < least
    near[few] = np.exp(-squares[few] / (2 * (_WIDER * reach) ** 2 + 1.5 * nearest[few]))
    known = (_count(near) >= least) & (nearest[:, 0] <= _FAR_STEPS**2)
    weights = near / (np.diagonal(covariances) + _MODEL_SIGMA_PX**2)
    normal = np.einsum("mn,mni,mnj->mij", weights, basis, basis, optimize=True)
    normal[~known] = np.eye(functions)
    known &= np.linalg.cond(normal) < 1e6
    normal[~known] = np.eye(functions)
    influence = np.linalg.solve(normal, np.einsum("mn,mni->min", weights, basis))[:, 0]  # (M, N), of each shift
    found, noise = influence @ values, 2 * (influence @ covariances * influence).sum(axis=1)
    return np.where(known[:, None], found, np.nan), np.where(known, noise, np.nan)


def _count(near: _Floats) -> _Floats:
    """Return how many windows (M,) weights (M, N) hold in effect."""
    return np.asarray(near.sum(axis=1) ** 2 / np.square(near).sum(axis=1))


def _hats(places: _Floats, at: _Floats) -> _Floats:
    """Return the weights (n, k) of k equally spaced places in a linear interpolation at n coordinates."""
    gap = places[1] - places[0] if len(places) > 1 else 1.0
    inside = np.clip(at, places[0], places[-1])
    return np.asarray(np.maximum(0, 1 - np.abs(inside[:, None] - places) / gap))
