"""Inverses and compositions of splines: the points to rounding, and fitted splines whose stated errors are true."""

from __future__ import annotations

import numpy as np
import pytest

from tests.registration.spline_fields import AFFINE, pixels, random_field
from zncc_cli.registration.transforms.bending import (
    composed,
    count_folds,
    inverse_field,
    inverse_points,
    mapped_points,
)
from zncc_cli.registration.transforms.matrices import compose
from zncc_cli.registration.transforms.spline_fit import TOLERANCE_PX, fit_spline

SHAPE, MOVING = (90, 120), (100, 110)
HOMOGRAPHY = np.array([[1.02, 0.03, 4.0], [-0.02, 0.97, -3.0], [2e-4, -1e-4, 1.0]])
MIRRORED = np.array([[-1.0, 0.02, 118.0], [0.01, 1.0, -2.0], [0, 0, 1]])


@pytest.mark.parametrize("matrix", [AFFINE, HOMOGRAPHY, MIRRORED])
def test_inverse_points_are_taken_back_to_where_they_came_from(matrix: np.ndarray) -> None:
    field = random_field(SHAPE, matrix=matrix)
    points = np.random.default_rng(1).uniform([-20, -20], [140, 110], (500, 2))
    # Newton's method ends within 1e-9 px of the moving image, whose pixels are about as large.
    assert np.abs(inverse_points(field, field.map_points(points)) - points).max() < 1e-8


def test_a_point_that_nothing_is_taken_to_has_no_inverse() -> None:
    field = random_field(SHAPE, matrix=HOMOGRAPHY)
    nowhere = np.array([[np.nan, 3.0], [5200.0, 20.0]])  # the second lies beyond where the horizon is taken to
    assert np.isnan(inverse_points(field, nowhere)).all()


def test_a_fold_has_no_inverse_and_its_pixels_are_counted() -> None:
    field = random_field(SHAPE, amplitude=0.0, matrix=np.eye(3))
    field.coefficients[0, :, 4] = 40.0  # pixels move right by 27 on one column of nodes, and not at all beside it
    determinants = np.linalg.det(field.jacobians(range(90), range(120)))
    assert count_folds(field) == (determinants <= 0).sum() > 0
    with pytest.raises(ValueError, match=f"folds at {count_folds(field)} pixels"):
        inverse_field(field, MOVING)


def test_no_pixel_of_a_mirrored_field_without_folds_counts_as_one() -> None:
    assert count_folds(random_field(SHAPE, matrix=MIRRORED)) == 0


@pytest.mark.parametrize("matrix", [AFFINE, HOMOGRAPHY, MIRRORED])
def test_the_error_of_the_inverse_is_the_largest_over_all_pixels(matrix: np.ndarray) -> None:
    field = random_field(SHAPE, matrix=matrix)
    inverse = inverse_field(field, MOVING)
    points = pixels(SHAPE)
    moved = field.map_points(points)
    inside = ((moved >= 0) & (moved <= [109, 99])).all(axis=1)
    off = np.linalg.norm(inverse.field.map_points(moved[inside]) - points[inside], axis=1).max()
    assert inverse.error == pytest.approx(off, abs=1e-9)
    assert off <= TOLERANCE_PX
    assert inverse.field.shape == MOVING


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (random_field(SHAPE), random_field(MOVING, seed=1)),
        (AFFINE, random_field(MOVING, seed=1)),
        (random_field(SHAPE), HOMOGRAPHY),
        (HOMOGRAPHY, random_field(MOVING, seed=1)),
    ],
)
def test_a_composition_is_fitted_and_its_error_is_the_largest_over_all_pixels(
    first: np.ndarray, second: np.ndarray
) -> None:
    fit = composed(first, second, SHAPE)
    points = pixels(SHAPE)
    middle = mapped_points(first, points)
    inside = ((middle >= 0) & (middle <= [109, 99])).all(axis=1) | isinstance(second, np.ndarray)
    there = mapped_points(second, middle[inside])
    off = np.linalg.norm(fit.field.map_points(points[inside]) - there, axis=1).max()
    assert fit.error == pytest.approx(off, abs=1e-9)
    assert off <= TOLERANCE_PX


def test_a_field_followed_by_an_affine_matrix_is_a_field_exactly() -> None:
    field = random_field(SHAPE)
    fit = composed(field, AFFINE, None)
    points = pixels(SHAPE)
    want = mapped_points(AFFINE, field.map_points(points))
    np.testing.assert_allclose(fit.field.map_points(points), want, rtol=0, atol=1e-11)  # rounding of numbers up to 100
    assert fit.error == 0
    np.testing.assert_allclose(fit.field.matrix, compose(AFFINE, AFFINE))


def test_the_size_of_the_first_fixed_frame_must_be_known() -> None:
    with pytest.raises(ValueError, match="size"):
        composed(AFFINE, random_field(SHAPE), None)


@pytest.mark.parametrize("spacing", [8.0, 13.7, 2.5, 1.0])
def test_a_spline_is_fitted_to_itself(spacing: float) -> None:
    # 0.1 pixels beyond a node on either axis: what no sample determines is held by the ridge.
    field = random_field((57, 66), spacing=spacing)
    fit = fit_spline(field.map_points, field.matrix, field.shape, spacing)
    points = pixels(field.shape)
    # The ridge takes 1e-12 of third differences of about 5 px, more at nodes that samples hardly determine.
    assert np.abs(fit.map_points(points) - field.map_points(points)).max() < 1e-6


def test_pixels_behind_the_horizon_are_no_folds_and_have_no_place() -> None:
    steep = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-0.03, 0.004, 1.0]])
    field = random_field(SHAPE, amplitude=0.1, matrix=steep)
    moved, jacobians = field.map_with_jacobians(pixels(SHAPE))
    depth = pixels(SHAPE) @ steep[2, :2] + 1
    clear = np.abs(depth) > 1e-12  # a pixel right on the horizon is rounded to either side
    assert np.array_equal(np.isnan(moved).any(axis=1)[clear], depth[clear] < 0)
    assert np.array_equal(np.isnan(jacobians).any(axis=(1, 2))[clear], depth[clear] < 0)
    assert count_folds(field) == 0
    with pytest.raises(ValueError, match=r"nowhere|horizon"):
        inverse_field(field, MOVING)
    with pytest.raises(ValueError, match=r"nowhere|horizon"):
        composed(field, random_field(MOVING), None)
