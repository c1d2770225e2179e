"""The transform of pairs of landmarks: the richest model that they determine, and no richer than asked for."""

from __future__ import annotations

import numpy as np
import pytest

from tests.registration.analytic import about_centre, corner_error, rotation, small_motions
from zncc_cli import fit_landmarks
from zncc_cli.config import NESTED_MODELS, Model
from zncc_cli.errors import OptionError
from zncc_cli.registration.warp import map_points

SHAPE = (300, 400)
# No three on one line.
PLACES = np.array([[40.0, 30.0], [350.0, 60.0], [60.0, 270.0], [330.0, 250.0], [200.0, 120.0], [120.0, 160.0]])


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_exact_landmarks_give_the_exact_transform(model: Model) -> None:
    truth = small_motions(SHAPE)[model]
    fit = fit_landmarks(PLACES, map_points(truth, PLACES), model)
    assert (fit.model, fit.outlier) == (model, None)
    assert fit.rms < 1e-9  # rounding of float64
    assert corner_error(fit.matrix, truth, SHAPE) < 1e-8
    assert fit.matrix[2, 2] == 1


@pytest.mark.parametrize(
    ("count", "asked", "fitted"),
    [
        (1, "affine", "translation"),
        (1, "rigid", "translation"),
        (2, "affine", "similarity"),
        (2, "rigid", "rigid"),
        (5, "translation", "translation"),
        (3, "homography", "affine"),
        (4, "homography", "homography"),
        (4, "similarity", "similarity"),
        (6, "auto", "affine"),
    ],
)
def test_the_model_is_the_richest_that_the_landmarks_determine(count: int, asked: str, fitted: str) -> None:
    truth = small_motions(SHAPE)["homography"]
    fit = fit_landmarks(PLACES[:count], map_points(truth, PLACES[:count]), asked)
    assert fit.model == fitted


def test_a_homography_is_not_fitted_to_three_landmarks_on_a_line_and_one_beside_it() -> None:
    places = np.array([[0.0, 0.0], [100.0, 0.0], [200.0, 0.0], [100.0, 200.0]])
    fit = fit_landmarks(places, places + np.array([3.0, -2.0]), "homography")
    assert fit.model is Model.AFFINE
    np.testing.assert_allclose(fit.matrix, [[1, 0, 3], [0, 1, -2], [0, 0, 1]], atol=1e-9)  # rounding of float64


def test_errors_of_clicks_are_averaged() -> None:
    rng = np.random.default_rng(1)
    truth = about_centre(rotation(30, 1.2), (20, -10), SHAPE)
    fixed = rng.uniform(0, 300, (100, 2))
    fit = fit_landmarks(fixed, map_points(truth, fixed) + rng.normal(0, 3, fixed.shape), "similarity")
    # Each of 100 landmarks is off by 3 px along both axes: their mean by 0.3, and corners by two or three times that.
    assert corner_error(fit.matrix, truth, SHAPE) < 1.5
    assert fit.rms == pytest.approx(3 * np.sqrt(2), rel=0.2)


@pytest.mark.parametrize("model", ["translation", "rigid", "similarity", "affine", "homography"])
def test_one_landmark_of_another_place_is_left_out_and_named(model: str) -> None:
    truth = small_motions(SHAPE)[model]
    moving = map_points(truth, PLACES)
    moving[1] += 130, -90
    fit = fit_landmarks(PLACES, moving, model)
    assert fit.outlier == 1
    assert corner_error(fit.matrix, truth, SHAPE) < 1e-8
    assert fit.distances[1] == pytest.approx(np.hypot(130, 90))
    assert fit.rms < 1e-9


def test_a_landmark_that_is_a_little_off_is_not_left_out() -> None:
    moving = PLACES.copy()
    moving[1, 0] += 12
    assert fit_landmarks(PLACES, moving, "similarity").outlier is None


def test_the_one_landmark_beside_a_line_is_not_left_out() -> None:
    """The others would fit one another exactly, and say nothing of what lies beside their line."""
    fixed = np.array([[0.0, 0.0], [100.0, 0.0], [200.0, 0.0], [300.0, 0.0], [150.0, 200.0]])
    fit = fit_landmarks(fixed, fixed + np.array([[0, 0], [0, 0], [0, 0], [0, 0], [4, 3]]), "affine")
    assert fit.outlier is None
    assert np.linalg.det(fit.matrix) == pytest.approx(1.015, abs=1e-3)  # 3 of 200 pixels more


def test_many_landmarks_take_neither_much_memory_nor_a_fit_without_each() -> None:
    places = np.random.default_rng(0).uniform(0, 4000, (20_000, 2))  # 40,000 equations: their square is 12 GB
    truth = small_motions(SHAPE)["homography"]
    fit = fit_landmarks(places * 0.1, map_points(truth, places * 0.1), "homography")
    assert fit.rms < 1e-8


@pytest.mark.parametrize(
    ("fixed", "moving", "model", "words"),
    [
        (np.empty((0, 2)), np.empty((0, 2)), "affine", "at least one pair"),
        (PLACES, PLACES[:4], "affine", "got 6 in the fixed and 4 in the moving"),
        (PLACES[:, :1], PLACES[:, :1], "affine", r"shape \(N, 2\)"),
        ([[1, 2], [3]], PLACES[:2], "affine", "numbers"),
        ([[1.0, np.nan]], [[1.0, 2.0]], "affine", "finite coordinates in pixels, got others in the fixed image"),
        ([[1.0, 2.0]], [[1e300, 2.0]], "affine", "finite coordinates in pixels, got others in the moving image"),
        (np.outer(range(4), [1.0, 2.0]) * 50, PLACES[:4], "affine", "nearly on one line in the fixed image"),
        (PLACES[:4], np.outer(range(4), [1.0, 2.0]) * 50, "homography", "nearly on one line in the moving image"),
        ([[5.0, 5.0], [5.0, 5.0]], [[5.0, 5.0], [9.0, 5.0]], "rigid", "at one place of the fixed image"),
    ],
)
def test_landmarks_that_determine_nothing_are_refused(
    fixed: np.ndarray, moving: np.ndarray, model: str, words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        fit_landmarks(fixed, moving, model)
