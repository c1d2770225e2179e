"""How far a result may lie from its start: of a matrix, of the shifts of a search, and of results."""

from __future__ import annotations

import numpy as np
import pytest

from tests.registration.analytic import Scene, about_centre, corner_error
from zncc_cli import register
from zncc_cli.errors import OptionError
from zncc_cli.registration.search.motion_bound import MotionBound

SHAPE = (96, 128)
EYE = [[1.0, 0.0], [0.0, 1.0]]


def linear(scale: float, angle: float, dx: float = 0.0, dy: float = 0.0) -> np.ndarray:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, dx], [s, c, dy], [0, 0, 1]])


def test_motion_is_that_of_the_corner_that_moves_most() -> None:
    start = linear(1.0, 0.0, 5.0, -2.0)
    bound = MotionBound(start, SHAPE, 10.0)
    assert bound.motion(start) == 0.0
    assert bound.motion(linear(1.0, 0.0, 8.0, 2.0)) == pytest.approx(5.0)
    turned = about_centre(linear(1.0, 0.1)[:2, :2].tolist(), (0, 0), SHAPE)
    from_identity = MotionBound(np.eye(3), SHAPE, 10.0)
    # A turn by an angle moves a corner by the chord of its circle.
    assert from_identity.motion(turned) == pytest.approx(2 * np.sin(0.05) * np.hypot(95, 127) / 2)
    assert from_identity.holds(turned)
    assert not MotionBound(np.eye(3), SHAPE, 5.0).holds(turned)


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_shifts_of_a_search_are_those_that_the_bound_holds_and_a_grid_pixel_more(seed: int, back: bool) -> None:
    """Brute force: each shift is made a matrix, and asked for its motion."""
    rng = np.random.default_rng(seed)
    spacing, scale = 3.0, rng.uniform(1, 2)
    start = linear(1 / scale if back else scale, rng.uniform(-0.1, 0.1), *rng.uniform(-9, 9, 2))
    bound = MotionBound(start, SHAPE, 30.0)
    from_canvas = linear(spacing * scale, rng.uniform(-0.1, 0.1), *rng.uniform(-20, 20, 2))
    grid = np.arange(-40, 41)
    discs = bound.shifts_back(from_canvas, spacing) if back else bound.shifts(from_canvas, spacing)
    held = discs.hold(grid[None], grid[:, None])
    assert held.any()
    assert not held.all()
    assert discs.meet
    for y, x in rng.integers(0, len(grid), (400, 2)):
        matrix = from_canvas @ linear(1.0, 0.0, grid[x], grid[y]) @ linear(1 / spacing, 0.0)
        pixel = spacing if back else spacing * scale
        motion = bound.motion(np.linalg.inv(matrix) if back else matrix)
        assert held[y, x] == (motion <= 30.0 + pixel)


def test_what_lies_beyond_the_largest_motion_is_not_returned_and_the_option_is_named() -> None:
    truth = about_centre(EYE, (22.0, -6.0), SHAPE)
    fixed, moving = Scene(3).pair(truth, SHAPE)
    assert corner_error(register(fixed, moving, "translation").matrix, truth, SHAPE) < 0.05
    result = register(fixed, moving, "translation", max_motion=10)
    assert result.status == "failed"
    assert "`max_motion` of 10 px" in result.reasons[0]
    assert MotionBound(np.eye(3), SHAPE, 10.0).holds(result.matrix)


def test_within_the_largest_motion_the_place_is_found() -> None:
    truth = about_centre(linear(1.0, 0.05)[:2, :2].tolist(), (12.0, -6.0), SHAPE)
    fixed, moving = Scene(3).pair(truth, SHAPE)
    result = register(fixed, moving, "rigid", max_motion=25)
    assert result.status == "ok", result.reasons
    assert corner_error(result.matrix, truth, SHAPE) < 0.05  # no noise: a spline's error near the frame's edge


def test_the_largest_motion_is_counted_from_the_start() -> None:
    truth = about_centre(EYE, (22.0, -6.0), SHAPE)
    fixed, moving = Scene(3).pair(truth, SHAPE)
    near = about_centre(EYE, (20.0, -5.0), SHAPE)
    result = register(fixed, moving, "translation", init=near, max_motion=4)
    assert result.status == "ok", result.reasons
    assert corner_error(result.matrix, truth, SHAPE) < 0.05


@pytest.mark.parametrize("pixels", [0.0, -3.0, float("inf"), float("nan")])
def test_a_largest_motion_that_is_none_is_refused(pixels: float) -> None:
    image = Scene(1).image(SHAPE)
    with pytest.raises(OptionError, match="`max_motion`: expected a number of pixels above 0"):
        register(image, image, max_motion=pixels)
