"""Seconds of a registration, images in memory to matrix: all contenders in turn on the same pair."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from benchmarks.alignment.contender import Contender
from benchmarks.alignment.pairs import timing_pair
from benchmarks.alignment.trials import Trial, answer, trial
from benchmarks.measure import LONG_SECONDS, Timing, interleaved

# A call ends with a matrix in memory, whatever computed it: the clock of the CPU tells all.
_CLOCK = torch.device("cpu")


@dataclass(frozen=True)
class Speed:
    """A contender's time for one model, and how far off its transform was; no time where it found none."""

    model: str
    trial: Trial
    timing: Timing | None


def speeds(
    contenders: list[Contender], models: Iterable[str], side: int, budget: float, most: int, say: Callable[[str], None]
) -> list[Speed]:
    """Time every contender on those ``models`` that it has, for about ``budget`` seconds each, or ``most`` samples."""
    found = []
    for model in models:
        pair = timing_pair(model, side)
        say(f"time at {side} x {side}, {model}")
        able = {contender.name: contender for contender in contenders if model in contender.models}
        first = {name: trial(contender, pair) for name, contender in able.items()}
        calls = {
            name: functools.partial(answer, contender, pair)
            for name, contender in able.items()
            if first[name].error is not None
        }
        # A first call loads what a tool needs; where it is short, only the second tells how long one takes.
        expected = {name: first[name].seconds for name in calls}
        expected |= {name: trial(able[name], pair).seconds for name in calls if expected[name] < LONG_SECONDS}
        timings = interleaved(calls, expected, _CLOCK, budget, most)
        found += [Speed(model, first[name], timings.get(name)) for name in able]
    return found
