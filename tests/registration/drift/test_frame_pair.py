"""Prepared frames, and the motions between two of them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.registration.analytic import Scene, about_centre, corner_error
from zncc_cli.config import Model, RegistrationConfig
from zncc_cli.errors import ContentError, WindowError
from zncc_cli.registration.drift.frame_pair import Measurement, PreparedFrame, measure

SHAPE = (140, 150)
WHOLE = np.ones(SHAPE, bool)
SHIFTS, RIGID = RegistrationConfig(model=Model.TRANSLATION), RegistrationConfig(model=Model.RIGID)


def noisy(image: np.ndarray, seed: int, noise: float) -> np.ndarray:
    return image + noise * image.std() * np.random.default_rng(seed).normal(size=image.shape)


def between(
    a: np.ndarray, b: np.ndarray, config: RegistrationConfig = SHIFTS, start: np.ndarray | None = None
) -> Measurement:
    frames = [PreparedFrame.of(image, np.isfinite(image), config) for image in (a, b)]
    return measure(*frames, (3, 7), config, start)


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.4, -0.7), (-11.3, 5.8), (30.25, -21.5)])
def test_a_shift_is_found_to_hundredths_of_a_pixel_through_noise(shift: tuple[float, float]) -> None:
    """Noise of 0.1 of the scene's deviation, which the frames do not share.

    The scene has nothing below a wavelength of seven pixels; for it, noise leaves 0.01 px at best, and 0.015 of a third
    of the frame is lost to the largest shift. The edges, about which each frame knows less, take some hundredths.
    """
    truth = about_centre([[1, 0], [0, 1]], shift, SHAPE)
    fixed, moving = Scene(1).pair(truth, SHAPE)
    motion = between(noisy(fixed, 1, 0.1), noisy(moving, 2, 0.1))
    assert (motion.fixed, motion.moving) == (3, 7)
    assert corner_error(motion.matrix, truth, SHAPE) < 0.1
    assert motion.block_significance > 50


def test_the_expected_error_is_the_rms_error_of_a_pair() -> None:
    """40 draws of noise: their RMS is known to a ninth, and the estimate is good to a third of it."""
    truth = about_centre([[1, 0], [0, 1]], (1.4, -2.3), SHAPE)
    fixed, moving = Scene(2).pair(truth, SHAPE)
    motions = [between(noisy(fixed, 2 * k, 1.0), noisy(moving, 2 * k + 1, 1.0)) for k in range(40)]
    errors = [corner_error(motion.matrix, truth, SHAPE) for motion in motions]
    expected = np.sqrt(np.mean([motion.expected_error**2 for motion in motions]))
    assert 0.6 < np.sqrt(np.mean(np.square(errors))) / expected < 1.6


def test_changes_of_shading_and_contrast_do_not_move_a_frame() -> None:
    truth = about_centre([[1, 0], [0, 1]], (3.6, 1.2), SHAPE)
    fixed, moving = Scene(3).pair(truth, SHAPE)
    x = np.linspace(0, 1, SHAPE[1])
    changed = moving * (1 + x) + 5 * moving.std() * x
    assert corner_error(between(fixed, changed).matrix, truth, SHAPE) < 0.1


def test_a_ninth_of_the_frame_replaced_moves_it_little() -> None:
    truth = about_centre([[1, 0], [0, 1]], (3.6, 1.2), SHAPE)
    fixed, moving = Scene(4).pair(truth, SHAPE)
    moving[20:67, 30:80] = Scene(5).image((47, 50)) * 3
    assert corner_error(between(fixed, moving).matrix, truth, SHAPE) < 0.25


def test_a_rotation_starts_from_the_shift() -> None:
    turn = np.deg2rad(1.5)
    truth = about_centre([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], (6.2, -3.1), SHAPE)
    fixed, moving = Scene(6).pair(truth, SHAPE)
    motion = between(noisy(fixed, 1, 0.1), noisy(moving, 2, 0.1), RIGID)
    assert corner_error(motion.matrix, truth, SHAPE) < 0.1  # a third of that is its own deviation
    assert motion.block_significance > 50


@pytest.mark.parametrize("config", [SHIFTS, RIGID])
def test_with_a_start_only_its_neighbourhood_is_searched(config: RegistrationConfig) -> None:
    """A texture that repeats itself is as good elsewhere: the start says where."""
    x = np.arange(SHAPE[1] + 40)
    repeated = np.tile(Scene(7).image((SHAPE[0], 20)), 10)[:, : len(x)]
    start = np.array([[1, 0, 20.6], [0, 1, 0.3], [0, 0, 1]])
    motion = between(repeated[:, : SHAPE[1]], repeated[:, : SHAPE[1]], config, start)
    assert corner_error(motion.matrix, about_centre([[1, 0], [0, 1]], (20, 0), SHAPE), SHAPE) < 0.05


def test_unrelated_frames_do_not_agree() -> None:
    """A pair needs a block significance of 20 to count (`path`)."""
    rng = np.random.default_rng(0)
    for seed in range(10):
        noise = rng.normal(size=(2, *SHAPE))
        assert between(*noise).block_significance < 20
        assert between(Scene(2 * seed).image(SHAPE), Scene(2 * seed + 1).image(SHAPE)).block_significance < 20
        assert between(Scene(seed).image(SHAPE), noise[0]).block_significance < 20


def test_nan_pixels_do_not_count() -> None:
    truth = about_centre([[1, 0], [0, 1]], (2.3, -1.6), SHAPE)
    fixed, moving = Scene(8).pair(truth, SHAPE)
    fixed[10:60, 90:] = np.nan
    assert corner_error(between(fixed, moving).matrix, truth, SHAPE) < 0.05


def test_a_constant_frame_and_a_window_too_large_are_refused() -> None:
    with pytest.raises(ContentError, match="all equal"):
        PreparedFrame.of(np.full(SHAPE, 7.0), WHOLE, SHIFTS)
    with pytest.raises(WindowError, match="at most 70"):
        PreparedFrame.of(Scene(0).image(SHAPE), WHOLE, RegistrationConfig(model=Model.RIGID, window=71))
