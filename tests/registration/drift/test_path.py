"""The path of a movie from motions between pairs of its frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from zncc_cli.config import Model
from zncc_cli.registration.drift.frame_pair import Measurement
from zncc_cli.registration.drift.path import NEIGHBOUR_LAG, last_partner, partners, solve_path
from zncc_cli.registration.transforms.linear import LinearTransform

SHAPE = (256, 256)
MODELS = [Model.TRANSLATION, Model.RIGID, Model.SIMILARITY, Model.AFFINE]
NOISE = 0.02  # pixels, of each parameter


def family_of(model: Model) -> LinearTransform:
    return LinearTransform(model, SHAPE)


def walk(count: int, family: LinearTransform, seed: int = 0) -> np.ndarray:
    """Return matrices (n, 3, 3), frame 0 -> frame, of a random walk with a jump in the middle."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 0.5, (count, family.size))
    steps[count // 2, :2] += 20
    path = [np.eye(3)]
    for step in steps[1:]:
        path.append(family.matrix(step) @ path[-1])
    return np.array(path)


def measured(
    path: np.ndarray,
    family: LinearTransform,
    *,
    farthest: int | None = None,
    noise: float = NOISE,
    corrupt: tuple[int, ...] = (),
    without: tuple[int, ...] = (),
) -> list[Measurement]:
    """Return the motions between all partners; those of ``corrupt`` frames are wrong and look right."""
    out = []
    for j in range(len(path)):
        for i in partners(j, farthest or len(path)):
            rng = np.random.default_rng((7, i, j))
            parameters = family.parameters(path[j] @ np.linalg.inv(path[i])) + rng.normal(0, noise, family.size)
            if {i, j} & set(corrupt):
                parameters = rng.normal(0, 10, family.size)
            if not {i, j} & set(without):
                out.append(Measurement.of((i, j), family.matrix(parameters), NOISE, 100.0))
    return out


def errors(path: np.ndarray, truth: np.ndarray, family: LinearTransform) -> np.ndarray:
    """Return the lengths (n,) of the parameters of what is left between two paths."""
    left = [family.parameters(a @ np.linalg.inv(b)) for a, b in zip(path, truth, strict=True)]
    return np.linalg.norm(left, axis=1)


def test_a_frame_has_three_partners_and_any_two_are_a_few_pairs_apart() -> None:
    count = 1000
    pairs = [(i, j) for j in range(count) for i in partners(j, count - 1)]
    assert 2.9 < len(pairs) / count < 3
    hops = np.full(count, count)
    hops[0] = 0
    for _ in range(20):
        for i, j in pairs:
            hops[i], hops[j] = min(hops[i], hops[j] + 1), min(hops[j], hops[i] + 1)
    assert hops.max() <= 10


@pytest.mark.parametrize("farthest", [1, NEIGHBOUR_LAG, 7, 63, 100])
def test_a_frame_is_kept_until_its_last_partner(farthest: int) -> None:
    last = {k: k for k in range(300)}
    for j in range(300):
        for i in partners(j, farthest):
            last[i] = max(last[i], j)
    assert all(last_partner(k, farthest) == last[k] for k in range(100))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("count", [2, 3, 40])
def test_motions_without_error_give_the_exact_path(model: Model, count: int) -> None:
    family = family_of(model)
    truth = walk(count, family)
    solved = solve_path(count, measured(truth, family, noise=0), family, 0)
    assert solved.good.all()
    assert errors(solved.matrices, truth, family).max() < 1e-6
    assert solved.outliers == 0


@pytest.mark.parametrize("model", MODELS)
def test_errors_do_not_add_up(model: Model) -> None:
    """Along 300 neighbours an error of 0.02 px a pair and parameter would grow to 0.02 sqrt(300) = 0.35 px of each."""
    family = family_of(model)
    truth = walk(300, family)
    solved = solve_path(300, measured(truth, family), family, 0)
    assert solved.good.all()
    # Six pairs hold a frame, and so a frame is about as sure as a pair.
    assert np.sqrt((errors(solved.matrices, truth, family) ** 2).mean()) < 1.5 * NOISE * np.sqrt(family.size)
    assert solved.pair_error == pytest.approx(NOISE * np.sqrt(family.size), rel=0.15)


@pytest.mark.parametrize("model", MODELS)
def test_one_corrupt_frame_is_found_and_moves_no_other(model: Model) -> None:
    """Its pairs look right and are wrong. Without it the others lie where they lie with it, but for rounding."""
    family = family_of(model)
    truth = walk(61, family)
    solved = solve_path(61, measured(truth, family, corrupt=(17,)), family, 0)
    assert np.flatnonzero(~solved.good).tolist() == [17]
    without = solve_path(61, measured(truth, family, without=(17,)), family, 0)
    others = np.arange(61) != 17
    assert errors(solved.matrices, without.matrices, family)[others].max() < 1e-4
    assert errors(solved.matrices, truth, family)[others].max() < 5 * NOISE * np.sqrt(family.size)
    assert np.isnan(solved.expected_error[17])


def test_a_frame_without_pairs_lies_between_its_neighbours() -> None:
    family = family_of(Model.TRANSLATION)
    truth = np.array([family.matrix(np.array([0.5 * k, -0.25 * k])) for k in range(30)])
    solved = solve_path(30, measured(truth, family, noise=0, without=(0, 11, 12, 29)), family, 5)
    assert np.flatnonzero(~solved.good).tolist() == [0, 11, 12, 29]
    places = solved.matrices[:, :2, 2] - (truth[:, :2, 2] - truth[5, :2, 2])
    np.testing.assert_allclose(places[1:29], 0, atol=1e-6)
    # Beyond the last known frame there is no other to be between.
    np.testing.assert_allclose(solved.matrices[29], solved.matrices[28])


@pytest.mark.parametrize("model", [Model.RIGID, Model.SIMILARITY])
def test_a_rotation_of_more_than_half_a_turn_is_interpolated_and_averaged(model: Model) -> None:
    """4 degrees a frame about the centre: frame 45, not known, lies where an angle jumps from 180 to -180 degrees."""
    family = family_of(model)
    turn = np.radians(4) * np.arange(70)
    radius = np.hypot(255, 255) / 2
    truth = np.array([family.matrix(np.array([0, 0, radius * a, 0][: family.size])) for a in turn])
    pairs = measured(truth, family, noise=0, without=(45,))
    assert errors(solve_path(70, pairs, family, 0).matrices, truth, family).max() < 1e-6
    # The mean leaves out the frame that is not known.
    mean = np.delete(turn, 45).mean()
    apart = solve_path(70, pairs, family, None).matrices
    assert np.degrees(np.arctan2(apart[0, 1, 0], apart[0, 0, 0])) == pytest.approx(-np.degrees(mean), abs=1e-6)


def test_an_image_that_is_no_frame_is_no_neighbour_in_time() -> None:
    """As the mean of all frames is, on which they are put: the last frame known tells where those after it lie."""
    family = family_of(Model.TRANSLATION)
    truth = np.array([family.matrix(np.array([3.0 * k, -k])) for k in range(12)])
    onto = [Measurement.of((12, k), truth[k], NOISE, 100.0) for k in range(10)]
    solved = solve_path(12, measured(truth, family, noise=0, without=(10, 11)) + onto, family, 12)
    assert np.flatnonzero(~solved.good).tolist() == [10, 11]
    # Least squares of motions without error: what is left is what the solver leaves.
    np.testing.assert_allclose(solved.matrices[:10], truth[:10], atol=1e-6)
    np.testing.assert_allclose(solved.matrices[10:12], truth[[9, 9]], atol=1e-6)


def test_without_a_reference_frame_the_mean_place_is_the_reference() -> None:
    family = family_of(Model.TRANSLATION)
    truth = walk(20, family)
    solved = solve_path(20, measured(truth, family), family, None)
    np.testing.assert_allclose(solved.matrices[:, :2, 2].mean(axis=0), 0, atol=1e-9)


def test_the_expected_error_is_the_rms_error() -> None:
    """Pairs of independent errors that expect none: the expected error then comes from their disagreement."""
    family = family_of(Model.TRANSLATION)
    ratios = []
    for seed in range(5):
        truth = walk(100, family, seed)
        pairs = [replace(m, expected_error=0.0) for m in measured(truth, family)]
        solved = solve_path(100, pairs, family, 0)
        assert solved.expected_error[0] == 0
        ratios.append(errors(solved.matrices, truth, family)[1:] / solved.expected_error[1:])
    assert 0.7 < np.sqrt(np.mean(np.square(ratios))) < 1.4


def test_each_frames_own_noise_is_part_of_the_expected_error() -> None:
    family = family_of(Model.TRANSLATION)
    solved = solve_path(20, measured(walk(20, family), family, noise=0), family, 0)
    # NOISE is what a pair says of itself: a frame has half of its square, and so has the reference.
    np.testing.assert_allclose(solved.expected_error[1:], NOISE, rtol=0.05)


def test_frames_of_a_smaller_part_are_not_good() -> None:
    family = family_of(Model.TRANSLATION)
    truth = walk(20, family)
    pairs = [m for m in measured(truth, family) if (m.fixed < 6) == (m.moving < 6)]
    assert solve_path(20, pairs, family, 0).good.tolist() == [False] * 6 + [True] * 14


def test_frames_without_significant_pairs_stay_in_place() -> None:
    family = family_of(Model.RIGID)
    pairs = [Measurement.of((0, 1), family.matrix(np.array([5.0, 5, 5])), 0.1, 3.0)]
    solved = solve_path(2, pairs, family, 0)
    assert not solved.good.any()
    np.testing.assert_array_equal(solved.matrices, np.tile(np.eye(3), (2, 1, 1)))
    assert solved.outliers == 1


def test_inverted_frames_are_told_against_the_reference() -> None:
    family = family_of(Model.TRANSLATION)
    truth = walk(12, family)
    negative = np.isin(np.arange(12), [1, 4, 5, 9])
    pairs = [
        replace(m, inverted=bool(negative[m.fixed] ^ negative[m.moving])) for m in measured(truth, family, noise=0)
    ]
    assert solve_path(12, pairs, family, 0).inverted.tolist() == negative.tolist()
    assert solve_path(12, pairs, family, 4).inverted.tolist() == (~negative).tolist()
    assert solve_path(12, pairs, family, None).inverted.tolist() == negative.tolist()  # against most
    # One pair that says otherwise, and that no way along the better ones takes, does not count.
    pairs[3] = replace(pairs[3], inverted=not pairs[3].inverted, block_significance=30.0)
    solved = solve_path(12, pairs, family, 0)
    assert solved.inverted.tolist() == negative.tolist()
    assert np.flatnonzero(~solved.inlier).tolist() == [3]


def test_standardized_residuals_are_compared_with_the_expected_error_of_each_pair() -> None:
    """It closes to 1.3 px: four deviations of its least sure pair, and far more than is usual beside nine sure ones."""
    family = family_of(Model.TRANSLATION)
    truth = np.array([family.matrix(np.array([3.0 * k, -k])) for k in range(10)])
    pairs = [Measurement.of((k, k + 1), truth[k + 1] @ np.linalg.inv(truth[k]), 0.01, 100.0) for k in range(9)]
    off = family.matrix(np.array([1.3, 0]))
    pairs.append(Measurement.of((0, 9), off @ truth[9], 0.3, 100.0))
    assert solve_path(10, pairs, family, 0).outliers == 1
    solved = solve_path(10, pairs, family, 0, standardized=True)
    assert solved.outliers == 0
    # The least sure pair takes nearly all of it: of squares of deviations 0.3 has 100 times as much as the nine others.
    assert errors(solved.matrices, truth, family).max() < 0.03
