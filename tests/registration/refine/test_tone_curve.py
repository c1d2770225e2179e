"""Images whose contrast differs by a curve are compared through it, and others as they are."""

from __future__ import annotations

import numpy as np
import pytest

from tests.registration.analytic import Scene, about_centre, corner_error
from zncc_cli import register
from zncc_cli.registration.refine.tone_curve import MAX_UNEXPLAINED, tone_curve

SHAPE = (200, 240)
TRUTH = about_centre([[1.01, 0.02], [-0.015, 0.99]], (3.3, -2.25), SHAPE)
NOTE = "the contrast of the images differs by a curve"


def unit(image: np.ndarray) -> np.ndarray:
    return (image - image.min()) / (image.max() - image.min())


def saturated(image: np.ndarray) -> np.ndarray:
    """The brightest 30 percent are all alike."""
    return np.minimum(image, np.quantile(image, 0.7))


@pytest.mark.parametrize("curve", [np.square, np.sqrt, np.sin], ids=str)
def test_the_curve_is_the_one_that_made_the_image(curve: np.ufunc) -> None:
    x = np.random.default_rng(0).uniform(0, 1, 20000)
    found = tone_curve(x, curve(x))
    assert found is not None
    # The mean over one of 64 bins is off by its width squared times the curvature over 24, less than 1e-4.
    np.testing.assert_allclose(found.y[1:], curve(found.x[1:]), atol=2e-3)
    # A line leaves 0.06 of the square's variance, 0.03 of the root's, and 0.004 of the sine's from zero to one.
    assert found.matters(MAX_UNEXPLAINED) == (curve is not np.sin)


@pytest.mark.parametrize("y", ["the same", "noise", "unrelated"])
def test_a_straight_line_is_no_curve(y: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=20000)
    ys = {"the same": 3 * x - 1, "noise": x + rng.normal(size=x.shape), "unrelated": rng.normal(size=x.shape)}
    found = tone_curve(x, ys[y])
    assert found is not None
    assert not found.matters(MAX_UNEXPLAINED)


def test_few_or_constant_pixels_make_no_curve() -> None:
    assert tone_curve(np.arange(100.0), np.arange(100.0)) is None
    assert tone_curve(np.ones(20000), np.arange(20000.0)) is None
    assert tone_curve(np.arange(20000.0), np.ones(20000)) is None


@pytest.mark.parametrize("which", ["fixed", "moving"])
@pytest.mark.parametrize("sign", [1, -1], ids=["same contrast", "inverted"])
def test_a_saturated_image_is_aligned_to_hundredths_of_a_pixel(which: str, sign: int) -> None:
    fixed, moving = (unit(image) for image in Scene(seed=3).pair(TRUTH, SHAPE))
    fixed, moving = (saturated(fixed), sign * moving) if which == "fixed" else (fixed, sign * saturated(moving))
    result = register(fixed, moving, "affine")
    assert result.status == "ok", result.reasons
    assert result.inverted == (sign < 0)
    assert any(NOTE in note for note in result.notes)
    # On five scenes 0.02 to 0.033 px, and 0.26 to 1.1 without the curve, where the moving image is saturated.
    assert corner_error(result.matrix, TRUTH, SHAPE) < 0.05


def test_images_of_one_contrast_are_compared_as_they_are() -> None:
    fixed, moving = Scene(seed=4).pair(TRUTH, SHAPE)
    moving = 5 * moving + 2 + 0.1 * np.random.default_rng(0).normal(size=SHAPE)
    assert not any(NOTE in note for note in register(fixed, moving, "affine").notes)
