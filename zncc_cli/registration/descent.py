"""From starts to their ends: which of them are followed, how one is followed on a level, and which end stands out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from zncc_cli.config import Model, RegistrationConfig
from zncc_cli.registration.initialization import Start, find_starts, significance
from zncc_cli.registration.objective import LevelObjective
from zncc_cli.registration.optimizer import Ending, minimize
from zncc_cli.registration.pyramid import Level, coarsest_of
from zncc_cli.registration.transforms import TRANSFORMS, WARM_START
from zncc_cli.registration.warp import map_points

_SEARCH = 128  # the ends of the starts are compared on the coarsest level with at least this shorter side
# The significance that ends the search: a ZNCC of 0.76 over the whole. A texture a period off has reached 0.7.
_GOOD_START = 1.0
# Two ends are at different places when half of the overlap, at these points a side, moves by this share of a diagonal.
_POINTS, _ELSEWHERE = 17, 1 / 16
# Lengths in level pixels: the first trial step, the longest step, and the step that ends all but the finest level.
_FIRST_STEP, _MAX_STEP, _COARSE_TOLERANCE = 0.25, 2.0, 0.03


@dataclass(frozen=True)
class LevelRecord:
    """What happened to one model on one level.

    Attributes:
        model: the model that was fitted.
        factor: full-resolution pixels per level pixel.
        loss: what was minimised, at the end (`zncc_cli.registration.objective`); NaN without enough overlap.
        ending: why the optimiser stopped.
        iterations, evaluations: how much it took.
    """

    model: Model
    factor: int
    loss: float
    ending: Ending
    iterations: int
    evaluations: int


@dataclass(frozen=True)
class End:
    """Where a start led on the coarsest level, how significant that is on the search level, and what it took."""

    start: Start
    score: float
    records: tuple[LevelRecord, ...]


def follow_starts(
    fixed: list[Level],
    moving: list[Level],
    objective: Callable[[int, bool], LevelObjective],
    config: RegistrationConfig,
    init: np.ndarray | None,
) -> list[End]:
    """Return where the starts led, the most significant end first.

    The identity, in either contrast, and the most significant starts of the global search are each followed on the
    coarsest level, model by model, and looked at on the search level. A good end ends the search. ``init`` takes the
    identity's place, and nothing is searched.
    """

    def starts() -> Iterator[Start]:
        first = np.eye(3) if init is None else init
        yield from (Start(first), Start(first, inverted=True))
        if init is None:
            yield from find_starts(fixed, moving, config.model, config.min_overlap)

    coarsest, search = len(fixed) - 1, coarsest_of(fixed, _SEARCH)
    ends = list[End]()
    for start in starts():
        matrix, records = start.matrix, []
        for model in _warm_start(config.model, matrix, fixed[0].shape):
            matrix, record = descend(objective(coarsest, start.inverted), model, matrix, config)
            records.append(record)
        got = objective(search, start.inverted).zncc(matrix)
        score = -math.inf if got is None else float(significance(*torch.tensor(got)))
        ends.append(End(Start(matrix, start.inverted), score, tuple(records)))
        if score > _GOOD_START:
            break
    return sorted(ends, key=lambda end: -end.score)


def distinctness(ends: list[End], shape: tuple[int, int], moving_shape: tuple[int, int]) -> float | None:
    """Return the significance of the best end over that of the next one elsewhere; None where there is none above zero.

    ``shape`` and ``moving_shape`` are (H, W). Elsewhere is judged inside the overlap: beyond it, ends that agree may be
    far apart.
    """
    best = ends[0].start
    steps = [np.linspace(0, n - 1, _POINTS) for n in shape]
    points = np.stack(np.meshgrid(*reversed(steps)), axis=-1).reshape(-1, 2)
    there = map_points(best.matrix, points)
    inside = ((there >= 0) & (there <= np.array(moving_shape[::-1]) - 1)).all(axis=-1)
    back = np.linalg.inv(best.matrix)

    def elsewhere(other: Start) -> bool:
        moved = np.linalg.norm(map_points(back @ other.matrix, points[inside]) - points[inside], axis=-1)
        near = bool(inside.any()) and float(np.median(moved)) < _ELSEWHERE * math.hypot(*shape)
        return other.inverted != best.inverted or not near

    other = next((end.score for end in ends[1:] if elsewhere(end.start)), 0.0)
    return ends[0].score / other if other > 0 else None


def descend(
    objective: LevelObjective, model: Model, matrix: np.ndarray, config: RegistrationConfig
) -> tuple[np.ndarray, LevelRecord]:
    """Return the matrix after gradient descent with ``model`` on one level, and what it took."""
    family = TRANSFORMS[model](model, objective.shape)
    factor = objective.factor
    start = family.parameters(matrix)
    got = minimize(
        lambda p: objective.of(family, p),
        start,
        curvature=objective.curvature(family, start),
        first_step=_FIRST_STEP * factor,
        max_step=_MAX_STEP * factor,
        tolerance=config.tolerance if factor == 1 else _COARSE_TOLERANCE * factor,
        max_iterations=config.max_iterations,
    )
    record = LevelRecord(model, factor, got.value, got.ending, got.iterations, got.evaluations)
    return family.matrix(got.parameters), record


def _warm_start(model: Model, matrix: np.ndarray, shape: tuple[int, int]) -> list[Model]:
    """Return ``model`` and the simpler ones before it that ``matrix`` is a member of: others would throw it away."""
    families = {simpler: TRANSFORMS[simpler](simpler, shape) for simpler in WARM_START[model][:-1]}
    kept = [m for m, family in families.items() if np.allclose(family.matrix(family.parameters(matrix)), matrix)]
    return [*kept, model]
