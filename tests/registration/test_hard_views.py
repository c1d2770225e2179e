"""Views that differ by more than a small motion: from the side, through other optics, and through clouds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.registration.analytic import Scene, about_centre, corner_error
from zncc_cli import register

SHAPE = (256, 300)


def seen_from_the_side(degrees: float) -> np.ndarray:
    """Return the homography (3, 3) to a view of a plane that is turned about its vertical axis, two widths away."""
    height, width = SHAPE
    to_centre = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1]])
    angle, distance = math.radians(degrees), 2 * width
    tilt = np.array([[math.cos(angle), 0, 0], [0, 1, 0], [math.sin(angle) / distance, 0, 1]])
    matrix = np.linalg.inv(to_centre) @ tilt @ to_centre
    return np.asarray(matrix / matrix[2, 2])


def noisy(image: np.ndarray, seed: int) -> np.ndarray:
    return np.asarray(image + 0.05 * image.std() * np.random.default_rng(seed).normal(size=image.shape))


def test_a_plane_seen_from_55_degrees_is_aligned() -> None:
    truth, seed = seen_from_the_side(55), 1
    fixed, moving = Scene(seed=seed).pair(truth, SHAPE)
    result = register(noisy(fixed, seed), noisy(moving, 10 + seed), "homography")
    assert result.status == "ok", result.reasons
    # A corner, where the scene is seen smallest and partly not at all: the noise leaves a few tenths there.
    assert corner_error(result.matrix, truth, SHAPE) < 1


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_an_image_of_which_one_axis_is_squeezed_by_two_is_aligned(factor: float) -> None:
    truth = about_centre([[factor, 0], [0, 1]], (3.5, -2.25), SHAPE)
    fixed, moving = Scene(seed=3).pair(truth, SHAPE)
    result = register(noisy(fixed, 1), noisy(moving, 2), "affine")
    assert result.status == "ok", result.reasons
    # Half of one image is not seen in the other one: noise of a twentieth leaves tenths at corners that are not.
    assert corner_error(result.matrix, truth, SHAPE) < 0.6


def test_clouds_over_a_third_of_each_image_do_not_mislead() -> None:
    """Opaque clouds, others in each image: whatever the verdict is, a result that is ok is right."""
    truth, seed = about_centre([[1, 0.02], [-0.02, 1]], (9.0, -6.0), SHAPE), 4
    fixed, moving = (clouded(image, seed + 10 * k) for k, image in enumerate(Scene(seed=seed).pair(truth, SHAPE)))
    result = register(fixed, moving, "affine")
    assert result.status != "ok" or corner_error(result.matrix, truth, SHAPE) < 1


def clouded(image: np.ndarray, seed: int) -> np.ndarray:
    """Return an image under clouds as bright as its brightest pixels, over 30 percent of it."""
    y, x = (np.arange(n) for n in image.shape)
    rng = np.random.default_rng(seed)
    waves = np.zeros(image.shape)
    for across, down in rng.normal(0, 2 * math.pi / 120, (12, 2)).tolist():
        phase = rng.uniform(0, 2 * math.pi)
        waves += np.cos(across * x + down * y[:, None] + phase)
    opacity = np.clip((waves - np.quantile(waves, 0.7)) / (0.3 * waves.std()), 0, 1)
    return noisy(image * (1 - opacity) + image.max() * opacity, seed)
