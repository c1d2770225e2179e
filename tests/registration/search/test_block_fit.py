"""Most blocks find the place from some tens of pixels away; few, or those of another scene, find none."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene, about_centre, corner_error, level
from zncc_cli.config import Model
from zncc_cli.registration.inputs.orientation_map import OrientedPair
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.search.block_fit import block_fit

SHAPE = (256, 300)
TRUTH = about_centre([[1.03, 0.05], [-0.04, 0.98]], (6.3, -4.25), SHAPE)


def pair(moving_seed: int = 1) -> OrientedPair:
    fixed, moving = Scene(seed=1).pair(TRUTH, SHAPE)[0], Scene(seed=moving_seed).pair(TRUTH, SHAPE)[1]
    return OrientedPair.of(level(fixed), level(np.square(moving - moving.mean())))


@pytest.mark.parametrize("beside", [(0, 0), (13, -9), (-16, 12)])
def test_blocks_find_the_place_from_pixels_away_in_another_contrast(beside: tuple[float, float]) -> None:
    start = about_centre([[1, 0], [0, 1]], beside, SHAPE)
    found = block_fit(pair(), start @ TRUTH, Model.AFFINE)
    assert found is not None
    # Shifts are whole pixels, and those of a hundred blocks or so are averaged.
    assert corner_error(found, TRUTH, SHAPE) < 1


def test_the_fit_is_of_the_model_that_is_asked_for() -> None:
    found = block_fit(pair(), TRUTH, Model.RIGID)
    assert found is not None
    np.testing.assert_allclose(found[:2, :2] @ found[:2, :2].T, np.eye(2), atol=1e-9)


def test_the_same_pair_gives_the_same_fit() -> None:
    first, second = (block_fit(pair(), np.eye(3), Model.AFFINE) for _ in range(2))
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first, second)


def test_images_smaller_than_a_block_and_its_surroundings_have_no_fit() -> None:
    fixed, moving = Scene(seed=1).pair(np.eye(3), (40, 40))
    assert block_fit(OrientedPair.of(level(fixed), level(moving)), np.eye(3), Model.AFFINE) is None


def test_flat_images_have_no_fit() -> None:
    flat = Level(torch.zeros(1, 1, *SHAPE), torch.ones(SHAPE, dtype=torch.bool), 1)
    assert block_fit(OrientedPair.of(flat, flat), np.eye(3), Model.AFFINE) is None
