"""Which of several fits is taken: none that agrees less than the start that was given, and none beyond a bound.

A descent from coarse to fine leaves a start where the coarse levels mislead: they do not see fine texture, which may
repeat itself or lie under clouds that are not the same in both images. So the start itself is refined as well, and all
fits are compared on the finest level. Without a given start and with a bound, the start is the identity.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from zncc_cli.config import Model, RegistrationConfig
from zncc_cli.registration.optimizer import Ending
from zncc_cli.registration.pair_pyramid import PairPyramid
from zncc_cli.registration.refine.refine import unrefined
from zncc_cli.registration.search.fit import Fit, FitSimilarity, fit_similarity, refined_fit
from zncc_cli.registration.search.model_selection import select_model
from zncc_cli.registration.search.motion_bound import MotionBound
from zncc_cli.registration.search.multistart import LevelRecord

_SAME_FIT_PX = 0.1  # at a corner: two fits that are nearer to each other are one
_START_RADIUS_PX = 1.0  # at a corner: a fit that is nearer to the start is where the start itself leads


@dataclass(frozen=True, eq=False)
class CheckedFit:
    """The fit that is taken.

    Attributes:
        fit: the one that is taken.
        records: of the refinement that led to it, where it is not the one that was descended to.
        distance_beyond_bound: see `Evidence`.
        notes: why another fit is taken than the one that was descended to.
        from_start: whether the start itself led there, and not a descent from coarse to fine.
    """

    fit: Fit
    records: tuple[LevelRecord, ...] = ()
    distance_beyond_bound: float | None = None
    notes: tuple[str, ...] = ()
    from_start: bool = False


def check_start(
    pair: PairPyramid,
    init: np.ndarray | None,
    bound: MotionBound | None,
    descended: Fit,
    config: RegistrationConfig,
) -> CheckedFit:
    """Return the fit that agrees best on the finest level: within the bound, and no worse than a given start.

    Args:
        pair: the pyramids.
        init: (3, 3), the start that was given; None where it was searched for.
        bound: of the motion; None for any.
        descended: the fit that the descent from coarse to fine led to.
        config: the settings of the fits.
    """
    origin = np.eye(3) if init is None else init
    distance = MotionBound(origin, pair.shape, math.inf).motion(descended.matrix)
    inside = bound is None or bound.holds(descended.matrix)
    if inside and init is None:
        return CheckedFit(descended)

    @cache
    def similarity(fit: Fit) -> FitSimilarity:
        return fit_similarity(*pair.in_contrast(fit.inverted).level(0), fit.matrix, config)

    start = replace(descended, refined=unrefined(origin, descended.model, pair.shape))
    if similarity(start).zncc < 0 and (not start.inverted) in config.contrast.signs:
        start = replace(start, inverted=not start.inverted)
    if distance <= _START_RADIUS_PX:
        fits, records = [descended] if inside else [], tuple[LevelRecord, ...]()
    else:
        near, record = _fit_near_start(pair.in_contrast(start.inverted), origin, start.model, config)
        if inside and MotionBound(near.matrix, pair.shape, _SAME_FIT_PX).holds(descended.matrix):
            return CheckedFit(descended)
        start = replace(near, refined=unrefined(origin, near.model, pair.shape))
        fits = [fit for fit in (descended, near) if bound is None or bound.holds(fit.matrix)]
        if len(fits) > 1:
            fits = [_preferred(descended, near, similarity)]
        records = (record,)
    best = fits[0] if fits else start
    if best is descended and not similarity(start).beats_as_start(similarity(descended)):
        return CheckedFit(descended)
    away = f"what was found from coarse to fine, {distance:.1f} px from the start at a corner"
    if not fits:
        note = f"the start is kept: {away}, lies beyond `max_motion`"
        return CheckedFit(start, records, distance, (note,), from_start=True)
    why = "is no better on the finest level" if inside else "lies beyond `max_motion`"
    if similarity(start).beats_as_start(similarity(best)):
        note = f"the start is kept: {away}, {why}, and what is near it agrees less"
        return CheckedFit(start, records, None, (note,), from_start=True)
    return CheckedFit(best, records, None, (f"found near the start: {away}, {why}",), from_start=True)


def _fit_near_start(
    pair: PairPyramid, origin: np.ndarray, model: Model, config: RegistrationConfig
) -> tuple[Fit, LevelRecord]:
    """Return where the start itself, ``origin`` (3, 3), leads on the finest level, and what it took."""
    if config.model is not Model.AUTO:
        return refined_fit(pair, origin, model, config)
    selection = select_model(*pair.level(pair.judged), origin, config)
    return refined_fit(pair, selection.matrix, selection.model, config, selection)


def _preferred(descended: Fit, near: Fit, similarity: Callable[[Fit], FitSimilarity]) -> Fit:
    """Return the fit that was descended to, or the one near the start where that is better or not clearly worse.

    A fit that did not converge is not preferred to one that did.
    """
    converged = [fit.refined.ending is Ending.CONVERGED for fit in (descended, near)]
    if converged[0] != converged[1]:
        better = similarity(descended).significance > similarity(near).significance
        return descended if converged[0] and better else near
    return descended if similarity(descended).beats(similarity(near)) else near
