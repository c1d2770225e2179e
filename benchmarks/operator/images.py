"""The images that errors are measured on: float32, square, the same on every machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Case:
    """An image (n, n), and ``moving``, a weaker copy of it with noise for the loss; None where no loss is measured."""

    name: str
    image: NDArray[np.float32]
    moving: NDArray[np.float32] | None


def photograph(n: int) -> NDArray[np.float64]:
    """Return soft blobs, sharp discs and texture on exactly flat grey, (n, n), whole numbers from 0 to 255."""
    random = np.random.default_rng(7)
    y, x = np.mgrid[:n, :n] / n
    image = np.full((n, n), 40.0)
    for _ in range(6):
        cy, cx, radius = random.uniform(0.1, 0.9), random.uniform(0.1, 0.9), random.uniform(0.03, 0.1)
        image += random.uniform(40, 160) * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * radius**2))
    for _ in range(5):
        cy, cx, radius = random.uniform(0.1, 0.9), random.uniform(0.1, 0.9), random.uniform(0.05, 0.12)
        image[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = random.uniform(10, 245)
    texture = (y > 0.75) & (x > 0.6)
    image[texture] += 15 * random.standard_normal(int(texture.sum()))
    pixels: NDArray[np.float64] = np.rint(image).clip(0, 255)
    return pixels


def cases(n: int) -> list[Case]:
    """Return every case at n x n pixels."""
    random = np.random.default_rng(0)
    ramp = np.linspace(0, 60000, n)[None, :] + 5 * random.standard_normal((n, n))
    hot = np.rint(1000 + 20 * random.standard_normal((n, n)))
    hot[n // 2, n // 2] = 65535
    images = {  # each with the noise of its moving image, None for no loss
        "noise": (random.standard_normal((n, n)), 0.5),
        "photograph": (photograph(n), 5.0),
        "30000 ± 200": (np.rint(30000 + 200 * random.standard_normal((n, n))), 100.0),
        "30000 ± 5": (np.rint(30000 + 5 * random.standard_normal((n, n))), 2.5),
        "ramp": (np.rint(ramp), 2.5),
        "constant": (np.full((n, n), 30000.0), None),
        "hot pixel": (hot, 10.0),
    }
    return [_case(name, image, noise, random) for name, (image, noise) in images.items()]


def _case(name: str, image: NDArray[np.float64], noise: float | None, random: np.random.Generator) -> Case:
    moving = None
    if noise is not None:
        weaker = image.mean() + 0.8 * (image - image.mean())
        moving = (weaker + noise * random.standard_normal(image.shape)).astype(np.float32)
    return Case(name, image.astype(np.float32), moving)
