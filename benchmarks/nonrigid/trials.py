"""Every tool on every pair: its error, its time, and how far its own expectation is true."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.common.command_line import show_progress
from benchmarks.nonrigid import speckle
from benchmarks.nonrigid.pairs import Pair, Plan, make
from benchmarks.nonrigid.tools import Answer, Call

SOLVED_PX, FINE_PX = 1.0, 0.1
# Of the squared distance over the sum of both variances, where the components are alike: chi squared of two degrees.
_QUANTILES = {0.68: 2.279 / 2, 0.95: 5.991 / 2}


@dataclass(frozen=True)
class Calibration:
    """The expected RMS error, and the share of the pixels whose error lies within the 68 and 95 percent regions."""

    expected: float
    inside_68: float
    inside_95: float


@dataclass(frozen=True)
class Trial:
    """A tool on a pair: RMS error over the pixels that both images show, None without a field; seconds; verdict."""

    pair: str
    motion: str
    damage: str
    tool: str
    error: float | None
    seconds: float
    verdict: str = ""
    calibration: Calibration | None = None
    note: str = ""


@dataclass(frozen=True)
class Speckle:
    """A tool on the speckle.

    The periods from which on it keeps 90 percent of the star's amplitude, clean and under noise, pixels; the scatter of
    a shift under noise, RMS of both components, pixels; and the share that it keeps at some periods, clean.
    """

    tool: str
    period_clean: float
    period_noise: float
    floor: float
    kept: dict[str, float]


def trials(tools: Mapping[str, Call], wanted: Iterable[Plan]) -> list[Trial]:
    """Return the trials of all tools on the pairs of some plans; what a tool loads at first is not timed."""
    done, warm = [], False
    for plan in wanted:
        show_progress(plan.name)
        pair = make(plan)
        if not warm:
            for name, call in tools.items():
                _trial(name, call, pair, plan)
            warm = True
        done += [_trial(name, call, pair, plan) for name, call in tools.items()]
    return done


def _trial(name: str, call: Call, pair: Pair, plan: Plan) -> Trial:
    began = time.perf_counter()
    try:
        answer = call(pair.fixed, pair.moving)
    except Exception as failure:  # of any kind, in tools of others
        seconds = time.perf_counter() - began
        return Trial(plan.name, plan.motion, plan.damage, name, None, seconds, note=str(failure).split("\n")[0][:200])
    seconds = time.perf_counter() - began
    return Trial(
        plan.name, plan.motion, plan.damage, name, rms_error(answer, pair), seconds, answer.verdict,
        calibration(answer, pair),
    )  # fmt: skip


def squared_errors(answer: Answer, pair: Pair) -> np.ndarray:
    """Return the squared distances of the pixels that the moving frame shows, (N,)."""
    return np.asarray(((answer.displacements - pair.truth) ** 2).sum(axis=-1)[pair.inside])


def rms_error(answer: Answer, pair: Pair) -> float:
    return float(np.sqrt(squared_errors(answer, pair).mean()))


def calibration(answer: Answer, pair: Pair) -> Calibration | None:
    """Return how true the expected error is; None for a tool that expects none."""
    if answer.expected_error is None:
        return None
    variance = answer.expected_error[pair.inside] ** 2
    ratio = squared_errors(answer, pair) / np.maximum(variance, 1e-12)
    within = [float((ratio <= bound).mean()) for bound in _QUANTILES.values()]
    return Calibration(float(np.sqrt(variance.mean())), *within)


def verdicts(call: Call, pairs: Iterable[Pair]) -> dict[str, str]:
    """Return the verdict on each pair, by its name."""
    found = {}
    for pair in pairs:
        show_progress(pair.name)
        found[pair.name] = call(pair.fixed, pair.moving).verdict
    return found


def speckles(tools: Mapping[str, Call]) -> list[Speckle]:
    """Return what all tools resolve of the star, and how far noise scatters their shifts."""
    clean, noisy, shift = speckle.star(noise=False), speckle.star(noise=True), speckle.floor()
    return [_speckle(name, call, clean, noisy, shift) for name, call in tools.items()]


def _speckle(name: str, call: Callable[..., Answer], clean: Pair, noisy: Pair, shift: Pair) -> Speckle:
    show_progress(f"speckle, {name}")
    of_clean = call(clean.fixed, clean.moving).displacements
    inner = call(shift.fixed, shift.moving).displacements[16:-16, 16:-16]  # windows of all tools lie inside
    scatter = float(np.sqrt(((inner - np.array(speckle.FLOOR_SHIFT_PX)) ** 2).sum(axis=-1).mean()))
    periods, share = speckle.kept(of_clean)
    at = {f"{wanted} px": float(np.interp(wanted, periods, share)) for wanted in (15, 20, 25, 30, 40, 60)}
    of_noisy = call(noisy.fixed, noisy.moving).displacements
    return Speckle(name, speckle.resolution(of_clean), speckle.resolution(of_noisy), scatter, at)
