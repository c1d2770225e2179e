"""A printed circuit board in colour, composed layer by layer like the real thing: board(x, y, seed), (H, W, 3)."""

from __future__ import annotations

import numpy as np
from scenes import HEIGHT, MARGIN, WIDTH, Random, table
from shapes import Array, cover, polyline, waves

MASK, COPPER, TIN, GOLD = (0.03, 0.34, 0.18), (0.12, 0.53, 0.28), (0.78, 0.79, 0.77), (0.86, 0.68, 0.28)
PLASTIC, LEGEND, INK = (0.09, 0.09, 0.10), (0.52, 0.53, 0.52), (0.9, 0.92, 0.86)
CERAMIC, HOLE = (0.55, 0.4, 0.26), (0.02, 0.02, 0.02)

# A letter's pen stroke over six nodes: 0 1 on top, 3 2 half way down, 4 5 at the bottom.
STROKES = {
    "0": "01540", "1": "15", "2": "012345", "3": "0123254", "4": "03215", "5": "103254", "6": "104523", "7": "015",
    "8": "0154032", "9": "230154", "C": "1045", "N": "4051", "R": "401235", "U": "0451", "Z": "0145",
}  # fmt: skip

Layers = dict[str, list[Array]]


def _boxes(xs: Array | float, ys: Array | float, half_x: float, half_y: float, radius: float = 0.0) -> Array:
    return table(xs, ys, 0.0, half_x, half_y, radius, 1.0)


def _text(text: str, x: float, y: float, height: float) -> Array:
    """Stroke lettering with its top left corner at (x, y)."""
    node = np.array([[0, 0], [0.55, 0], [0.55, 0.5], [0, 0.5], [0, 1], [0.55, 1]]) * height
    strokes = [node[[int(at) for at in STROKES[letter]]] + [0.9 * height * k, 0] for k, letter in enumerate(text)]
    return np.vstack([polyline(stroke + np.array([x, y]), 0.35) for stroke in strokes])


def _chip(layers: Layers, rng: Random, x: float, y: float, half: tuple[float, float], sides: int) -> None:
    """A package with leads on its 2 or 4 sides, lettering, a pin-one dot and a printed outline."""
    pitch = 7.0
    for axis in range(sides // 2):
        along, across = half[axis], half[1 - axis]
        pins = np.arange(-along + 6, along - 5, pitch)
        for sign in (-1, 1):
            if axis == 0:
                layers["tin"].append(_boxes(x + pins, y + sign * (across + 4), 1.6, 4.0))
            else:
                layers["tin"].append(_boxes(x + sign * (across + 4), y + pins, 4.0, 1.6))
    layers["plastic"].append(_boxes(x, y, half[0], half[1], 0.5))
    layers["legend"].append(_boxes(x - half[0] + 6, y + half[1] - 6, 0, 0, 2.0))
    lines = ["ZNCC", str(rng.randint(1000, 9999))] if half[1] > 15 else [str(rng.randint(10, 99))]
    for line, text in enumerate(lines):
        layers["legend"].append(_text(text, x - 0.43 * 7.5 * len(text), y - 10 + 12 * line, 7.5))
    layers["ink"].append(_text(f"U{rng.randint(1, 9)}", x - half[0], y - half[1] - 19, 7.0))


def _passive(layers: Layers, rng: Random, x: float, y: float, upright: bool) -> None:
    """A resistor or a capacitor between two pads, with its printed name."""
    body = "plastic" if rng.uniform() < 0.5 else "ceramic"
    dx, dy = (0, 7) if upright else (7, 0)
    ends = np.array([-1, 1])
    layers["tin"].append(_boxes(x + ends * dx, y + ends * dy, 3.5, 3.5, 0.5))
    layers[body].append(_boxes(x, y, *((3.2, 5.0) if upright else (5.0, 3.2))))
    place = (x + 8, y - 3) if upright else (x - 7, y + 6.5)
    layers["ink"].append(_text(f"{'R' if body == 'plastic' else 'C'}{rng.randint(1, 9)}", *place, 6.0))


def _track(rng: Random, x: float, y: float, lanes: int) -> list[Array]:
    """Parallel tracks with bends of 45 degrees, from (x, y) to the right or downwards."""
    first, rise, second = rng.uniform(25, 90), rng.uniform(15, 55) * rng.choice([-1, 1]), rng.uniform(25, 110)
    path = np.array([[0, 0], [first, 0], [first + abs(rise), rise], [first + abs(rise) + second, rise]])
    if rng.uniform() < 0.5:
        path = path[:, ::-1]
    across = np.array([1.0, -np.sign(rise)]) * 0.41 + (path[1] == 0) * 0.9 - (path[1] != 0) * 0.41
    return [polyline(path + [x, y] + 6.0 * lane * across, 1.0) for lane in range(lanes)]


def _layers(rng: Random) -> Layers:
    names = ("copper", "ring", "hole", "tin", "ceramic", "plastic", "legend", "ink")
    layers: Layers = {name: [] for name in names}
    taken: list[tuple[float, float, float, float]] = []

    def free(x: float, y: float, half_x: float, half_y: float) -> bool:
        if any(abs(x - a) < half_x + c and abs(y - b) < half_y + d for a, b, c, d in taken):
            return False
        taken.append((x, y, half_x, half_y))
        return True

    fixed_chips = [(236.0, 176.0, (48.0, 48.0), 4), (404.0, 96.0, (34.0, 17.0), 2), (92.0, 290.0, (34.0, 17.0), 2)]
    for x, y, half, sides in fixed_chips:
        free(x, y, half[0] + 22, half[1] + 24)
        _chip(layers, rng, x, y, half, sides)
    rows, columns = np.meshgrid([330.0, 348.0], np.arange(252, 440, 18.0))
    free(342, 340, 106, 24)
    layers["ring"].append(_boxes(columns.ravel(), rows.ravel(), 0, 0, 6.2))
    layers["hole"].append(_boxes(columns.ravel(), rows.ravel(), 0, 0, 3.0))
    frame = np.array([[240, 319], [444, 319], [444, 359], [240, 359], [240, 319]], dtype=float)
    layers["ink"].append(polyline(frame, 0.7))
    for _ in range(900):
        x, y = rng.uniform(-MARGIN, WIDTH + MARGIN), rng.uniform(-MARGIN, HEIGHT + MARGIN)
        kind = rng.uniform()
        if kind < 0.08 and free(x, y, 38, 34):
            _chip(layers, rng, x, y, (17.0, 12.0), 2)
        elif kind < 0.6 and free(x, y, 14, 15):
            _passive(layers, rng, x, y, upright=bool(rng.uniform() < 0.5))
        elif kind >= 0.6 and free(x, y, 5, 5):
            layers["ring"].append(_boxes(x, y, 0, 0, 3.6))
            layers["hole"].append(_boxes(x, y, 0, 0, 1.6))
            if rng.uniform() < 0.6:
                layers["copper"] += _track(rng, x, y, rng.randint(1, 5))
    return layers


def board(x: Array, y: Array, seed: int) -> Array:
    """Solder mask over copper, gold rings, tinned leads, packages, printed lettering."""
    rng = Random(seed)
    layers = _layers(rng)
    weave = 1 + 0.05 * waves(x, y, rng, 4.5, 60)
    image = np.ones((*x.shape, 3)) * MASK
    colours = (COPPER, GOLD, HOLE, TIN, CERAMIC, PLASTIC, LEGEND, INK)
    for shapes, colour in zip(layers.values(), colours, strict=True):
        share = cover(x, y, np.vstack(shapes))[..., None]
        image = image * (1 - share) + np.array(colour) * share
    return np.asarray(image * weave[..., None])
