"""Movies that are not to be trusted, though their frames agree pair by pair, and those that are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.registration.analytic import Scene, about_centre
from zncc_cli.config import Model
from zncc_cli.config.stack import StackConfig
from zncc_cli.errors import ExitCode
from zncc_cli.jobs.stack.align import align_stack
from zncc_cli.jobs.stack.outcome import StackOutcome

SHAPE = (128, 128)
CONTRAST, NOISE = 1500.0, 100.0  # standard deviations, grey values

Align = Callable[..., StackOutcome]


@pytest.fixture
def align(tmp_path: Path) -> Align:
    """Align frames (n, H, W) of a standard deviation of about one, with noise."""

    def run(frames: np.ndarray, **settings: object) -> StackOutcome:
        noise = np.random.default_rng(1).normal(0, NOISE, frames.shape)
        grey = np.clip(np.rint(20000 + CONTRAST * frames + noise), 0, 65535).astype(np.uint16)
        tifffile.imwrite(tmp_path / "movie.tif", grey, photometric="minisblack", metadata={"axes": "TYX"})
        config = StackConfig(image=tmp_path / "movie.tif", out=tmp_path / "out", overwrite=True, **settings)  # type: ignore[arg-type]
        return align_stack(config, lambda _: None)

    return run


def seen(seed: int, matrices: list[np.ndarray]) -> np.ndarray:
    """Return what each frame shows of a scene: at p, what the scene has at matrix p."""
    frames = np.array([Scene(seed).image(SHAPE, matrix) for matrix in matrices])
    return np.asarray(frames / frames[0].std())


def turned(degrees: float, scale: float, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    a = np.radians(degrees)
    return about_centre((scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])).tolist(), shift, SHAPE)


def drifting(count: int) -> list[np.ndarray]:
    return [turned(0, 1, (0.9 * k, -0.5 * k)) for k in range(count)]


@pytest.mark.parametrize(
    ("degrees", "growth", "too_simple", "enough"),
    [(0.5, 0.0, Model.TRANSLATION, Model.RIGID), (0.0, 0.005, Model.RIGID, Model.SIMILARITY)],
)
def test_a_motion_richer_than_the_model_is_suspect(
    align: Align, degrees: float, growth: float, too_simple: Model, enough: Model
) -> None:
    """Neighbours differ by 0.3 to 0.5 px RMS from what the model can follow, and so agree with each other."""
    frames = seen(1, [turned(degrees * k, 1 + growth * k, (0.2 * k, -0.1 * k)) for k in range(12)])
    outcome = align(frames, model=too_simple)
    assert outcome.exit_code is ExitCode.NOT_TRUSTED
    assert f"the motion may be richer than --model {too_simple}" in outcome.report["reasons"][-1]
    assert outcome.report["metrics"]["misfit"] > 0.5
    assert align(frames, model=enough).exit_code is ExitCode.OK


def test_a_rotation_too_small_to_see_between_neighbours_is_suspect_where_it_adds_up(align: Align) -> None:
    """0.1 degrees move a frame of 128 by 0.09 px RMS, which nobody minds; the 24 of the movie by 2.1 px."""
    outcome = align(seen(2, [turned(0.1 * k, 1) for k in range(24)]), to="previous")
    assert outcome.exit_code is ExitCode.NOT_TRUSTED
    assert outcome.report["outliers"] == []


def test_a_fixed_pattern_of_the_camera_is_suspect(align: Align) -> None:
    """Dirt draws neighbours to no motion at all, and pairs farther apart to the scene's: they contradict.

    Specks of 2 x 2 pixels: single ones would be left out as hot pixels.
    """
    rng = np.random.default_rng(3)
    dirt = np.zeros(SHAPE)
    row, column = rng.integers(0, 127, (2, 75))
    for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
        dirt[row + down, column + right] = 2  # weaker specks lose to the scene, stronger ones are it
    frames = seen(3, [turned(0, 1, (2.3 * k, -1.1 * k)) for k in range(8)])
    outcome = align(frames + 0.3 * rng.normal(size=frames.shape) + dirt)
    assert outcome.exit_code is ExitCode.NOT_TRUSTED
    assert any("a richer model finds frames" in reason for reason in outcome.report["reasons"])


def test_stripes_that_do_not_determine_a_rotation_are_suspect(align: Align) -> None:
    rows = seen(4, [turned(0, 1, (0, 2 * k)) for k in range(8)])[:, :, :1]
    outcome = align(np.broadcast_to(rows, (8, *SHAPE)), model=Model.RIGID)
    assert outcome.exit_code is ExitCode.NOT_TRUSTED
    assert any("too little texture for --model rigid" in reason for reason in outcome.report["reasons"])


def test_a_reference_that_agrees_with_no_frame_is_suspect(align: Align) -> None:
    frames = seen(5, drifting(12))
    frames[4] = seen(6, drifting(1))[0]
    outcome = align(frames, to="4")
    assert outcome.exit_code is ExitCode.NOT_TRUSTED
    assert any(reason.startswith("frame 4, to which the others are aligned,") for reason in outcome.report["reasons"])
    assert align(frames, to="3").exit_code is ExitCode.OK  # one of twelve is no reason to doubt the others


def test_a_scene_that_bleaches_and_becomes_another_is_no_reason_for_doubt(align: Align) -> None:
    """The last frame has nothing of the first, and a seventh of its light; each neighbour has nearly all."""
    count = 18
    share = np.linspace(0, np.pi / 2, count)[:, None, None]
    old, new = seen(7, drifting(count)), seen(8, drifting(count))
    outcome = align(np.exp(-np.linspace(0, 2, count))[:, None, None] * (np.cos(share) * old + np.sin(share) * new + 4))
    assert outcome.exit_code is ExitCode.OK, outcome.report["reasons"]
    assert outcome.report["reasons"] == [f"{count} of {count} frames agree"]


def test_parts_of_a_scene_that_move_each_on_its_own_are_no_reason_for_doubt(align: Align) -> None:
    """Spots that wander by 0.6 px a frame: between far frames they lie pixels elsewhere, and all ways about."""
    count, spots = 20, 160
    rng = np.random.default_rng(9)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    places, size, light = rng.uniform(-10, 138, (spots, 2)), rng.uniform(2, 4, spots), rng.uniform(1, 3, spots)
    frames = np.zeros((count, *SHAPE))
    for k, frame in enumerate(frames):
        for (px, py), s, a in zip(places + k * np.array([0.6, -0.4]), size, light, strict=True):
            frame += a * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * s**2))
        places += rng.normal(0, 0.6, places.shape)
    outcome = align(frames)
    assert outcome.exit_code is ExitCode.OK, outcome.report["reasons"]
