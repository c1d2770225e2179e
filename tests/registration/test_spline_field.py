"""Splines: values by the sum of their definition, slopes by differences, and what holds at the frame and beyond."""

from __future__ import annotations

import numpy as np
import pytest

from tests.registration.spline_fields import AFFINE, pixels, random_field
from zncc_cli.registration.transforms.matrices import map_points
from zncc_cli.registration.transforms.spline_field import SplineField, node_count

SHAPE = (53, 70)
HOMOGRAPHY = np.array([[1.02, 0.03, 4.0], [-0.02, 0.97, -3.0], [2e-4, -1e-4, 1.0]])


def cubic(d: float) -> float:
    """Return the cubic B-spline at the distance d, by its textbook pieces."""
    d = abs(d)
    return (4 - 6 * d**2 + 3 * d**3) / 6 if d < 1 else (2 - d) ** 3 / 6 if d < 2 else 0.0


def direct(field: SplineField, x: float, y: float) -> np.ndarray:
    """Return T(x, y) as the sum over all nodes."""
    total = map_points(field.matrix, np.array([x, y]))
    for j, i in np.ndindex(field.coefficients.shape[1:]):
        weight = cubic(y / field.spacing + 1 - j) * cubic(x / field.spacing + 1 - i)
        total = total + weight * field.coefficients[:, j, i]
    return np.asarray(total)


@pytest.mark.parametrize("spacing", [8.0, 7.3, 69.0, 200.0])
@pytest.mark.parametrize("matrix", [AFFINE, HOMOGRAPHY])
def test_points_are_mapped_by_the_sum_over_all_nodes(matrix: np.ndarray, spacing: float) -> None:
    field = random_field(SHAPE, spacing=spacing, matrix=matrix)
    points = np.array([[0, 0], [69, 52], [69, 0], [0, 52], [31.7, 12.01], [8, 16], [68.999, 51.5]], dtype=float)
    want = np.array([direct(field, *point) for point in points])
    np.testing.assert_allclose(field.map_points(points), want, rtol=0, atol=1e-12)  # some sums of numbers up to 70


def test_equal_coefficients_are_a_shift_everywhere() -> None:
    field = random_field(SHAPE)
    field.coefficients[:] = np.array([2.5, -1.25])[:, None, None]
    points = np.array([[-30.0, 7.7], [0, 0], [13.2, 44.4], [69, 52], [200, 300]])
    want = map_points(AFFINE, points) + np.array([2.5, -1.25])
    np.testing.assert_allclose(field.map_points(points), want, rtol=0, atol=1e-12)


def test_beyond_the_frame_the_spline_is_that_of_the_nearest_point() -> None:
    field = random_field(SHAPE)
    beyond, nearest = np.array([[-9.0, 20], [80, 60], [33, -0.5]]), np.array([[0.0, 20], [69, 52], [33, 0]])
    assert np.array_equal(field.bend(*beyond.T), field.bend(*nearest.T))


def test_pixels_have_the_displacement_of_points_and_the_same_bits_in_every_part() -> None:
    field = random_field(SHAPE, matrix=HOMOGRAPHY)
    whole = field.displacements(range(-3, 60), range(-5, 90))
    part = field.displacements(range(10, 31), range(40, 77))
    assert np.array_equal(whole[13:34, 45:82], part)
    points = pixels(SHAPE)
    want = (field.map_points(points) - points).reshape(*SHAPE, 2)
    np.testing.assert_allclose(field.displacements(range(53), range(70)), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("matrix", [AFFINE, HOMOGRAPHY])
def test_jacobians_are_the_slopes_of_the_mapped_points(matrix: np.ndarray) -> None:
    field = random_field(SHAPE, matrix=matrix)
    points, step = pixels(SHAPE), 1e-4
    inner = ((points > 0) & (points < [69, 52])).all(axis=1)  # at the frame the slopes of both sides differ
    slopes = np.stack(
        [(field.map_points(points + at) - field.map_points(points - at)) / (2 * step) for at in step * np.eye(2)],
        axis=-1,
    )
    # Differences: rounding of 1e-14 over the step, and the third derivative times its square.
    got = field.jacobians(range(53), range(70)).reshape(-1, 2, 2)
    np.testing.assert_allclose(got[inner], slopes[inner], rtol=0, atol=1e-8)
    np.testing.assert_allclose(field.point_jacobians(points), got, rtol=0, atol=1e-13)


def test_the_bend_keeps_within_its_range() -> None:
    field = random_field(SHAPE)
    rows, columns = range(5, 40), range(-4, 33)
    x, y = np.meshgrid(columns, rows)
    bend = field.bend(x.ravel().astype(float), y.ravel().astype(float))
    least, largest = field.bend_range(rows, columns)
    assert (least <= bend.min(axis=0)).all()
    assert (bend.max(axis=0) <= largest).all()


def test_the_continuation_agrees_in_the_frame_and_has_no_crease_along_it() -> None:
    field = random_field(SHAPE)
    points = pixels(SHAPE)
    continued, slopes = field.continued(points)
    np.testing.assert_allclose(continued, field.map_points(points), rtol=0, atol=1e-13)
    np.testing.assert_allclose(slopes, field.point_jacobians(points), rtol=0, atol=1e-13)
    edge, step = np.array([[69.0, 20.3]]), np.array([[1e-4, 0]])
    before, after = (field.continued(edge + at)[0] for at in (-step, step))
    middle = field.continued(edge)[0]
    np.testing.assert_allclose(after - middle, middle - before, rtol=0, atol=1e-8)  # curvature times the step squared


def test_the_last_pixel_lies_within_the_nodes() -> None:
    assert [node_count(n, 8.0) for n in (1, 2, 9, 10, 17)] == [4, 4, 4, 5, 5]
