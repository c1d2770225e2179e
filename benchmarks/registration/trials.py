"""Trials: every contender on a pair, one after the other, and its error."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from benchmarks.common.command_line import show_progress
from benchmarks.registration.pairs.error import corner_error, rms_error
from benchmarks.registration.pairs.plans import Pair, Plan
from benchmarks.registration.tools.contender import Answer, Contender

# A call ends with a matrix in memory whatever computed it, so the clock of the CPU measures all.
CLOCK = torch.device("cpu")
SOLVED_PX, FINE_PX = 1.0, 0.1  # RMS errors below which a pair counts as solved, and as solved finely


@dataclass(frozen=True)
class Trial:
    """One contender on one pair.

    ``error`` is the RMS error in pixels and ``corner_error`` the largest of a corner, both None where the tool gave no
    transform, and ``note`` says why. ``bound`` is the pair's Cramer-Rao bound, ``seconds`` the time of one call,
    ``masked`` whether the tool was given the valid pixels, ``verdict`` the tool's own verdict.
    """

    plan: Plan
    contender: str
    error: float | None
    bound: float | None
    seconds: float
    masked: bool = False
    verdict: str = ""
    note: str = ""
    corner_error: float | None = None

    @property
    def is_solved(self) -> bool:
        return self.error is not None and self.error < SOLVED_PX

    @property
    def is_fine(self) -> bool:
        return self.error is not None and self.error < FINE_PX


def answer(contender: Contender, pair: Pair, *, masked: bool = False) -> Answer:
    """Return a contender's answer to a pair, with the valid pixels if ``masked``."""
    return contender.call(pair.fixed, pair.moving, pair.plan.model, pair.valid if masked else None)


def trial(contender: Contender, pair: Pair, *, masked: bool = False) -> Trial:
    """Let a contender register a pair; an exception becomes the trial's note."""
    began = time.perf_counter()
    try:
        result = answer(contender, pair, masked=masked)
    except Exception as failure:
        seconds = time.perf_counter() - began
        return Trial(pair.plan, contender.name, None, pair.bound, seconds, masked, note=reason(failure))
    seconds = time.perf_counter() - began
    error, corner = (measure(result.matrix, pair.matrix, pair.fixed.shape) for measure in (rms_error, corner_error))
    return Trial(pair.plan, contender.name, error, pair.bound, seconds, masked, result.verdict, corner_error=corner)


def trials(contenders: Iterable[Contender], pairs: Iterable[Pair]) -> list[Trial]:
    """Let every contender that has a pair's model register it, and again with masks where pair and tool have them."""
    done = []
    for pair in pairs:
        plan = pair.plan
        show_progress(f"{plan.model}, {plan.size} motion, {plan.damage}, {plan.scene}")
        able = [contender for contender in contenders if plan.model in contender.models]
        done += [trial(contender, pair) for contender in able]
        if pair.valid is not None:
            done += [trial(contender, pair, masked=True) for contender in able if contender.takes_masks]
    return done


def reason(failure: Exception) -> str:
    """Return the first line of an exception's text; of OpenCV's without the path of its source."""
    text = str(getattr(failure, "err", "") or failure).strip() or type(failure).__name__
    return text.splitlines()[0]
