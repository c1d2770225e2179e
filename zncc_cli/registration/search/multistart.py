"""From starts to candidates: which starts are followed, how one is followed on a level, and which one stands out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from zncc_cli.config import NESTED_MODELS, Model, RegistrationConfig
from zncc_cli.registration.geometry import frame_extent, overlap_points, overlap_shape
from zncc_cli.registration.metric.level_metric import LevelMetric
from zncc_cli.registration.optimizer import Ending, minimize
from zncc_cli.registration.pair_pyramid import LevelMetrics
from zncc_cli.registration.pyramid import coarsest_of
from zncc_cli.registration.search.coarse_search import scaling, shift
from zncc_cli.registration.search.global_search import USUAL_SCALES, Start, find_starts, significance
from zncc_cli.registration.search.motion_bound import MotionBound
from zncc_cli.registration.transforms import WARM_START
from zncc_cli.registration.transforms.linear import LinearTransform
from zncc_cli.registration.warp import corners, map_points

_SEARCH_SIDE_PX = 128  # candidates are compared on the coarsest level with at least this shorter side
# The significance that ends the search: a ZNCC of 0.76 over the whole. A texture a period off has reached 0.7.
_GOOD_SCORE = 1.0
# Shifts are searched in no time, rotations in little, scales take longest: what is not known is searched for in turn.
_SEARCHES = {Model.AUTO: (Model.TRANSLATION, Model.RIGID, Model.HOMOGRAPHY)}
# Tiles that share a strip are not searched for a scale: that takes ten times as long as a rotation.
_NARROW_SEARCHES: tuple[Model, ...] = (Model.TRANSLATION, Model.RIGID)
# A candidate that is fairly significant and stands out is right, though a richer model may fit it better. Of 21 hard
# pairs wrong candidates came to 0.17 at most, or stood out by 1.15 (a brick wall a period off); right ones by 1.79.
_FAIR_SCORE, _CLEAR_RATIO = 0.2, 1.7
# Two candidates are at different places when half of the overlap, at this grid, moves by this share of a diagonal.
_GRID, _ELSEWHERE_SHARE = 17, 1 / 16
_QUICK_STARTS = 3  # that are followed in a quick search; two at least, so that one can stand out
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
        loss: the value that was minimised, at the end (`zncc_cli.registration.metric.level_metric`); NaN without enough
            overlap.
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
    """Where a start led.

    Attributes:
        start: the matrix that was reached, and the contrast.
        score: the significance of the agreement there on the search level; minus infinity beyond the bound, or with too
            little overlap.
        records: of each descent that led there, in order.
    """

    start: Start
    score: float
    records: tuple[LevelRecord, ...]


def placed(matrix: np.ndarray, model: Model, factor: int, score: float = 1.0) -> Candidate:
    """Return a place (3, 3) that was found without a descent, good to some pixels of the level of a ``factor``.

    ``model``: the one with which it is followed on that level.
    """
    return Candidate(Start(matrix), score, (LevelRecord(model, factor, math.nan, Ending.CONVERGED, 0, 0, 0.0),))


@dataclass(frozen=True)
class Search:
    """How a search is limited.

    Attributes:
        init: (3, 3) to start from, without a search; None for the identity, and a search.
        bound: starts beyond it are not searched, and a candidate beyond it is not taken as the best; None for any.
        narrow: the overlap may be too narrow for a window on the coarsest level: a start is followed on the coarsest
            level on which two windows lie side by side in its overlap. Only shifts and rotations are searched.
        scales: the least and the most scale that are searched, moving pixels per fixed pixel; other than the usual ones
            they are known to be needed: the first start has the middle one, and models without a scale are not tried.
        quick: only the best few starts that were searched for are followed, where little speaks for finding one.
    """

    init: np.ndarray | None = None
    bound: MotionBound | None = None
    narrow: bool = False
    scales: tuple[float, float] = USUAL_SCALES
    quick: bool = False

    def origin(self, shape: tuple[int, int], moving_shape: tuple[int, int]) -> np.ndarray:
        """Return the first start (3, 3) for images of (H, W)."""
        if self.init is not None:
            return self.init
        if self.scales == USUAL_SCALES:
            return np.eye(3)
        middle, moving_middle = corners(shape).mean(axis=0), corners(moving_shape).mean(axis=0)
        return np.asarray(shift(*moving_middle) @ scaling(math.sqrt(math.prod(self.scales))) @ shift(*-middle))


def find_candidates(
    metrics: Mapping[bool, LevelMetrics], config: RegistrationConfig, search: Search
) -> list[Candidate]:
    """Return where the starts led, the most significant candidate first.

    1. The identity, in either contrast, is followed on the coarsest level, model by model, and scored on the search
       level. Where neither candidate is good, the better one is followed on the search level too.
    2. Where none is good yet, the global search finds starts, for one model after the other, until a candidate is good
       or stands out. An init replaces the identity, and ends after step 1.

    Scores are compared within one model only, since a richer model agrees better anywhere: the best candidate of each
    model is followed again by the richest one.

    Args:
        metrics: of the pair in the contrasts that are searched, by whether it is inverted.
        config: the settings.
        search: how it is limited.

    Returns:
        At least one candidate, where the search is not quick.
    """
    multistart = _Multistart(metrics, config, search)
    models: tuple[Model, ...] = _SEARCHES.get(config.model, (config.model,))
    richest = models[-1]
    if search.narrow:
        models = _NARROW_SEARCHES[: NESTED_MODELS.index(richest) + 1]
    if search.scales != USUAL_SCALES:
        models = (richest,)
    pair = next(iter(metrics.values())).pair
    origin = search.origin(pair.shape, pair.moving_shape)
    origins = [] if search.quick and search.init is None else [Start(origin, inverted) for inverted in metrics]
    of_origin = candidates = list(multistart.until_good(origins, richest))
    if candidates and candidates[-1].score <= _GOOD_SCORE and 0 < multistart.search_level < len(pair) - 1:
        # The coarsest level sees no fine texture, and leaves what has only that a pixel off.
        redescended = multistart.redescend(_sorted(candidates)[0])
        if redescended.score > _GOOD_SCORE:
            return _sorted([*candidates, redescended])
    bests = list[Candidate]()
    good = bool(candidates) and candidates[-1].score > _GOOD_SCORE
    for model in models if search.init is None and not good else ():
        if model is richest:
            candidates = list(of_origin)
        else:
            candidates = [multistart.descend_models(start, model) for start in origins]
        least = config.first_min_overlap
        starts = find_starts(pair.fixed, pair.moving, model, least, search.bound, search.scales, metrics)
        candidates += multistart.until_good(starts[:_QUICK_STARTS] if search.quick else starts, model)
        if not candidates:
            continue
        if model is richest:
            break
        best = _sorted(candidates)[0]
        bests.append(best)
        ratio = start_ratio(_sorted(candidates), pair.shape, pair.moving_shape) or 0.0
        # Of a narrow overlap no candidate is significant, however well it agrees: the verdict tells.
        fair = best.score > _FAIR_SCORE or search.narrow
        if best.score > _GOOD_SCORE or (fair and ratio > _CLEAR_RATIO):
            bests = [best]
            break
    return _sorted(candidates + [multistart.descend_models(best.start, richest) for best in bests])


class _Multistart:
    """Follows starts of one pair on its coarse levels; arguments as of `find_candidates`."""

    def __init__(self, metrics: Mapping[bool, LevelMetrics], config: RegistrationConfig, search: Search) -> None:
        self._metrics, self._config, self._search = metrics, config, search
        self._pair = next(iter(metrics.values())).pair
        self.search_level = coarsest_of(self._pair.fixed, _SEARCH_SIDE_PX)

    def descend_models(self, start: Start, model: Model) -> Candidate:
        """Follow a start on the coarsest level by ``model``, and before that by the simpler ones that can hold it."""
        matrix, level = start.matrix, self._coarsest_level(start.matrix)
        records, candidates = list[LevelRecord](), list[Candidate]()
        for step in _warm_start(model, matrix, self._pair.shape):
            tolerance = _TOLERANCE if step is model else _WARM_TOLERANCE
            matrix, record = descend(self._metrics[start.inverted][level], step, matrix, self._config, tolerance)
            records.append(record)
            # An open choice of the model may end with a simpler one: the coarsest level holds few windows for many
            # parameters.
            if self._config.model is Model.AUTO or step is model:
                candidates.append(self._candidate(matrix, start.inverted, records))
                if candidates[-1].score > _GOOD_SCORE:
                    break
        return _sorted(candidates)[0]

    def until_good(self, starts: Iterable[Start], model: Model) -> Iterator[Candidate]:
        """Follow one start after the other until a candidate is good."""
        for start in starts:
            yield (candidate := self.descend_models(start, model))
            if candidate.score > _GOOD_SCORE:
                return

    def redescend(self, candidate: Candidate) -> Candidate:
        """Follow a candidate on the search level too, by its own model."""
        inverted, model = candidate.start.inverted, candidate.records[-1].model
        metric = self._metrics[inverted][self.search_level]
        matrix, record = descend(metric, model, candidate.start.matrix, self._config)
        return self._candidate(matrix, inverted, [*candidate.records, record])

    def _candidate(self, matrix: np.ndarray, inverted: bool, records: list[LevelRecord]) -> Candidate:
        level = min(self.search_level, self._coarsest_level(matrix))
        bound, slack = self._search.bound, self._pair.fixed[level].factor
        score = -math.inf
        if bound is None or bound.holds(matrix, slack=slack):
            score = score_at(self._metrics[inverted], level, matrix)
        return Candidate(Start(matrix, inverted), score, tuple(records))

    def _coarsest_level(self, matrix: np.ndarray) -> int:
        """Return the level on which a start is followed."""
        if not self._search.narrow:
            return len(self._pair) - 1
        across = min(overlap_shape(matrix, self._pair.shape, self._pair.moving_shape))
        side = WINDOWS_ACROSS * self._config.window_side
        return max((k for k, level in enumerate(self._pair.fixed) if across >= side * level.factor), default=0)


def score_at(metrics: LevelMetrics, level: int, matrix: np.ndarray) -> float:
    """Return the significance of the agreement on a level at ``matrix`` (3, 3); minus infinity with little overlap.

    Of all windows alike or by what they hold, whichever is clearer: empty ground hides the one, fine texture that
    interpolation blurs the other.
    """
    alike, agreement = metrics[level].similarity(matrix), metrics.agreement(level, matrix)
    if alike is None or agreement is None:
        return -math.inf
    scores = significance(*torch.tensor([(alike.zncc, agreement.zncc), (alike.overlap, agreement.share)]))
    return float(scores.max())


def _sorted(candidates: list[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda candidate: -candidate.score)


def best_rival(candidates: list[Candidate], shape: tuple[int, int], moving_shape: tuple[int, int]) -> Candidate | None:
    """Return the best candidate that lies elsewhere than the first one; None without one above zero.

    ``shape`` and ``moving_shape`` are (H, W). Distances are taken inside the overlap: beyond it, candidates that agree
    may be far apart.
    """
    best = candidates[0].start
    points = overlap_points(best.matrix, frame_extent(shape), frame_extent(moving_shape), _GRID)
    back = np.linalg.inv(best.matrix)

    def elsewhere(other: Start) -> bool:
        distances = np.linalg.norm(map_points(back @ other.matrix, points) - points, axis=-1)
        near = len(points) > 0 and float(np.median(distances)) < _ELSEWHERE_SHARE * math.hypot(*shape)
        return other.inverted != best.inverted or not near

    rival = next((candidate for candidate in candidates[1:] if elsewhere(candidate.start)), None)
    return None if rival is None or rival.score <= 0 else rival


def start_ratio(candidates: list[Candidate], shape: tuple[int, int], moving_shape: tuple[int, int]) -> float | None:
    """Return the significance of the best candidate over that of its `best_rival`; None without one."""
    rival = best_rival(candidates, shape, moving_shape)
    return None if rival is None else candidates[0].score / rival.score


def descend(
    metric: LevelMetric,
    model: Model,
    matrix: np.ndarray,
    config: RegistrationConfig,
    tolerance: float = _TOLERANCE,
) -> tuple[np.ndarray, LevelRecord]:
    """Return the matrix after the descent with ``model`` on one level, and what it took.

    ``tolerance``: level pixels, the step that ends it, on all but the finest level.
    """
    start = time.perf_counter()
    transform = LinearTransform(model, metric.shape)
    factor = metric.factor
    parameters = transform.parameters(matrix)
    at_start = metric.at(transform, parameters, with_curvature=True)

    def loss(p: np.ndarray) -> tuple[float, np.ndarray] | None:
        evaluated = at_start if p is parameters else metric.at(transform, p)
        return None if evaluated is None else (evaluated.value, evaluated.gradient)

    def curvature(p: np.ndarray) -> np.ndarray | None:
        evaluated = at_start if p is parameters else metric.at(transform, p, with_curvature=True)
        return None if evaluated is None else evaluated.curvature

    minimum = minimize(
        loss,
        parameters,
        method=config.optimizer,
        curvature=curvature,
        first_step=_FIRST_STEP * factor,
        max_step=_MAX_STEP * factor,
        tolerance=config.tolerance if factor == 1 else tolerance * factor,
        max_iterations=config.max_iterations,
    )
    counts = minimum.iterations, minimum.evaluations
    record = LevelRecord(model, factor, minimum.value, minimum.ending, *counts, time.perf_counter() - start)
    return transform.matrix(minimum.parameters), record


def _warm_start(model: Model, matrix: np.ndarray, shape: tuple[int, int]) -> list[Model]:
    """Return ``model`` after the simpler ones that ``matrix`` is a member of: others would throw a part of it away."""
    transforms = {simpler: LinearTransform(simpler, shape) for simpler in WARM_START[model][:-1]}
    members = [
        m for m, transform in transforms.items() if np.allclose(transform.matrix(transform.parameters(matrix)), matrix)
    ]
    return [*members, model]
