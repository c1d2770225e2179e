"""The peak ratio tells a pair that agrees at one shift from one that agrees at others as well."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene, about_centre
from zncc_cli.registration.pyramid import Level, pyramid
from zncc_cli.registration.quality.peak_ratio import other_shifts, peak_ratio

SHAPE = (200, 240)


def levels(image: np.ndarray, mask: np.ndarray | None = None) -> list[Level]:
    pixels = torch.tensor((image - image.mean()) / image.std(), dtype=torch.float32)[None, None]
    return pyramid(pixels, torch.ones(image.shape, dtype=torch.bool) if mask is None else torch.tensor(mask), 3)


def shifted(dx: float, dy: float) -> np.ndarray:
    return about_centre([[1, 0], [0, 1]], (dx, dy), SHAPE)


def ratio(fixed: np.ndarray, moving: np.ndarray, dx: float = 0, dy: float = 0) -> float | None:
    return peak_ratio(levels(fixed), levels(moving), shifted(dx, dy))


def dots(dx: float = 0, dy: float = 0) -> np.ndarray:
    """Return round dots, 24 pixels apart."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return np.cos(2 * np.pi * (x - dx) / 24) + np.cos(2 * np.pi * (y - dy) / 24)


def noise(seed: int, sigma: float = 0.1) -> np.ndarray:
    return sigma * np.random.default_rng(seed).normal(size=SHAPE)


def test_a_scene_agrees_nowhere_else() -> None:
    fixed, moving = Scene(seed=1).pair(shifted(5, -3), SHAPE)
    result = ratio(fixed, moving, 5, -3)
    assert result is None or result > 5


def test_a_texture_that_repeats_itself_agrees_elsewhere() -> None:
    result = ratio(dots() + noise(1), dots(5, -3) + noise(2), 5, -3)
    assert result is not None
    # A shift by a period has less overlap, and so is a little less significant.
    assert 0.9 < result < 1.4


def test_the_other_shifts_of_a_texture_that_repeats_itself_are_periods() -> None:
    found = other_shifts(levels(dots() + noise(1)), levels(dots(5, -3) + noise(2)), shifted(5, -3), below=1.4)
    assert found
    periods = np.array([matrix[:2, 2] - shifted(5, -3)[:2, 2] for matrix in found]) / 24
    # Shifts are whole pixels of a grid, of up to four pixels of the images.
    np.testing.assert_allclose(periods, np.rint(periods), atol=4 / 24)
    assert np.abs(np.rint(periods)).max(axis=1).min() >= 1


def test_a_scene_has_no_other_shift() -> None:
    fixed, moving = Scene(seed=1).pair(shifted(5, -3), SHAPE)
    assert other_shifts(levels(fixed), levels(moving), shifted(5, -3), below=2.2) == []


def test_the_ratio_is_below_one_where_another_shift_agrees_better() -> None:
    fixed, moving = Scene(seed=1).pair(shifted(30, 0), SHAPE)
    result = ratio(fixed, moving)
    assert result is not None
    assert result < 0.7


def test_a_defect_tells_one_period_from_the_next() -> None:
    """Dots that are a little brighter or darker each, as real ones are, agree at one shift only."""
    brightness = np.random.default_rng(5).uniform(0.2, 1, (16, 16))
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]

    def uneven(dx: int, dy: int) -> np.ndarray:
        return (dots(dx, dy) + 2) * brightness[((y - dy + 12) // 24) % 16, ((x - dx + 12) // 24) % 16]

    right, off = (ratio(uneven(0, 0) + noise(1), uneven(5, -3) + noise(2), 5 + period, -3) for period in (0, 24))
    assert right is not None
    assert off is not None
    assert off < 1 < right


def test_unrelated_noise_agrees_nowhere_better() -> None:
    result = ratio(noise(1), noise(2))
    assert result is not None
    assert result < 1.5


def test_shading_does_not_count_as_agreement() -> None:
    y, x = np.mgrid[-1 : 1 : SHAPE[0] * 1j, -1 : 1 : SHAPE[1] * 1j]
    light = 10 * (1 - 0.4 * (x * x + y * y))
    result = ratio(light + noise(1), light + noise(2))
    assert result is None or result < 1.5


def test_a_straight_edge_has_one_peak() -> None:
    """All shifts along the edge agree: that is a matter of uncertainty."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    edge = np.tanh((x - 120 + 0.2 * y) / 3)
    result = ratio(edge, edge)
    assert result is None or result > 5


@pytest.mark.parametrize("side", [20, 40])
def test_small_images_are_compared_at_their_own_resolution(side: int) -> None:
    image = Scene(seed=3).image((side, side))
    result = peak_ratio(levels(image), levels(image), np.eye(3))
    assert result is None or result > 2
