"""Scales of a quarter to four times are found without an option, and of a tenth to ten where the pixel sizes tell."""

from __future__ import annotations

import numpy as np
import pytest

from tests.registration.analytic import Scene, about_centre, corner_error, rotation
from zncc_cli import register
from zncc_cli.errors import OptionError

SHAPE = (256, 288)
# Of the coarser image, of clean scenes that both images sample finely enough.
CLEAN_PX = 0.05


def scaled_pair(seed: int, scale: float, degrees: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return fixed, moving and the truth; the coarser image holds waves of 7 pixels and more."""
    truth = about_centre(rotation(degrees, scale), (6.3, -4.1), SHAPE)
    scene, coarser = Scene(seed), np.diag([1 / max(1.0, scale), 1 / max(1.0, scale), 1.0])
    return scene.image(SHAPE, coarser @ truth), scene.image(SHAPE, coarser), truth


def error_of_coarser(matrix: np.ndarray, truth: np.ndarray, scale: float) -> float:
    """Return the error over what both images show, pixels of the coarser one."""
    if scale < 1:  # the moving image is the coarser one, and holds all of the fixed one
        return corner_error(matrix, truth, SHAPE)
    return corner_error(np.linalg.inv(matrix), np.linalg.inv(truth), SHAPE)


@pytest.mark.parametrize(("model", "degrees"), [("similarity", 70), ("affine", -20), ("auto", 10)])
@pytest.mark.parametrize("scale", [3.0, 1 / 3])
def test_three_times_is_found_without_an_option(model: str, degrees: float, scale: float) -> None:
    fixed, moving, truth = scaled_pair(1, scale, degrees)
    result = register(fixed, moving, model)
    assert result.status == "ok", result.reasons
    assert result.model in ("similarity", "affine")
    assert error_of_coarser(result.matrix, truth, scale) < CLEAN_PX
    assert result.evidence.least_scale == pytest.approx(scale, rel=0.01)
    assert result.fixed_shape == result.moving_shape == SHAPE


@pytest.mark.parametrize("scale", [4.0, 0.25])
def test_pixel_sizes_tell_the_scale(scale: float) -> None:
    fixed, moving, truth = scaled_pair(2, scale, 40)
    # An objective magnifies by some percent more or less than it says.
    result = register(fixed, moving, "similarity", pixel_sizes=(scale**1.05, 1.0))
    assert result.status == "ok", result.reasons
    assert error_of_coarser(result.matrix, truth, scale) < CLEAN_PX
    finer = "moving" if scale > 1 else "fixed"
    assert any(f"the {finer} image is the finer one: it was reduced to 1/4" in note for note in result.notes)


def test_wrong_pixel_sizes_lose_nothing_that_is_found_without_them() -> None:
    fixed, moving = Scene(3).pair(about_centre(rotation(25), (5, 3), SHAPE), SHAPE)
    told, untold = (register(fixed, moving, "affine", pixel_sizes=sizes) for sizes in ((5.0, 1.0), None))
    np.testing.assert_array_equal(told.matrix, untold.matrix)
    assert told.status == "ok"


def test_the_expected_error_is_in_pixels_of_the_images() -> None:
    fixed, moving, _ = scaled_pair(4, 3.0, 15)
    moving = moving + 0.3 * moving.std() * np.random.default_rng(0).normal(size=SHAPE)
    result = register(fixed, moving, "similarity", pixel_sizes=(3.0, 1.0))
    assert result.uncertainty is not None
    np.testing.assert_allclose(result.uncertainty.matrix, result.matrix, atol=1e-9)
    assert result.uncertainty.shape == SHAPE
    middle = (np.array(SHAPE[::-1]) - 1) / 2
    # One figure is a mean over the overlap, the other is that of its middle, where the error is least.
    assert 0.3 < float(result.uncertainty.at(middle)) / result.evidence.expected_error <= 1.0


def test_a_start_with_a_large_scale_is_followed() -> None:
    fixed, moving, truth = scaled_pair(5, 5.0, 30)
    start = truth.copy()
    start[:2, 2] += 6.0, -4.0
    result = register(fixed, moving, "affine", init=start)
    assert error_of_coarser(result.matrix, truth, 5.0) < CLEAN_PX


def test_a_model_without_a_scale_names_the_pixel_sizes() -> None:
    fixed, moving, _ = scaled_pair(1, 3.0, 20)
    result = register(fixed, moving, "rigid", pixel_sizes=(3.0, 1.0))
    assert result.status == "failed"
    assert "pixel sizes differ by a factor of 3, which `model` rigid cannot follow" in result.reasons[-1]


@pytest.mark.parametrize("sizes", [(0.0, 1.0), (1.0, float("nan")), (1.0,)])
def test_pixel_sizes_that_are_none_are_refused(sizes: tuple[float, ...]) -> None:
    fixed = Scene(1).image(SHAPE)
    with pytest.raises(OptionError, match="`pixel_sizes`: expected two numbers above 0"):
        register(fixed, fixed, pixel_sizes=sizes)


@pytest.mark.parametrize("seed", [11, 12])
@pytest.mark.parametrize("sizes", [None, (4.0, 1.0)])
def test_unrelated_images_are_refused_at_every_scale(seed: int, sizes: tuple[float, float] | None) -> None:
    fixed, moving = (Scene(each).image((160, 160)) for each in (seed, seed + 100))
    assert register(fixed, moving, "similarity", pixel_sizes=sizes).status == "failed"
