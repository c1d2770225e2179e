"""Scenes hold enough texture to be registered by; noise, stripes and flat images do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene
from zncc_cli.registration.quality.texture import texture

SHAPE = (160, 200)


def measured(image: np.ndarray, window: int = 11) -> tuple[float, int | None, np.ndarray]:
    plane = torch.from_numpy(np.asarray(image, dtype=np.float32))
    result = texture(plane, torch.ones(plane.shape, dtype=torch.bool), window)
    assert result.mask.shape == image.shape
    return result.fraction, result.recommended, result.mask


def test_a_scene_has_texture_in_small_windows() -> None:
    fraction, recommended, _ = measured(Scene(seed=0).image(SHAPE))
    assert fraction > 0.9
    assert recommended == 7


@pytest.mark.parametrize("window", [7, 11, 63])
def test_noise_is_no_texture(window: int) -> None:
    fraction, recommended, _ = measured(np.random.default_rng(0).normal(size=SHAPE), window)
    assert fraction < 0.01  # a window in a thousand by chance, and neighbours share their pixels
    assert recommended is None


def test_stripes_are_no_texture_since_they_do_not_show_a_motion_along_them() -> None:
    stripes = np.sin(np.arange(SHAPE[1]) / 4.0) + np.zeros((SHAPE[0], 1))
    assert measured(stripes)[0] == 0
    assert measured(stripes + np.random.default_rng(0).normal(0, 0.1, SHAPE))[0] < 0.02


def test_a_flat_image_has_no_texture() -> None:
    assert measured(np.full(SHAPE, 30000.0))[:2] == (0.0, None)


def test_more_noise_needs_larger_windows() -> None:
    scene, noise = Scene(seed=1).image(SHAPE), np.random.default_rng(1).normal(size=SHAPE)
    scene = (scene - scene.mean()) / scene.std()
    sides = [measured(scene + sigma * noise)[1] or 1000 for sigma in (0.0, 0.1, 0.3)]
    assert sides == sorted(sides)
    assert sides[0] < sides[-1]


def test_units_and_offset_do_not_matter() -> None:
    scene = Scene(seed=2).image(SHAPE)
    _, _, mask = measured(scene)
    np.testing.assert_array_equal(measured(1000 * scene - 5000)[2], mask)


def test_windows_that_leave_frame_or_mask_do_not_count() -> None:
    plane = torch.from_numpy(Scene(seed=3).image(SHAPE)).float()
    mask = torch.ones(SHAPE, dtype=torch.bool)
    mask[:, 100:] = False
    result = texture(torch.where(mask, plane, torch.nan), mask, 11)
    assert not result.mask[:5].any()
    assert not result.mask[:, 95:].any()
    assert result.fraction > 0.9
