"""Pairs whose brightness is related in another way than by a line: inverted, folded, or by texture only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from scipy.ndimage import gaussian_filter

from tests.registration.analytic import Scene, about_centre, corner_error
from zncc_cli import register
from zncc_cli.config import Contrast
from zncc_cli.registration.inputs.texture_map import TEXTURE_WINDOW_PX, texture_map
from zncc_cli.registration.quality.bounds import CLEAR_CONSENSUS, MIN_CONSENSUS
from zncc_cli.registration.quality.verdict import Status

SHAPE = (240, 280)
IDENTITY = np.eye(3)
TRUTH = about_centre([[1.02, 0.03], [-0.02, 0.99]], (6.3, -4.25), SHAPE)


def folded(image: np.ndarray) -> np.ndarray:
    """Dark and bright become bright, and what lies between dark: no line, and no curve either that could be undone."""
    return np.abs(image - np.median(image))


def other_sensor(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A scene, and the same scene with folded brightness and light of its own."""
    fixed, moving = Scene(seed=seed).pair(TRUTH, SHAPE)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    light = 3 * moving.std() * np.sin(x / 29 + seed) * np.cos(y / 37)
    return fixed, folded(moving) + light


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_images_of_different_sensors_are_aligned_by_their_texture(seed: int) -> None:
    fixed, moving = other_sensor(seed)
    result = register(fixed, moving, "affine")
    assert result.status == "ok", result.reasons
    assert result.by_texture
    assert any("local texture" in note for note in result.notes)
    # Texture maps are good to about a pixel: eight scenes ended within 0.37 to 1.2 px.
    assert corner_error(result.matrix, TRUTH, SHAPE) < 1.5


def test_what_texture_has_found_is_fitted_through_the_tone_curve_that_it_tells() -> None:
    fixed, moving = Scene(seed=1).pair(TRUTH, SHAPE)
    result = register(fixed, folded(moving), "affine")
    assert result.status == "ok", result.reasons
    assert not result.by_texture
    assert any("differs by a curve" in note for note in result.notes)
    # Texture alone ends 0.3 px off.
    assert corner_error(result.matrix, TRUTH, SHAPE) < 0.05


def test_brightness_is_compared_where_it_agrees() -> None:
    fixed, moving = Scene(seed=4).pair(TRUTH, SHAPE)
    assert not register(fixed, moving, "affine").by_texture
    assert not register(fixed, -moving, "affine").by_texture


def test_any_contrast_compares_texture_without_asking_brightness() -> None:
    fixed, moving = Scene(seed=4).pair(TRUTH, SHAPE)
    result = register(fixed, moving, "affine", contrast="any")
    assert result.by_texture
    assert result.status == "ok", result.reasons
    # A window of texture is seven pixels wide; without noise its mean is still good to a tenth.
    assert corner_error(result.matrix, TRUTH, SHAPE) < 0.1


@pytest.mark.parametrize(("contrast", "sign"), [("same", -1), ("inverted", 1)])
def test_a_contrast_that_is_excluded_is_not_found(contrast: str, sign: int) -> None:
    fixed, moving = Scene(seed=5).pair(TRUTH, SHAPE)
    assert register(fixed, sign * moving, "affine", contrast=contrast).status == "failed"
    assert register(fixed, -sign * moving, "affine", contrast=contrast).status == "ok"


@pytest.mark.parametrize("contrast", list(Contrast))
def test_unrelated_images_are_refused_in_every_contrast(contrast: Contrast) -> None:
    fixed, moving = (Scene(seed=seed).image((150, 170)) for seed in (6, 7))
    assert register(fixed, moving, "affine", contrast=contrast).status != "ok"


def test_texture_does_not_change_with_the_sign_or_the_gain_of_the_image() -> None:
    image = torch.tensor(np.random.default_rng(0).normal(size=(60, 70)), dtype=torch.float32)[None, None]
    mask = torch.ones(60, 70, dtype=torch.bool)
    texture, usable = texture_map(image, mask)
    negative, _ = texture_map(-image, mask)
    torch.testing.assert_close(texture, negative)
    reach = TEXTURE_WINDOW_PX // 2
    assert usable[reach:-reach, reach:-reach].all()
    assert not usable[: reach - 1].any()
    values = texture[0, 0][usable].double()
    # Mean zero and variance one, as every image that is registered; the sums are of float32.
    assert abs(float(values.mean())) < 1e-5
    assert abs(float(values.std(correction=0)) - 1) < 1e-5


def test_texture_next_to_a_pixel_that_does_not_count_does_not_count() -> None:
    image = torch.tensor(np.random.default_rng(0).normal(size=(60, 70)), dtype=torch.float32)[None, None]
    mask = torch.ones(60, 70, dtype=torch.bool)
    mask[30, 40] = False
    _, usable = texture_map(image, mask)
    assert not usable[27:34, 37:44].any()
    assert usable[26, 40]


def test_what_has_no_texture_is_not_aligned_by_the_rounding_of_its_texture() -> None:
    y, x = np.mgrid[:160, :160].astype(np.float64)
    ramp = x + 2 * y
    assert register(ramp, ramp[::-1], "affine", contrast="any").status != "ok"


@pytest.mark.parametrize("options", [{"init": np.eye(3)}, {"max_motion": 20.0}], ids=["init", "max_motion"])
def test_a_start_does_not_lead_to_a_contrast_that_is_excluded(options: dict[str, Any]) -> None:
    fixed, _ = Scene(seed=5).pair(TRUTH, SHAPE)
    assert not register(fixed, -fixed, "translation", contrast="same", **options).inverted


@pytest.mark.parametrize("seed", [1, 2])
def test_a_field_stop_that_stays_is_no_agreement_of_texture(seed: int) -> None:
    """Round images of different scenes, behind one stop of one value: the stop has texture all around."""
    y, x = np.mgrid[:160, :160] - 79.5
    inside = np.hypot(x, y) < 60
    scenes = (Scene(seed=number).pair(IDENTITY, (160, 160))[0] for number in (seed, 100 + seed))
    fixed, moving = (np.where(inside, 150 + 18 * scene / scene.std(), 0) for scene in scenes)
    assert register(fixed, moving, "translation").status != "ok"


def test_a_result_that_failed_is_not_probable_whatever_the_blocks_say() -> None:
    """Squares of one size at random places: a block of one image finds a square like its own near any place."""

    def squares(seed: int) -> np.ndarray:
        random = np.random.default_rng(seed)
        image = np.zeros((220, 220))
        for _ in range(60):
            y, x = random.integers(0, 220, 2)
            image[max(0, y - 6) : y + 6, max(0, x - 6) : x + 6] += random.uniform(0.3, 1)
        return gaussian_filter(image, 1) + 0.02 * random.normal(size=image.shape)

    result = register(squares(1000), squares(1001), contrast="any")
    assert result.status is Status.FAILED
    assert result.evidence.consensus is not None
    assert result.evidence.consensus > MIN_CONSENSUS
    assert result.probability <= 0.05


def test_a_rotation_that_blocks_follow_better_is_no_translation() -> None:
    """Around the centre of rotation blocks find a shift for themselves; that does not make it the motion."""
    folder = Path(__file__).parents[2] / "sample_data" / "rigid"
    fixed, moving = (np.asarray(tifffile.imread(folder / f"{name}.tif")) for name in ("fixed", "moving"))
    assert register(fixed, moving, "translation").status is not Status.OK


def test_a_wall_of_windows_is_found_a_period_off_as_well_and_is_not_ok() -> None:
    """By day and by night, where other windows are lit: blocks find the place surely, and others as surely."""

    def wall(lit: np.ndarray, dark: float, dx: int) -> np.ndarray:
        y, x = np.mgrid[:176, :200]
        x = x + dx
        inside = (y % 44 >= 6) & (y % 44 < 32) & (x % 36 >= 6) & (x % 36 < 24)
        image = np.where(inside, lit[y // 44, x // 36], dark)
        noise = np.random.default_rng(dx).normal(size=image.shape)
        return np.asarray(gaussian_filter(image, 0.8) + 0.02 * noise)

    random = np.random.default_rng(1)
    day, night = random.uniform(0.2, 0.4, (4, 8)), random.choice([0.2, 0.9], size=(4, 8))
    result = register(wall(day, 0.6, 1), wall(night, 0.05, 22), "translation", contrast="any")
    assert result.status is not Status.OK
    assert result.evidence.consensus is not None
    assert result.evidence.consensus >= CLEAR_CONSENSUS
    assert result.evidence.rival_consensus is not None
    assert result.evidence.rival_consensus >= MIN_CONSENSUS


def test_a_place_by_brightness_a_period_off_is_not_ok_by_blocks() -> None:
    """Other windows are lit at night, and the wall is the darker: three periods off a few agree by their negative.

    By brightness the other places that agree as well lie half a period away, where blocks find nothing. Those that
    blocks find as well agree by their texture. It was ok.
    """
    random, height, width = np.random.default_rng(1), 60, 72
    lit_share, day = random.uniform(0.2, 0.8), random.uniform(0.2, 0.4, (20, 20))
    night = np.where(random.random((20, 20)) < lit_share, 0.9, 0.2)
    dx, dy = random.integers(0, width), random.integers(0, height)

    def wall(lit: np.ndarray, dark: float, shift: tuple[int, int], seed: int) -> np.ndarray:
        y, x = np.mgrid[:264, :288]
        x, y = x + shift[0], y + shift[1]
        across = (x % width >= width // 6) & (x % width < width - width // 3)
        down = (y % height >= height // 7) & (y % height < height - height // 4)
        image = gaussian_filter(np.where(across & down, lit[y // height, x // width], dark), 0.8)
        return np.asarray(image + 0.02 * np.random.default_rng(seed).normal(size=image.shape))

    moving = wall(night, float(random.choice([0.05, 0.5])), (int(dx), int(dy)), 2)
    result = register(wall(day, 0.6, (0, 0), 1), moving, "translation")
    off = result.matrix[:2, 2] + (dx, dy)
    assert result.status is not Status.OK or np.abs(off).max() < 1
