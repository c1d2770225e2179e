"""Where an image can carry a registration."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene
from zncc_cli.registration.quality.texture import texture

SHAPE = (160, 200)


def look(image: np.ndarray, window: int = 11) -> tuple[float, int | None, np.ndarray]:
    plane = torch.from_numpy(np.asarray(image, dtype=np.float32))
    found = texture(plane, torch.ones(plane.shape, dtype=torch.bool), window)
    assert found.mask.shape == image.shape
    return found.fraction, found.recommended, found.mask


def test_a_scene_carries_a_registration_and_small_windows_are_enough() -> None:
    fraction, recommended, _ = look(Scene(seed=0).image(SHAPE))
    assert fraction > 0.9
    assert recommended == 7


@pytest.mark.parametrize("window", [7, 11, 63])
def test_noise_carries_none(window: int) -> None:
    fraction, recommended, _ = look(np.random.default_rng(0).normal(size=SHAPE), window)
    assert fraction < 0.01  # a window in a thousand by chance, and neighbours share their pixels
    assert recommended is None


def test_stripes_carry_none_since_they_do_not_show_where_along_them() -> None:
    stripes = np.sin(np.arange(SHAPE[1]) / 4.0) + np.zeros((SHAPE[0], 1))
    assert look(stripes)[0] == 0
    assert look(stripes + np.random.default_rng(0).normal(0, 0.1, SHAPE))[0] < 0.02


def test_a_flat_image_carries_none() -> None:
    assert look(np.full(SHAPE, 30000.0))[:2] == (0.0, None)


def test_more_noise_asks_for_larger_windows() -> None:
    scene, noise = Scene(seed=1).image(SHAPE), np.random.default_rng(1).normal(size=SHAPE)
    scene = (scene - scene.mean()) / scene.std()
    sides = [look(scene + sigma * noise)[1] or 1000 for sigma in (0.0, 0.1, 0.3)]
    assert sides == sorted(sides)
    assert sides[0] < sides[-1]


def test_units_and_offset_do_not_matter() -> None:
    scene = Scene(seed=2).image(SHAPE)
    _, _, mask = look(scene)
    np.testing.assert_array_equal(look(1000 * scene - 5000)[2], mask)


def test_windows_that_leave_frame_or_mask_do_not_count() -> None:
    plane = torch.from_numpy(Scene(seed=3).image(SHAPE)).float()
    mask = torch.ones(SHAPE, dtype=torch.bool)
    mask[:, 100:] = False
    found = texture(torch.where(mask, plane, torch.nan), mask, 11)
    assert not found.mask[:5].any()
    assert not found.mask[:, 95:].any()
    assert found.fraction > 0.9
