"""The benchmark of the registration: true matrices, the bound, errors, and the conventions of the contenders."""

from __future__ import annotations

import functools
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from benchmarks.common.timing import Timing
from benchmarks.registration import stage_report
from benchmarks.registration.pairs.bound import bound
from benchmarks.registration.pairs.damage import BORDERS, DAMAGES
from benchmarks.registration.pairs.error import corner_error, overlap_grid, rms_error
from benchmarks.registration.pairs.motion import MODELS, SIZES, draw
from benchmarks.registration.pairs.plans import Pair, Plan, border_plans, large_pair, make, plans, unrelated_pair
from benchmarks.registration.pairs.scenery import SCENES, TwoViews
from benchmarks.registration.passes import THREADS, Effort, Passes, Refusal, ToolTime, passes, refusal_sides
from benchmarks.registration.processes import ALIGN, ALIGN_FEWEST, IMPORT_TORCH
from benchmarks.registration.tools import registry
from benchmarks.registration.tools.contender import Answer, Contender, full
from benchmarks.registration.trials import Trial, trial
from zncc_cli.config import Interpolation, Model
from zncc_cli.process import usable_cores
from zncc_cli.registration.resampling.resample import array_reader, resample
from zncc_cli.registration.transforms.linear import LinearTransform

ROOT = Path(__file__).parents[2]
BenchmarkRun = tuple["subprocess.CompletedProcess[str]", Path]  # and the folder with its results
SHAPE = (96, 128)
CONTENDERS, MISSING = registry.find(torch.device("cpu"))


def residual(pair: Pair, dx: float = 0.0, dy: float = 0.0) -> float:
    """Return the RMS difference of fixed and moving, dx, dy pixels off the truth, over the fixed image's deviation."""
    off = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy], [0.0, 0.0, 1.0]])
    read, frame = array_reader(pair.moving, np.ones(pair.moving.shape, dtype=bool)), map(range, pair.fixed.shape)
    aligned, valid = resample(read, pair.moving.shape, off @ pair.matrix, *frame, Interpolation.CUBIC)
    assert valid.mean() > 0.3
    return float((aligned - pair.fixed)[valid].std() / pair.fixed.std())


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("size", SIZES)
def test_the_true_matrix_maps_the_moving_image_onto_the_fixed_one(model: str, size: str) -> None:
    pair = make(Plan(3, "cells", model, size, "clean"), SHAPE)
    # What is left is the cubic spline's own error; a tenth of a pixel off the truth leaves half as much again.
    smallest, places = residual(pair), ((0.1, 0.0), (-0.1, 0.0), (0.0, 0.1), (0.0, -0.1))
    assert all(residual(pair, dx, dy) > 1.5 * smallest for dx, dy in places)


@pytest.mark.parametrize("scene", SCENES)
def test_every_scene_looks_the_same_in_both_frames(scene: str) -> None:
    pair = make(Plan(4, scene, "affine", "small", "clean"), SHAPE)
    # The sharpest scene, the board, leaves 0.03 between its pixels; unrelated images leave 1.4.
    assert pair.fixed.std() > 0.03
    assert residual(pair) < 0.05


def test_the_true_matrix_of_a_large_pair_maps_moving_onto_fixed() -> None:
    pair = large_pair(200)
    # Waves of 6 pixels and longer: the spline leaves 0.002.
    assert residual(pair) < 0.005


def test_the_noise_of_a_large_pair_is_that_of_the_damage_in_every_strip() -> None:
    clean, noisy = large_pair(300), large_pair(300, "noise 0.2")
    np.testing.assert_array_equal(noisy.matrix, clean.matrix)
    added = [n - c for n, c in zip((noisy.fixed, noisy.moving), (clean.fixed, clean.moving), strict=True)]
    for noise in added:
        for rows in (noise[:256], noise[256:]):
            # The deviation of 13,200 pixels, the fewer, has one of its own of 1 / sqrt(2 * 13200) = 0.6 percent.
            assert rows.std() == pytest.approx(0.2 * clean.fixed.std(), rel=0.03)
    # Independent noise of 90,000 pixels correlates by 0.003.
    assert abs(np.corrcoef(added[0].ravel(), added[1].ravel())[0, 1]) < 0.02


def test_an_unrelated_pair_shows_two_scenes_that_are_as_bright_and_noisy_as_a_large_pair() -> None:
    like, pair, other = large_pair(512, "noise 0.2"), *(unrelated_pair(512, number, "noise 0.2") for number in range(2))
    for frame in (pair.fixed, pair.moving):
        # Patches are 60 to 300 pixels wide, some dozens to a frame, so that a deviation varies by a tenth or two.
        assert frame.std() == pytest.approx(like.fixed.std(), rel=0.4)
    # For the same reason scenes correlate by 0.2 or so, and two noisy frames of one scene by 0.96.
    for first, second in ((pair.fixed, pair.moving), (pair.fixed, other.fixed), (pair.fixed, like.fixed)):
        assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.6


def test_refusals_are_measured_at_the_shortest_and_the_longest_side_that_is_not_too_long() -> None:
    assert refusal_sides([4096, 512, 1024, 2048]) == [512, 2048]
    assert refusal_sides([1024]) == [1024]
    assert refusal_sides([8192]) == []


def test_a_peer_that_is_too_slow_too_large_or_fails_is_missing_with_the_reason() -> None:
    pair = large_pair(512, "noise 0.2")

    def find_truth(*_: object) -> Answer:
        return Answer(pair.matrix)

    def take_long(*_: object) -> Answer:
        time.sleep(0.05)
        return Answer(pair.matrix)

    def fail(*_: object) -> Answer:
        raise RuntimeError("no such thing")

    peers = [
        Contender("quick", find_truth),
        Contender("slow", take_long),
        Contender("small", find_truth, max_side=511),
        Contender("broken", fail),
    ]
    ours = Contender(registry.OURS, find_truth)
    # A call of 50 ms at 256 x 256 would be one of 200 ms at 512 x 512.
    result = passes(pair, torch.device("cpu"), ours, peers, Effort(0.01, 5, limit=0.15), on_threads=False)
    assert [peer.trial.contender for peer in result.peers] == ["quick"]
    assert [peer.trial.error for peer in (result.ours, *result.peers)] == [0, 0]
    assert result.missing.keys() == {f"{name} at 512 x 512" for name in ("slow", "small", "broken")}
    assert "--limit" in result.missing["slow at 512 x 512"]
    assert "511 x 511" in result.missing["small at 512 x 512"]
    assert result.missing["broken at 512 x 512"] == "no such thing"
    assert result.on_threads is None


def test_passes_are_counted_by_medians() -> None:
    def taking(median: float) -> Timing:
        return Timing(median, 0.0, 9 * median, 5)

    ours = ToolTime(Trial(plans()[0], registry.OURS, 0.1, None, 0.1, corner_error=0.2), taking(600.0))
    result = Passes(512, taking(2.0), ours, (), taking(400.0), {})
    assert result.count(ours.timing) == 300
    refusal = Refusal(512, taking(6000.0), ("failed", "failed", "ok"))
    text = "\n".join(stage_report.lines([result], [refusal], []))
    assert "| 512 x 512 | 2 (0 to 18) | 600 (0 to 5,400) | 5 | 300 | 0.1 | 0.2 |" in text
    assert "| 512 x 512 | 6,000 (0 to 54,000) | 10 | 3,000 | 2 failed, 1 ok |" in text
    assert "| 512 x 512 | 600 (0 to 5,400) | 400 (0 to 3,600) | 1.50 |" in text


@pytest.mark.parametrize("model", MODELS)
def test_a_motion_is_a_member_of_its_model(model: str) -> None:
    matrix = draw(model, SIZES["large"], SHAPE, np.random.default_rng(0))
    family = LinearTransform(Model(model), SHAPE)
    np.testing.assert_allclose(family.matrix(family.parameters(matrix)), matrix, atol=1e-9)


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_changes_the_frames_that_it_should_and_is_reproducible(damage: str) -> None:
    plan = Plan(5, "steel", "translation", "small", damage)
    pair, again = make(plan, SHAPE), make(plan, SHAPE)
    np.testing.assert_array_equal(pair.moving, again.moving)
    clean = make(Plan(5, "steel", "translation", "small", "clean"), SHAPE)
    changed = (not np.array_equal(pair.fixed, clean.fixed), not np.array_equal(pair.moving, clean.moving))
    noisy = DAMAGES[damage].noise is not None
    assert changed == (noisy, damage != "clean")
    assert (pair.bound is not None) == noisy


def test_noise_has_the_variance_that_the_bound_assumes() -> None:
    shape = (256, 256)
    for damage in ("noise 0.6", "40 photons"):
        noise = DAMAGES[damage].noise
        assert noise is not None
        scene = TwoViews("steel", 5, shape, np.eye(3)).fixed()
        spread = float(scene.std())
        noisy = noise.draw(scene, spread, np.random.default_rng(0))
        # A mean of 65536 squares: its own deviation is about sqrt(2 / 65536) = 0.6 percent of it.
        expected = noise.variance(scene, spread).mean()
        assert np.square(noisy - scene).mean() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("border", BORDERS)
def test_borders_are_black_and_masked(border: str) -> None:
    pair = make(Plan(6, "farmland", "rigid", "small", border), SHAPE)
    assert pair.valid is not None
    for image, valid in zip((pair.fixed, pair.moving), pair.valid, strict=True):
        assert not image[~valid].any()
        assert image[valid].mean() > 0.1
    assert not pair.valid[1].all()


def test_the_bound_of_a_grating_is_its_closed_form() -> None:
    # F = a cos(k x) + a cos(k y), whole periods: sum of F_x^2 is N a^2 k^2 / 2, orthogonal to one and to F. Noise of
    # variance s^2 in both frames doubles it, so that each coordinate has a variance of 2 s^2 / (N a^2 k^2 / 2).
    side, a, k, s = 64, 0.3, 2 * np.pi / 16, 0.05
    y, x = np.mgrid[:side, :side].astype(float)
    scene, gradient = a * (np.cos(k * x) + np.cos(k * y)), (-a * k * np.sin(k * x), -a * k * np.sin(k * y))
    points = overlap_grid(np.eye(3), (side, side))
    computed = bound(scene, gradient, np.full_like(scene, s**2), np.eye(3), "translation", points)
    assert computed == pytest.approx(np.sqrt(2 * 2 * s**2 / (side**2 * a**2 * k**2 / 2)), rel=1e-9)


def test_the_bound_counts_the_pixels_of_a_larger_moving_frame() -> None:
    # Twice as large, four moving pixels see what one fixed pixel sees: 1 + 1/4 of the variance instead of 2; and
    # moving pixels are half as large.
    side, k = 64, 2 * np.pi / 16
    y, x = np.mgrid[:side, :side].astype(float)
    scene, gradient = np.cos(k * x) + np.cos(k * y), (-k * np.sin(k * x), -k * np.sin(k * y))
    inner = np.array([[0.0, 0.0], [16.0, 16.0]])

    def of(matrix: np.ndarray, area: float) -> float:
        # The same pixels are seen in both: those of the quarter that a frame twice as large still holds.
        kept = np.zeros_like(scene)
        kept[:32, :32] = 1
        return bound(scene, gradient, area / kept.clip(1e-12), matrix, "translation", inner)

    assert of(np.diag([2.0, 2.0, 1.0]), 1.0) == pytest.approx(2 * np.sqrt(1.25 / 2) * of(np.eye(3), 1.0), rel=1e-3)


@pytest.mark.parametrize("model", MODELS)
def test_a_richer_model_has_a_larger_bound(model: str) -> None:
    views = TwoViews("cells", 1, SHAPE, np.eye(3))
    scene, gradient, points = views.fixed(), views.gradient(), overlap_grid(np.eye(3), SHAPE)
    bounds = [bound(scene, gradient, np.full_like(scene, 0.01), np.eye(3), each, points) for each in (MODELS[0], model)]
    assert bounds[0] <= bounds[1] < 1


def test_the_gradient_of_a_scene_is_that_of_its_pixels() -> None:
    views = TwoViews("stars", 1, SHAPE, np.eye(3))
    for axis, gradient in zip((1, 0), views.gradient(), strict=True):
        expected = np.gradient(views.fixed(), axis=axis)
        # Central differences of stars 1.2 pixels wide are smaller than the slope itself.
        assert np.corrcoef(gradient.ravel(), expected.ravel())[0, 1] > 0.98


def test_errors_of_known_matrices() -> None:
    truth = np.eye(3)
    shift = np.array([[1.0, 0.0, 3.0], [0.0, 1.0, 4.0], [0.0, 0.0, 1.0]])
    assert rms_error(truth, truth, SHAPE) == 0
    assert rms_error(shift, truth, SHAPE) == pytest.approx(5)
    assert corner_error(shift, truth, SHAPE) == pytest.approx(5)
    # Stretched by s about the origin: s times the RMS of x over 21 points from 0 to 127, which is
    # 127 sqrt((2 n + 1) / (6 n)) with n = 20 steps.
    stretched = np.diag([1.01, 1.0, 1.0])
    assert rms_error(stretched, truth, SHAPE) == pytest.approx(0.01 * 127 * np.sqrt(41 / 120))
    assert corner_error(stretched, truth, SHAPE) == pytest.approx(0.01 * 127)
    beyond = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 1.0]])
    assert rms_error(beyond, truth, SHAPE) == corner_error(beyond, truth, SHAPE) == float("inf")
    # Only the overlap counts: half of the frame leaves the moving one.
    half = np.array([[1.0, 0.0, 64.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert overlap_grid(half, SHAPE)[:, 0].max() <= 127 - 64


def test_a_failure_is_a_trial_with_its_reason() -> None:
    def fail(*_: object) -> Answer:
        raise RuntimeError("no such thing\nand more")

    pair = make(Plan(0, "stars", "translation", "small", "clean"), SHAPE)
    result = trial(Contender("broken", fail), pair)
    assert (result.error, result.note, result.is_solved) == (None, "no such thing", False)
    with pytest.raises(RuntimeError, match="no transform"):
        full(None)


def test_plans_cover_all_models_damages_borders_and_scenes() -> None:
    assert {(plan.model, plan.damage) for plan in plans()} == {(m, d) for m in MODELS for d in DAMAGES}
    assert {plan.damage for plan in border_plans()} == set(BORDERS)
    assert {plan.scene for plan in plans()} == set(SCENES)


@functools.cache
def pair_for_all_peers(model: str) -> Pair:
    return make(Plan(7, "cells", model, "small", "clean"), (192, 224))


@pytest.mark.parametrize("package", list(registry.PEERS))
@pytest.mark.parametrize("model", MODELS)
def test_a_peer_answers_in_our_convention(package: str, model: str) -> None:
    """Their directions and axes differ; a pair that all of them solve shows whether the matrices follow ours."""
    pytest.importorskip(package, reason=f"{package} is a peer of the benchmark, which is not installed")
    pair = pair_for_all_peers(model)
    _, contenders = registry.PEERS[package]
    for contender in contenders(importlib.import_module(package)):
        if model in contender.models:
            # Features are good to a quarter of a pixel, phase correlation likewise; the motion is 3 px and 2 degrees.
            result = trial(contender, pair)
            assert result.error is not None, f"{contender.name}: {result.note}"
            assert result.error < 0.6, contender.name


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkRun:
    """A run of the benchmark with one pair."""
    command = [sys.executable, "-m", "benchmarks.registration", "--devices", "cpu", "--only", registry.OURS]
    command += ["--models", "translation", "--damages", "clean", "noise 0.6", "--side", "128", "--sides", "128"]
    command += ["--repeats", "1", "--budget", "0.01", "--seconds", "0"]
    folder = tmp_path_factory.mktemp("run")
    done = subprocess.run(
        [*command, "--out", str(folder)], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    return done, folder


def test_a_run_writes_json_and_markdown(run: BenchmarkRun) -> None:
    done, folder = run
    assert done.returncode == 0, done.stderr
    (data,), (markdown,) = (list(folder.glob(f"registration-cpu-*.{suffix}")) for suffix in ("json", "md"))
    assert set(done.stdout.split()) == set(map(str, folder.iterdir()))
    result = json.loads(data.read_text())
    assert list(result["models"]) == [registry.OURS]
    # No pair is begun after the time is over, and the report names how many were left out.
    assert len(result["trials"]) == 1
    assert {*MISSING, "2 of 3 pairs"} == result["missing"].keys() - {f"{registry.OURS} on {THREADS} threads"}
    assert all(row["error"] < 1 for row in (*result["trials"], *result["borders"]))
    assert all(row["verdict"] == "ok" for row in result["trials"])
    # A black frame that both images have, and that does not move, may make the verdict suspect.
    assert {row["verdict"] for row in result["borders"]} <= {"ok", "suspect"}
    assert [row["model"] for row in result["speeds"]] == ["translation"]
    assert {row["masked"] for row in result["borders"]} == {False, True}
    assert result["stages"][0]["stages"].keys() >= {
        "prepare",
        "pyramid",
        "find_candidates",
        "refined_fit",
        "compute_evidence",
    }
    (passes,), (refusal,) = result["passes"], result["refusals"]
    # A registration holds several evaluations of the loss on its finest level, each of more work than a pass.
    assert passes["ours"]["timing"]["median"] > 3 * passes["one_pass"]["median"]
    assert passes["ours"]["trial"]["corner_error"] < 1
    assert passes["peers"] == []
    assert (passes["on_threads"] is None) == (usable_cores() < THREADS)
    assert set(refusal["verdicts"]) == {"failed"}
    assert [row["name"] for row in result["processes"]] == [IMPORT_TORCH, ALIGN, ALIGN_FEWEST]
    assert result["batch"]["pairs"] == 4
    assert result["batch"]["beyond"] > 0
    text = markdown.read_text()
    assert all(f"- {name}: " in text for name in result["missing"])


def test_a_run_draws_a_picture(run: BenchmarkRun) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib draws the pictures of the benchmarks")
    done, folder = run
    (picture,) = folder.glob("*.svg")
    assert ElementTree.fromstring(picture.read_text()).tag.endswith("svg"), done.stderr
