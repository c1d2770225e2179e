"""An analytic scene: smooth, textured, and known exactly at every real coordinate."""

from __future__ import annotations

import numpy as np
import torch

from zncc_cli.registration.pyramid import Level
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


def rotation(degrees: float, scale: float = 1.0) -> list[list[float]]:
    """Return the 2x2 linear part that rotates and scales."""
    a = np.deg2rad(degrees)
    return [[scale * np.cos(a), -scale * np.sin(a)], [scale * np.sin(a), scale * np.cos(a)]]


def small_motions(shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Return for each model a matrix that no simpler model explains, of some pixels and degrees."""
    homography = about_centre([[1.02, -0.03], [0.02, 0.98]], (4.3, -3.6), shape)
    homography[2, :2] = 6e-5, -4e-5
    return {
        "translation": about_centre(rotation(0), (12.37, -7.81), shape),
        "rigid": about_centre(rotation(4), (5.21, 3.4), shape),
        "similarity": about_centre(rotation(-3, 1.04), (-4.6, 2.3), shape),
        "affine": about_centre([[1.03, 0.02], [-0.03, 0.98]], (3.7, -5.2), shape),
        "homography": homography / homography[2, 2],
    }


def level(image: np.ndarray) -> Level:
    """Return an image as the finest level of a pyramid, with mean zero and variance one, all of its pixels valid."""
    pixels = torch.tensor((image - image.mean()) / image.std(), dtype=torch.float32)[None, None]
    return Level(pixels, torch.ones(image.shape, dtype=torch.bool), 1)
