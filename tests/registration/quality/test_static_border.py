"""A border of constant pixels that both images have alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene, about_centre, corner_error, level
from zncc_cli import register
from zncc_cli.registration.quality.static_border import common_border
from zncc_cli.registration.quality.verdict import Status

SHAPE = (160, 192)
TRUTH = about_centre([[1, 0], [0, 1]], (3.3, -2.25), SHAPE)
FREE = np.zeros(SHAPE, dtype=bool)
FREE[12:-12, 12:-12] = True


def pair() -> tuple[np.ndarray, np.ndarray]:
    fixed, moving = Scene(seed=4).pair(TRUTH, SHAPE)
    return fixed + 0.5, moving + 0.5  # a third of their range above the zero of a frame


def framed(free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return tuple(np.where(free, image, 0) for image in pair())


def disc() -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (x - 95.5) ** 2 + (y - 79.5) ** 2 < 75**2


@pytest.mark.parametrize("free", [FREE, disc()], ids=["frame", "disc"])
def test_a_black_frame_is_found_and_little_else(free: np.ndarray) -> None:
    found = common_border(*map(level, framed(free)))
    assert found is not None
    assert bool(found[torch.tensor(~free)].all())
    # Two pixels wider than the frame, along its inner edge.
    assert int(found.sum()) < (~free).sum() + 3 * 4 * max(SHAPE)


def test_a_scene_without_a_border_has_none() -> None:
    assert common_border(*map(level, pair())) is None


def test_an_object_that_moved_far_before_a_plain_background_has_none() -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    fixed, moving = (((x - 80 - dx) ** 2 + (y - 80) ** 2 < 50**2) * 1.0 for dx in (0, 40))
    assert common_border(level(fixed), level(moving)) is None


def test_frames_of_another_size_have_none() -> None:
    fixed, moving = framed(FREE)
    assert common_border(level(fixed), level(moving[:-20])) is None


def test_a_border_that_one_image_leaves_out_already_is_one() -> None:
    fixed, moving = map(level, framed(FREE))
    without_it = replace(moving, mask=torch.tensor(FREE))
    found = common_border(fixed, without_it)
    assert found is not None
    assert bool(found[torch.tensor(~FREE)].all())
    assert common_border(replace(fixed, mask=torch.tensor(FREE)), without_it) is None


def test_a_black_frame_that_pulls_is_left_out() -> None:
    fixed, moving = framed(FREE)
    got = register(fixed, moving, "translation")
    assert got.status is Status.OK
    assert any("same border of constant pixels" in note for note in got.notes)
    assert got.evidence.border_left_out
    assert got.evidence.border_pull is not None
    assert got.evidence.border_pull > 0.03
    # The spline between pixels, and a border of two pixels more; with the frame it is off by tenths of a pixel.
    assert corner_error(got.matrix, TRUTH, SHAPE) < 0.01


@pytest.mark.parametrize("moving_mask", [None, FREE], ids=["no mask", "mask of one image"])
def test_different_scenes_behind_one_frame_are_not_aligned(moving_mask: np.ndarray | None) -> None:
    fixed, moving = (np.where(FREE, Scene(seed=seed).pair(TRUTH, SHAPE)[0] + 0.5, 0) for seed in (4, 5))
    assert register(fixed, moving, "affine", moving_mask=moving_mask).status is Status.FAILED


def test_a_frame_that_is_far_darker_than_all_of_the_scene_is_no_data() -> None:
    fixed, moving = (np.where(FREE, image + 10, 0) for image in pair())
    got = register(fixed, moving, "translation")
    assert got.status is Status.OK
    assert len(got.notes) == 2  # an image each
    assert corner_error(got.matrix, TRUTH, SHAPE) < 0.01


def test_told_of_the_frame_it_is_ok() -> None:
    fixed, moving = framed(FREE)
    got = register(fixed, moving, "translation", fixed_mask=FREE, moving_mask=FREE)
    assert got.status is Status.OK
    assert got.evidence.border_pull is None


def test_a_plain_background_that_moves_with_its_object_pulls_nowhere() -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)

    def seen(dx: float, dy: float) -> np.ndarray:
        far = np.hypot(x - dx - 95, y - dy - 80)
        inside = 1 / (1 + np.exp((far - 60) / 0.7))
        return np.where(far < 70, inside * (2 + Scene(seed=6)(np.stack((x - dx, y - dy), axis=-1))), 0)

    got = register(seen(0, 0), seen(0.4, -0.3), "translation")
    assert got.status is Status.OK
