"""Tiles that share a strip are put side by side without an option, and what is unrelated is not."""

from __future__ import annotations

import numpy as np
import pytest

from tests.registration.analytic import Scene, about_centre
from zncc_cli import register
from zncc_cli.registration.warp import corners, map_points

SIDE = 192
EYE = [[1.0, 0.0], [0.0, 1.0]]


def tiles(seed: int, share: float, across: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two tiles that share a strip, with noise of a tenth of their deviation, and the truth."""
    along, off = SIDE * (1 - share) + 0.3, 2.4
    truth = about_centre(EYE, (-along, off) if across else (off, -along), (SIDE, SIDE))
    rng = np.random.default_rng(seed)
    fixed, moving = Scene(seed).pair(truth, (SIDE, SIDE))
    return fixed, moving + 0.1 * fixed.std() * rng.normal(size=moving.shape), truth


def strip_error(matrix: np.ndarray, truth: np.ndarray) -> float:
    """Return how far ``matrix`` takes the corners of what both tiles show from where they belong, at most."""
    moved = map_points(np.linalg.inv(truth), corners((SIDE, SIDE)))
    strip = np.clip(moved, 0, SIDE - 1)
    return float(np.linalg.norm(map_points(matrix, strip) - map_points(truth, strip), axis=-1).max())


@pytest.mark.parametrize(("share", "across"), [(0.12, True), (0.15, False), (0.2, False)])
def test_tiles_that_share_a_strip_are_found_without_an_option(share: float, across: bool) -> None:
    fixed, moving, truth = tiles(1, share, across)
    result = register(fixed, moving, "translation")
    assert result.status == "ok", result.reasons
    # Noise of a tenth leaves some hundredths of a pixel on a strip of 23 rows.
    assert strip_error(result.matrix, truth) < 0.1
    assert result.min_overlap < 0.25
    assert any("nothing was found with an overlap of 25%" in note for note in result.notes)


def test_a_richer_model_finds_the_strip_as_well() -> None:
    fixed, moving, truth = tiles(2, 0.18, True)
    result = register(fixed, moving, "rigid")
    assert result.status == "ok", result.reasons
    # An angle is known less well from a strip than a shift is, and moves its ends.
    assert strip_error(result.matrix, truth) < 0.3


def test_an_overlap_that_was_asked_for_is_not_lowered() -> None:
    fixed, moving, _ = tiles(2, 0.15, True)
    result = register(fixed, moving, "translation", min_overlap=0.25, window=11)
    assert result.status == "failed"
    assert result.min_overlap == 0.25
    assert result.notes == ()


def test_from_a_start_with_little_overlap_the_strip_is_found() -> None:
    fixed, moving, truth = tiles(3, 0.15, True)
    start = truth.copy()
    start[:2, 2] += 1.5, -1.0
    result = register(fixed, moving, "translation", init=start)
    assert result.status == "ok", result.reasons
    assert strip_error(result.matrix, truth) < 0.1


@pytest.mark.parametrize("seed", [10, 20])
def test_unrelated_images_are_refused_however_little_overlap_was_looked_for(seed: int) -> None:
    fixed, moving = Scene(seed).image((SIDE, SIDE)), Scene(seed + 1).image((SIDE, SIDE))
    result = register(fixed, moving, "translation")
    assert result.status == "failed"
    assert any("a second search went down to an overlap of 5%" in note for note in result.notes)
    assert result.min_overlap == 0.25
