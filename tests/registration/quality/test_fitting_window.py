"""The window that nobody asked for: as large as a small image has room for."""

from __future__ import annotations

import numpy as np
import pytest

from tests.registration.analytic import Scene, about_centre, corner_error
from zncc_cli import register
from zncc_cli.registration.geometry import overlap_shape
from zncc_cli.registration.metric.level_metric import block_side
from zncc_cli.registration.quality.bounds import MIN_BLOCKS
from zncc_cli.registration.quality.fitting_window import fitting_window


def blocks(shape: tuple[int, int], window: int) -> int:
    counts = [n - window + 1 for n in shape]
    return int(np.prod([-(-n // block_side(n, window)) for n in counts]))


@pytest.mark.parametrize("shape", [(44, 44), (512, 512), (40, 400), (2000, 60)])
def test_a_frame_that_holds_enough_windows_has_the_usual_one(shape: tuple[int, int]) -> None:
    assert fitting_window(shape) == 11


@pytest.mark.parametrize("shape", [(16, 16), (24, 24), (32, 32), (43, 43), (16, 90), (300, 20), (21, 21)])
def test_a_smaller_frame_has_the_largest_window_of_which_it_holds_enough(shape: tuple[int, int]) -> None:
    window = fitting_window(shape)
    assert 3 <= window < 11
    assert 2 * window <= min(shape)
    assert blocks(shape, window) >= MIN_BLOCKS
    assert 2 * (window + 1) > min(shape) or blocks(shape, window + 1) < MIN_BLOCKS


def test_where_no_window_is_enough_it_is_the_smallest() -> None:
    assert fitting_window((5, 6)) == 3
    assert fitting_window((0, 0)) == 3


def test_the_overlap_of_a_shift_is_what_both_frames_show() -> None:
    shift = np.array([[1.0, 0, -30], [0, 1, 10], [0, 0, 1]])
    assert overlap_shape(shift, (100, 80), (100, 80)) == (90, 50)
    assert overlap_shape(np.array([[1.0, 0, 300], [0, 1, 0], [0, 0, 1]]), (100, 80), (100, 80)) == (0, 0)


@pytest.mark.parametrize("shape", [(24, 24), (32, 32), (20, 120)])
def test_small_and_narrow_pairs_are_judged_by_smaller_windows(shape: tuple[int, int]) -> None:
    truth = about_centre([[1, 0], [0, 1]], (1.3, -0.8), shape)
    fixed, moving = Scene(seed=3).pair(truth, shape)
    result = register(fixed, moving, "translation")
    # No noise; what is left is the spline at the frame's edge, which is near everywhere in so small an image.
    assert corner_error(result.matrix, truth, shape) < 0.05
    assert result.status == "ok", result.reasons
    assert result.window < 11


def test_an_overlap_too_small_for_the_window_has_a_smaller_one() -> None:
    """The frame holds enough windows of 11 pixels, what both images show of it does not."""
    shape = (52, 52)
    truth = about_centre([[1, 0], [0, 1]], (15.2, 13.4), shape)
    fixed, moving = Scene(seed=4).pair(truth, shape)
    result = register(fixed, moving, "translation")
    assert corner_error(result.matrix, truth, shape) < 0.05
    assert result.status == "ok", result.reasons
    assert result.window < 11
    assert any(f"windows of {result.window} pixels" in note for note in result.notes)
    asked = register(fixed, moving, "translation", window=11)
    assert asked.window == 11
    assert "choose a `window` smaller than 11" in "; ".join(asked.reasons)
