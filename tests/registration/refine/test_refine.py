"""The refinement ends near the truth, and its expected error is that of its result."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene, about_centre, corner_error
from zncc_cli.config import Model, RegistrationConfig
from zncc_cli.registration.optimizer import Ending
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.refine.refine import Refined, refine
from zncc_cli.registration.refine.symmetric_metric import whitened_metric

SHAPE = (160, 192)
IDENTITY = about_centre([[1, 0], [0, 1]], (0, 0), SHAPE)
TRUTH = about_centre([[1, 0], [0, 1]], (3.3, -2.25), SHAPE)
CONFIG = RegistrationConfig(model=Model.TRANSLATION)


def level(image: np.ndarray, mask: np.ndarray | None = None) -> Level:
    pixels = torch.tensor(image - image.mean(), dtype=torch.float32)[None, None]
    valid = torch.ones(image.shape, dtype=torch.bool) if mask is None else torch.tensor(mask)
    return Level(pixels / pixels.std() * valid, valid, 1)


def refined(
    truth: np.ndarray, *, sigma: float = 0.0, seed: int = 0, off: tuple[float, float] = (0.4, -0.3), config=CONFIG
) -> Refined:
    """Refine a start that is ``off`` by some pixels; ``sigma``: of the noise, over the scene's standard deviation."""
    fixed, moving = Scene(seed=20 + seed).pair(truth, SHAPE)
    rng = np.random.default_rng(seed)
    fixed, moving = (x / x.std() + sigma * rng.normal(size=SHAPE) for x in (fixed, moving))
    start = about_centre([[1, 0], [0, 1]], off, SHAPE) @ truth
    return refine(level(fixed), level(moving), start / start[2, 2], config)


def test_without_noise_it_ends_within_thousandths_of_a_pixel() -> None:
    result = refined(TRUTH)
    assert result.ending is Ending.CONVERGED
    # What is left is the spline between the pixels, through wavelengths down to 7 pixels.
    assert corner_error(result.matrix, TRUTH, SHAPE) < 0.001


@pytest.mark.parametrize("model", [Model.RIGID, Model.SIMILARITY, Model.AFFINE, Model.HOMOGRAPHY])
def test_every_model_recovers_a_transform_of_its_kind(model: Model) -> None:
    truth = about_centre([[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]], (3.3, -2.2), SHAPE)
    result = refined(truth, config=RegistrationConfig(model=model))
    assert corner_error(result.matrix, truth, SHAPE) < 0.01


def test_under_heavy_noise_the_expected_error_is_that_of_the_results() -> None:
    """Gradients of noise are no texture: by them the expected error came to a third of what results are off by."""
    runs = [refined(TRUTH, sigma=3.0, seed=seed) for seed in range(8)]
    errors = np.array([(result.matrix - TRUTH)[:2, 2] for result in runs])
    expected = np.array([result.expected_error for result in runs])
    # Both axes of eight runs: their RMS scatters by a fifth, the expected errors by as much.
    assert 0.5 < np.sqrt(np.square(errors).sum(axis=1).mean() / np.square(expected).mean()) < 1.7


def test_noise_does_not_draw_the_result_to_where_interpolation_smooths_it() -> None:
    """Under noise a loss's own minimum lies tenths of a pixel off, and always to the same side."""
    runs = [refined(TRUTH, sigma=0.5, seed=seed) for seed in range(8)]
    errors = np.array([(result.matrix - TRUTH)[:2, 2] for result in runs])
    # Eight runs that each scatter by some hundredths of a pixel: their mean by a third of it.
    assert np.abs(errors.mean(axis=0)).max() < 0.03
    assert np.abs(errors).max() < 0.1


def test_noise_does_not_draw_the_result_to_where_there_is_more_contrast() -> None:
    """A window of noisy images is the more alike the more contrast it holds: an affine fit would stretch towards it."""
    contrast, middle, moved = np.linspace(0, 2, SHAPE[1]) ** 2, (SHAPE[1] - 1) / 2, []
    for seed in range(64):
        scene, rng = Scene(seed=40 + seed).image(SHAPE), np.random.default_rng(5000 + seed)
        scene = (scene - scene.mean()) / scene.std() * contrast
        fixed, moving = (level(scene + 0.5 * rng.normal(size=SHAPE)) for _ in range(2))
        matrix = refine(fixed, moving, IDENTITY, RegistrationConfig(model=Model.AFFINE)).matrix
        moved.append(matrix[0] @ [middle, (SHAPE[0] - 1) / 2, 1] - middle)
    # Each scatters by 0.07 pixels, so that their mean does by 0.009; by a loss's own gradient it is 0.056.
    assert abs(np.mean(moved)) < 0.027


def test_content_of_one_image_alone_counts_little() -> None:
    fixed, moving = Scene(seed=36).pair(TRUTH, SHAPE)
    fixed, moving = fixed / fixed.std(), moving / moving.std()
    moving[40:100, 60:120] = Scene(seed=37).image((60, 60)) / moving.std()
    result = refine(level(fixed), level(moving), about_centre([[1, 0], [0, 1]], (3.0, -2.0), SHAPE), CONFIG)
    # A ninth of the frame. Counted like all else it moves the corners by 0.17 pixels.
    assert corner_error(result.matrix, TRUTH, SHAPE) < 0.08


def test_the_expected_error_is_that_of_the_result() -> None:
    runs = [refined(TRUTH, sigma=0.5, seed=seed) for seed in range(8)]
    errors = np.array([corner_error(result.matrix, TRUTH, SHAPE) for result in runs])
    ratio = np.sqrt(np.mean(np.square(errors))) / np.sqrt(np.mean([result.expected_error**2 for result in runs]))
    # Sixteen numbers tell a standard deviation to a fifth; the expected error itself comes from some thirty blocks.
    assert 0.5 < ratio < 2


def test_identical_images_stay_where_they_are() -> None:
    image = level(Scene(seed=30).image(SHAPE))
    np.testing.assert_array_equal(refine(image, image, IDENTITY, CONFIG).matrix, IDENTITY)


def test_pixels_outside_the_masks_do_not_pull() -> None:
    fixed, moving = Scene(seed=31).pair(TRUTH, SHAPE)
    mask = np.ones(SHAPE, dtype=bool)
    mask[60:90, 50:80] = False
    moving = np.where(mask, moving, moving.max() * 5)
    moving = np.where(mask, moving, moving[mask].mean())  # level() scales by all pixels
    start = about_centre([[1, 0], [0, 1]], (3.0, -2.0), SHAPE)
    result = refine(level(fixed), level(moving, mask), start, CONFIG)
    assert corner_error(result.matrix, TRUTH, SHAPE) < 0.005


def test_a_start_without_overlap_is_given_back() -> None:
    image = level(Scene(seed=32).image(SHAPE))
    away = about_centre([[1, 0], [0, 1]], (500.0, 0.0), SHAPE)
    result = refine(image, image, away, CONFIG)
    assert result.ending is Ending.OUT_OF_DOMAIN
    assert result.expected_error == np.inf
    np.testing.assert_array_equal(result.matrix, away)


@pytest.mark.parametrize(("most", "taken"), [(5, 5), (60, 20), (90, 30)])
def test_a_solution_that_does_not_settle_is_given_up_early(most: int, taken: int) -> None:
    """Two scenes that have nothing in common: the iteration would go on for as long as it may."""
    fixed, moving = (level(Scene(seed=seed).image(SHAPE)) for seed in (42, 43))
    result = refine(fixed, moving, IDENTITY, RegistrationConfig(model=Model.AFFINE, max_iterations=most))
    assert result.ending is Ending.MAX_ITERATIONS
    assert result.iterations == taken


def test_images_too_small_for_the_whitened_metric_are_refined_by_the_local_one() -> None:
    shape = (48, 56)
    truth = about_centre([[1, 0], [0, 1]], (1.3, -0.6), shape)
    fixed, moving = Scene(seed=33).pair(truth, shape)
    result = refine(level(fixed), level(moving), about_centre([[1, 0], [0, 1]], (1.0, -0.5), shape), CONFIG)
    assert corner_error(result.matrix, truth, shape) < 0.01


def test_a_single_lost_pixel_leaves_most_windows_of_the_whitened_metric() -> None:
    """Bilinear weights in float32 often add up to a rounding less than one: that is no invalid pixel."""
    truth = about_centre([[np.cos(0.02), -np.sin(0.02)], [np.sin(0.02), np.cos(0.02)]], (3.3, -2.2), SHAPE)
    fixed, moving = (level(image) for image in Scene(seed=34).pair(truth, SHAPE))
    mask = moving.mask.clone()
    mask[5, 5] = False
    whole, lost = (whitened_metric(fixed, m, truth, 1.0, CONFIG) for m in (moving, Level(moving.image * mask, mask, 1)))
    assert whole is not None
    assert lost is not None
    a, b = (metric.linearized(truth, projective=False, with_curvature=True) for metric in (whole, lost))
    assert a is not None
    assert b is not None
    assert b.curvature[2, 2] > 0.7 * a.curvature[2, 2]  # a 31 + 9 pixel square in the corner of 160 x 192 is lost


@pytest.mark.parametrize("rows", [slice(100, 104), slice(0, 160, 8)])
def test_thin_masks_hold_no_window_of_the_whitened_metric(rows: slice) -> None:
    fixed, moving = Scene(seed=35).pair(TRUTH, SHAPE)
    mask = np.zeros(SHAPE, dtype=bool)
    mask[rows] = True
    config = RegistrationConfig(model=Model.TRANSLATION, window=3)
    assert whitened_metric(level(fixed, mask), level(moving), TRUTH, 1.0, config) is None
    refine(level(fixed, mask), level(moving), TRUTH, config)  # no exception


def test_stripes_do_not_determine_a_motion_along_them() -> None:
    stripes = np.tile(np.sin(np.arange(SHAPE[1]) / 3) + np.sin(np.arange(SHAPE[1]) / 7.3), (SHAPE[0], 1))
    start = about_centre([[1, 0], [0, 1]], (0.3, 0.0), SHAPE)
    result = refine(level(stripes), level(stripes), start, CONFIG)
    assert result.ending is Ending.UNDETERMINED
    np.testing.assert_array_equal(result.matrix, start)
