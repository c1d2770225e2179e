"""Speckle as for digital image correlation: the star pattern, and pairs that show the floor of the noise.

The star is a displacement along y, v = A cos(2 pi (y - H / 2) / period(x)), whose period grows along x. What is left of
A on the middle line is the spatial resolution. Reu et al. 2022, "DIC Challenge 2.0", doi:10.1007/s11340-021-00806-6.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.nonrigid.motions import Motion
from benchmarks.nonrigid.pairs import Array, Pair

STAR_SHAPE = (192, 640)
PERIODS_PX = (10.0, 90.0)
AMPLITUDE_PX = 0.5
FLOOR_SHAPE, FLOOR_SHIFT_PX = (256, 256), (0.31, -0.43)
NOISE = 0.02  # of the range of grey values
_SEED = 11
_SPACING_PX, _RADII_PX, _EDGE_PX = 5.0, (1.6, 2.8), 1.0


def period(x: Array) -> Array:
    """Return the star's period at columns of the frame, pixels."""
    first, last = PERIODS_PX
    return first + (last - first) * np.asarray(x, dtype=float) / (STAR_SHAPE[1] - 1)


def star_motion(x: Array, y: Array) -> Array:
    v = AMPLITUDE_PX * np.cos(2 * np.pi * (y - STAR_SHAPE[0] / 2) / period(x))
    return np.stack((np.zeros_like(v), v), axis=-1)


def star(*, noise: bool) -> Pair:
    """Return the star, clean or with noise of 2 percent of the grey range."""
    return _pair(f"star{', noise' if noise else ''}", STAR_SHAPE, star_motion, NOISE if noise else 0.0)


def floor() -> Pair:
    """Return a shift under noise: what an estimate scatters by is the floor of its noise."""

    def shift(x: Array, y: Array) -> Array:
        return np.broadcast_to(np.array(FLOOR_SHIFT_PX), (*x.shape, 2)).copy()

    return _pair("shift, noise", FLOOR_SHAPE, shift, NOISE)


def kept(displacements: Array) -> tuple[Array, Array]:
    """Return periods, and the share of the star's amplitude that an estimate (H, W, 2) keeps at each.

    It is the mean over a fortieth of the frame's width.
    """
    middle = STAR_SHAPE[0] // 2
    line = displacements[middle, :, 1] / AMPLITUDE_PX
    side = STAR_SHAPE[1] // 40
    count = len(line) // side
    means = line[: count * side].reshape(count, side).mean(axis=1)
    return period(np.arange(count) * side + (side - 1) / 2), means


def resolution(displacements: Array, least: float = 0.9) -> float:
    """Return the period from which on at least that share of the amplitude is kept; infinite where it never is."""
    periods, share = kept(displacements)
    lost = np.flatnonzero(share < least)
    if not len(lost):
        return float(periods[0])
    return float(periods[lost[-1] + 1]) if lost[-1] + 1 < len(periods) else float("inf")


def painted(shape: tuple[int, int], displacements: Array) -> Array:
    """Return the specimen as a camera sees it whose pixel p shows it at p + displacement, (H, W) in 0.1 to 0.9."""
    return _painted(shape, displacements, _drops(shape, np.random.default_rng(_SEED)))


def _pair(name: str, shape: tuple[int, int], motion: Motion, noise: float) -> Pair:
    random = np.random.default_rng(_SEED)
    drops = _drops(shape, random)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    truth = motion(x, y)
    images = (_painted(shape, truth, drops), _painted(shape, np.zeros_like(truth), drops))
    fixed, moving = ((one + noise * random.standard_normal(shape)).astype(np.float32) for one in images)
    return Pair(name, fixed, moving, truth)


def _drops(shape: tuple[int, int], random: np.random.Generator) -> NDArray[np.float64]:
    """Return drops of paint (N, 3): x, y, radius."""
    margin = 8.0
    ys, xs = (np.arange(-margin, n + margin, _SPACING_PX) for n in shape)
    places = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    places += random.uniform(-0.5, 0.5, places.shape) * _SPACING_PX
    return np.column_stack((places, random.uniform(*_RADII_PX, len(places))))


def _painted(shape: tuple[int, int], displacements: Array, drops: NDArray[np.float64]) -> Array:
    """Return the paint as a camera sees it whose pixel p shows the specimen at p + displacement, (H, W)."""
    reach = int(np.ceil(_RADII_PX[1] + 4 * _EDGE_PX + np.abs(displacements).max())) + 1
    bare = np.ones(shape)
    for x, y, radius in drops:
        rows = slice(max(0, int(y) - reach), max(0, int(y) + reach + 2))
        columns = slice(max(0, int(x) - reach), max(0, int(x) + reach + 2))
        part = displacements[rows, columns]
        if not part.size:
            continue
        v = np.arange(rows.start, rows.start + part.shape[0])[:, None] + part[..., 1] - y
        u = np.arange(columns.start, columns.start + part.shape[1]) + part[..., 0] - x
        # A disc with a soft edge, as optics show it.
        bare[rows, columns] *= 1 - 0.85 / (1 + np.exp((np.hypot(u, v) - radius) / (_EDGE_PX / 2)))
    return 0.1 + 0.8 * bare
