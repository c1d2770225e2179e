"""Displacements that are known at every point, moving less fixed coordinates, pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Motion = Callable[[Array, Array], Array]
"""Displacements (..., 2), (x, y), at points x (...) and y (...) of the fixed frame."""


def wave(random: np.random.Generator, side: int) -> Motion:
    """A sine of one wavelength, a fifth to a half of the frame, of 2 to 3 pixels."""
    return _waves(random, [(side * random.uniform(0.2, 0.5), random.uniform(2, 3))])


def scales(random: np.random.Generator, side: int) -> Motion:
    """Sines of three wavelengths at once, 0.7, 0.3 and 0.13 of the frame, of 4, 1.2 and 0.4 pixels."""
    return _waves(random, [(share * side, amplitude) for share, amplitude in ((0.7, 4.0), (0.3, 1.2), (0.13, 0.4))])


def _waves(random: np.random.Generator, parts: list[tuple[float, float]]) -> Motion:
    drawn = [(2 * np.pi / length, amplitude, random.uniform(0, 2 * np.pi, 4)) for length, amplitude in parts]

    def motion(x: Array, y: Array) -> Array:
        u, v = np.zeros_like(x), np.zeros_like(x)
        for k, amplitude, phase in drawn:
            u += amplitude * np.sin(k * x + phase[0]) * np.cos(k * y + phase[1])
            v += amplitude * np.sin(k * x + phase[2]) * np.cos(k * y + phase[3])
        return np.stack((u, v), axis=-1)

    return motion


def bumps(random: np.random.Generator, side: int) -> Motion:
    """Four local pushes of up to 4 pixels, with a radius of a twelfth of the frame, on ground that does not move."""
    centres, pushes = random.uniform(0.2, 0.8, (4, 2)) * side, random.uniform(-4, 4, (4, 2))
    radius = side / 12

    def motion(x: Array, y: Array) -> Array:
        total = np.zeros((*x.shape, 2))
        for (cx, cy), push in zip(centres, pushes, strict=True):
            total += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * radius**2))[..., None] * push
        return total

    return motion


def step(random: np.random.Generator, side: int) -> Motion:
    """Two halves that slide along each other by 2 pixels, over a band of 8 pixels: as along a shear band."""
    angle = random.uniform(0, np.pi)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])

    def motion(x: Array, y: Array) -> Array:
        distance = (x - side / 2) * across[0] + (y - side / 2) * across[1]
        return np.tanh(distance / 4)[..., None] * along

    return motion


def tension(random: np.random.Generator, side: int) -> Motion:
    """A stretch of 2 to 5 percent with a third of it across, and twice as much in a neck in the middle."""
    strain, width = random.uniform(0.02, 0.05), side / 8

    def motion(x: Array, y: Array) -> Array:
        u, v = x - side / 2, y - side / 2
        stretched = strain * (v + width * np.tanh(v / width))
        local = strain * (1 + 1 / np.cosh(v / width) ** 2)
        return np.stack((-0.3 * local * u, stretched), axis=-1)

    return motion


MOTIONS: dict[str, Callable[[np.random.Generator, int], Motion]] = {
    "wave": wave,
    "scales": scales,
    "bumps": bumps,
    "step": step,
    "tension": tension,
}
