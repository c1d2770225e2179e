"""From starts to candidates: which of them are followed, how one is followed on a level, and which one stands out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from zncc_cli.config import NESTED_MODELS, Model, RegistrationConfig
from zncc_cli.registration.geometry import overlap_shape
from zncc_cli.registration.metric.level_metric import LevelMetric
from zncc_cli.registration.optimizer import Ending, minimize
from zncc_cli.registration.pyramid import Level, coarsest_of
from zncc_cli.registration.search.global_search import Start, find_starts, significance
from zncc_cli.registration.search.motion_bound import MotionBound
from zncc_cli.registration.transforms import TRANSFORMS, WARM_START
from zncc_cli.registration.warp import map_points

_SEARCH = 128  # the candidates of the starts are compared on the coarsest level with at least this shorter side
# The significance that ends the search: a ZNCC of 0.76 over the whole. A texture a period off has reached 0.7.
_GOOD_START = 1.0
# Shifts are searched in no time, rotations in little, scales take longest: what is not known is searched for in turn.
_SEARCHES = {Model.AUTO: (Model.TRANSLATION, Model.RIGID, Model.HOMOGRAPHY)}
# Of tiles that share a strip: what is scaled is not looked for, ten times as many looks as a rotation takes.
_NARROW_SEARCHES: tuple[Model, ...] = (Model.TRANSLATION, Model.RIGID)
# A candidate that is fairly significant and stands out is the place, though a richer model may fit it better. Of 21 hard
# pairs wrong candidates came to 0.17 at most, or stood out by 1.15 (a brick wall a period off); right ones stood out by 1.79.
_FAIR, _STANDS_OUT = 0.2, 1.7
# Two candidates are at different places when half of the overlap, at these points a side, moves by this share of a diagonal.
_POINTS, _ELSEWHERE = 17, 1 / 16
WINDOWS_ACROSS = 2  # windows across the overlap, on the coarsest level on which a start in a narrow one is followed
# Lengths in level pixels: the first trial step, the longest step, and the step that ends a level. A simpler model need
# come no nearer than the next one starts well from: shorter steps cost half as many evaluations again, for nothing.
_FIRST_STEP, _MAX_STEP, _TOLERANCE, _WARM_TOLERANCE = 0.25, 2.0, 0.1, 0.25


@dataclass(frozen=True)
class LevelRecord:
    """What happened to one model on one level.

    Attributes:
        model: the model that was fitted.
        factor: full-resolution pixels per level pixel.
        loss: what was minimised, at the end (`zncc_cli.registration.metric.level_metric`); NaN without enough overlap.
        ending: why the optimiser stopped.
        iterations, evaluations, seconds: how much it took.
    """

    model: Model
    factor: int
    loss: float
    ending: Ending
    iterations: int
    evaluations: int
    seconds: float


@dataclass(frozen=True)
class Candidate:
    """Where a start led on the coarsest level, how significant that is on the search level, and what it took."""

    start: Start
    score: float
    records: tuple[LevelRecord, ...]


@dataclass(frozen=True)
class Search:
    """What is searched for.

    Attributes:
        init: (3, 3) to start from, without a search; None for the identity, and a search.
        bound: starts beyond it are not searched, and a candidate beyond it is not taken as the best; None where there is
            none.
        narrow: an overlap may be too narrow for a window on the coarsest level: a start is followed on the coarsest one
            on which two lie side by side in its overlap. What has only shifted is looked for first, and no scale.
    """

    init: np.ndarray | None = None
    bound: MotionBound | None = None
    narrow: bool = False


def follow_starts(
    fixed: list[Level],
    moving: list[Level],
    objective: Callable[[int, bool], LevelMetric],
    config: RegistrationConfig,
    asked: Search,
) -> list[Candidate]:
    """Return where the starts led, the most significant candidate first.

    The identity, in either contrast, and the most significant starts of the global search are each followed on the
    coarsest level, model by model, and looked at on the search level. A good candidate ends the search. An init takes the
    identity's place, and nothing is searched. Before anything is, the better of the identity's two candidates is followed on
    the search level too.

    With several models to search for, the next one is searched for where no candidate of the last stands out. Ends of
    different models are not compared, since a richer one agrees better anywhere: each search's best is followed on by
    the richest model first.
    """
    coarsest, search = len(fixed) - 1, coarsest_of(fixed, _SEARCH)
    searches: tuple[Model, ...] = _SEARCHES.get(config.model, (config.model,))
    richest = searches[-1]
    if asked.narrow:
        searches = _NARROW_SEARCHES[: NESTED_MODELS.index(richest) + 1]

    def level_of(start: Start) -> int:
        if not asked.narrow:
            return coarsest
        across = min(overlap_shape(start.matrix, fixed[0].shape, moving[0].shape))
        wide = [k for k, level in enumerate(fixed) if across >= WINDOWS_ACROSS * config.window_side * level.factor]
        return max(wide, default=0)

    def reached(matrix: np.ndarray, inverted: bool, records: list[LevelRecord]) -> Candidate:
        level = min(search, level_of(Start(matrix)))
        got = objective(level, inverted).similarity(matrix)
        beyond = asked.bound is not None and not asked.bound.holds(matrix, slack=fixed[level].factor)
        score = -math.inf if got is None or beyond else float(significance(*torch.tensor((got.zncc, got.overlap))))
        return Candidate(Start(matrix, inverted), score, tuple(records))

    def descend_models(start: Start, model: Model) -> Candidate:
        matrix, records, candidates, coarsest = start.matrix, list[LevelRecord](), list[Candidate](), level_of(start)
        for step in _warm_start(model, matrix, fixed[0].shape):
            tolerance = _TOLERANCE if step is model else _WARM_TOLERANCE
            matrix, record = descend(objective(coarsest, start.inverted), step, matrix, config, tolerance)
            records.append(record)
            # What is left open may also be a simpler one: the coarsest level holds few windows for many parameters.
            if config.model is Model.AUTO or step is model:
                candidates.append(reached(matrix, start.inverted, records))
                if candidates[-1].score > _GOOD_START:
                    break
        return _sorted(candidates)[0]

    def followed(starts: Iterable[Start], model: Model) -> Iterator[Candidate]:
        for start in starts:
            yield (candidate := descend_models(start, model))
            if candidate.score > _GOOD_START:
                return

    def redescended(candidate: Candidate) -> Candidate:
        inverted, model = candidate.start.inverted, candidate.records[-1].model
        matrix, record = descend(objective(search, inverted), model, candidate.start.matrix, config)
        return reached(matrix, inverted, [*candidate.records, record])

    first = [Start(np.eye(3) if asked.init is None else asked.init, inverted) for inverted in (False, True)]
    of_first = candidates = list(followed(first, richest))
    if candidates[-1].score <= _GOOD_START and 0 < search < coarsest:
        # The coarsest level sees no fine texture, and leaves what has only that a pixel off.
        nearest = redescended(_sorted(candidates)[0])
        if nearest.score > _GOOD_START:
            return _sorted([*candidates, nearest])
    bests = list[Candidate]()
    for model in searches if asked.init is None and candidates[-1].score <= _GOOD_START else ():
        candidates = list(of_first) if model is richest else [descend_models(start, model) for start in first]
        candidates += followed(find_starts(fixed, moving, model, config.least_overlap, asked.bound), model)
        if model is richest:
            break
        best = _sorted(candidates)[0]
        bests.append(best)
        out = start_ratio(_sorted(candidates), fixed[0].shape, moving[0].shape) or 0.0
        # Of a narrow overlap no candidate is significant, however well it agrees: the verdict tells.
        fair = best.score > _FAIR or asked.narrow
        if best.score > _GOOD_START or (fair and out > _STANDS_OUT):
            bests = [best]
            break
    return _sorted(candidates + [descend_models(best.start, richest) for best in bests])


def _sorted(candidates: list[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: -candidate.score)


def start_ratio(candidates: list[Candidate], shape: tuple[int, int], moving_shape: tuple[int, int]) -> float | None:
    """Return the significance of the best candidate over that of the next one elsewhere; None where there is none above zero.

    ``shape`` and ``moving_shape`` are (H, W). Elsewhere is judged inside the overlap: beyond it, candidates that agree may be
    far apart.
    """
    best = candidates[0].start
    steps = [np.linspace(0, n - 1, _POINTS) for n in shape]
    points = np.stack(np.meshgrid(*reversed(steps)), axis=-1).reshape(-1, 2)
    there = map_points(best.matrix, points)
    inside = ((there >= 0) & (there <= np.array(moving_shape[::-1]) - 1)).all(axis=-1)
    back = np.linalg.inv(best.matrix)

    def elsewhere(other: Start) -> bool:
        moved = np.linalg.norm(map_points(back @ other.matrix, points[inside]) - points[inside], axis=-1)
        near = bool(inside.any()) and float(np.median(moved)) < _ELSEWHERE * math.hypot(*shape)
        return other.inverted != best.inverted or not near

    other = next((candidate.score for candidate in candidates[1:] if elsewhere(candidate.start)), 0.0)
    return candidates[0].score / other if other > 0 else None


def descend(
    objective: LevelMetric,
    model: Model,
    matrix: np.ndarray,
    config: RegistrationConfig,
    tolerance: float = _TOLERANCE,
) -> tuple[np.ndarray, LevelRecord]:
    """Return the matrix after the descent with ``model`` on one level, and what it took.

    ``tolerance``: level pixels, the step that ends it, on all but the finest level.
    """
    began = time.perf_counter()
    family = TRANSFORMS[model](model, objective.shape)
    factor = objective.factor
    start = family.parameters(matrix)
    got = minimize(
        lambda p: objective.loss_and_gradient(family, p),
        start,
        method=config.optimizer,
        curvature=lambda p: objective.curvature(family, p),
        first_step=_FIRST_STEP * factor,
        max_step=_MAX_STEP * factor,
        tolerance=config.tolerance if factor == 1 else tolerance * factor,
        max_iterations=config.max_iterations,
    )
    record = LevelRecord(
        model, factor, got.value, got.ending, got.iterations, got.evaluations, time.perf_counter() - began
    )
    return family.matrix(got.parameters), record


def _warm_start(model: Model, matrix: np.ndarray, shape: tuple[int, int]) -> list[Model]:
    """Return ``model`` and the simpler ones before it that ``matrix`` is a member of: others would throw it away."""
    families = {simpler: TRANSFORMS[simpler](simpler, shape) for simpler in WARM_START[model][:-1]}
    kept = [m for m, family in families.items() if np.allclose(family.matrix(family.parameters(matrix)), matrix)]
    return [*kept, model]
