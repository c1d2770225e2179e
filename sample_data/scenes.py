"""Six scenes as functions of continuous coordinates: scene(x, y, seed) is the brightness at (x, y), about 0 to 1.

x, y are (H, W) in pixels of the fixed image, which lies in [0, WIDTH) x [0, HEIGHT); a scene extends MARGIN
beyond it, so that a moved camera still sees it. The same seed gives the same scene at any coordinates.
A scene returns (H, W), the circuit board (H, W, 3).
"""

from __future__ import annotations

import numpy as np
from shapes import Array, blobs, cover, furrows, grains, polyline, waves

WIDTH, HEIGHT, MARGIN = 512, 384, 70

Random = np.random.RandomState  # its stream is frozen for good (NEP 19), which np.random.default_rng's is not


def _scatter(rng: Random, spacing: float, jitter: float = 0.5) -> Array:
    """Return points (N, 2), one in each spacing x spacing cell of the scene, displaced by up to jitter of a cell."""
    xs, ys = np.arange(-MARGIN, WIDTH + MARGIN, spacing), np.arange(-MARGIN, HEIGHT + MARGIN, spacing)
    lattice = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    return np.asarray(lattice + spacing * rng.uniform(-jitter, jitter, lattice.shape))


def table(*columns: Array | float) -> Array:
    """Return the columns as one table (N, columns); numbers are repeated."""
    return np.column_stack(np.broadcast_arrays(*columns))


def cells(x: Array, y: Array, seed: int) -> Array:
    """Fluorescent cells: nuclei with chromatin, a fan of filaments in each cell body, bright vesicles, haze."""
    rng = Random(seed)
    bodies, filaments, nuclei, vesicles = [], [], [], []
    for cx, cy in _scatter(rng, 68, 0.36):
        angle, glow, size = rng.uniform(0, np.pi), rng.uniform(0.5, 1.0), rng.uniform(0.85, 1.15)
        bodies.append([cx, cy, angle, 24 * size, 15 * size, 0.2 * glow, 0, 0])
        nuclei.append([cx, cy, angle, 6 * size, 1.5 * size, 9.5 * size, 0.85 * glow])
        n = 48
        across = rng.uniform(-1, 1, n)
        along = rng.normal(0, 0.45, n) * np.sqrt(1 - across**2)
        u, v = 46 * size * along, 27 * size * across * (1 - 0.5 * along**2)
        place = [cx + u * np.cos(angle) - v * np.sin(angle), cy + u * np.sin(angle) + v * np.cos(angle)]
        lean = angle - 0.5 * along * across + rng.normal(0, 0.07, n)
        length, bright = rng.uniform(5, 16, n) * size, glow * rng.uniform(0.1, 0.42, n)
        filaments.append(table(*place, lean, length, rng.uniform(1.0, 1.5, n), bright, 0.0, 0.0))
        n = 16
        bearing, far = rng.uniform(0, 2 * np.pi, n), rng.normal(17, 5, n) * size
        place = [cx + far * np.cos(bearing), cy + far * np.sin(bearing)]
        dot = rng.uniform(1.1, 1.9, n)
        vesicles.append(table(*place, 0.0, dot, dot, glow * rng.uniform(0.15, 0.6, n), 0.0, 0.0))
    chromatin = 0.78 + 0.2 * waves(x, y, rng, 4.5, 22)
    haze = 0.03 * (1 + 0.4 * waves(x, y, rng, 60, 300))
    fibres = blobs(x, y, np.vstack([*filaments, *vesicles, np.array(bodies)]))
    nucleus = cover(x, y, np.array(nuclei))
    return np.asarray(0.75 * (haze + fibres * (1 - 0.7 * nucleus) + nucleus * chromatin))


def steel(x: Array, y: Array, seed: int) -> Array:
    """Etched grains in an electron microscope: grey by orientation, lamellae, dark boundaries, bright inclusions."""
    rng = Random(seed)
    grey, boundary = grains(x + 2.5 * waves(x, y, rng, 40, 120, 16), y, rng, 36, 31)
    spots = _scatter(rng, 21, 0.9)
    size, light = rng.uniform(1.0, 2.6, len(spots)), rng.choice([-0.3, 0.25, 0.45], len(spots))
    inclusions = blobs(
        x, y, table(*spots.T, rng.uniform(0, np.pi, len(spots)), size, 0.8 * size + 0.2, light, 0.0, 0.0)
    )
    n = 45
    place = [rng.uniform(-MARGIN, WIDTH + MARGIN, n), rng.uniform(-MARGIN, HEIGHT + MARGIN, n)]
    polish = table(*place, 0.4 + rng.normal(0, 0.12, n), rng.uniform(15, 60, n), 1.0, -0.09, 0.0, 0.0)
    relief = 0.035 * waves(x, y, rng, 5, 40)
    return 0.18 + 0.62 * grey + relief + inclusions + blobs(x, y, polish) - 0.3 * boundary


def speckle(x: Array, y: Array, seed: int) -> Array:
    """Black paint sprayed on a white specimen, as for digital image correlation: round drops of many sizes."""
    rng = Random(seed)
    drops = []
    for spacing, smallest, largest in ((26, 3.5, 6.5), (12, 2.0, 3.6), (7, 0.6, 1.7)):
        points = _scatter(rng, spacing, 0.75)
        radius = rng.uniform(smallest, largest, len(points))
        squash, angle = radius * rng.uniform(0, 0.45, len(points)), rng.uniform(0, np.pi, len(points))
        drops.append(table(*points.T, angle, squash, 0.0, radius, rng.uniform(0.86, 0.97, len(points))))
    paint = 0.86 + 0.03 * waves(x, y, rng, 6, 150)
    return np.asarray(0.06 + paint * (1 - cover(x, y, np.vstack(drops))))


def _split(rng: Random, box: tuple[float, float, float, float]) -> list[tuple[float, float, float, float]]:
    """Cut a rectangle (left, top, right, bottom) into fields."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    if max(width, height) < 66 or (max(width, height) < 120 and rng.uniform() < 0.2):
        return [box]
    share = rng.uniform(0.32, 0.68)
    if width > height * rng.uniform(0.7, 1.2):
        cut = left + share * width
        return _split(rng, (left, top, cut, bottom)) + _split(rng, (cut, top, right, bottom))
    cut = top + share * height
    return _split(rng, (left, top, right, cut)) + _split(rng, (left, cut, right, bottom))


def farmland(x: Array, y: Array, seed: int) -> Array:
    """Fields from a satellite: crop rows, hedges, woods, a river, roads, a village and its trees."""
    rng = Random(seed)
    tilt, middle = 0.3, np.array([WIDTH / 2, HEIGHT / 2])
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    fields, trees = [], [np.zeros((0, 7))]
    for left, top, right, bottom in _split(rng, (-480, -440, 480, 440)):
        half = np.array([right - left, bottom - top]) / 2
        centre = turn @ np.array([(left + right) / 2, (top + bottom) / 2]) + middle
        wood = rng.uniform() < 0.13
        level = 0.1 if wood else rng.choice([0.3, 0.38, 0.46, 0.56, 0.66, 0.8]) + rng.uniform(-0.04, 0.04)
        rows = 0.0 if wood else rng.uniform(0.02, 0.07)
        along = tilt if half[0] > half[1] else tilt + np.pi / 2
        size = half if half[0] > half[1] else half[::-1]
        period = rng.uniform(4.5, 9)
        fields.append([*centre, along, *(size - 2.2), 0.5, level, rows, 2 * np.pi / period, rng.uniform(0, 6)])
        n = int(half[0] * half[1] / 5) if wood else int((half[0] + half[1]) / 9)
        at = rng.uniform(-1, 1, (n, 2)) * (half - 3)
        if not wood:  # a hedge along one side
            at[:, 1] = half[1] + rng.normal(0, 0.7, n)
        at = at @ turn.T + centre
        trees.append(table(*at.T, 0.0, 0.0, 0.0, rng.uniform(0.6, 2.6, n), rng.uniform(0.4, 0.9, n)))
    s = np.linspace(-0.25, 1.25, 60)
    bends = 30 * np.sin(5.2 * s + 0.6) + 13 * np.sin(14 * s)
    banks = [
        polyline(np.column_stack([WIDTH * s, 250 - 90 * s + bends + 4 * k * np.sin(17 * s + k)]), 4) for k in (-1, 1)
    ]
    river = np.vstack(banks)
    highway = polyline(np.column_stack([60 + 380 * s + 25 * np.sin(3 * s), -60 + 500 * s]), 2.4)
    lanes = [np.array([[-700.0, v], [700.0, v]]) @ turn.T + middle for v in (-92.0, 118.0)]
    lanes += [np.array([[u, -700.0], [u, 700.0]]) @ turn.T + middle for u in (-150.0, 96.0)]
    roads = np.vstack([highway, *(polyline(lane, 1.0, 0.75) for lane in lanes)])
    n = 95
    houses = rng.normal(0, 1, (n, 2)) * [60, 34] @ turn.T + turn @ np.array([96.0, 118.0]) + middle
    turned = tilt + rng.choice([0, np.pi / 2], n)
    shape = (turned, rng.uniform(1.2, 3.4, n), rng.uniform(1.0, 2.0, n), 0.3)
    shadows, roofs = table(*(houses + 1.8).T, *shape, 0.7), table(*houses.T, *shape, rng.uniform(0.6, 1.0, n))
    crowns = np.vstack(trees)
    shade_of_trees = cover(x, y, crowns + np.array([1.5, 1.5, 0, 0, 0, 0, 0]))
    image = (0.17 + furrows(x, y, np.array(fields))) * (1 + 0.09 * waves(x, y, rng, 4.5, 200, 64))
    image = image * (1 - 0.5 * shade_of_trees)
    for layer, shade in ((crowns, 0.2), (river, 0.07), (roads, 0.88), (shadows, 0.05), (roofs, 0.95)):
        share = cover(x, y, layer)
        image = image * (1 - share) + shade * share
    return np.asarray(image)


def stars(x: Array, y: Array, seed: int) -> Array:
    """Stars of many magnitudes over a nebula."""
    rng = Random(seed)
    points = _scatter(rng, 11, 1.0)
    light = 0.02 * rng.uniform(0.004, 1, len(points)) ** -0.8
    width = rng.uniform(1.15, 1.3, len(points))
    nebula = 0.1 * np.exp(0.7 * waves(x, y, rng, 9, 120))
    return np.asarray(nebula + blobs(x, y, table(*points.T, 0.0, width, width, light, 0.0, 0.0)))
