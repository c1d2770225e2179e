"""The benchmark of the verdict: its pairs cannot be aligned, errors are drawn as predicted, its counts are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.registration.pairs import unalignable
from benchmarks.registration.trust import fitting, report, verdicts
from benchmarks.registration.trust.reliability import fifths
from benchmarks.registration.trust.verdicts import JudgedPair
from zncc_cli.config import Model
from zncc_cli.registration.optimizer import Ending
from zncc_cli.registration.quality.evidence import Evidence
from zncc_cli.registration.quality.uncertainty import Uncertainty

SHAPE = (96, 128)


@pytest.mark.parametrize("kind", unalignable.KINDS | unalignable.FLAT_KINDS)
def test_a_pair_that_cannot_be_aligned_is_always_the_same_one(kind: str) -> None:
    frames, again, other = (unalignable.frames(kind, seed, SHAPE) for seed in (1, 1, 2))
    for a, b, c in zip(frames, again, other, strict=True):
        assert a.shape == SHAPE
        assert np.isfinite(a).all()
        assert a.std() > 0
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


@pytest.mark.parametrize("kind", [kind for kind in unalignable.KINDS if not kind.startswith("repeated")])
def test_frames_that_cannot_be_aligned_do_not_correlate(kind: str) -> None:
    fixed, moving = unalignable.frames(kind, 3, SHAPE)
    if "same" in kind and "kind" not in kind:
        return  # the same light or frame is what they have in common
    # Two scenes of few large parts agree by chance; the same scene agrees by 0.9.
    assert abs(np.corrcoef(fixed.ravel(), moving.ravel())[0, 1]) < 0.6


def test_errors_are_drawn_as_large_as_predicted() -> None:
    u = 0.01 * np.random.default_rng(0).normal(size=(6, 40))
    uncertainty = Uncertainty.of_blocks(Model.AFFINE, np.eye(3), SHAPE, u)
    assert uncertainty is not None
    drawn = verdicts.drawn_errors(uncertainty)
    # The mean square of 2000 draws is good to a few percent.
    assert np.square(drawn).mean() == pytest.approx(np.square(uncertainty.corners).mean(), rel=0.1)


def judged(status: str, error: float | None, kind: str = "clean") -> JudgedPair:
    inside, evidence = (False, True), Evidence(0.1, 0.8, 0.9, 200.0, Ending.CONVERGED, 3.0)
    alignable, verdict = error is not None, (status, ("x",))
    return JudgedPair(
        "held out", kind, "rigid", "small", "cells", alignable, error, *verdict, 0.2, 0.1, inside, evidence, 1
    )


def test_the_report_counts_the_verdicts_on_right_and_on_wrong_results(tmp_path: Path) -> None:
    pairs = [judged("ok", 0.1), judged("suspect", 0.2), judged("ok", 3.0), judged("failed", None, "clouds")]
    markdown, data, *_ = report.write(pairs, 1.0, tmp_path)
    text = markdown.read_text()
    assert "`ok` for 50.0% (1/2) of the right results" in text
    assert "for 50.0% (1/2) of the wrong ones" in text
    assert "| all | 1 | 0.0% (0/1) | 100.0% (1/1) | 2.00 |" in text
    assert "- clean, rigid small cells, 3 px off: ok: x" in text
    assert data.exists()


def test_fifths_compare_what_was_predicted_with_what_was_observed() -> None:
    predicted = np.arange(10) / 10
    parts = fifths(predicted, predicted > 0.45)
    assert [part.count for part in parts] == [2] * 5
    assert [part.observed for part in parts] == [0, 0, 0.5, 1, 1]
    np.testing.assert_allclose([part.predicted for part in parts], [0.05, 0.25, 0.45, 0.65, 0.85])
    # Of one pair of probability 0 and one of 0.1 the share that is right varies by sqrt(0.1 * 0.9) / 2.
    assert parts[0].deviation == pytest.approx(0.15)


def test_the_fit_finds_the_model_that_the_pairs_were_drawn_from() -> None:
    random = np.random.default_rng(0)
    truth = fitting.Logistic(-2.0, np.array([3.0, 0.0, 1.0]))
    scores = random.uniform(size=(20_000, 3))
    right = random.uniform(size=len(scores)) < truth.predict(scores)
    found = fitting.fit(scores, right)
    # Standard errors of the weights are about 0.06 with so many pairs.
    np.testing.assert_allclose(found.weights, truth.weights, atol=0.2)
    assert found.intercept == pytest.approx(truth.intercept, abs=0.2)


def test_the_fit_has_no_negative_weight_and_none_that_is_infinite() -> None:
    scores = np.column_stack((np.linspace(0, 1, 40), np.linspace(1, 0, 40)))
    found = fitting.fit(scores, scores[:, 0] > 0.5)  # which parts them without a mistake
    assert found.weights[1] == 0
    assert 5 < found.weights[0] < 100


def test_a_pair_is_registered_and_judged(tmp_path: Path) -> None:
    # One of so many is one, and a second run reads its frames.
    (pair,), (again,) = (list(verdicts.judge_alignable("chosen", 0, 10_000, tmp_path)) for _ in range(2))
    assert pair.is_right
    assert pair.status == "ok"
    assert len(pair.inside) == len(verdicts.LEVELS)
    assert pair.probability > 0.9
    assert (again.error, again.evidence) == (pair.error, pair.evidence)
