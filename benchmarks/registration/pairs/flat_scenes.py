"""Scenes that are mostly flat, as people have them: most windows show nothing that could be registered.

As in `sample_data/scenes.py`: scene(x, y, seed) is the brightness (H, W) at any real (x, y), about 0 to 1. All edges
are four pixels wide, so that no frame aliases. The frame of the fixed camera lies around the middle of WIDTH x HEIGHT;
shapes are drawn as far as `_REACH` beyond it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scenes import HEIGHT, WIDTH, Random, table
from shapes import blobs, cover, polyline, waves

Array = NDArray[np.float64]

_REACH = 130  # pixels beyond WIDTH x HEIGHT: what a camera sees that moved by the largest motions
_CENTRE = np.array([WIDTH / 2, HEIGHT / 2])


def _places(rng: Random, spacing: float, clear: float = 0.0) -> Array:
    """Return points (N, 2): one in each ``spacing`` x ``spacing`` cell, at least ``clear`` pixels from its sides."""
    xs, ys = (np.arange(-_REACH, length + _REACH, spacing) for length in (WIDTH, HEIGHT))
    corners = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    return np.asarray(corners + rng.uniform(clear, spacing - clear, corners.shape))


def bare_board(x: Array, y: Array, seed: int) -> Array:
    """A bare circuit board of two grey levels: rows of pads, rings with holes, tracks, and empty ground."""
    rng = Random(seed)
    copper, holes = [], []
    for place in _places(rng, 88, 18):
        kind = rng.uniform()
        if kind < 0.3:  # the footprint of a chip: two rows of pads
            pads, pitch, apart = rng.randint(3, 9), rng.choice([9.0, 12.0]), rng.uniform(22, 44)
            along = pitch * (np.arange(pads) - (pads - 1) / 2)
            rows = np.vstack([np.column_stack([along, 0 * along + side * apart / 2]) for side in (-1, 1)])
            half = np.array([2.6, 5.0])
            if rng.uniform() < 0.5:
                rows, half = rows[:, ::-1], half[::-1]
            copper.append(table(*(rows + place).T, 0.0, *half, 0.5, 1.0))
        elif kind < 0.55:  # holes, alone or in a row
            along = 14.0 * np.arange(rng.randint(1, 5))
            row = np.column_stack([along, 0 * along]) if rng.uniform() < 0.5 else np.column_stack([0 * along, along])
            radius = rng.uniform(4.0, 7.0)
            copper.append(table(*(row + place).T, 0.0, 0.0, 0.0, radius, 1.0))
            holes.append(table(*(row + place).T, 0.0, 0.0, 0.0, 0.45 * radius, 1.0))
        elif kind < 0.85:  # a track with bends of 45 degrees, from pad to pad
            first, rise, second = rng.uniform(15, 80), rng.uniform(10, 45) * rng.choice([-1, 1]), rng.uniform(15, 90)
            path = np.array([[0, 0], [first, 0], [first + abs(rise), rise], [first + abs(rise) + second, rise]])
            path = (path[:, ::-1] if rng.uniform() < 0.5 else path) * rng.choice([-1, 1]) + place
            copper.append(polyline(path, rng.choice([1.2, 2.2])))
            copper.append(table(*path[[0, -1]].T, 0.0, 0.0, 0.0, 4.5, 1.0))
    metal = cover(x, y, np.vstack(copper))
    metal = metal * (1 - cover(x, y, np.vstack([*holes, np.zeros((0, 7))])))
    return np.asarray(0.05 + 0.9 * (metal if rng.uniform() < 0.5 else 1 - metal))


def sparse_stars(x: Array, y: Array, seed: int) -> Array:
    """Some dozen stars of a wide range of brightness on black; in every third scene a nebula behind them."""
    rng = Random(seed)
    points = _places(rng, rng.uniform(32, 62))
    light = np.minimum(0.015 * rng.uniform(0.004, 1, len(points)) ** -1.0, 1.5)
    width = rng.uniform(0.7, 1.4)  # standard deviation, of all stars: it is the optics'
    sky = 0.04 * np.exp(0.8 * waves(x, y, rng, 40, 300)) if seed % 3 == 0 else np.zeros(x.shape)
    return np.asarray(sky + blobs(x, y, table(*points.T, 0.0, width, width, light, 0.0, 0.0)))


def few_cells(x: Array, y: Array, seed: int) -> Array:
    """A few round cells, each a soft body in a rim of the other contrast, on flat ground."""
    rng = Random(seed)
    bodies, rims = [], []
    bearing = np.linspace(0, 2 * np.pi, 33)
    for place in _places(rng, rng.uniform(75, 100), 15):
        if rng.uniform() < 0.2:
            continue
        radius, glow = rng.uniform(11, 24), rng.uniform(0.15, 0.35)
        wobble = sum(0.06 * rng.normal() * np.cos(k * bearing + rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4))
        outline = (radius * (1 + wobble))[:, None] * np.column_stack([np.cos(bearing), np.sin(bearing)])
        rims.append(polyline(outline + place, rng.uniform(0.3, 1.2)))
        size = radius * rng.uniform(0.3, 0.5, 2)
        bodies.append([*place, rng.uniform(0, np.pi), *size, glow, 0.0, 0.0])
        core = place + 0.3 * radius * rng.uniform(-1, 1, 2)
        bodies.append([*core, rng.uniform(0, np.pi), 3.0, 2.0, rng.uniform(-0.25, 0.25), 0.0, 0.0])
    rim = cover(x, y, np.vstack(rims))
    return np.asarray((0.45 + blobs(x, y, np.array(bodies))) * (1 - 0.6 * rim))


def page(x: Array, y: Array, seed: int) -> Array:
    """Lines of writing on white paper: words of a few letters that come again and again, and wide margins."""
    rng = Random(seed)
    height = rng.uniform(8, 12)
    nodes = np.array([[0, 0], [0.6, 0], [0.6, 0.5], [0, 0.5], [0, 1], [0.6, 1], [0.3, 0.25], [0.3, 0.75]]) * height
    letters = [nodes[rng.choice(len(nodes), rng.randint(3, 6), replace=False)] for _ in range(22)]
    common = rng.dirichlet(np.full(len(letters), 1.5))
    left, right = rng.uniform(60, 130), rng.uniform(370, 460)
    strokes, baseline = [], rng.uniform(-60, 40)
    while baseline < HEIGHT + 60:
        end, at = rng.uniform(0.4, 1.0) * (right - left) + left, left
        while at < end:
            for letter in rng.choice(len(letters), rng.randint(1, 8), p=common):
                strokes.append(polyline(letters[letter] + [at, baseline], 0.5))
                at += 0.85 * height
            at += 0.7 * height
        baseline += height * (2.0 if rng.uniform() < 0.8 else 4.5)
    return np.asarray(0.95 - 0.85 * cover(x, y, np.vstack(strokes)))


def half_sky(x: Array, y: Array, seed: int) -> Array:
    """A landscape under a smooth sky that fills about half of it: trees, roofs, and ground with texture."""
    rng = Random(seed)
    along = np.zeros_like(x)
    ridge = (
        rng.uniform(0.45, 0.6) * HEIGHT + 14 * waves(x, along, rng, 90, 400, 12) + 2 * waves(x, along, rng, 9, 40, 12)
    )
    below = np.clip(0.5 + (y - ridge) / 4, 0, 1)
    below = below * below * (3 - 2 * below)
    sky = 0.85 - 0.12 * y / HEIGHT + 0.01 * waves(x, y, rng, 150, 500)
    points = _places(rng, 13)
    trees = table(*points.T, 0.0, 0.0, 0.0, rng.uniform(1.5, 6.0, len(points)), rng.uniform(0.2, 0.8, len(points)))
    places = _places(rng, 60, 10)
    half = rng.uniform(3, 9, (2, len(places)))
    roofs = cover(
        x, y, table(*places.T, rng.uniform(-0.2, 0.2, len(places)), *half, 0.3, rng.uniform(0.4, 0.9, len(places)))
    )
    ground = (0.4 + 0.08 * waves(x, y, rng, 5, 120)) * (1 - 0.7 * cover(x, y, trees))
    ground = ground * (1 - roofs) + 0.75 * roofs
    return np.asarray(sky * (1 - below) + ground * below)


def _branches(rng: Random, start: Array, heading: float, radius: float) -> list[Array]:
    """Return tables for `cover` of a vessel from ``start`` (2,) on, and of all that branch off it."""
    steps = max(4, int(rng.normal(16, 3) * radius**0.4))
    turns = heading + np.cumsum(rng.normal(0, 0.13, steps))
    path = np.vstack([start, start + np.cumsum(6.0 * np.column_stack([np.cos(turns), np.sin(turns)]), axis=0)])
    tables = [polyline(path, radius)]
    if radius > 0.45:
        for side in (-1, 1):
            tables += _branches(rng, path[-1], turns[-1] + side * rng.uniform(0.25, 0.7), 0.72 * radius)
    return tables


def vessels(x: Array, y: Array, seed: int) -> Array:
    """The back of an eye: thin dark vessels that branch on a smooth bright disc, black outside of it."""
    rng = Random(seed)
    radius = rng.uniform(135, 165)
    entry = _CENTRE + np.array([rng.choice([-1, 1]) * 0.5 * radius, rng.uniform(-15, 15)])
    inwards = 0.0 if entry[0] < _CENTRE[0] else np.pi
    headings = inwards + np.array([-1.0, -0.35, 0.4, 1.1, np.pi - 0.6, np.pi + 0.6]) + rng.normal(0, 0.15, 6)
    tree = np.vstack([part for heading in headings for part in _branches(rng, entry, heading, rng.uniform(1.3, 2.2))])
    shade = 0.55 + 0.15 * waves(x, y, rng, 200, 500, 8) + blobs(x, y, np.array([[*entry, 0, 12, 14, 0.3, 0, 0]]))
    disc = cover(x, y, np.array([[*_CENTRE, 0.0, 0.0, 0.0, radius, 1.0]]))
    return np.asarray(disc * np.maximum(shade, 0.1) * (1 - 0.45 * cover(x, y, tree)))
