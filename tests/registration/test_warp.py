"""The coordinate convention: (x, y) pixels, fixed -> moving, the centre of the top-left pixel is (0, 0)."""

from __future__ import annotations

import numpy as np
import torch

from tests.registration.analytic import about_centre
from zncc_cli.registration.warp import area_scale, coordinates, in_front, level_scale, map_points

SHAPE = (40, 50)


def test_coordinates_are_those_of_the_matrix_in_every_part() -> None:
    truth = about_centre([[1.0, 0.01], [-0.01, 1.0]], (0.3, 0.4), (60, 30))
    truth[2, :2] = 1e-4, -2e-4
    x, y = coordinates(torch.from_numpy(truth), (60, 30))
    points = np.stack(np.meshgrid(np.arange(30.0), np.arange(60.0)), axis=-1)
    np.testing.assert_allclose(np.stack([x, y], -1), map_points(truth, points), atol=1e-10)
    part = coordinates(torch.from_numpy(truth), (11, 13), (7, 21))
    assert torch.equal(part[0], x[21:32, 7:20])
    assert torch.equal(part[1], y[21:32, 7:20])


def test_a_matrix_in_the_pixels_of_a_level_maps_the_same_points() -> None:
    matrix = np.array([[1.1, 0.1, 8.0], [-0.2, 0.9, 4.0], [1e-4, 2e-4, 1.0]])
    coarse = matrix * level_scale(4)
    point = np.array([12.0, 20.0])
    np.testing.assert_allclose(4 * map_points(coarse, point / 4), map_points(matrix, point), rtol=1e-12)


def test_a_homography_must_not_fold_the_frame() -> None:
    assert in_front(np.eye(3), SHAPE)
    assert not in_front(np.array([[1, 0, 0], [0, 1, 0], [-0.05, 0, 1.0]]), SHAPE)  # the horizon at x = 20
    assert not in_front(np.diag([-1.0, 1.0, 1.0]), SHAPE)  # mirrored


def test_the_scale_of_a_matrix_is_a_number_however_large_its_entries_are() -> None:
    assert area_scale(np.diag([2.0, 3.0, 1.0]), SHAPE) == 6
    assert area_scale(np.diag([1.0, 1.0, 1e150]), SHAPE) == 0
