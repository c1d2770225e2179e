"""From evidence to a status and its reasons."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from zncc_cli.registration.optimizer import Ending
from zncc_cli.registration.verdict import Evidence, Status, agreement, judge

GOOD = Evidence(zncc_before=0.1, zncc_after=0.8, overlap=0.9, agreement=200.0, ending=Ending.CONVERGED, motion=3.0)


def test_agreement_everywhere_is_ok() -> None:
    assert judge(GOOD).status is Status.OK


def test_no_overlap_has_failed() -> None:
    verdict = judge(replace(GOOD, zncc_after=None, overlap=0.0, agreement=None))
    assert verdict.status is Status.FAILED
    assert "do not overlap" in verdict.reasons[0]


def test_agreement_no_better_than_chance_has_failed() -> None:
    verdict = judge(replace(GOOD, zncc_after=0.05, agreement=4.2))
    assert verdict.status is Status.FAILED
    assert "(4, 55 is needed)" in verdict.reasons[0]


def test_a_lower_zncc_than_before_is_suspect() -> None:
    verdict = judge(replace(GOOD, zncc_before=0.9))
    assert verdict.status is Status.SUSPECT
    assert verdict.reasons == ("the ZNCC fell from 0.900 to 0.800",)


def test_an_optimiser_that_ended_early_is_suspect_and_says_what_helps() -> None:
    verdict = judge(replace(GOOD, ending=Ending.MAX_ITERATIONS))
    assert verdict.status is Status.SUSPECT
    assert "--max-iterations" in verdict.reasons[0]


def test_agreement_is_the_mean_over_what_lies_below_zero() -> None:
    blocks = np.full((4, 5), 0.3)
    blocks[0, :2] = -0.1
    chance = np.sqrt(2 * 2 * 0.1**2 / 20)
    assert agreement(blocks) == pytest.approx(blocks.mean() / (chance / np.sqrt(20)))


def test_unequal_blocks_agree_as_long_as_none_is_below_zero() -> None:
    unequal = np.linspace(0.05, 0.95, 64).reshape(8, 8)
    assert agreement(unequal) == agreement(np.full((8, 8), 0.5)) == 4 * 64


def test_few_blocks_say_nothing() -> None:
    blocks = np.full((4, 4), 0.9)
    assert agreement(blocks) is not None
    blocks[0, :3] = np.nan
    assert agreement(blocks) is None


def test_blocks_that_agree_here_and_there_do_not_count() -> None:
    chance = np.random.default_rng(0).normal(0.05, 0.3, (8, 8))
    assert agreement(chance) < 5


def test_an_agreement_that_does_not_stand_out_is_none() -> None:
    def status(distinctness: float | None) -> Status:
        return judge(Evidence(0.1, 0.5, 0.4, 188.0, Ending.CONVERGED, 300.0, distinctness)).status

    assert status(1.02) is Status.FAILED
    assert status(4.0) is Status.OK
    assert status(None) is Status.OK


def test_a_result_that_stands_out_needs_less_agreement() -> None:
    weak = replace(GOOD, zncc_after=0.15, agreement=30.0)
    assert judge(replace(weak, distinctness=5.0)).status is Status.OK
    for distinctness in (None, 1.7):
        assert judge(replace(weak, distinctness=distinctness)).status is Status.FAILED
    assert judge(replace(weak, agreement=24.0, distinctness=5.0)).status is Status.FAILED
