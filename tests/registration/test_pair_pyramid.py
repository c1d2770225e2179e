"""The agreement of a pair counts what both images show, wherever the ground is empty."""

from __future__ import annotations

import numpy as np
import torch

from zncc_cli.config import RegistrationConfig
from zncc_cli.registration.pair_pyramid import LevelMetrics, PairPyramid
from zncc_cli.registration.pyramid import Level

SIDE = 128


def metrics(fixed: np.ndarray, moving: np.ndarray) -> LevelMetrics:
    def levels(image: np.ndarray) -> list[Level]:
        pixels = torch.tensor((image - image.mean()) / image.std(), dtype=torch.float32)[None, None]
        return [Level(pixels, torch.ones(image.shape, dtype=torch.bool), 1)]

    return LevelMetrics(PairPyramid(levels(fixed), levels(moving)), RegistrationConfig())


def marks(seed: int) -> np.ndarray:
    """A few soft marks on empty ground with a little noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    image = 0.002 * rng.normal(size=(SIDE, SIDE))
    for cx, cy in rng.uniform(20, SIDE - 20, (5, 2)):
        image += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 18)
    return image


def test_an_exact_copy_on_empty_ground_agrees_though_most_windows_are_noise() -> None:
    scene = marks(0)
    pair = metrics(scene, scene + 0.002 * np.random.default_rng(9).normal(size=scene.shape))
    alike, agreement = pair[0].similarity(np.eye(3)), pair.agreement(0, np.eye(3))
    assert alike is not None
    assert agreement is not None
    # In half of the frame there is noise of half the variance in common.
    assert alike.zncc < 0.7
    assert agreement.zncc > 0.85
    assert agreement.share > 0.9


def test_marks_on_empty_ground_of_the_other_image_count_against_a_place_whichever_shows_them() -> None:
    scene, bare = marks(0), marks(0)
    bare[:, : SIDE // 2] = 0.002 * np.random.default_rng(5).normal(size=(SIDE, SIDE // 2))
    there, back = (metrics(*pair).agreement(0, np.eye(3)) for pair in ((scene, bare), (bare, scene)))
    whole = metrics(scene, scene).agreement(0, np.eye(3))
    assert there is not None
    assert back is not None
    assert whole is not None
    # The roles are exchanged, and the mean of both is taken: equal up to rounding, but for the interpolation of one.
    assert abs(there.zncc - back.zncc) < 0.02
    assert there.zncc < 0.9 * whole.zncc


def test_too_little_overlap_has_no_agreement() -> None:
    scene, away = marks(0), np.eye(3)
    away[0, 2] = 2 * SIDE
    assert metrics(scene, scene).agreement(0, away) is None


def test_the_finest_level_of_so_many_pixels_is_that_of_both_images() -> None:
    """A small image is looked for in a large one: what is bounded is the larger."""

    def levels(*sides: int) -> list[Level]:
        return [Level(torch.zeros(1, 1, n, n), torch.ones(n, n, dtype=torch.bool), 2**k) for k, n in enumerate(sides)]

    pair = PairPyramid(levels(8, 4), levels(20, 10))
    assert [pair.finest_of(most) for most in (400, 399, 100, 99)] == [0, 1, 1, None]
    assert pair.exchanged.finest_of(399) == 1
