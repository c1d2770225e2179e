"""Further attempts that nobody asked for: with a smaller overlap, and with smaller windows.

Where nothing is found, a smaller overlap is searched for, by smaller windows on the coarse levels, on which the strip
that two tiles share is narrower than a window. Where the overlap holds too few windows to judge by, smaller ones are
taken. The verdict stays as strict as it is.
"""

from __future__ import annotations

import dataclasses
import math

from zncc_cli.config import FALLBACK_MIN_OVERLAP, RegistrationConfig
from zncc_cli.registration.attempt import Solution, Task, find, solve
from zncc_cli.registration.geometry import inner_overlap_shape, overlap_shape
from zncc_cli.registration.pair_pyramid import LevelMetrics, PairPyramid
from zncc_cli.registration.quality.bounds import MIN_START_RATIO
from zncc_cli.registration.quality.fitting_window import fitting_window
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.search.motion_bound import MotionBound
from zncc_cli.registration.search.multistart import WINDOWS_ACROSS, start_ratio

# On the coarse levels, where a narrow overlap is searched for: of a strip of 5 percent of 512 pixels two such windows
# lie side by side on the level of half of them.
_NARROW_WINDOW_PX = 5


def with_smaller_overlap(pair: PairPyramid, task: Task, solution: Solution) -> Solution:
    """Return the solution with a smaller overlap where ``solution`` failed and there is one, else ``solution``.

    A note says what was tried.
    """
    least = _smaller_overlap(pair, task, solution) if solution.verdict.status is Status.FAILED else None
    return solution if least is None else _search_again(pair, task, solution, least)


def _search_again(pair: PairPyramid, task: Task, failed: Solution, least: float) -> Solution:
    before = failed.config
    window = _narrow_window(task.config, before)
    narrow = dataclasses.replace(before, window=window, min_overlap=least)
    candidates = find(pair, task, narrow, narrow=True)
    tried = f"down to an overlap of {least:.0%}, by windows of {window} pixels on coarse levels"

    ratio = start_ratio(candidates, pair.shape, pair.moving_shape)
    promising = candidates[0].score > 0 and (ratio is None or ratio >= MIN_START_RATIO)
    if promising or failed.evidence.zncc_after is None:
        config = narrow
        if task.config.window is None:
            overlap = overlap_shape(candidates[0].start.matrix, pair.shape, pair.moving_shape)
            config = dataclasses.replace(narrow, window=fitting_window(overlap, before.window_side))
        solution = solve(pair, task, config, candidates)
        # In unrelated images, too, some strip agrees a little: a doubtful result is not taken. And a place of enough
        # overlap was refused before: judging it again with other candidates would only give chance a second try.
        metric = LevelMetrics(pair.in_contrast(solution.fit.inverted), narrow)[0]
        smaller = metric.overlap(solution.fit.matrix) < before.first_min_overlap
        if (solution.verdict.status is Status.OK and smaller) or failed.evidence.zncc_after is None:
            note = f"nothing was found with an overlap of {before.first_min_overlap:.0%}; it was searched {tried}"
            return _with_notes(solution, *solution.notes, note)
    return _with_notes(failed, *failed.notes, f"a second search went {tried}; nothing stands out there")


def with_smaller_windows(pair: PairPyramid, task: Task, solution: Solution) -> Solution:
    """Return the solution by smaller windows, where the overlap holds too few of those that nobody asked for."""
    usual = solution.config.window_side
    window = fitting_window(inner_overlap_shape(solution.fit.matrix, pair.shape, pair.moving_shape), usual)
    judged = solution.evidence.zncc_after is None or solution.evidence.block_significance is not None
    if judged or window >= usual or task.config.window is not None:
        return solution
    again = solve(pair, task, dataclasses.replace(solution.config, window=window), solution.candidates)
    if again.evidence.block_significance is None:
        return solution
    note = f"judged by windows of {window} pixels: the overlap holds too few of {usual} pixels"
    return _with_notes(again, *solution.notes, *again.notes, note)


def _smaller_overlap(pair: PairPyramid, task: Task, failed: Solution) -> float | None:
    """Return the least overlap that may still be searched for; None where that is nothing new.

    A start that was given and overlaps enough needs no search. A strip that is narrower than two windows shows nothing.
    """
    config, before = task.config, failed.config
    if task.init is not None and failed.evidence.zncc_after is not None:
        return None
    if task.init is None and task.bound is not None and _overlap_within(task.bound) > before.first_min_overlap:
        return None
    if config.min_overlap is not None:
        return None if config.window is not None else config.min_overlap
    shorter = min(*pair.shape, *pair.moving_shape)
    least = max(FALLBACK_MIN_OVERLAP, WINDOWS_ACROSS * _narrow_window(config, before) / shorter)
    return least if least < before.first_min_overlap else None


def _overlap_within(bound: MotionBound) -> float:
    """Return the share of the frame that stays on it when it is shifted as far as is allowed along both axes."""
    return math.prod(max(0.0, 1 - bound.max_motion / n) for n in bound.shape)


def _narrow_window(config: RegistrationConfig, before: RegistrationConfig) -> int:
    """Return the side of the windows, on coarse levels, by which a narrow overlap is searched for."""
    return min(_NARROW_WINDOW_PX, before.window_side) if config.window is None else config.window


def _with_notes(solution: Solution, *notes: str) -> Solution:
    return dataclasses.replace(solution, notes=notes)
