"""An analytic scene: smooth, textured, and known exactly at every real coordinate."""

from __future__ import annotations

import numpy as np

from zncc_cli.registration.warp import corners, map_points


class Scene:
    """A sum of random plane waves, wavelengths 7 to 60 pixels: well above two pixels, so sampling loses nothing."""

    def __init__(self, seed: int, waves: int = 60) -> None:
        rng = np.random.default_rng(seed)
        wavelength, angle = rng.uniform(7, 60, waves), rng.uniform(0, 2 * np.pi, waves)
        self._k = 2 * np.pi / wavelength * np.stack([np.cos(angle), np.sin(angle)])
        self._phase = rng.uniform(0, 2 * np.pi, waves)
        self._amplitude = wavelength / wavelength.sum()

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Return values at (..., 2) points (x, y)."""
        return np.cos(points @ self._k + self._phase) @ self._amplitude

    def image(self, shape: tuple[int, int], matrix: np.ndarray | None = None) -> np.ndarray:
        """Return the (H, W) image whose pixel p shows the scene at matrix p."""
        y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
        points = np.stack([x, y], axis=-1)
        return self(points if matrix is None else map_points(matrix, points))

    def pair(self, matrix: np.ndarray, shape: tuple[int, int], moving_shape: tuple[int, int] | None = None):
        """Return fixed and moving with moving(matrix p) = fixed(p)."""
        return self.image(shape), self.image(moving_shape or shape, np.linalg.inv(matrix))


def corner_error(estimate: np.ndarray, truth: np.ndarray, shape: tuple[int, int]) -> float:
    """Return the largest distance, in moving pixels, between where two matrices send the corners of the frame."""
    frame = corners(shape)
    return float(np.linalg.norm(map_points(estimate, frame) - map_points(truth, frame), axis=-1).max())


def about_centre(linear: list[list[float]], shift: tuple[float, float], shape: tuple[int, int]) -> np.ndarray:
    """Return the matrix that applies a 2x2 linear part about the frame's centre and then a shift (x, y)."""
    c = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = c + shift - np.asarray(linear) @ c
    return matrix
