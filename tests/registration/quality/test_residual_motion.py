"""Parts that a transform leaves behind are told, in pixels; where it is right there are none; noise tells nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tests.registration.analytic import Scene, about_centre, level
from zncc_cli import register
from zncc_cli.registration.inputs.orientation_map import OrientedPair
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.quality.residual_motion import leaves_parts, residual_motion

SHAPE = (256, 300)
WAVE_PX = 6.0
IDENTITY = np.eye(3)


def waving(seed: int, amplitude: float = WAVE_PX) -> tuple[np.ndarray, np.ndarray]:
    """Return two views of a scene; in the second one it lies off along x by a sine of y, of three periods."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    off = amplitude * np.sin(6 * np.pi * y / SHAPE[0])
    return Scene(seed).image(SHAPE), Scene(seed)(np.stack([x - off, y], axis=-1))


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=SHAPE)


def motion(fixed: np.ndarray, moving: np.ndarray, matrix: np.ndarray = IDENTITY, factor: int = 1) -> float | None:
    levels = (Level(each.image, each.mask, factor) for each in (level(fixed), level(moving)))
    return residual_motion(OrientedPair.of(*levels), matrix, alike=True)


def parts_left(fixed: np.ndarray, moving: np.ndarray, matrix: np.ndarray = IDENTITY) -> bool:
    return leaves_parts(
        OrientedPair.of(*(Level(each.image, each.mask, 1) for each in (level(fixed), level(moving)))), matrix
    )


@pytest.mark.parametrize("factor", [1, 4])
def test_half_of_a_wave_lies_off_by_at_least_its_median(factor: float) -> None:
    # The median of |sin| is sin(45 degrees). Blocks tell whole pixels, and see the mean over 16 rows of a wave of 85.
    assert motion(*waving(1), factor=int(factor)) == pytest.approx(factor * WAVE_PX * 0.71, abs=1.0 * factor)


def test_a_transform_that_is_right_leaves_nothing() -> None:
    truth = about_centre([[1.02, 0.03], [-0.02, 0.99]], (6.3, -4.25), SHAPE)
    images = Scene(seed=1).pair(truth, SHAPE)
    assert motion(*images, truth) == 0
    assert not parts_left(*images, truth)


def test_a_small_part_that_moves_is_told() -> None:
    """A tenth of the frame lies off by more than 2 px, which half of the parts do not."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    off = 6 * np.exp(-((x - 90) ** 2 + (y - 150) ** 2) / (2 * 32**2))
    views = Scene(1).image(SHAPE), Scene(1)(np.stack([x - off, y], axis=-1))
    assert motion(*views) == 0
    assert parts_left(*views)


def test_less_than_blocks_tell_is_nothing() -> None:
    assert motion(*waving(1, amplitude=0.4)) == 0


def test_parts_that_agree_on_nothing_tell_nothing() -> None:
    assert motion(noise(1), noise(2)) is None
    assert not parts_left(noise(1), noise(2))


def test_an_image_without_texture_tells_nothing() -> None:
    flat = np.where(np.arange(SHAPE[1]) < 20, 1.0, 0.0) * np.ones(SHAPE)
    assert motion(flat, flat) is None


def test_a_matrix_on_a_motion_that_bends_is_suspect() -> None:
    """Parts of it agree well everywhere, and no other figure speaks against it."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    off = gaussian_filter(noise(5), 16)
    moving = Scene(2)(np.stack([x - 2 * off / off.std(), y], axis=-1))
    result = register(Scene(2).image(SHAPE), moving, "affine")
    assert result.status == "suspect"
    assert [reason for reason in result.reasons if "from where the transform puts them" in reason] == [*result.reasons]
    assert result.probability <= 0.5


def test_a_right_result_is_held_against_its_parts_under_noise() -> None:
    truth = about_centre([[1.02, 0.03], [-0.02, 0.99]], (6.3, -4.25), SHAPE)
    fixed, moving = (image + 0.5 * image.std() * noise(k) for k, image in enumerate(Scene(seed=3).pair(truth, SHAPE)))
    result = register(fixed, moving, "affine")
    assert result.status == "ok", result.reasons
    assert result.evidence.residual_motion in (None, 0)
