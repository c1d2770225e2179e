"""Parts that a transform leaves behind are told, in pixels; where it is right there are none; noise tells nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from tests.registration.analytic import Scene, about_centre, level
from zncc_cli import register
from zncc_cli.registration.inputs.orientation_map import OrientedPair
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.quality.residual_motion import Parts
from zncc_cli.registration.register import RegistrationResult
from zncc_cli.registration.transforms.matrices import map_points, mirror

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
    return Parts.of(OrientedPair.of(*levels), matrix).residual_motion(alike=True)


def parts_left(fixed: np.ndarray, moving: np.ndarray, matrix: np.ndarray = IDENTITY) -> float:
    levels = (Level(each.image, each.mask, 1) for each in (level(fixed), level(moving)))
    return Parts.of(OrientedPair.of(*levels), matrix).left_behind


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
    # Blocks tell whole pixels, and see the mean over 16; the flanks of the part agree with neither side.
    seen = np.where(off >= 2, off, 0)
    assert parts_left(*views) == pytest.approx(np.sqrt(np.mean(seen**2)), rel=0.25)


def test_less_than_blocks_tell_is_nothing() -> None:
    assert motion(*waving(1, amplitude=0.4)) == 0


def test_parts_that_agree_on_nothing_tell_nothing() -> None:
    assert motion(noise(1), noise(2)) is None
    assert not parts_left(noise(1), noise(2))


def test_an_image_without_texture_tells_nothing() -> None:
    flat = np.where(np.arange(SHAPE[1]) < 20, 1.0, 0.0) * np.ones(SHAPE)
    assert motion(flat, flat) is None


def bending_pair(to_fixed: np.ndarray = IDENTITY, shape: tuple[int, int] = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """Return a scene, and a moving image (H, W) whose pixel p shows what lies at ``to_fixed`` p and waves there."""
    off = gaussian_filter(noise(5), 16)
    places = map_points(to_fixed, np.stack(np.mgrid[: shape[0], : shape[1]][::-1], axis=-1).astype(float))
    across = map_coordinates(2 * off / off.std(), [places[..., 1], places[..., 0]], order=1, mode="nearest")
    return Scene(2).image(SHAPE), Scene(2)(np.stack([places[..., 0] - across, places[..., 1]], axis=-1))


@pytest.mark.parametrize(("peak", "status"), [(8.0, "suspect"), (4.5, "ok")])
def test_a_part_that_moved_is_a_doubt_where_it_puts_the_whole_off(peak: float, status: str) -> None:
    """A bump of 8 px at its middle puts the frame off by 1.5 px RMS, one of 4.5 px by 0.9: that is named, no more."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    off = peak * np.exp(-((x - 90) ** 2 + (y - 150) ** 2) / (2 * 34**2))
    result = register(Scene(1).image(SHAPE), Scene(1)(np.stack([x - off, y], axis=-1)), "affine")
    assert result.status == status, result.reasons
    named = [*result.reasons, *result.notes]
    assert sum("part of the" in text and "lies elsewhere by itself" in text for text in named) == 1


def assert_parts_lie_elsewhere(result: RegistrationResult) -> None:
    assert result.status == "suspect", result.reasons
    assert ["from where the transform puts them" in reason for reason in result.reasons] == [True]
    assert result.probability <= 0.5


def test_a_matrix_on_a_motion_that_bends_is_suspect() -> None:
    """Parts of it agree well everywhere, and no other figure speaks against it."""
    assert_parts_lie_elsewhere(register(*bending_pair(), "affine"))


def test_a_matrix_on_a_motion_that_bends_is_suspect_where_an_image_is_mirrored_or_finer() -> None:
    mirrored = mirror(SHAPE[1])
    assert_parts_lie_elsewhere(register(*bending_pair(mirrored), "affine", init=mirrored))
    finer = np.diag([1 / 2.5, 1 / 2.5, 1.0])
    fixed, moving = bending_pair(finer, (640, 750))
    result = register(fixed, moving, "affine", init=np.linalg.inv(finer))
    assert any("reduced" in note for note in result.notes)
    assert_parts_lie_elsewhere(result)


def test_a_right_result_is_held_against_its_parts_under_noise() -> None:
    truth = about_centre([[1.02, 0.03], [-0.02, 0.99]], (6.3, -4.25), SHAPE)
    fixed, moving = (image + 0.5 * image.std() * noise(k) for k, image in enumerate(Scene(seed=3).pair(truth, SHAPE)))
    result = register(fixed, moving, "affine")
    assert result.status == "ok", result.reasons
    assert result.evidence.residual_motion == 0  # that they tell nothing would be None
