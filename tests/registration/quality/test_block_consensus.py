"""Blocks that find a place by themselves confirm it; blocks of other scenes, of edges and of flat ground do not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene, about_centre, level
from zncc_cli.config import Model
from zncc_cli.registration.inputs.orientation_map import OrientedPair
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.quality.block_consensus import SAME_PX, block_consensus, clearest_consensus
from zncc_cli.registration.quality.bounds import MIN_CONSENSUS

SHAPE = (256, 300)
TRUTH = about_centre([[1.02, 0.03], [-0.02, 0.99]], (6.3, -4.25), SHAPE)


def scene(seed: int) -> tuple[np.ndarray, np.ndarray]:
    return Scene(seed=seed).pair(TRUTH, SHAPE)


def significance(fixed: Level, moving: Level, matrix: np.ndarray) -> float:
    return block_consensus(OrientedPair.of(fixed, moving), matrix, Model.AFFINE).significance


def test_all_blocks_of_one_scene_find_the_place() -> None:
    fixed, moving = scene(1)
    # Blocks in which the scene varies slowly decide nothing; all others find it: -log10 of 0.048^n, n of about ten.
    assert significance(level(fixed), level(moving), TRUTH) > 10


@pytest.mark.parametrize("seed", range(5))
def test_blocks_of_unrelated_scenes_find_no_place(seed: int) -> None:
    fixed, moving = scene(seed)[0], scene(seed + 10)[1]
    assert significance(level(fixed), level(moving), TRUTH) < 1


def test_the_edges_of_an_image_of_another_contrast_lie_alike() -> None:
    fixed, moving = scene(1)
    # Dark and bright become bright: no edge is lost, but for those across the level in between.
    folded = np.square(moving - moving.mean())
    assert significance(level(fixed), level(folded), TRUTH) > 10


@pytest.mark.parametrize("degrees", [40, 90, 170])
def test_orientations_turn_with_the_image(degrees: float) -> None:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    truth = about_centre([[c, -s], [s, c]], (6.3, -4.25), SHAPE)
    fixed, moving = Scene(seed=1).pair(truth, SHAPE)
    assert significance(level(fixed), level(moving), truth) > 10


def test_images_of_which_all_blocks_agree_are_confirmed() -> None:
    """That so many blocks agree by chance has a probability below what float64 holds."""
    image = np.random.default_rng(0).normal(size=(300, 1000))
    # Blocks begin every 8 pixels, and lie with 14 pixels around them 3 pixels within the frame: a quarter of the
    # 31 x 119, less three. Of the 29^2 shifts 37 are no longer than 3.5 pixels.
    expected = -(round(31 * 119 / 4) - 3) * math.log10(37 / 29**2)
    assert significance(level(image), level(image), np.eye(3)) == pytest.approx(expected, rel=1e-9)


def test_the_tolerance_is_that_of_the_level() -> None:
    image = np.random.default_rng(0).normal(size=(100, 100))
    coarse = Level(level(image).image, level(image).mask, 4)
    assert block_consensus(OrientedPair.of(coarse, coarse), np.eye(3), Model.AFFINE).tolerance == 4 * SAME_PX


def test_noise_is_no_place() -> None:
    rng = np.random.default_rng(0)
    fixed, moving = rng.normal(size=(2, *SHAPE))
    assert significance(level(fixed), level(moving), np.eye(3)) < 1


@pytest.mark.parametrize(("pixels", "confirmed"), [(1.5, True), (6.0, False)])
def test_a_place_beside_the_right_one_is_not_confirmed(pixels: float, confirmed: bool) -> None:
    fixed, moving = scene(2)
    beside = about_centre([[1, 0], [0, 1]], (pixels, 0), SHAPE) @ TRUTH
    consensus = significance(level(fixed), level(moving), beside)
    assert (consensus > MIN_CONSENSUS) == confirmed


def test_parallel_edges_decide_nothing() -> None:
    x = np.mgrid[: SHAPE[0], : SHAPE[1]][1].astype(float)
    stripes = np.cos(x / 5) + np.cos(x / 8.3)
    assert significance(level(stripes), level(stripes), np.eye(3)) == 0


def test_images_smaller_than_a_block_with_its_surroundings_tell_nothing() -> None:
    fixed, moving = Scene(seed=1).pair(np.eye(3), (40, 200))
    assert significance(level(fixed), level(moving), np.eye(3)) == 0


def test_blocks_with_invalid_pixels_do_not_count() -> None:
    fixed, moving = (level(image) for image in scene(1))
    fixed.mask[::40, ::40] = False
    assert significance(fixed, moving, TRUTH) == 0


def test_a_finer_level_tells_where_one_holds_too_few_blocks() -> None:
    rng = np.random.default_rng(0)
    fine, coarse = (
        Level(level(rng.normal(size=(n, n))).image, torch.ones(n, n, dtype=torch.bool), 1) for n in (128, 64)
    )
    coarse = replace(coarse, factor=2)
    alone, both = OrientedPair.of(coarse, coarse), OrientedPair.of(coarse, coarse, (fine, fine))
    assert clearest_consensus(alone, np.eye(3), Model.AFFINE).significance < MIN_CONSENSUS
    found = clearest_consensus(both, np.eye(3), Model.AFFINE)
    assert found.tolerance == SAME_PX
    expected = block_consensus(OrientedPair.of(fine, fine), np.eye(3), Model.AFFINE).significance - math.log10(2)
    assert found.significance == pytest.approx(expected)
