"""Analytic shapes of which the sample scenes consist, each exact at any real (x, y).

Every shape has compact support: an image is evaluated tile by tile, from the few shapes near each tile. Edges are EDGE
pixels wide, as behind a lens, so that the samples of a pixel grid do not alias.

Legend: x, y (H, W) coordinates in pixels; a table is (N, columns), a row for each shape; u, v: a shape's own axes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Profile = Callable[[Array, Array, Array], Array]

TILE = 24  # pixels: small enough that few shapes reach a tile, large enough that numpy does the work
EDGE = 4.0  # pixels from 0 to 1 across an edge; a Gaussian blur of about 0.9 pixels
CUT = 4.0  # standard deviations at which a Gaussian is cut to exactly zero


def _over_tiles(x: Array, y: Array, table: Array, reach: Array, profile: Profile) -> Array:
    out = np.zeros(x.shape)
    for top in range(0, x.shape[0], TILE):
        for left in range(0, x.shape[1], TILE):
            tile = np.s_[top : top + TILE, left : left + TILE]
            tx, ty = x[tile], y[tile]
            near = (table[:, 0] > tx.min() - reach) & (table[:, 0] < tx.max() + reach)
            near &= (table[:, 1] > ty.min() - reach) & (table[:, 1] < ty.max() + reach)
            if near.any():
                rows = table[near].T[:, :, None]
                dx, dy = tx.ravel() - rows[0], ty.ravel() - rows[1]
                out[tile] = profile(dx, dy, rows[2:]).reshape(tx.shape)
    return out


def _axes(dx: Array, dy: Array, angle: Array) -> tuple[Array, Array]:
    cos, sin = np.cos(angle), np.sin(angle)
    return cos * dx + sin * dy, cos * dy - sin * dx


def blobs(x: Array, y: Array, table: Array) -> Array:
    """Sum of elongated Gaussians, Gabor wavelets where wavenumber > 0.

    Columns: x, y, angle, sigma_u, sigma_v, amplitude, wavenumber (radians a pixel, along u), phase.
    """

    def profile(dx: Array, dy: Array, row: Array) -> Array:
        angle, sigma_u, sigma_v, amplitude, wavenumber, phase = row
        u, v = _axes(dx, dy, angle)
        bell = np.exp(-0.5 * ((u / sigma_u) ** 2 + (v / sigma_v) ** 2)) - np.exp(-0.5 * CUT**2)
        total: Array = (amplitude * np.maximum(bell, 0) * np.cos(wavenumber * u + phase)).sum(axis=0)
        return total

    return _over_tiles(x, y, table, CUT * table[:, 3:5].max(axis=1), profile)


def _box_cover(dx: Array, dy: Array, row: Array) -> tuple[Array, Array]:
    """Cover in [0, 1] of rounded boxes, from their signed distance, and the coordinate v."""
    angle, half_u, half_v, radius = row[:4]
    u, v = _axes(dx, dy, angle)
    past_u, past_v = np.abs(u) - half_u, np.abs(v) - half_v
    distance = np.hypot(np.maximum(past_u, 0), np.maximum(past_v, 0)) + np.minimum(np.maximum(past_u, past_v), 0)
    t = np.clip(0.5 - (distance - radius) / EDGE, 0, 1)
    return t * t * (3 - 2 * t), v


def _box_reach(table: Array) -> Array:
    return np.asarray(np.hypot(table[:, 3], table[:, 4]) + table[:, 5] + EDGE)


def cover(x: Array, y: Array, table: Array) -> Array:
    """Share of each point covered by a union of rounded boxes: discs, capsules and rectangles, in [0, 1].

    Columns: x, y, angle, half_u, half_v, radius, opacity. A disc has half_u = half_v = 0, a capsule half_v = 0.
    """

    def profile(dx: Array, dy: Array, row: Array) -> Array:
        clear: Array = np.prod(1 - row[4] * _box_cover(dx, dy, row)[0], axis=0)
        return 1 - clear

    return _over_tiles(x, y, table, _box_reach(table), profile)


def furrows(x: Array, y: Array, table: Array) -> Array:
    """Sum of rounded boxes filled with level + contrast * cos(wavenumber * v + phase).

    Columns: x, y, angle, half_u, half_v, radius, level, contrast, wavenumber, phase.
    """

    def profile(dx: Array, dy: Array, row: Array) -> Array:
        inside, v = _box_cover(dx, dy, row)
        level, contrast, wavenumber, phase = row[4:]
        total: Array = (inside * (level + contrast * np.cos(wavenumber * v + phase))).sum(axis=0)
        return total

    return _over_tiles(x, y, table, _box_reach(table), profile)


def polyline(points: Array, radius: float, opacity: float = 1.0) -> Array:
    """Table for `cover` of the capsules along points (N, 2)."""
    start, end = points[:-1], points[1:]
    middle, step = (start + end) / 2, end - start
    length = np.hypot(step[:, 0], step[:, 1])
    same = np.ones(len(start))
    columns = [middle, np.arctan2(step[:, 1], step[:, 0]), length / 2, 0 * same, radius * same, opacity * same]
    return np.column_stack(columns)


def waves(x: Array, y: Array, rng: np.random.RandomState, shortest: float, longest: float, count: int = 40) -> Array:
    """Cloudy texture over all scales from shortest to longest wavelength (pixels); standard deviation near 1."""
    wavelength = longest * (shortest / longest) ** rng.uniform(size=count)
    angle, phase = rng.uniform(0, 2 * np.pi, (2, count))
    amplitude = wavelength**0.5
    amplitude *= np.sqrt(2 / (amplitude**2).sum())
    kx, ky = 2 * np.pi * np.cos(angle) / wavelength, 2 * np.pi * np.sin(angle) / wavelength
    total = np.zeros(x.shape)
    for a, p, q, shift in zip(amplitude, kx, ky, phase, strict=True):
        total += a * np.cos(p * x + q * y + shift)
    return total


def grains(x: Array, y: Array, rng: np.random.RandomState, spacing: float, cells: int) -> tuple[Array, Array]:
    """Voronoi grains around a jittered lattice of cells x cells seeds: brightness and boundary, both in [0, 1].

    Each grain has a grey level and lamellae of its own; weights fall off with the squared distance's excess over the
    nearest seed's, which turns a boundary into an edge about two pixels wide.
    """
    jitter_x, jitter_y = rng.uniform(0.17, 0.83, (2, cells, cells))
    grey = rng.uniform(0.1, 0.9, (cells, cells))
    turn, phase = rng.uniform(0, 2 * np.pi, (2, cells, cells))
    wavenumber = 2 * np.pi / rng.uniform(5, 14, (cells, cells))
    depth = 0.13 * rng.uniform(-1, 1, (cells, cells)).clip(0)
    column, row = np.floor(x / spacing).astype(int), np.floor(y / spacing).astype(int)
    offsets = [(i, j) for i in range(-2, 3) for j in range(-2, 3)]
    near = [((row + i) % cells, (column + j) % cells) for i, j in offsets]
    squared = np.stack(
        [
            (x - (column + j + jitter_x[at]) * spacing) ** 2 + (y - (row + i + jitter_y[at]) * spacing) ** 2
            for (i, j), at in zip(offsets, near, strict=True)
        ]
    )
    weight = np.exp(-(squared - squared.min(axis=0)) / (1.5 * spacing))
    weight /= weight.sum(axis=0)
    brightness = np.zeros(x.shape)
    for share, at in zip(weight, near, strict=True):
        along = np.cos(turn[at]) * x + np.sin(turn[at]) * y
        brightness += share * (grey[at] + depth[at] * np.cos(wavenumber[at] * along + phase[at]))
    return brightness, 2 * (1 - (weight**2).sum(axis=0))
