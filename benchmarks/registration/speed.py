"""Times of a registration, from images in memory to the matrix: all contenders in turn on the same pair."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.common.command_line import show_progress
from benchmarks.common.timing import LONG_SECONDS, Timing, interleaved
from benchmarks.registration.pairs.plans import timing_pair
from benchmarks.registration.tools.contender import Contender
from benchmarks.registration.trials import CLOCK, Trial, answer, trial


@dataclass(frozen=True)
class Speed:
    """A contender's time for one model, and its first trial; no time where it found no transform."""

    model: str
    trial: Trial
    timing: Timing | None


def speeds(
    contenders: list[Contender],
    models: Iterable[str],
    side: int,
    budget: float,
    max_samples: int,
) -> list[Speed]:
    """Time every contender on those ``models`` that it has, for about ``budget`` seconds or ``max_samples``."""
    results = []
    for model in models:
        pair = timing_pair(model, side)
        show_progress(f"time at {side} x {side}, {model}")
        able = {contender.name: contender for contender in contenders if model in contender.models}
        first = {name: trial(contender, pair) for name, contender in able.items()}
        calls = {
            name: functools.partial(answer, contender, pair)
            for name, contender in able.items()
            if first[name].error is not None
        }
        # The first call also loads what a tool needs; where it is short, a second one tells the time of a call.
        expected = {name: first[name].seconds for name in calls}
        expected |= {name: trial(able[name], pair).seconds for name in calls if expected[name] < LONG_SECONDS}
        timings = interleaved(calls, expected, CLOCK, budget, max_samples)
        results += [Speed(model, first[name], timings.get(name)) for name in able]
    return results
