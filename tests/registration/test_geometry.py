"""Points, lines and fields of two frames: each function against a plain account of what it promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zncc_cli.registration.geometry import (
    black_fields,
    chessboard_fields,
    clip,
    frame_extent,
    grid_points,
    half_planes,
    inside_extent,
    overlap_points,
    overlap_shape,
    point_jacobian,
    rectangle_corners,
)
from zncc_cli.registration.transforms.matrices import map_points

SHAPE, MOVING_SHAPE = (40, 60), (50, 45)
HOMOGRAPHY = np.array([[1.03, 0.05, 4.0], [-0.04, 0.98, -7.0], [2e-4, -3e-4, 1.0]])


def test_grid_points_run_row_by_row_from_edge_to_edge() -> None:
    points = grid_points(((2, 6), (10, 14)), 3)
    assert points.tolist() == [[x, y] for y in (2, 4, 6) for x in (10, 12, 14)]


def test_frame_extent_is_the_outermost_rows_and_columns() -> None:
    assert frame_extent(SHAPE) == ((0, 39), (0, 59))


def test_the_edges_of_an_extent_are_inside_it() -> None:
    points = np.array([[10.0, 2.0], [14.0, 6.0], [9.999, 4.0], [12.0, 6.001], [np.nan, 4.0]])
    assert inside_extent(points, ((2, 6), (10, 14))).tolist() == [True, True, False, False, False]


def test_overlap_points_are_the_grid_points_that_are_mapped_into_the_moving_extent() -> None:
    points = overlap_points(HOMOGRAPHY, frame_extent(SHAPE), frame_extent(MOVING_SHAPE), 9)
    expected = [
        point
        for point in grid_points(frame_extent(SHAPE), 9).tolist()
        if (map_points(HOMOGRAPHY, point) >= 0).all() and (map_points(HOMOGRAPHY, point) <= [44, 49]).all()
    ]
    assert 0 < len(expected) < 81
    assert points.tolist() == expected


def test_there_are_no_overlap_points_without_overlap() -> None:
    apart = np.array([[1.0, 0, 1000.0], [0, 1, 0], [0, 0, 1]])
    assert overlap_points(apart, frame_extent(SHAPE), frame_extent(MOVING_SHAPE), 9).shape == (0, 2)


def test_point_jacobian_is_the_derivative_of_the_moving_coordinates() -> None:
    points, step = grid_points(frame_extent(SHAPE), 4), 1e-6
    jacobian = point_jacobian(HOMOGRAPHY, points)
    for entry in range(9):
        change = np.zeros(9)
        change[entry] = step
        there, back = (map_points(HOMOGRAPHY + sign * change.reshape(3, 3), points) for sign in (1, -1))
        # Central differences: off by the third derivative times step^2, and by the rounding of 60 px over the step.
        np.testing.assert_allclose(jacobian[..., entry], (there - back) / (2 * step), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("side", "window", "first"), [(4, 1, 0), (5, 3, 0), (4, 2, 3), (3, 5, 0)])
def test_a_window_belongs_to_the_field_that_holds_all_of_its_pixels(side: int, window: int, first: int) -> None:
    fields = chessboard_fields(17, side, window, first).tolist()
    for start, field in enumerate(fields):
        held_by = {(pixel - first) // side for pixel in range(start, start + window)}
        expected = held_by.pop() if len(held_by) == 1 and start >= first else -1
        assert field == expected


def test_neighbouring_fields_have_different_colours() -> None:
    fields = torch.arange(4)
    black = black_fields(fields, fields[:3])
    assert black.shape == (4, 3)
    assert bool(black[0, 0])
    assert bool((black[1:] != black[:-1]).all())
    assert bool((black[:, 1:] != black[:, :-1]).all())


def test_a_point_is_seen_where_all_half_planes_hold() -> None:
    points = grid_points(((-20, 60), (-20, 80)), 15)
    planes = half_planes(HOMOGRAPHY, MOVING_SHAPE, 0.0)
    seen = ((np.column_stack((points, np.ones(len(points)))) @ planes.T) >= 0).all(axis=-1)
    np.testing.assert_array_equal(seen, inside_extent(map_points(HOMOGRAPHY, points), frame_extent(MOVING_SHAPE)))


def test_a_clipped_rectangle_is_the_overlap_of_two_rectangles() -> None:
    shift = np.array([[1.0, 0, -10.0], [0, 1, 5.0], [0, 0, 1]])
    frame = rectangle_corners(range(SHAPE[0]), range(SHAPE[1]))
    overlap = clip(frame, half_planes(shift, MOVING_SHAPE, 0.0))
    assert (overlap.min(axis=0).tolist(), overlap.max(axis=0).tolist()) == ([10, 0], [54, 39])
    assert overlap_shape(shift, SHAPE, MOVING_SHAPE) == (40, 45)
