"""The canvas of an aligned image: the fixed frame, both images, or the part that both have."""

from __future__ import annotations

import numpy as np
import pytest

from zncc_cli import config
from zncc_cli.config import Interpolation
from zncc_cli.errors import ContentError, OptionError
from zncc_cli.registration.resampling.canvas import Frame, frame_of
from zncc_cli.registration.resampling.resample import array_reader, resample
from zncc_cli.registration.warp import corners, map_points

FIXED, UNION, COMMON = config.Canvas
SHAPE = (30, 40)


def shift(dx: float, dy: float) -> np.ndarray:
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]], dtype=float)


def drawn(seed: int) -> tuple[np.ndarray, tuple[int, int], tuple[int, int]]:
    """Return a motion, every second one a homography, and the shapes of two images."""
    rng = np.random.default_rng(seed)
    angle, scale = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 2)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear += rng.normal(0, 0.2, (2, 2))
    fixed, moving = (tuple(int(n) for n in rng.integers(8, 40, 2)) for _ in range(2))
    centres = [np.array([(s[1] - 1) / 2, (s[0] - 1) / 2]) for s in (fixed, moving)]
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centres[1] - linear @ centres[0] + rng.normal(0, 4, 2)
    if seed % 2:
        perspective = np.eye(3)
        perspective[2, :2] = rng.normal(0, 0.004, 2)
        matrix = matrix @ perspective
    return matrix, fixed, moving


def where_valid(matrix: np.ndarray, on: Frame, moving: tuple[int, int]) -> np.ndarray:
    read = array_reader(np.ones(moving), np.ones(moving, bool))
    return resample(read, moving, matrix, on.rows, on.columns, Interpolation.LINEAR)[1]


def test_the_fixed_canvas_is_the_fixed_frame() -> None:
    on = frame_of(FIXED, shift(3.3, 9), SHAPE, (5, 6))
    assert (on.rows, on.columns, on.offset, on.shape) == (range(30), range(40), (0, 0), SHAPE)


@pytest.mark.parametrize("matrix", [shift(3, -2), -5.0 * shift(3, -2)])
def test_whole_shifts_have_no_pixel_too_many(matrix: np.ndarray) -> None:
    assert frame_of(UNION, matrix, SHAPE, SHAPE) == Frame(left=-3, top=0, width=43, height=32)
    assert frame_of(COMMON, matrix, SHAPE, SHAPE) == Frame(left=0, top=2, width=37, height=28)
    assert frame_of(UNION, np.eye(3), SHAPE, SHAPE) == frame_of(COMMON, np.eye(3), SHAPE, SHAPE) == Frame(0, 0, 40, 30)


@pytest.mark.parametrize("seed", range(20))
def test_the_union_is_the_smallest_box_of_both(seed: int) -> None:
    matrix, fixed, moving = drawn(seed)
    on = frame_of(UNION, matrix, fixed, moving)
    points = np.concatenate([map_points(np.linalg.inv(matrix), corners(moving)), corners(fixed)])
    low, high = points.min(axis=0), points.max(axis=0)
    assert ((on.offset <= low) & (low < np.add(on.offset, 1))).all()
    end = np.array([on.columns[-1], on.rows[-1]])
    assert ((end - 1 < high) & (high <= end)).all()


@pytest.mark.parametrize("seed", range(40))
def test_the_common_canvas_is_the_largest_rectangle_of_defined_pixels(seed: int) -> None:
    matrix, fixed, moving = drawn(seed)
    on = frame_of(COMMON, matrix, fixed, moving)
    assert where_valid(matrix, on, moving).all()
    # The largest rectangle by looking at every one: in each band of rows, the longest run of columns.
    valid, largest = where_valid(matrix, frame_of(FIXED, matrix, fixed, moving), moving), 0
    for top in range(fixed[0]):
        columns = np.ones(fixed[1], dtype=bool)
        for bottom in range(top, fixed[0]):
            columns &= valid[bottom]
            runs = np.diff(np.flatnonzero(~np.concatenate([[False], columns, [False]]))) - 1
            largest = max(largest, int(runs.max()) * (bottom - top + 1))
    assert on.width * on.height == largest


def test_the_common_canvas_of_large_frames_is_inside_and_cannot_grow() -> None:
    shape = (20000, 20000)
    turned = np.array([[np.cos(0.3), -np.sin(0.3), 3000.0], [np.sin(0.3), np.cos(0.3), -2000.0], [1e-6, 2e-6, 1]])
    on = frame_of(COMMON, turned, shape, shape)  # 0.01 s; of all pairs of rows there are 2e8

    def inside(left: int, top: int, right: int, bottom: int) -> bool:
        mapped = map_points(turned, np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=float))
        in_fixed = min(left, top) >= 0 and max(right, bottom) < 20000
        return in_fixed and bool(((mapped >= -1e-9) & (mapped <= 19999 + 1e-9)).all())

    sides = np.array([on.columns[0], on.rows[0], on.columns[-1], on.rows[-1]])
    assert inside(*sides)
    for side, step in enumerate((-1, -1, 1, 1)):
        grown = sides.copy()
        grown[side] += step
        assert not inside(*grown)


def test_a_homography_whose_horizon_crosses_the_moving_image_has_no_union() -> None:
    matrix = np.linalg.inv([[1, 0, 0], [0, 1, 0], [-0.05, 0, 1.0]])  # moving column 20 is infinitely far away
    with pytest.raises(OptionError, match=r"`canvas` union: .* found one without end"):
        frame_of(UNION, matrix, SHAPE, SHAPE)
    assert where_valid(matrix, frame_of(COMMON, matrix, SHAPE, SHAPE), SHAPE).all()


@pytest.mark.parametrize(
    "matrix",
    [shift(1e5, 0), shift(0, 1e300), np.diag([0.01, 0.01, 1]), np.diag([1.0, 0.0, 1.0]), np.diag([1e-300, 1, 1])],
)
def test_a_union_far_larger_than_both_images_is_refused(matrix: np.ndarray) -> None:
    with pytest.raises(OptionError, match="`canvas` union: expected a canvas of at most 16 times"):
        frame_of(UNION, matrix, SHAPE, SHAPE)


@pytest.mark.parametrize(
    "matrix", [shift(40, 0), shift(0, -29.5), shift(1e300, 0), np.diag([1.0, 1.0, -1.0]) @ shift(90, 0)]
)
def test_images_that_do_not_overlap_have_nothing_in_common(matrix: np.ndarray) -> None:
    with pytest.raises(ContentError, match="`canvas` common: expected images that overlap"):
        frame_of(COMMON, matrix, SHAPE, SHAPE)


def test_an_overlap_of_one_pixel_is_found() -> None:
    assert frame_of(COMMON, shift(39, -29), SHAPE, SHAPE) == Frame(0, 29, 1, 1)
