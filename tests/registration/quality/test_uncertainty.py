"""How sure a transform is: what the covariance of its parameters means in pixels, and that it is true."""

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


def known(model: Model, shape: tuple[int, int] = SHAPE, blocks: int = 30, size: float = 0.01) -> Uncertainty:
    family = LinearTransform(model, shape)
    matrix = family.matrix(family.parameters(TILTED / TILTED[2, 2]))
    influences = size * np.random.default_rng(0).normal(size=(family.size, blocks))
    got = Uncertainty.of_blocks(model, matrix, shape, influences)
    assert got is not None
    return got


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_without_scatter_the_floor_is_left(model: Model) -> None:
    # 2 axes.
    assert known(model, size=1e-9).rms == pytest.approx(np.sqrt(2) * FLOOR, rel=1e-6)


def test_as_many_blocks_as_parameters_know_nothing() -> None:
    assert Uncertainty.of_blocks(Model.TRANSLATION, np.eye(3), SHAPE, np.ones((2, 2))) is None
    assert Uncertainty.of_blocks(Model.TRANSLATION, np.eye(3), SHAPE, np.zeros((2, 0))) is None


def test_blocks_without_texture_do_not_count() -> None:
    u = np.random.default_rng(0).normal(size=(2, 20))
    one, other = (
        Uncertainty.of_blocks(Model.TRANSLATION, np.eye(3), SHAPE, x) for x in (u, np.pad(u, ((0, 0), (0, 9))))
    )
    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one.covariance, other.covariance)


def test_a_translation_is_as_sure_everywhere_as_its_two_parameters() -> None:
    got = known(Model.TRANSLATION)
    assert got.corners == pytest.approx(np.full(4, np.sqrt(np.trace(got.covariance))))
    assert got.rms == pytest.approx(got.corners[0])


def test_what_turns_is_least_sure_at_the_corners() -> None:
    got = known(Model.RIGID)
    assert got.corners.min() > got.at(np.array([[95.5, 79.5]]))[0]


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_it_is_the_scatter_of_points_when_parameters_scatter_by_the_covariance(model: Model) -> None:
    got = known(model)
    steps = np.random.default_rng(1).multivariate_normal(np.zeros(len(got.covariance)), got.covariance, 4000)
    centre = got.family.parameters(got.matrix)
    points = np.vstack((corners(SHAPE), [[40.0, 100.0]]))
    apart = np.array([map_points(got.family.matrix(centre + step), points) for step in steps]) - map_points(
        got.matrix, points
    )
    # A variance from 4000 draws is good to sqrt(2 / 4000) = 2.2 percent, a deviation to half of it: four times that.
    np.testing.assert_allclose(np.sqrt(np.square(apart).sum(axis=-1).mean(axis=0)), got.at(points), rtol=0.045)
    one = got.covariance_at(points[4])
    assert one.shape == (2, 2)
    assert np.trace(one) == pytest.approx(got.at(points[4]) ** 2)


def test_the_map_is_that_of_every_pixel() -> None:
    got = known(Model.HOMOGRAPHY)
    assert got.map().shape == SHAPE
    assert got.map(step=7).shape == (23, 28)
    assert got.map(step=7)[3, 5] == got.map()[21, 35] == pytest.approx(float(got.at(np.array([35.0, 21.0]))))


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_at_full_resolution_a_reduced_pair_is_off_by_as_many_more_pixels(model: Model) -> None:
    reduced, full = known(model), known(model).scaled(4, (640, 768))
    points = np.array([[0.0, 0.0], [100.0, 30.0], [191.0, 159.0]])
    np.testing.assert_allclose(full.at(4 * points), 4 * reduced.at(points), rtol=1e-9)
    np.testing.assert_allclose(map_points(full.matrix, 4 * points), 4 * map_points(reduced.matrix, points), rtol=1e-9)


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_other_coordinates_of_both_images_send_points_as_surely(model: Model) -> None:
    change = np.array([[0.5, 0, 13.0], [0, 0.5, -7.0], [0, 0, 1]])
    old, new = known(model), known(model).conjugated(change, (90, 110))
    points = np.array([[0.0, 0.0], [100.0, 30.0], [191.0, 159.0]])
    np.testing.assert_allclose(new.at(map_points(change, points)), 0.5 * old.at(points), rtol=1e-9)
    assert new.matrix[2, 2] == 1


def noisy(sigma: float, seed: int, shape: tuple[int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    truth = about_centre([[1, 0], [0, 1]], (2.3, -1.25), shape)
    rng = np.random.default_rng(seed)
    fixed, moving = (x / x.std() + sigma * rng.normal(size=shape) for x in Scene(seed=20 + seed).pair(truth, shape))
    return fixed, moving, truth


def test_four_times_the_noise_is_four_times_as_unsure() -> None:
    def expected(sigma: float) -> float:
        got = register(*noisy(sigma, 0)[:2], "affine").uncertainty
        assert got is not None
        return got.rms

    # 30 blocks scatter by chance, and so does what is made of them: each by about sqrt(1 / (2 * 30)) = 13 percent.
    assert expected(0.4) / expected(0.1) == pytest.approx(4, rel=0.4)


def test_errors_are_as_large_as_predicted() -> None:
    """The mean of (error / predicted)^2 is one, over noisy pairs of different scenes."""
    ratios = []
    for seed in range(40):
        fixed, moving, truth = noisy(0.5, seed, (112, 144))
        got = register(fixed, moving, "translation", init=truth)
        assert got.uncertainty is not None
        ratios.append(np.square((got.matrix - truth)[:2, 2]).sum() / got.uncertainty.rms**2)
    # Each is chi-squared of two degrees of freedom over two, less for what 20 blocks know of it: a deviation of about
    # 1.1, of the mean of 40 one of 0.18. Three of these, and a tenth that is no chance.
    assert np.mean(ratios) == pytest.approx(1, abs=0.64)
