"""The benchmark of the tool's own word: what cannot be aligned is not, and the regions are those that are predicted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.alignment import trust, trust_report, unalignable
from benchmarks.alignment.trust import Word
from zncc_cli.config import Model
from zncc_cli.registration.quality.uncertainty import Uncertainty

SHAPE = (96, 128)


@pytest.mark.parametrize("kind", unalignable.KINDS)
def test_a_pair_that_cannot_be_aligned_is_always_the_same_one(kind: str) -> None:
    one, again, other = (unalignable.frames(kind, seed, SHAPE) for seed in (1, 1, 2))
    for a, b, c in zip(one, again, other, strict=True):
        assert a.shape == SHAPE
        assert np.isfinite(a).all()
        assert a.std() > 0
        np.testing.assert_array_equal(a, b)
        assert not np.array_equal(a, c)


@pytest.mark.parametrize("kind", [kind for kind in unalignable.KINDS if not kind.startswith("repeated")])
def test_its_frames_have_nothing_in_common_where_they_lie(kind: str) -> None:
    fixed, moving = unalignable.frames(kind, 3, SHAPE)
    if "same" in kind and "kind" not in kind:
        return  # the same light or frame is what they have in common
    # Two scenes of few large parts agree by chance; the same scene agrees by 0.9.
    assert abs(np.corrcoef(fixed.ravel(), moving.ravel())[0, 1]) < 0.6


def test_errors_are_drawn_as_large_as_predicted() -> None:
    u = 0.01 * np.random.default_rng(0).normal(size=(6, 40))
    known = Uncertainty.of_blocks(Model.AFFINE, np.eye(3), SHAPE, u)
    assert known is not None
    drawn = trust.drawn_errors(known)
    # The mean square of 2000 draws is good to a few percent.
    assert np.square(drawn).mean() == pytest.approx(np.square(known.corners).mean(), rel=0.1)


def word(status: str, error: float | None, kind: str = "clean") -> Word:
    inside = (False, True)
    return Word(
        "held out", kind, "rigid", "small", "cells", error is not None, error, status, ("x",), 0.2, 0.1, inside, 1
    )


def test_the_report_counts_what_was_said_of_right_and_of_wrong_results(tmp_path: Path) -> None:
    words = [word("ok", 0.1), word("suspect", 0.2), word("ok", 3.0), word("failed", None, "clouds")]
    markdown, data = trust_report.write(words, "2026-01-01", 1.0, tmp_path)
    text = markdown.read_text()
    assert "`ok` for 50.0% (1/2) of the right results" in text
    assert "for 50.0% (1/2) of the wrong ones" in text
    assert "| all | 1 | 0.0% (0/1) | 100.0% (1/1) | 2.00 |" in text
    assert "- clean, rigid small cells, 3 px off: ok: x" in text
    assert data.exists()


def test_a_few_pairs_run_from_end_to_end() -> None:
    (one,) = list(trust.alignable("chosen", 0, every=len(trust.HALVES) * 1000))
    assert one.is_right
    assert one.status == "ok"
    assert len(one.inside) == len(trust.LEVELS)
