"""Fields of known coefficients, for tests."""

from __future__ import annotations

import numpy as np

from zncc_cli.registration.transforms.spline_field import SplineField, node_count

AFFINE = np.array([[1.02, 0.03, 4.0], [-0.02, 0.97, -3.0], [0.0, 0.0, 1.0]])


def random_field(
    shape: tuple[int, int],
    amplitude: float = 1.5,
    spacing: float = 16.0,
    matrix: np.ndarray = AFFINE,
    seed: int = 0,
) -> SplineField:
    """Return a field whose coefficients are normal with a deviation of ``amplitude`` pixels."""
    nodes = [node_count(n, spacing) for n in shape]
    coefficients = np.random.default_rng(seed).normal(0, amplitude, (2, *nodes))
    return SplineField(np.asarray(matrix, dtype=float), coefficients, spacing, shape)


def pixels(shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels of a frame (H, W), (H W, 2), (x, y), row by row."""
    return np.stack(np.meshgrid(*map(np.arange, shape[::-1])), axis=-1).reshape(-1, 2).astype(float)
