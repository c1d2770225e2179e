"""The benchmark of transforms that bend: its truth is one, its figures are those of known fields, and it runs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.nonrigid import __main__ as benchmark
from benchmarks.nonrigid import movie, pairs, report, speckle
from benchmarks.nonrigid.motions import MOTIONS
from benchmarks.nonrigid.tools import OURS, Answer
from benchmarks.nonrigid.trials import calibration, rms_error


def sampled(image: np.ndarray, displacements: np.ndarray) -> np.ndarray:
    """Return an image (H, W) at every pixel plus its displacement, linearly interpolated."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    points = np.stack((x, y), axis=-1) + displacements
    grid = torch.from_numpy(2 * points / [image.shape[1] - 1, image.shape[0] - 1] - 1)[None]
    pixels = torch.from_numpy(image.astype(float))[None, None]
    return torch.nn.functional.grid_sample(pixels, grid, align_corners=True)[0, 0].numpy()


@pytest.mark.parametrize("motion", MOTIONS)
def test_the_truth_leads_to_the_same_brightness_in_the_moving_image(motion: str) -> None:
    pair = pairs.make(pairs.Plan(3, motion, "none", "speckle"))
    assert pair.truth is not None
    assert np.linalg.norm(pair.truth, axis=-1).max() > 0.9
    inside = pair.inside
    assert inside.mean() > 0.9
    # Linear interpolation costs some percent; without the motion the correlation is below 0.9.
    assert np.corrcoef(sampled(pair.moving, pair.truth)[inside], pair.fixed[inside])[0, 1] > 0.97
    assert np.corrcoef(pair.moving[inside], pair.fixed[inside])[0, 1] < 0.97


def test_every_motion_meets_every_damage_on_two_scenes() -> None:
    plans = pairs.plans()
    met = {(plan.motion, plan.damage): set() for plan in plans}  # type: ignore[var-annotated]
    for plan in plans:
        met[plan.motion, plan.damage].add(plan.scene)
    assert len(met) == len(MOTIONS) * len(pairs.DAMAGES)
    assert all(len(scenes) == 2 for scenes in met.values())


def test_the_same_number_gives_the_same_pair() -> None:
    plan = pairs.Plan(5, "wave", "noise", "speckle")
    first, again = pairs.make(plan), pairs.make(plan)
    assert np.array_equal(first.fixed, again.fixed)
    assert not np.array_equal(first.fixed, pairs.make(pairs.Plan(6, "wave", "noise", "speckle")).fixed)


def test_the_star_is_painted_by_its_displacement_and_its_resolution_is_that_of_a_low_pass() -> None:
    pair = speckle.star(noise=False)
    assert pair.truth is not None
    inner = (slice(8, -8), slice(80, -8))  # linear interpolation misses the shortest periods
    shown, wanted = sampled(pair.moving, pair.truth)[inner].ravel(), pair.fixed[inner].ravel()
    assert np.corrcoef(shown, wanted)[0, 1] > 0.98
    assert speckle.resolution(pair.truth) == pytest.approx(speckle.PERIODS_PX[0], abs=2)
    # One that keeps 0.9 from a period of 40 pixels on.
    periods = speckle.period(np.arange(speckle.STAR_SHAPE[1]))
    damped = pair.truth * np.minimum(1, 0.9 * periods / 40)[:, None]
    assert speckle.resolution(damped) == pytest.approx(40, abs=3)
    assert speckle.resolution(np.zeros_like(pair.truth)) == np.inf


def test_errors_drawn_from_the_expected_ones_lie_in_their_regions() -> None:
    pair = pairs.make(pairs.Plan(3, "tension", "none", "speckle"))
    expected = np.full(pair.fixed.shape, 0.4)
    random = np.random.default_rng(0)
    found = pair.truth + 0.4 / np.sqrt(2) * random.standard_normal(pair.truth.shape)  # type: ignore[union-attr]
    answer = Answer(found, "ok", expected)
    assert rms_error(answer, pair) == pytest.approx(0.4, rel=0.01)
    told = calibration(answer, pair)
    assert told is not None
    assert told.expected == pytest.approx(0.4)
    # 60,000 pixels scatter by 0.002.
    assert told.inside_68 == pytest.approx(0.68, abs=0.01)
    assert told.inside_95 == pytest.approx(0.95, abs=0.01)


def test_a_short_run_writes_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "SIDE", 96)
    options = argparse.Namespace(parts=("pairs", "unrelated"), only=[OURS, "DIS"], every=30, frames=2, out=tmp_path)
    files = report.write(benchmark._measure(options), tmp_path)
    text = files[0].read_text(encoding="utf-8")
    assert OURS in text
    assert "of 2 pairs of unrelated images are ok" in text
    content = json.loads(files[1].read_text(encoding="utf-8"))
    assert len({trial["pair"] for trial in content["trials"]}) == 2
    assert all(trial["error"] is not None for trial in content["trials"])


def test_a_frame_of_the_movie_shows_the_specimen_where_it_has_moved_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movie, "SIDE", 96)
    first, last = movie.frame(0.0, 0), movie.frame(0.06, 7)
    y, x = np.mgrid[8:88, 8:88].astype(float)
    moved = np.zeros((96, 96, 2))
    moved[8:88, 8:88] = movie.displacement(x, y, 0.06)
    inner = (slice(8, 88), slice(8, 88))
    # Noise of 2 percent and linear interpolation of drops of 4 pixels; without the motion half of it.
    assert np.corrcoef(sampled(last, moved)[inner].ravel(), first[inner].ravel())[0, 1] > 0.93
    assert np.corrcoef(last[inner].ravel(), first[inner].ravel())[0, 1] < 0.7


def test_the_true_strain_of_a_uniform_stretch_is_that_stretch(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = np.array([3.0, 40.0]), np.array([5.0, 70.0])
    monkeypatch.setattr(movie, "displacement", lambda x, y, strain: np.stack((0 * x, strain * y), axis=-1))
    np.testing.assert_allclose(movie.true_strain(x, y, 0.05), 0.05, atol=1e-9)
    # A turn by atan(0.2 / 1) lengthens both axes by sqrt(1 + 0.04) - 1: U is that times the identity.
    monkeypatch.setattr(movie, "displacement", lambda x, y, _: np.stack((0.2 * y, -0.2 * x), axis=-1))
    np.testing.assert_allclose(movie.true_strain(x, y, 0.0), np.sqrt(1.04) - 1, atol=1e-9)
