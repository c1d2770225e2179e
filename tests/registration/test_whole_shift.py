"""A transform that is a shift by whole pixels within its own expected error becomes that shift."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zncc_cli.config import Model
from zncc_cli.registration.quality.uncertainty import Uncertainty
from zncc_cli.registration.register import RegistrationResult, register
from zncc_cli.registration.whole_shift import with_whole_shift


def scene(x: int, y: int, noise: float = 0.0, seed: int = 1) -> np.ndarray:
    """Return a part of one texture, of 128 x 128 pixels from (x, y) on, with white noise of its own."""
    texture = gaussian_filter(np.random.default_rng(0).normal(size=(192, 192)), 2)
    return texture[32 + y : 160 + y, 32 + x : 160 + x] / texture.std() + noise * np.random.default_rng(seed).normal(
        size=(128, 128)
    )


@lru_cache
def found() -> RegistrationResult:
    return register(scene(0, 0), scene(5, -3), Model.TRANSLATION)


def with_matrix(matrix: np.ndarray, sigma: float) -> RegistrationResult:
    """Return a result of this matrix, with an expected error of ``sigma`` along either axis everywhere."""
    uncertainty = Uncertainty(Model.TRANSLATION, matrix, (128, 128), np.eye(2) * sigma**2)
    return replace(found(), matrix=matrix, uncertainty=uncertainty, notes=())


def shift(x: float, y: float) -> np.ndarray:
    matrix = np.eye(3)
    matrix[:2, 2] = x, y
    return matrix


@pytest.mark.parametrize("model", [Model.TRANSLATION, Model.RIGID, Model.AFFINE])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_same_scene_whole_pixels_apart_is_a_whole_shift(model: Model, noise: float) -> None:
    result = with_whole_shift(register(scene(0, 0, noise), scene(5, -3, noise, seed=2), model))
    # The scene of the moving image begins 5 px to the right and 3 px higher up.
    np.testing.assert_array_equal(result.matrix, shift(-5, 3))
    assert "taken as a shift by whole pixels, (-5, 3)" in result.notes[-1]


@pytest.mark.parametrize(
    ("off", "sigma", "is_whole"),
    [(0.001, 0.001, True), (0.004, 0.001, False), (0.04, 0.02, True), (0.06, 1.0, False), (0.5, 5.0, False)],
)
def test_what_is_farther_off_than_two_expected_errors_or_a_twentieth_of_a_pixel_stays(
    off: float, sigma: float, is_whole: bool
) -> None:
    result = with_matrix(shift(7 + off, -2), sigma)
    rounded = with_whole_shift(result)
    assert np.array_equal(rounded.matrix, shift(7, -2)) == is_whole
    assert (rounded is result) != is_whole


def test_a_turn_that_the_corners_show_stays() -> None:
    turned = shift(4, 2)
    turned[0, 1], turned[1, 0] = 0.001, -0.001  # 0.13 px at the far corners
    assert with_whole_shift(with_matrix(turned, 0.02)).notes == ()


def test_a_result_without_an_uncertainty_and_one_that_is_whole_stay() -> None:
    unknown = replace(with_matrix(shift(3.0001, 0), 1.0), uncertainty=None)
    assert with_whole_shift(unknown) is unknown
    whole = with_matrix(shift(3, 0), 1.0)
    assert with_whole_shift(whole) is whole
