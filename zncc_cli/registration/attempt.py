"""From the pyramids to a result that is judged; and what is tried before nothing is said to be found.

What nobody asked for may change: where nothing is found, less overlap is looked for, by smaller windows on the coarse
levels, on which the strip that two tiles share is narrower than a window; and where the overlap holds too few windows
to judge by, they become smaller. The verdict stays as strict as it is.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from zncc_cli.config import LEAST_MIN_OVERLAP, NESTED_MODELS, Interpolation, Model, RegistrationConfig
from zncc_cli.registration.geometry import overlap_shape
from zncc_cli.registration.metric.level_metric import LevelMetric
from zncc_cli.registration.pyramid import Level, coarsest_of, pyramid
from zncc_cli.registration.quality.evidence import Judging, Seen, weigh
from zncc_cli.registration.quality.fitting_window import fitting_window
from zncc_cli.registration.quality.static_border import refine_without_border
from zncc_cli.registration.quality.uncertainty import Uncertainty
from zncc_cli.registration.quality.verdict import MIN_START_RATIO, Asked, Evidence, Status, Verdict, judge
from zncc_cli.registration.refine.refine import Refined, refine, unrefined
from zncc_cli.registration.search.candidates import Fit, PlaceSimilarity, place_similarity, preferred
from zncc_cli.registration.search.model_selection import select_model
from zncc_cli.registration.search.motion_bound import MotionBound
from zncc_cli.registration.search.multistart import (
    WINDOWS_ACROSS,
    Candidate,
    LevelRecord,
    Search,
    descend,
    follow_starts,
    start_ratio,
)

_JUDGED = 256  # the coarsest level with at least this shorter side is judged, beside the finest
# Pixels, on the coarse levels, where a narrow overlap is looked for: of a strip of 5 percent of 512 pixels two such
# windows lie side by side on the level of half of them.
_NARROW_WINDOW = 5
_TOGETHER = 0.1  # pixels at a corner: two ways that end nearer to each other than this lead to one place
_SAME = 1.0  # pixels at a corner: what lies nearer to the start than this is where the start itself leads


@dataclass(frozen=True, eq=False)
class Images:
    """The pyramids of a pair, the finest level first."""

    fixed: list[Level]
    moving: list[Level]

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of the fixed image."""
        return self.fixed[0].shape

    @property
    def judged(self) -> int:
        """The index of the level that is judged beside the finest."""
        return coarsest_of(self.fixed, _JUDGED)

    def compared(self, level: int, inverted: bool) -> tuple[Level, Level]:
        """Return a level of both, of the same contrast."""
        moving = self.moving[level]
        return self.fixed[level], moving.negative if inverted else moving


@dataclass(frozen=True, eq=False)
class Task:
    """What is asked for: the settings, and the start (3, 3) and the bound of the motion, where there are such."""

    config: RegistrationConfig
    start: np.ndarray | None
    bound: MotionBound | None

    @property
    def origin(self) -> np.ndarray:
        """What the motion is counted from, (3, 3)."""
        return np.eye(3) if self.start is None else self.start


@dataclass(frozen=True, eq=False)
class Found:
    """A result, judged.

    Attributes:
        taken: where it is.
        evidence, verdict, uncertainty: whether it is to be trusted, and how sure it is.
        records: what each level did.
        candidates: where the starts led.
        settings: window and least overlap by which it was found.
        notes: a sentence for each thing that was done and not asked for.
    """

    taken: Fit
    evidence: Evidence
    verdict: Verdict
    uncertainty: Uncertainty | None
    records: tuple[LevelRecord, ...]
    candidates: list[Candidate]
    settings: RegistrationConfig
    notes: tuple[str, ...] = ()


def found_of(images: Images, task: Task, window: int) -> Found:
    """Return the result of a pair; ``window`` is its side at first, pixels."""
    config = task.config
    settings = dataclasses.replace(config, window=window, min_overlap=config.least_overlap)
    notes = tuple[str, ...]()
    if window < config.window_side:
        notes = (f"windows of {window} pixels: of {config.window_side}, images as small hold too few to judge by",)
    candidates = _candidates(images, task, settings, narrow=False)
    found = _finished(images, task, settings, candidates)
    if found.verdict.status is Status.FAILED and (least := _less_overlap(images, task, found)) is not None:
        found = _with_less_overlap(images, task, found, least)
    if config.window is None:
        found = _with_smaller_windows(images, task, found)
    return dataclasses.replace(found, notes=(*notes, *found.notes))


def _less_overlap(images: Images, task: Task, found: Found) -> float | None:
    """Return the least overlap that may still be looked for where ``found`` failed; None where there is nothing new.

    A start that was given, and overlaps enough, is where it is. In a strip that is narrower than two windows nothing
    can be seen.
    """
    config, before = task.config, found.settings
    if task.start is not None and found.evidence.zncc_after is not None:
        return None
    if task.start is None and task.bound is not None and _overlap_within(task.bound) > before.least_overlap:
        return None
    if config.min_overlap is not None:
        return None if config.window is not None else config.min_overlap
    shorter = min(*images.shape, *images.moving[0].shape)
    least = max(LEAST_MIN_OVERLAP, WINDOWS_ACROSS * _narrow_window(config, before) / shorter)
    return least if least < before.least_overlap else None


def _overlap_within(bound: MotionBound) -> float:
    """Return the share of the frame that stays on it when it is shifted as far as is allowed along both axes."""
    return math.prod(max(0.0, 1 - bound.most / n) for n in bound.shape)


def _narrow_window(config: RegistrationConfig, before: RegistrationConfig) -> int:
    """Return the side of the windows, on coarse levels, by which a narrow overlap is looked for."""
    return min(_NARROW_WINDOW, before.window_side) if config.window is None else config.window


def _with_less_overlap(images: Images, task: Task, found: Found, least: float) -> Found:
    """Return what is found where ``least`` is overlap enough; ``found``, which failed, where nothing is, either."""
    config, before = task.config, found.settings
    window = _narrow_window(config, before)
    settings = dataclasses.replace(before, window=window, min_overlap=least)
    candidates = _candidates(images, task, settings, narrow=True)
    matrix, moving_shape = candidates[0].start.matrix, images.moving[0].shape
    out = start_ratio(candidates, images.shape, moving_shape)
    tried = f"down to an overlap of {least:.0%}, by windows of {window} pixels on coarse levels"

    promising = candidates[0].score > 0 and (out is None or out >= MIN_START_RATIO)
    if promising or found.evidence.zncc_after is None:
        if config.window is None:
            window = fitting_window(overlap_shape(matrix, images.shape, moving_shape), before.window_side)
        again = _finished(images, task, dataclasses.replace(settings, window=window), candidates)
        # Of unrelated images, too, a strip somewhere agrees a little: what is doubtful there is not found. And a place
        # of enough overlap was refused before: to ask again of other candidates is to draw another lot.
        taken = again.taken
        overlap = _objectives(images, settings)(0, taken.inverted).overlap(taken.matrix)
        new = again.verdict.status is Status.OK and overlap < before.least_overlap
        if new or found.evidence.zncc_after is None:
            said = f"nothing was found with an overlap of {before.least_overlap:.0%}; it was searched {tried}"
            return dataclasses.replace(again, notes=(*again.notes, said))
    return dataclasses.replace(found, notes=(*found.notes, f"it was searched again {tried}; nothing stands out there"))


def _with_smaller_windows(images: Images, task: Task, found: Found) -> Found:
    """Return the result by windows of which the overlap holds enough, where it holds too few."""
    before = found.settings.window_side
    seen = overlap_shape(found.taken.matrix, images.shape, images.moving[0].shape)
    window = fitting_window(seen, before)
    if found.evidence.zncc_after is not None and found.evidence.block_significance is None and window < before:
        again = _finished(images, task, dataclasses.replace(found.settings, window=window), found.candidates)
        if again.evidence.block_significance is not None:
            said = f"judged by windows of {window} pixels: of {before}, the overlap holds too few"
            return dataclasses.replace(again, notes=(*found.notes, *again.notes, said))
    return found


def _candidates(images: Images, task: Task, settings: RegistrationConfig, narrow: bool) -> list[Candidate]:
    objective = _objectives(images, settings)
    return follow_starts(images.fixed, images.moving, objective, settings, Search(task.start, task.bound, narrow))


def _objectives(images: Images, settings: RegistrationConfig) -> Callable[[int, bool], LevelMetric]:
    """Return what gives the objective of a level and a contrast."""

    @cache
    def objective(level: int, inverted: bool) -> LevelMetric:
        return _objective(*images.compared(level, inverted), images.shape, settings)

    return objective


def _objective(fixed: Level, moving: Level, shape: tuple[int, int], config: RegistrationConfig) -> LevelMetric:
    interpolation = Interpolation.CUBIC if fixed.factor == 1 else Interpolation.LINEAR
    return LevelMetric(fixed, moving, shape, config.window_side, config.least_overlap, interpolation)


def _finished(images: Images, task: Task, settings: RegistrationConfig, candidates: list[Candidate]) -> Found:
    """Follow the best of ``candidates`` to the finest level, and judge the result."""
    objective = _objectives(images, settings)
    descended, records = _descended(images, settings, candidates[0], objective)
    choice = _choice(images, task, settings, descended)
    taken = choice.taken
    shape, judged, refined = images.shape, images.judged, taken.refined
    # A border that both have is no part of what is judged.
    fitted = dataclasses.replace(settings, model=taken.model)
    border_check = refine_without_border(*images.compared(0, taken.inverted), refined, fitted)
    if task.bound is not None and not task.bound.holds(border_check.refined.matrix):
        border_check = dataclasses.replace(border_check, refined=refined, left_out=False)
    taken = dataclasses.replace(taken, refined=border_check.refined)
    uncertainty = Uncertainty.of_blocks(taken.model, taken.matrix, shape, border_check.refined.influences)
    levels = range(len(images.fixed))
    seen = Seen(images.fixed, [images.compared(level, taken.inverted)[1] for level in levels])
    objectives = [objective(level, taken.inverted) for level in levels]
    if border_check.levels[0] is not images.fixed[0]:
        seen = Seen(*(pyramid(level.image, level.mask, len(levels), level.measured) for level in border_check.levels))
        objectives = [_objective(*pair, shape, settings) for pair in zip(seen.fixed, seen.moving, strict=True)]
    # What came of the start itself was chosen from no others.
    stands_out = None if choice.from_start else start_ratio(candidates, shape, images.moving[0].shape)
    judging = Judging(seen, objectives[0], objectives[judged], judged)
    evidence = weigh(judging, fitted, border_check, uncertainty, stands_out)
    evidence = dataclasses.replace(evidence, beyond=choice.beyond)
    verdict = judge(evidence, Asked(task.config, taken.model, task.start is not None))
    return Found(taken, evidence, verdict, uncertainty, (*records, *choice.records), candidates, settings, choice.notes)


def _descended(
    images: Images, settings: RegistrationConfig, candidate: Candidate, objective: Callable[[int, bool], LevelMetric]
) -> tuple[Fit, list[LevelRecord]]:
    """Return where ``candidate`` leads from level to level, refined, and what each level did."""
    inverted, matrix, records = candidate.start.inverted, candidate.start.matrix, list(candidate.records)
    levels, judged = len(images.fixed), images.judged
    richest = NESTED_MODELS[-1] if settings.model is Model.AUTO else settings.model
    # From below the level that was reached; from that again where the candidate is of a simpler model.
    factors = [level.factor for level in images.fixed]
    last = factors.index(records[-1].factor) + (records[-1].model is not richest)
    for level in reversed(range(min(max(1, judged), levels - 1), last)):
        matrix, record = descend(objective(level, inverted), richest, matrix, settings)
        records.append(record)
    selection, model = None, richest
    if settings.model is Model.AUTO:
        selection = select_model(*images.compared(judged, inverted), matrix, settings)
        matrix, model = selection.matrix, selection.model
    for level in reversed(range(1, min(judged, levels - 1))):
        matrix, record = descend(objective(level, inverted), model, matrix, settings)
        records.append(record)
    refined, record = _refined(images, dataclasses.replace(settings, model=model), matrix, inverted)
    return Fit(refined, model, inverted, selection), [*records, record]


def _refined(
    images: Images, fitted: RegistrationConfig, matrix: np.ndarray, inverted: bool
) -> tuple[Refined, LevelRecord]:
    began = time.perf_counter()
    got = refine(*images.compared(0, inverted), matrix, fitted)
    counts = got.iterations, got.evaluations
    return got, LevelRecord(fitted.model, 1, got.loss, got.ending, *counts, time.perf_counter() - began)


@dataclass(frozen=True, eq=False)
class _Choice:
    """The candidate that is taken.

    Attributes:
        taken: which one.
        records: of the refinement that led to it, where it is not the one that was descended to.
        beyond: see `Evidence.beyond`.
        notes: why it is another one.
    """

    taken: Fit
    records: tuple[LevelRecord, ...] = ()
    beyond: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def from_start(self) -> bool:
        """Whether the start led there, and not a descent from coarse to fine."""
        return bool(self.notes)


def _choice(images: Images, task: Task, settings: RegistrationConfig, descended: Fit) -> _Choice:
    """Return the candidate that agrees best on the finest level: within the bound, and no worse than a given start."""
    origin, bound = task.origin, task.bound
    apart = MotionBound(origin, images.shape, math.inf).motion(descended.matrix)
    inside = bound is None or bound.holds(descended.matrix)
    if inside and task.start is None:
        return _Choice(descended)

    @cache
    def agreeing(candidate: Fit) -> PlaceSimilarity:
        return place_similarity(*images.compared(0, candidate.inverted), candidate.matrix, settings)

    start = dataclasses.replace(descended, refined=unrefined(origin, descended.model, images.shape))
    if agreeing(start).zncc < 0:
        start = dataclasses.replace(start, inverted=not start.inverted)
    if apart <= _SAME:
        candidates, records = [descended] if inside else [], tuple[LevelRecord, ...]()
    else:
        near, record = _near(images, settings, origin, start)
        if inside and MotionBound(near.matrix, images.shape, _TOGETHER).holds(descended.matrix):
            return _Choice(descended)
        start = dataclasses.replace(near, refined=unrefined(origin, near.model, images.shape))
        candidates = [one for one in (descended, near) if bound is None or bound.holds(one.matrix)]
        if len(candidates) > 1:
            candidates = [preferred(descended, near, agreeing)]
        records = (record,)
    best = candidates[0] if candidates else start
    if best is descended and not agreeing(start).beats_as_start(agreeing(descended)):
        return _Choice(descended)
    away = f"what was found from coarse to fine, {apart:.1f} px from the start at a corner"
    if not candidates:
        said = f"the start is kept: {away}, lies beyond --max-motion"
        return _Choice(start, records, apart, (said,))
    why = "is no better on the finest level" if inside else "lies beyond --max-motion"
    if agreeing(start).beats_as_start(agreeing(best)):
        said = f"the start is kept: {away}, {why}, and what is near it agrees less"
        return _Choice(start, records, None, (said,))
    return _Choice(best, records, None, (f"found near the start: {away}, {why}",))


def _near(images: Images, settings: RegistrationConfig, origin: np.ndarray, start: Fit) -> tuple[Fit, LevelRecord]:
    """Return where the start itself, (3, 3), leads on the finest level, in the contrast of ``start``."""
    matrix, model, selection = origin, start.model, None
    if settings.model is Model.AUTO:
        selection = select_model(*images.compared(images.judged, start.inverted), origin, settings)
        matrix, model = selection.matrix, selection.model
    refined, record = _refined(images, dataclasses.replace(settings, model=model), matrix, start.inverted)
    return Fit(refined, model, start.inverted, selection), record
