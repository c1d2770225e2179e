"""How two images that are said to be aligned differ in position, everywhere in the frame, from shifts of windows.

At any place a plane is fitted to the shifts near it, by least squares weighted by their variances and a Gaussian of the
distance (moving least squares; Lancaster and Salkauskas 1981, doi:10.1090/S0025-5718-1981-0616367-1). So the field has
values between the windows and up to the frame, half a window beyond the outermost centres, and less noise than a shift.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zncc_cli.registration.quality.local_shifts import LocalShifts

_Floats = NDArray[np.float64]

# Standard deviation of the Gaussian, in distances between windows; where the nearest one is farther, it is wider.
_REACH_STEPS = 0.65
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

        Noise makes every shift longer: the lengths are scaled so that their mean square is less by the mean variance.
        """
        lengths = self.lengths[np.isfinite(self.lengths)]
        if not lengths.size:
            return None
        square, noise = float(np.square(lengths).mean()), float(np.nanmean(self.variances))
        share = max(0.0, 1 - noise / square) if square > 0 else 0.0
        return float(np.percentile(lengths, 90) * np.sqrt(share))

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
        """Return values of the places (h, w) at columns x and rows y; NaN where a place that counts is not known."""
        by_y, by_x = _hats(self.y, y), _hats(self.x, x)
        known = np.isfinite(self.lengths)
        whole = by_y @ known @ by_x.T > 1 - 1e-9
        return np.where(whole, by_y @ np.where(known, values, 0) @ by_x.T, np.nan)


def residual_field(shifts: LocalShifts, shape: tuple[int, int]) -> ResidualField:
    """Return the field of the shifts that were measured, on a frame (H, W)."""
    y, x = (np.linspace(0, side - 1, min(side, _PLACES_PER_SIDE)) for side in shape)
    places = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    ok = shifts.ok
    values, variances = np.full((len(places), 2), np.nan), np.full(len(places), np.nan)
    for first in range(0, len(places), _CHUNK):
        part = slice(first, first + _CHUNK)
        values[part], variances[part] = _planes(
            places[part], shifts.centres[ok], shifts.shifts[ok], np.square(shifts.sigmas[ok]).mean(axis=1), shifts.step
        )
    return ResidualField(x, y, values.reshape(len(y), len(x), 2), variances.reshape(len(y), len(x)))


def _planes(
    places: _Floats, centres: _Floats, values: _Floats, variances: _Floats, step: float
) -> tuple[_Floats, _Floats]:
    """Return the planes' values (M, 2) at places (M, 2), and their variances of both axes (M,); NaN where unknown."""
    unknown = np.full((len(places), 2), np.nan), np.full(len(places), np.nan)
    if not len(centres):
        return unknown
    offsets = (centres - places[:, None]) / step  # (M, N, 2)
    squares = np.square(offsets).sum(axis=-1)
    nearest = squares.min(axis=1, keepdims=True)
    near = np.exp(-squares / (2 * _REACH_STEPS**2 + 1.5 * nearest))
    enough = near.sum(axis=1) ** 2 / np.square(near).sum(axis=1) >= _MIN_WINDOWS
    known = enough & (nearest[:, 0] <= _FAR_STEPS**2)
    weights = near / (variances + _MODEL_SIGMA_PX**2)
    basis = np.concatenate([np.ones_like(offsets[..., :1]), offsets], axis=-1)  # (M, N, 3)
    normal = np.einsum("mn,mni,mnj->mij", weights, basis, basis)
    normal[~known] = np.eye(3)
    known &= np.linalg.cond(normal) < 1e6
    normal[~known] = np.eye(3)
    influence = np.linalg.solve(normal, np.einsum("mn,mni->min", weights, basis))[:, 0]  # (M, N), of each shift
    found = influence @ values
    noise = 2 * np.square(influence) @ variances
    return np.where(known[:, None], found, unknown[0]), np.where(known, noise, unknown[1])


def _hats(places: _Floats, at: _Floats) -> _Floats:
    """Return the weights (n, k) of k equally spaced places in a linear interpolation at n coordinates."""
    gap = places[1] - places[0] if len(places) > 1 else 1.0
    inside = np.clip(at, places[0], places[-1])
    return np.asarray(np.maximum(0, 1 - np.abs(inside[:, None] - places) / gap))
