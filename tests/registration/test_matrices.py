"""Matrices without an image: mapped, composed, inverted and named."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zncc_cli.config import Model
from zncc_cli.registration.transforms.matrices import compose, invert, is_singular, map_points, model_of

AFFINE = np.array([[1.02, 0.04, 12.5], [-0.03, 0.97, -7.25], [0, 0, 1]])
HOMOGRAPHY = np.array([[1.02, 0.04, 12.5], [-0.03, 0.97, -7.25], [1e-4, -2e-4, 1]])
POINTS = np.random.default_rng(0).random((50, 2)) * 500


def turned(angle: float, scale: float = 1.0) -> np.ndarray:
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[c, -s, 3.5], [s, c, -2.0], [0, 0, 1]])


@pytest.mark.parametrize("first", [AFFINE, HOMOGRAPHY])
@pytest.mark.parametrize("second", [AFFINE, HOMOGRAPHY])
def test_a_composed_matrix_maps_by_the_first_then_by_the_second(first: np.ndarray, second: np.ndarray) -> None:
    mapped = map_points(compose(first, second), POINTS)
    np.testing.assert_allclose(mapped, map_points(second, map_points(first, POINTS)), rtol=0, atol=1e-10)


@pytest.mark.parametrize("matrix", [AFFINE, HOMOGRAPHY, turned(2.0), np.diag([-1.0, 1, 1]), 3 * AFFINE])
def test_the_inverse_maps_points_back(matrix: np.ndarray) -> None:
    np.testing.assert_allclose(map_points(invert(matrix), map_points(matrix, POINTS)), POINTS, rtol=0, atol=1e-10)


def test_an_inverse_has_perspective_only_where_the_matrix_has() -> None:
    np.testing.assert_array_equal(invert(AFFINE)[2], [0, 0, 1])
    assert invert(HOMOGRAPHY)[2, :2].all()


def test_points_before_the_horizon_lie_before_that_of_the_inverse() -> None:
    # The moving image's top-left pixel lies behind the inverse's horizon: its last entry is negative.
    matrix = np.array([[1.0, 0, 300], [0, 1, 0], [0.01, 0, 1]])
    inverse = invert(matrix)
    assert inverse[2, 2] < 0
    np.testing.assert_allclose(map_points(inverse, map_points(matrix, POINTS)), POINTS, atol=1e-9)


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros((3, 3)),
        np.diag([1.0, 0, 1]),
        [[1, 2, 0], [2, 4, 5], [0, 0, 1]],
        np.diag([1e-20, 1, 0]),
        [[1e300] * 3] * 3,
        [[0, 1e-5, 0.06], [2e-309, 1, 0.05], [0, 0, 1]],
    ],
)
def test_a_singular_matrix_has_no_inverse(matrix: np.ndarray) -> None:
    with pytest.raises(ValueError, match="singular"):
        invert(matrix)


@pytest.mark.parametrize(
    "matrix", [AFFINE, HOMOGRAPHY, np.diag([1e-6, 1e-6, 1]), [[1, 0, 1e6], [0, 1, -1e6], [0, 0, 1]]]
)
def test_a_matrix_that_maps_the_plane_onto_itself_is_not_singular(matrix: np.ndarray) -> None:
    assert not is_singular(matrix)


@pytest.mark.parametrize(
    ("matrix", "model"),
    [
        (np.eye(3), Model.TRANSLATION),
        ([[1, 0, 5.5], [0, 1, 2], [0, 0, 1]], Model.TRANSLATION),
        (turned(0.1), Model.RIGID),
        (turned(math.pi), Model.RIGID),
        (turned(-2.0, 1.1), Model.SIMILARITY),
        (np.diag([2.0, 2, 1]), Model.SIMILARITY),
        (2 * turned(0.1), Model.RIGID),  # a factor on everything changes no point
        (AFFINE, Model.AFFINE),
        (np.diag([-1.0, 1, 1]), Model.AFFINE),  # mirrored
        (HOMOGRAPHY, Model.HOMOGRAPHY),
    ],
)
def test_a_matrix_is_named_by_the_simplest_model(matrix: np.ndarray, model: Model) -> None:
    assert model_of(np.asarray(matrix)) is model


def test_rounding_does_not_make_a_rotation_affine() -> None:
    rotation = turned(0.3)
    for _ in range(20):
        rotation = compose(rotation, invert(compose(rotation, turned(0.01))))
    assert model_of(compose(turned(0.7), turned(1.9))) is Model.RIGID
    assert model_of(rotation) is Model.RIGID
