"""The uncertainty of a transform: expected errors follow from the covariance, and real errors are as large."""

from __future__ import annotations

import numpy as np
import pytest

from tests.registration.analytic import Scene, about_centre
from zncc_cli import register
from zncc_cli.config import NESTED_MODELS, Model
from zncc_cli.registration.quality.uncertainty import FLOOR, Uncertainty
from zncc_cli.registration.transforms.linear import LinearTransform
from zncc_cli.registration.warp import corners, map_points

SHAPE = (160, 192)
ROTATED = about_centre([[0.99, -0.1], [0.1, 0.99]], (3.3, -2.2), SHAPE)
TILTED = ROTATED @ np.array([[1, 0, 0], [0, 1, 0], [2e-4, -1e-4, 1]])


def uncertainty_of(model: Model, shape: tuple[int, int] = SHAPE, blocks: int = 30, size: float = 0.01) -> Uncertainty:
    transform = LinearTransform(model, shape)
    matrix = transform.matrix(transform.parameters(TILTED / TILTED[2, 2]))
    influences = size * np.random.default_rng(0).normal(size=(transform.size, blocks))
    uncertainty = Uncertainty.of_blocks(model, matrix, shape, influences)
    assert uncertainty is not None
    return uncertainty


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_without_scatter_the_floor_is_left(model: Model) -> None:
    # 2 axes.
    assert uncertainty_of(model, size=1e-9).rms == pytest.approx(np.sqrt(2) * FLOOR, rel=1e-6)


def test_as_many_blocks_as_parameters_tell_no_uncertainty() -> None:
    assert Uncertainty.of_blocks(Model.TRANSLATION, np.eye(3), SHAPE, np.ones((2, 2))) is None
    assert Uncertainty.of_blocks(Model.TRANSLATION, np.eye(3), SHAPE, np.zeros((2, 0))) is None


def test_blocks_without_texture_do_not_count() -> None:
    u = np.random.default_rng(0).normal(size=(2, 20))
    plain, padded = (
        Uncertainty.of_blocks(Model.TRANSLATION, np.eye(3), SHAPE, x) for x in (u, np.pad(u, ((0, 0), (0, 9))))
    )
    assert plain is not None
    assert padded is not None
    np.testing.assert_array_equal(plain.covariance, padded.covariance)


def test_a_translation_has_the_same_expected_error_everywhere() -> None:
    uncertainty = uncertainty_of(Model.TRANSLATION)
    assert uncertainty.corners == pytest.approx(np.full(4, np.sqrt(np.trace(uncertainty.covariance))))
    assert uncertainty.rms == pytest.approx(uncertainty.corners[0])


def test_a_rotation_has_its_largest_expected_error_at_the_corners() -> None:
    uncertainty = uncertainty_of(Model.RIGID)
    assert uncertainty.corners.min() > uncertainty.at(np.array([[95.5, 79.5]]))[0]


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_expected_errors_are_the_scatter_of_points_when_parameters_scatter_by_the_covariance(model: Model) -> None:
    uncertainty = uncertainty_of(model)
    steps = np.random.default_rng(1).multivariate_normal(
        np.zeros(len(uncertainty.covariance)), uncertainty.covariance, 4000
    )
    transform = uncertainty.transform
    centre = transform.parameters(uncertainty.matrix)
    points = np.vstack((corners(SHAPE), [[40.0, 100.0]]))
    scattered = np.array([map_points(transform.matrix(centre + step), points) for step in steps])
    apart = scattered - map_points(uncertainty.matrix, points)
    # A variance from 4000 draws is good to sqrt(2 / 4000) = 2.2 percent, a deviation to half of it: four times that.
    np.testing.assert_allclose(np.sqrt(np.square(apart).sum(axis=-1).mean(axis=0)), uncertainty.at(points), rtol=0.045)
    covariance = uncertainty.covariance_at(points[4])
    assert covariance.shape == (2, 2)
    assert np.trace(covariance) == pytest.approx(uncertainty.at(points[4]) ** 2)


def test_the_map_holds_the_expected_error_of_every_pixel() -> None:
    uncertainty = uncertainty_of(Model.HOMOGRAPHY)
    assert uncertainty.map().shape == SHAPE
    assert uncertainty.map(step=7).shape == (23, 28)
    at_point = float(uncertainty.at(np.array([35.0, 21.0])))
    assert uncertainty.map(step=7)[3, 5] == uncertainty.map()[21, 35] == pytest.approx(at_point)


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_at_full_resolution_a_downsampled_pair_is_off_by_as_many_more_pixels(model: Model) -> None:
    downsampled, full = uncertainty_of(model), uncertainty_of(model).scaled(4, (640, 768))
    points = np.array([[0.0, 0.0], [100.0, 30.0], [191.0, 159.0]])
    np.testing.assert_allclose(full.at(4 * points), 4 * downsampled.at(points), rtol=1e-9)
    np.testing.assert_allclose(
        map_points(full.matrix, 4 * points), 4 * map_points(downsampled.matrix, points), rtol=1e-9
    )


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_expected_errors_scale_with_the_coordinates_of_both_images(model: Model) -> None:
    change = np.array([[0.5, 0, 13.0], [0, 0.5, -7.0], [0, 0, 1]])
    old, new = uncertainty_of(model), uncertainty_of(model).conjugated(change, (90, 110))
    points = np.array([[0.0, 0.0], [100.0, 30.0], [191.0, 159.0]])
    np.testing.assert_allclose(new.at(map_points(change, points)), 0.5 * old.at(points), rtol=1e-9)
    assert new.matrix[2, 2] == 1


def noisy(sigma: float, seed: int, shape: tuple[int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    truth = about_centre([[1, 0], [0, 1]], (2.3, -1.25), shape)
    rng = np.random.default_rng(seed)
    fixed, moving = (x / x.std() + sigma * rng.normal(size=shape) for x in Scene(seed=20 + seed).pair(truth, shape))
    return fixed, moving, truth


def test_four_times_the_noise_gives_four_times_the_expected_error() -> None:
    def expected(sigma: float) -> float:
        uncertainty = register(*noisy(sigma, 0)[:2], "affine").uncertainty
        assert uncertainty is not None
        return uncertainty.rms

    # 30 blocks scatter by chance, and so do their expected errors: each by about sqrt(1 / (2 * 30)) = 13 percent.
    assert expected(0.4) / expected(0.1) == pytest.approx(4, rel=0.4)


def test_errors_are_as_large_as_predicted() -> None:
    """The mean of (error / predicted)^2 is one, over noisy pairs of different scenes."""
    ratios = []
    for seed in range(40):
        fixed, moving, truth = noisy(0.5, seed, (112, 144))
        result = register(fixed, moving, "translation", init=truth)
        assert result.uncertainty is not None
        ratios.append(np.square((result.matrix - truth)[:2, 2]).sum() / result.uncertainty.rms**2)
    # Each is chi-squared of two degrees of freedom over two, less for what 20 blocks know of it: a deviation of about
    # 1.1, of the mean of 40 one of 0.18. Three of these, and a tenth that is no chance.
    assert np.mean(ratios) == pytest.approx(1, abs=0.64)
