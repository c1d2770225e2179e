"""Every contender on a pair, one after the other, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.alignment.contender import Answer, Contender
from benchmarks.alignment.error import rms_error
from benchmarks.alignment.pairs import Pair, Plan

SOLVED, FINE = 1.0, 0.1  # pixels, RMS


@dataclass(frozen=True)
class Trial:
    """One contender on one pair. ``error`` is None where it gave no transform; ``note`` says why.

    ``said`` is the tool's own verdict, ``masked`` that it was told which pixels are valid. Seconds are of one call.
    """

    plan: Plan
    contender: str
    error: float | None
    bound: float | None
    seconds: float
    masked: bool = False
    said: str = ""
    note: str = ""

    @property
    def is_solved(self) -> bool:
        return self.error is not None and self.error < SOLVED

    @property
    def is_fine(self) -> bool:
        return self.error is not None and self.error < FINE


def answer(contender: Contender, pair: Pair, *, masked: bool = False) -> Answer:
    """Return what a contender makes of a pair, told the valid pixels if ``masked``."""
    return contender.call(pair.fixed, pair.moving, pair.plan.model, pair.valid if masked else None)


def trial(contender: Contender, pair: Pair, *, masked: bool = False) -> Trial:
    """Let a contender register a pair; a failure is a row, not the end."""
    began = time.perf_counter()
    try:
        found = answer(contender, pair, masked=masked)
    except Exception as failure:
        took = time.perf_counter() - began
        return Trial(pair.plan, contender.name, None, pair.bound, took, masked, note=reason(failure))
    took = time.perf_counter() - began
    error = rms_error(found.matrix, pair.matrix, pair.fixed.shape)
    return Trial(pair.plan, contender.name, error, pair.bound, took, masked, found.said)


def trials(contenders: Iterable[Contender], pairs: Iterable[Pair], say: Callable[[str], None]) -> list[Trial]:
    """Let every contender that has a pair's model register it; also with masks, where pair and tool have them."""
    done = []
    for pair in pairs:
        plan = pair.plan
        say(f"{plan.model}, {plan.size} motion, {plan.damage}, {plan.scene}")
        able = [contender for contender in contenders if plan.model in contender.models]
        done += [trial(contender, pair) for contender in able]
        if pair.valid is not None:
            done += [trial(contender, pair, masked=True) for contender in able if contender.takes_masks]
    return done


def reason(failure: Exception) -> str:
    """Return one line of an exception's text; OpenCV's own hides behind where it was built."""
    text = str(getattr(failure, "err", "") or failure).strip() or type(failure).__name__
    return text.splitlines()[0]
