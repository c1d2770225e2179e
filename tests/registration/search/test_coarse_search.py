"""The coarse search: estimates that propose shifts, and the exact scores of those."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene, about_centre
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.search.coarse_search import CoarseSearch, Proposal, shift
from zncc_cli.registration.search.masked_zncc import masked_zncc, significance

SHAPE = (40, 52)


def level(image: np.ndarray, mask: np.ndarray | None = None) -> Level:
    valid = torch.ones(image.shape, dtype=torch.bool) if mask is None else torch.tensor(mask)
    pixels = torch.tensor((image - image.mean()) / image.std(), dtype=torch.float32)[None, None]
    return Level(pixels * valid, valid, 1)


def search(a: Level, b: Level) -> CoarseSearch:
    return CoarseSearch(a, b, (a.shape, b.shape), (1.0, 1.0))


def spotted(seed: int) -> np.ndarray:
    """Return a mask with holes, and without the outermost pixels: rounding puts those on either side of the edge."""
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:-1, 1:-1] = True
    for y, x in np.random.default_rng(seed).integers(0, 30, (3, 2)):
        mask[y : y + 8, x : x + 6] = False
    return mask


def test_a_proposal_is_scored_by_the_zncc_of_its_overlap() -> None:
    rng = np.random.default_rng(0)
    a, b = level(rng.normal(size=SHAPE), spotted(1)), level(rng.normal(size=SHAPE), spotted(2))
    planes = [plane.double() for each in (a, b) for plane in (each.image[0, 0], each.mask)]
    surface = masked_zncc(*planes, 0.3)
    scores, (cy, cx) = significance(surface.zncc, surface.pixels), surface.origin
    least = 0.3 * min(float(planes[1].sum()), float(planes[3].sum()))
    for dx, dy in ((0, 0), (9, -4), (-12, 7)):
        ((score, matrix),) = search(a, b).score([Proposal(0.0, np.eye(3), dx, dy, least)])
        x, y = matrix[:2, 2]
        assert max(abs(x - dx), abs(y - dy)) <= 1
        near = scores[cy + dy - 1 : cy + dy + 2, cx + dx - 1 : cx + dx + 2].abs().max()
        # Sums of a thousand float32 numbers.
        assert abs(score) == pytest.approx(float(near), rel=1e-3)


@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
@pytest.mark.parametrize("inverted", [False, True])
def test_quarter_turns_are_proposed_at_their_own_angle(quarter: int, inverted: bool) -> None:
    angle = 0.2 + quarter * math.pi / 2
    c, s = math.cos(angle), math.sin(angle)
    truth = about_centre([[c, -s], [s, c]], (3, -2), SHAPE)
    fixed, moving = Scene(seed=1).pair(truth, SHAPE)
    found = search(level(fixed), level(-moving if inverted else moving))
    proposals = sorted(found.propose([0.0, 0.2], 0.3, None), key=lambda each: -each.score)
    score, matrix = found.score(proposals[:1])[0]
    assert (score < 0) == inverted
    np.testing.assert_allclose(matrix[:2, :2], truth[:2, :2], atol=1e-9)
    # The nearest shift by whole pixels of the canvas.
    assert np.abs(matrix[:2, 2] - truth[:2, 2]).max() < 1.5


def test_estimates_come_near_the_scores() -> None:
    fixed, moving = Scene(seed=2).image(SHAPE), Scene(seed=3).image(SHAPE)
    found = search(level(fixed), level(moving))
    proposals = found.propose([0.0, 0.5, 1.0], 0.3, None)
    scores = [abs(score) for score, _ in found.score(proposals)]
    ratios = [each.score / score for each, score in zip(proposals, scores, strict=True) if score > 0]
    assert len(ratios) > 20
    # The sums that normalise are those of the middles of blocks; the score is that of the best of nine shifts.
    assert np.median(ratios) == pytest.approx(1, abs=0.15)


def test_the_padding_holds_all_shifts_that_leave_enough_overlap() -> None:
    """A pair that overlaps by little more than the least is proposed at its shift, not at one that wraps around."""
    scene = np.random.default_rng(4).normal(size=(40, 140))  # agrees at one shift only
    for dx in (34, -34):
        fixed, moving = scene[:, 44:96], scene[:, 44 - dx : 96 - dx]
        found = search(level(fixed), level(moving))
        best = max(found.propose([0.0], 0.3, None), key=lambda each: each.score)
        np.testing.assert_allclose(best.matrix, shift(dx, 0))


def test_a_threads_share_of_the_work_does_not_change_the_scores() -> None:
    fixed, moving = Scene(seed=5).image(SHAPE), Scene(seed=6).image(SHAPE)
    threads, runs = torch.get_num_threads(), []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found = search(level(fixed), level(moving))
            proposals = found.propose([0.0, 0.3, 0.6, 0.9, 1.2], 0.3, None)
            scores = [score for score, _ in found.score(proposals)]
            runs.append([(each.score, each.dx, each.dy, score) for each, score in zip(proposals, scores, strict=True)])
    finally:
        torch.set_num_threads(threads)
    assert runs[0] == runs[1]
