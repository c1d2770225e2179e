"""One attempt at a pair: from where to start to a fit that is judged.

find    Start -> Candidate      starts of the search, each followed on the coarsest level
solve   Candidate -> Fit        the best one followed from level to level, and refined on the finest
        Fit -> CheckedFit       compared with the start that was given
        -> BorderCheck          and with the fit without a static border
        -> Solution             evidence, verdict, expected error
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zncc_cli.config import NESTED_MODELS, Model, RegistrationConfig
from zncc_cli.progress import advance, part_of_rest, say, size_words
from zncc_cli.registration.inputs.orientation_map import OrientedPair
from zncc_cli.registration.pair_pyramid import LevelMetrics, PairPyramid
from zncc_cli.registration.pyramid import pyramid
from zncc_cli.registration.quality.block_consensus import clearest_consensus
from zncc_cli.registration.quality.bounds import CLEAR_CONSENSUS, MIN_CONSENSUS, MIN_PEAK_RATIO, MIN_START_RATIO
from zncc_cli.registration.quality.compute_evidence import compute_evidence, may_agree
from zncc_cli.registration.quality.evidence import Evidence
from zncc_cli.registration.quality.peak_ratio import other_shifts
from zncc_cli.registration.quality.residual_motion import Parts
from zncc_cli.registration.quality.second_motion import second_motion
from zncc_cli.registration.quality.static_border import BorderCheck, refine_without_border
from zncc_cli.registration.quality.uncertainty import Uncertainty
from zncc_cli.registration.quality.verdict import Request, Verdict, judge
from zncc_cli.registration.refine.tone_curve import with_one_tone
from zncc_cli.registration.search.fit import Fit, refined_fit
from zncc_cli.registration.search.global_search import USUAL_SCALES
from zncc_cli.registration.search.model_selection import Selection, select_model
from zncc_cli.registration.search.motion_bound import MotionBound
from zncc_cli.registration.search.multistart import (
    Candidate,
    LevelRecord,
    Search,
    best_rival,
    descend,
    find_candidates,
    score_at,
    start_ratio,
)
from zncc_cli.registration.search.start_check import check_start

# Of what is left: the search; and what follows it, with its descent and its refinement. Some of it is left for what is
# tried where nothing is found. Means of affine pairs of 512 x 512 to 2048 x 2048 pixels.
_SEARCH_SHARE, _SOLVE_SHARE, _DESCENT_SHARE, _REFINED_SHARE = 0.15, 0.9, 0.2, 0.6

_BORDER_NOTE = (
    "both images have the same border of constant pixels, which does not move with the scene: it pulled at the result "
    "and was left out"
)
TONE_NOTE = "the contrast of the images differs by a curve: one of them was fitted through that curve"
"""The note of a fit by images of which one was taken through a curve."""


@dataclass(frozen=True, eq=False)
class Task:
    """A pair's settings, start and bound.

    Attributes:
        config: the settings.
        init: (3, 3), the start that was given; None where it is searched for.
        bound: of the motion; None for any.
        oriented: orientation maps of the images, by whose blocks the result is judged as well; None for none.
        further: whether another variant of the pair was tried before.
        rough: whether a transform that bends goes on from the matrix, which then need not be precise.
    """

    config: RegistrationConfig
    init: np.ndarray | None
    bound: MotionBound | None
    oriented: OrientedPair | None = None
    further: bool = False
    rough: bool = False


@dataclass(frozen=True, eq=False)
class Solution:
    """A fit, judged.

    Attributes:
        fit: the transform on the finest level.
        evidence, verdict: whether it is to be trusted.
        uncertainty: its expected error; None where texture does not determine every parameter of the model.
        records: what each level did.
        candidates: where the starts led.
        config: the settings of this attempt; window and least overlap may differ from what was asked for.
        notes: a sentence for each thing that was done and not asked for.
    """

    fit: Fit
    evidence: Evidence
    verdict: Verdict
    uncertainty: Uncertainty | None
    records: tuple[LevelRecord, ...]
    candidates: list[Candidate]
    config: RegistrationConfig
    notes: tuple[str, ...] = ()


def find(
    pair: PairPyramid,
    task: Task,
    config: RegistrationConfig,
    *,
    narrow: bool = False,
    scales: tuple[float, float] = USUAL_SCALES,
    quick: bool = False,
) -> list[Candidate]:
    """Return where the starts lead, the best first; ``narrow``, ``scales`` and ``quick`` as in `Search`."""
    metrics = {inverted: LevelMetrics(pair.in_contrast(inverted), config) for inverted in config.contrast.signs}
    say(f"searching, {config.model}")
    with part_of_rest(_SEARCH_SHARE):
        return find_candidates(metrics, config, Search(task.init, task.bound, narrow, scales, quick))


def solve(pair: PairPyramid, task: Task, config: RegistrationConfig, candidates: list[Candidate]) -> Solution:
    """Follow the best of ``candidates`` to the finest level, and judge the fit.

    On the way the model is selected (where it is left open), the fit is compared with a given start, and checked for
    the pull of a static border.
    """
    with part_of_rest(_SOLVE_SHARE):
        return _solve(pair, task, config, candidates)


def _solve(pair: PairPyramid, task: Task, config: RegistrationConfig, candidates: list[Candidate]) -> Solution:
    metrics = LevelMetrics(pair.in_contrast(candidates[0].start.inverted), config)
    matrix, richest_records = _descend_richest(metrics, candidates[0], config)
    model, matrix, selection = _select(metrics.pair, matrix, config)
    above_finest = range(1, min(metrics.pair.judged, len(metrics.pair) - 1))
    levels = [level for level in above_finest if metrics.pair.is_descended(level)]
    matrix, selected_records = _descend_levels(metrics, levels, model, matrix, config)
    # The fit is judged by the images as they are: through a curve, what contradicts it may be flat.
    toned = with_one_tone(metrics.pair, matrix)
    ratio = start_ratio(candidates, pair.shape, pair.moving_shape)
    fine_ratio = None if ratio is None or ratio >= MIN_START_RATIO else _fine_ratio(metrics, matrix, candidates, config)
    thorough = not task.rough and (task.init is not None or _may_be_ok(metrics, matrix, ratio, task, model))
    say(f"refining on the full size, {model}")
    advance(_DESCENT_SHARE)
    descended, refinement_record = refined_fit(toned, matrix, model, config, selection, thorough=thorough)
    if not (thorough or task.rough) and _may_be_ok(metrics, descended.matrix, ratio, task, model):
        descended, refinement_record = refined_fit(toned, descended.matrix, model, config, selection)
    say("judging the result")
    advance(_REFINED_SHARE)
    checked = check_start(pair, task.init, task.bound, descended, config)
    by_curve = toned is not metrics.pair and checked.fit is descended
    # A fit that the start itself led to had no rivals.
    ratio, fine_ratio = (None, None) if checked.from_start else (ratio, fine_ratio)
    if checked.fit.inverted != metrics.pair.inverted:
        metrics = LevelMetrics(pair.in_contrast(checked.fit.inverted), config)
    fitted = dataclasses.replace(config, model=checked.fit.model)
    border = _check_border(metrics.pair, checked.fit, task.bound, fitted)
    uncertainty = Uncertainty.of_blocks(fitted.model, border.refined.matrix, pair.shape, border.refined.influences)
    judged = _without_border(metrics, border, config)
    evidence = compute_evidence(judged, border, fitted, uncertainty, ratio)
    evidence = dataclasses.replace(
        evidence,
        fine_ratio=fine_ratio,
        distance_beyond_bound=checked.distance_beyond_bound,
    )
    fit = dataclasses.replace(checked.fit, refined=border.refined)
    evidence = _with_consensus(evidence, task.oriented, fit, judged.pair)
    return Solution(
        fit=fit,
        evidence=evidence,
        verdict=_judged(evidence, fitted.model, task),
        uncertainty=uncertainty,
        records=(*candidates[0].records, *richest_records, *selected_records, refinement_record, *checked.records),
        candidates=candidates,
        config=config,
        notes=(*([TONE_NOTE] if by_curve else []), *([_BORDER_NOTE] if border.left_out else []), *checked.notes),
    )


def _may_be_ok(metrics: LevelMetrics, matrix: np.ndarray, ratio: float | None, task: Task, model: Model) -> bool:
    """Tell whether a refinement from ``matrix`` may lead to a result that is ok: else it takes its time for nothing.

    Of texture maps blocks must find the place, and they do so from some pixels away.
    """
    if not may_agree(metrics, matrix, ratio, task.config):
        return False
    return task.oriented is None or clearest_consensus(task.oriented, matrix, model).significance >= MIN_CONSENSUS


def _descend_richest(
    metrics: LevelMetrics, candidate: Candidate, config: RegistrationConfig
) -> tuple[np.ndarray, list[LevelRecord]]:
    """Follow a candidate with the richest model that is asked for, down to the judged level; return what it took."""
    pair, richest = metrics.pair, NESTED_MODELS[-1] if config.model is Model.AUTO else config.model
    # Begin one level finer than the candidate's last one, or on that one again where a simpler model ended there.
    factors = [level.factor for level in pair.fixed]
    reached = factors.index(candidate.records[-1].factor) + (candidate.records[-1].model is not richest)
    levels = range(min(max(1, pair.judged), len(pair) - 1), reached)
    return _descend_levels(metrics, levels, richest, candidate.start.matrix, config)


def _select(
    pair: PairPyramid, matrix: np.ndarray, config: RegistrationConfig
) -> tuple[Model, np.ndarray, Selection | None]:
    """Return the model that goes on, its matrix, and why that model where the choice is left to the pair."""
    if config.model is not Model.AUTO:
        return config.model, matrix, None
    selection = select_model(*pair.level(pair.judged), matrix, config)
    return selection.model, selection.matrix, selection


def _descend_levels(
    metrics: LevelMetrics, levels: Sequence[int], model: Model, matrix: np.ndarray, config: RegistrationConfig
) -> tuple[np.ndarray, list[LevelRecord]]:
    """Follow ``model`` from the coarsest of ``levels`` to the finest; return the matrix, and what each level took."""
    records = list[LevelRecord]()
    for level in reversed(levels):
        say(f"level {len(metrics.pair) - level} of {len(metrics.pair)}, {size_words(metrics[level].factor)}, {model}")
        matrix, record = descend(metrics[level], model, matrix, config)
        records.append(record)
        advance(_DESCENT_SHARE / 4**level)  # four times the pixels on each finer level
    return matrix, records


def _fine_ratio(
    metrics: LevelMetrics, matrix: np.ndarray, candidates: list[Candidate], config: RegistrationConfig
) -> float | None:
    """Return the `start_ratio` of where the best candidate and its rival lead on the judged level.

    A coarse level does not see the fine texture that tells two places apart.

    Args:
        metrics: of the pair in the best candidate's contrast.
        matrix: (3, 3), where that candidate led.
    """
    pair = metrics.pair
    rival, score = best_rival(candidates, pair.shape, pair.moving_shape), score_at(metrics, pair.judged, matrix)
    if rival is None or not score > 0:
        return None
    inverted = rival.start.inverted
    of_rival = metrics if inverted == pair.inverted else LevelMetrics(pair.in_contrast(inverted), config)
    there, _ = _descend_richest(of_rival, rival, config)
    other = score_at(of_rival, pair.judged, there)
    return score / other if other > 0 else math.inf


def confirmed(
    solution: Solution, task: Task, oriented: OrientedPair, pair: PairPyramid, textures: PairPyramid
) -> Solution:
    """Return a solution by brightness of a ``pair``, judged as well by the consensus of the blocks of both images.

    ``textures``: their texture maps. Places that blocks find as well agree by these, and need not by brightness.
    """
    fit = solution.fit
    evidence = _with_consensus(solution.evidence, oriented, fit, pair.in_contrast(fit.inverted), textures)
    return dataclasses.replace(solution, evidence=evidence, verdict=_judged(evidence, solution.fit.model, task))


def held_against_parts(solution: Solution, task: Task, oriented: OrientedPair, *, alike: bool) -> Solution:
    """Return a solution that is ok, judged as well by how far the parts of both images, each for itself, are off it.

    ``alike``: whether the images look alike there, see `Parts`.
    """
    parts = Parts.of(oriented, solution.fit.matrix)
    # Of images that look alike half of the parts at the most may lie elsewhere anyway.
    second = None if alike else second_motion(oriented, solution.fit.matrix)
    evidence = dataclasses.replace(
        solution.evidence,
        residual_motion=parts.residual_motion(alike=alike),
        left_behind=parts.left_behind if alike else None,
        second_motion=second,
    )
    return dataclasses.replace(solution, evidence=evidence, verdict=_judged(evidence, solution.fit.model, task))


def _judged(evidence: Evidence, model: Model, task: Task) -> Verdict:
    """Return the verdict on a fit of a ``model``."""
    return judge(evidence, Request(task.config, model, task.init is not None, task.further))


def _with_consensus(evidence: Evidence, oriented: OrientedPair | None, fit: Fit, *pairs: PairPyramid) -> Evidence:
    """Return the evidence for a fit with the consensus of the blocks of both images, where these are given.

    ``pairs``: the images, in the contrast of the fit, or their texture maps, which tell other places.
    """
    if oriented is None:
        return evidence
    found = clearest_consensus(oriented, fit.matrix, fit.model)
    rival = None
    repeats = evidence.peak_ratio is not None and evidence.peak_ratio < MIN_PEAK_RATIO
    if repeats and found.significance >= CLEAR_CONSENSUS:
        others = [
            matrix for each in pairs for matrix in other_shifts(each.fixed, each.moving, fit.matrix, MIN_PEAK_RATIO)
        ]
        rival = max((clearest_consensus(oriented, each, fit.model).significance for each in others), default=None)
    return dataclasses.replace(
        evidence, consensus=found.significance, consensus_tolerance=found.tolerance, rival_consensus=rival
    )


def _check_border(pair: PairPyramid, fit: Fit, bound: MotionBound | None, config: RegistrationConfig) -> BorderCheck:
    """Return the fit without a border that both images have alike, where that pulled at it and the bound allows it."""
    border = refine_without_border(*pair.level(0), fit.refined, config)
    if bound is not None and not bound.holds(border.refined.matrix):
        return dataclasses.replace(border, refined=fit.refined, left_out=False)
    return border


def _without_border(metrics: LevelMetrics, border: BorderCheck, config: RegistrationConfig) -> LevelMetrics:
    """Return the metrics by which a fit is judged: a border that both images have is no part of the scene."""
    if not border.masked:
        return metrics
    levels = len(metrics.pair)
    fixed, moving = (pyramid(level.image, level.mask, levels, level.measured) for level in border.levels)
    # The levels of the check are in the fit's contrast already.
    return LevelMetrics(PairPyramid(fixed, moving), config)
