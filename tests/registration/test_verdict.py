"""From evidence to a status and its reasons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from zncc_cli.registration.optimizer import Ending
from zncc_cli.registration.verdict import Evidence, Status, agreement, judge

GOOD = Evidence(zncc_before=0.1, zncc_after=0.8, overlap=0.9, agreement=50.0, ending=Ending.CONVERGED, motion=3.0)


def test_agreement_everywhere_is_ok() -> None:
    assert judge(GOOD).status is Status.OK


def test_no_overlap_has_failed() -> None:
    verdict = judge(replace(GOOD, zncc_after=None, overlap=0.0, agreement=None))
    assert verdict.status is Status.FAILED
    assert "do not overlap" in verdict.reasons[0]


def test_agreement_no_better_than_chance_has_failed() -> None:
    verdict = judge(replace(GOOD, zncc_after=0.05, agreement=4.2))
    assert verdict.status is Status.FAILED
    assert "4.2 standard errors" in verdict.reasons[0]


def test_a_lower_zncc_than_before_is_suspect() -> None:
    verdict = judge(replace(GOOD, zncc_before=0.9))
    assert verdict.status is Status.SUSPECT
    assert verdict.reasons == ("the ZNCC fell from 0.900 to 0.800",)


def test_an_optimiser_that_ended_early_is_suspect_and_says_what_helps() -> None:
    verdict = judge(replace(GOOD, ending=Ending.MAX_ITERATIONS))
    assert verdict.status is Status.SUSPECT
    assert "--max-iterations" in verdict.reasons[0]


def test_agreement_is_the_mean_over_its_standard_error() -> None:
    blocks = np.array([[0.5, 0.7], [0.7, 0.5]])  # neighbours differ: nothing is taken off
    assert agreement(blocks) == pytest.approx(0.6 / (np.std(blocks, ddof=1) / 2))
    blocks[0, 0] = np.nan
    assert agreement(blocks) is None


def test_neighbours_that_scatter_together_count_for_fewer() -> None:
    x = np.linspace(0, 2 * np.pi, 8)
    smooth = 0.3 + 0.3 * np.sin(x)[:, None] * np.sin(x)
    shuffled = np.random.default_rng(0).permutation(smooth.ravel()).reshape(8, 8)
    assert agreement(smooth) < agreement(shuffled) / 2


def test_blocks_that_agree_here_and_there_do_not_count() -> None:
    chance = np.random.default_rng(0).normal(0.05, 0.3, (8, 8))
    assert agreement(chance) < 4
