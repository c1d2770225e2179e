"""The probability of being right: better evidence raises it, and it is never certain."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from tests.registration.analytic import Scene, about_centre
from zncc_cli import register
from zncc_cli.registration.optimizer import Ending
from zncc_cli.registration.quality.evidence import Evidence
from zncc_cli.registration.quality.probability import SCORES, WEIGHTS, probability_right

RIGHT = Evidence(
    zncc_before=0.1,
    zncc_after=0.8,
    overlap=0.9,
    block_significance=150.0,
    ending=Ending.CONVERGED,
    motion=3.0,
    start_ratio=3.0,
    peak_ratio=8.0,
    zncc_coarse=0.9,
    zncc_ceiling=0.95,
    held_out_before=0.1,
    held_out_after=0.88,
    fold_distance=0.05,
    fold_distance_ratio=1.0,
    model_misfit=0.0,
    aperture_agreement=120.0,
    round_trip=0.05,
    expected_error=0.03,
)
WRONG = replace(
    RIGHT,
    zncc_after=0.1,
    zncc_coarse=0.2,
    block_significance=30.0,
    start_ratio=1.2,
    peak_ratio=1.3,
    held_out_after=0.05,
    aperture_agreement=3.0,
    round_trip=2.0,
    expected_error=0.8,
)
# A figure, and values of it from bad to good, most of them within the range that counts.
FROM_BAD_TO_GOOD: dict[str, list[Any]] = {
    "block_significance": [-3.0, 8.0, 15.0, 30.0, 55.0, 90.0, 400.0],
    "start_ratio": [1.0, 1.3, 1.6, 2.2, 8.0],
    "peak_ratio": [1.0, 1.5, 2.2, 4.0, 30.0],
    "held_out_after": [-0.1, 0.4, 0.6, 0.8, 0.95],
    "ending": [Ending.MAX_ITERATIONS, Ending.CONVERGED],
    "aperture_agreement": [-1.0, 5.0, 20.0, 60.0, 150.0],
    "model_misfit": [30.0, 2.0, 0.6, 0.0],
    "round_trip": [50.0, 1.5, 0.5, 0.01],
    "zncc_ceiling": [1.0, 0.8, 0.4, 0.2],
}

SCORE_OF = {
    "block_significance": "agreement",
    "start_ratio": "agreement",
    "held_out_after": "held_out_share",
    "zncc_ceiling": "explained",
    "ending": "converged",
}


def test_good_evidence_is_likely_to_be_right_and_bad_evidence_is_not() -> None:
    assert probability_right(RIGHT) > 0.99
    assert probability_right(WRONG) < 0.02


@pytest.mark.parametrize("evidence", [RIGHT, WRONG])
@pytest.mark.parametrize("figure", FROM_BAD_TO_GOOD)
def test_better_evidence_never_lowers_the_probability(figure: str, evidence: Evidence) -> None:
    found = [probability_right(replace(evidence, **{figure: value})) for value in FROM_BAD_TO_GOOD[figure]]
    assert found == sorted(found)
    # What ends at the best score is the same for all that is better; what has a weight tells bad from good.
    # Where the parts agree this well no start needs to stand out, and the noise explains none of what is missing.
    if figure not in ("start_ratio", "zncc_ceiling") or evidence is WRONG:
        assert (found[-1] > found[0]) == (WEIGHTS[SCORE_OF.get(figure, figure)] > 0)


def test_every_figure_that_counts_is_tried() -> None:
    assert {SCORE_OF.get(figure, figure) for figure in FROM_BAD_TO_GOOD} == SCORES.keys()
    assert SCORES.keys() == WEIGHTS.keys()
    assert all(weight >= 0 for weight in WEIGHTS.values())


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, 0.0, -1.0, 1e300])
def test_no_evidence_is_certain_whatever_it_is(value: float | None) -> None:
    figures = [field.name for field in fields(Evidence) if field.name != "ending"]
    for ending in Ending:
        evidence = replace(RIGHT, ending=ending, **dict.fromkeys(figures, value))
        assert 0 < probability_right(evidence) < 1


def test_images_that_could_not_be_compared_are_not_likely_to_be_right() -> None:
    nothing = Evidence(
        zncc_before=None, zncc_after=None, overlap=0.0, block_significance=None, ending=Ending.OUT_OF_DOMAIN, motion=0.0
    )
    assert probability_right(nothing) < 0.05


def test_a_result_carries_its_probability() -> None:
    shape = (96, 128)
    fixed, moving = Scene(3).pair(about_centre([[1, 0], [0, 1]], (3.0, -2.0), shape), shape)
    result = register(fixed, moving, "translation")
    assert result.probability == probability_right(result.evidence)
    assert result.probability > 0.95
    unrelated = register(*np.random.default_rng(0).normal(size=(2, *shape)), "translation")
    assert unrelated.probability < 0.1
