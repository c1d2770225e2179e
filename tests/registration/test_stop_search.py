"""Images behind the round stop of a camera are aligned by what they show, not by the stop."""

from __future__ import annotations

import numpy as np

from tests.registration.analytic import Scene
from zncc_cli.registration.register import register
from zncc_cli.registration.warp import corners, map_points

SIDE = 256
SHIFT = 26.0, -18.0  # of the scene behind the stop, (x, y) pixels


def behind_stop(scene: np.ndarray, contrast: float, centre: tuple[float, float], seed: int) -> np.ndarray:
    """Return a scene of little contrast behind a bright stop whose light falls off, with noise of half its contrast."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    distance = np.hypot(columns - centre[0], rows - centre[1]) / 105
    scene = 100 - 40 * distance**2 + contrast * (scene - scene.mean()) / scene.std()
    noise = np.random.default_rng(seed).normal(0, abs(contrast) / 2, scene.shape)
    return np.asarray(np.where(distance <= 1, scene, 3) + noise)


def pair(moving_seed: int, contrast: float, centre: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    fixed = Scene(0).image((SIDE, SIDE))
    moving = Scene(moving_seed).image((SIDE, SIDE), np.array([[1, 0, -SHIFT[0]], [0, 1, -SHIFT[1]], [0, 0, 1.0]]))
    return behind_stop(fixed, 3, (128, 128), 1), behind_stop(moving, contrast, centre, 2)


def test_a_scene_that_moved_behind_the_stop_is_found() -> None:
    result = register(*pair(0, 3, (134, 122)), "rigid")  # the whole images end 200 px off
    frame = corners((SIDE, SIDE))
    assert result.status == "ok", result.reasons
    # Light that falls off by ten times the contrast pulls windows by some tenths of a pixel.
    assert np.abs(map_points(result.matrix, frame) - frame - SHIFT).max() < 0.5
    assert any("round dark frame" in note for note in result.notes)


def test_different_scenes_behind_one_stop_are_not_ok() -> None:
    result = register(*pair(4, -3, (131, 126)), "rigid")  # edge and light agree: ok but for what lies within
    assert result.status == "suspect"
    assert "round dark frame" in " ".join(result.reasons)


def test_a_mirror_image_behind_the_stop_agrees_by_what_lies_within() -> None:
    fixed, moving = pair(0, 3, (134, 122))
    start = np.array([[-1, 0, SIDE - 1 - SHIFT[0]], [0, 1, SHIFT[1]], [0, 0, 1.0]])
    result = register(fixed, np.ascontiguousarray(moving[:, ::-1]), "rigid", init=start)
    frame = corners((SIDE, SIDE))
    assert np.abs(map_points(result.matrix, frame) - map_points(start, frame)).max() < 0.5  # as above
    assert any("round dark frame" in note for note in result.notes)
    assert "round dark frame" not in " ".join(result.reasons)
