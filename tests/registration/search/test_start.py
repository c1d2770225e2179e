"""A start that was given: a registration returns no place that agrees less.

Coarse levels see no fine texture. Where that repeats itself they lead a period off, and where what they see is not the
same in both images (light, clouds, fog over a ground) they lead anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.registration.analytic import corner_error
from zncc_cli import register
from zncc_cli.config import Model, RegistrationConfig
from zncc_cli.registration.optimizer import Ending
from zncc_cli.registration.pyramid import pyramid
from zncc_cli.registration.refine.refine import unrefined
from zncc_cli.registration.search.fit import FitSimilarity, fit_similarity

Make = Callable[[int], tuple[np.ndarray, np.ndarray, np.ndarray]]

SHAPE = (160, 160)
MARGIN = 20


def smooth_noise(rng: np.random.Generator, sigma: float) -> np.ndarray:
    """Return noise of unit variance smoothed by a Gaussian, with a margin around `SHAPE`."""
    frequencies = [np.fft.fftfreq(n + 2 * MARGIN) for n in SHAPE]
    square = frequencies[0][:, None] ** 2 + frequencies[1] ** 2
    white = np.fft.fft2(rng.normal(size=square.shape))
    plane = np.fft.ifft2(white * np.exp(-2 * (np.pi * sigma) ** 2 * square)).real
    return np.asarray(plane / plane.std())


def moved(scene: np.ndarray, dx: float, dy: float) -> np.ndarray:
    """Return the scene moved by the phase of its spectrum, without its margin."""
    ky, kx = np.fft.fftfreq(scene.shape[0])[:, None], np.fft.fftfreq(scene.shape[1])
    plane = np.fft.ifft2(np.fft.fft2(scene) * np.exp(-2j * np.pi * (kx * dx + ky * dy))).real
    return np.asarray(plane[MARGIN:-MARGIN, MARGIN:-MARGIN])


def weave(rng: np.random.Generator, period: float) -> np.ndarray:
    """Return threads of two directions, each over and under the other in turn, and small defects."""
    y, x = np.mgrid[: SHAPE[0] + 2 * MARGIN, : SHAPE[1] + 2 * MARGIN]
    u, v = 0.96 * x + 0.28 * y, -0.28 * x + 0.96 * y
    a, b = np.cos(2 * np.pi * u / period), np.cos(2 * np.pi * v / period)
    threads = np.where(b > 0, a, -a) + 0.5 * b
    return np.asarray(threads / threads.std() + 0.3 * smooth_noise(rng, 1.0))


def pair_of(scenes: tuple[np.ndarray, np.ndarray], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    dx, dy = rng.uniform(-6, 6, 2)
    truth = np.array([[1.0, 0, dx], [0, 1, dy], [0, 0, 1]])
    fixed, moving = moved(scenes[0], 0, 0), moved(scenes[1], dx, dy)
    return fixed, moving + 0.05 * rng.normal(size=SHAPE), truth


def repeated(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scene = weave(rng, rng.uniform(5, 8))
    return pair_of((scene, scene), seed)


def clouded(seed: int, clouds: float = 8.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ground = smooth_noise(rng, 1.2)
    return pair_of((ground + clouds * smooth_noise(rng, 25), ground + clouds * smooth_noise(rng, 25)), seed)


@pytest.mark.parametrize(("make", "seed"), [(clouded, 0), (clouded, 2), (repeated, 0)])
def test_an_exact_start_is_not_left(make: Make, seed: int) -> None:
    fixed, moving, truth = make(seed)
    result = register(fixed, moving, init=truth)
    # Clouds change within a window and pull by some hundredths of a pixel; a period is 5 at least.
    assert corner_error(result.matrix, truth, SHAPE) < 0.15


def test_a_descent_that_left_the_start_is_told() -> None:
    fixed, moving, truth = clouded(0, clouds=16.0)
    result = register(fixed, moving, init=truth)
    assert corner_error(result.matrix, truth, SHAPE) < 0.15
    told = [re.match(r"found near the start: what was found from coarse to fine, (.*?) px", n) for n in result.notes]
    assert [float(note[1]) > 20 for note in told if note] == [True]


def test_a_start_a_little_off_leads_to_the_place_beside_it() -> None:
    fixed, moving, truth = repeated(1)
    start = truth.copy()
    start[:2, 2] += 0.8, -0.6
    result = register(fixed, moving, "translation", init=start)
    assert corner_error(result.matrix, truth, SHAPE) < 0.1


def test_a_start_is_better_than_a_result_by_more_than_interpolation_makes_of_noise() -> None:
    start, none = FitSimilarity(0.9, 12.0, np.empty((0, 0))), np.empty((0, 0))
    assert start.beats_as_start(FitSimilarity(0.8, 9.0, none))
    assert not start.beats_as_start(FitSimilarity(0.895, 11.9, none))
    # A small overlap that agrees a little better is no more significant.
    assert not start.beats_as_start(FitSimilarity(0.85, 14.0, none))


def test_a_place_that_is_better_here_and_worse_there_is_no_better_one() -> None:
    near = FitSimilarity(0.3, 10.0, np.full((4, 4), 0.3))
    everywhere = FitSimilarity(0.35, 12.0, near.blocks + np.linspace(0.02, 0.08, 16).reshape(4, 4))
    here_and_there = FitSimilarity(0.35, 12.0, near.blocks + np.linspace(-0.9, 1.0, 16).reshape(4, 4))
    assert everywhere.beats(near)
    assert not here_and_there.beats(near)
    assert not near.beats(everywhere)


def test_the_place_that_agrees_is_the_more_significant_one() -> None:
    fixed, moving, truth = repeated(2)
    levels = [pyramid(*_tensors(image), 1)[0] for image in (fixed, moving)]
    config, off = RegistrationConfig(), truth.copy()
    off[0, 2] += 3.0
    there, elsewhere = (fit_similarity(*levels, matrix, config) for matrix in (truth, off))
    assert there.zncc > 0.9
    assert there.beats(elsewhere)
    assert there.beats_as_start(elsewhere)
    nowhere = fit_similarity(*levels, np.array([[1.0, 0, 900], [0, 1, 0], [0, 0, 1]]), config)
    assert nowhere.significance < elsewhere.significance


def test_a_start_that_nothing_betters_is_of_the_model_that_is_fitted_and_unsure() -> None:
    turned = np.array([[0.8, -0.6, 3.0], [0.6, 0.8, -2.0], [0, 0, 1]])
    kept = unrefined(turned, Model.RIGID, SHAPE)
    np.testing.assert_allclose(kept.matrix, turned, atol=1e-9)
    assert kept.ending is Ending.NOTHING_BETTER
    assert kept.expected_error == np.inf
    np.testing.assert_array_equal(unrefined(turned, Model.TRANSLATION, SHAPE).matrix[:2, :2], np.eye(2))


def _tensors(image: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    plane = torch.from_numpy((image - image.mean()) / image.std()).float()[None, None]
    return plane, torch.ones(SHAPE, dtype=torch.bool)
