"""The way of a pair to a transform that bends: the search for a matrix, and the step from there."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from zncc_cli.config import Contrast, Model, RegistrationConfig
from zncc_cli.progress import part_of_rest
from zncc_cli.registration.attempt import Task
from zncc_cli.registration.found import Found, leaves_parts_behind
from zncc_cli.registration.nonrigid.bending import Bending, bend
from zncc_cli.registration.nonrigid.verdict import judge_bending
from zncc_cli.registration.pair_variant import Images
from zncc_cli.registration.quality.bounds import ZNCC_TOLERANCE
from zncc_cli.registration.quality.verdict import Status, Verdict
from zncc_cli.registration.search.model_selection import Selection, significance
from zncc_cli.registration.texture_search import search_texture
from zncc_cli.registration.transforms.spline_field import SplineField
from zncc_cli.registration.variant_search import search_further, search_usual
from zncc_cli.text import told_apart

# Of what is left of the time: the matrix, and the field after it.
_MATRIX_SHARE, _BEND_SHARE = 0.2, 0.9
# Of the expected error of a matrix, by how far its blocks scatter: where a motion bends they do by more. Of 22 pairs
# whose motion bends by 3.5 to 8 px the least was 0.086, of 35 that a matrix explains 29 had less than this, and the
# others strong noise. Only above it a field is tried, or where a part is left behind that their mean hides.
_EXPLAINED_PX = 0.05
# Of gains that only a part of the overlap has: one chance in a hundred, as of their mean (`significance`).
_MAX_CHANCE = 0.01


@dataclass(frozen=True, eq=False)
class Bent:
    """A transform that bends, between the images, its verdict, and the matrix that it began with."""

    bending: Bending
    verdict: Verdict
    found: Found


def bend_pair(
    images: Images, task: Task, scale: float | None, config: RegistrationConfig, start: SplineField | None = None
) -> Bent:
    """Register a pair by a transform that bends, and its variants where nothing is found.

    Args:
        images: the pair.
        task: of the search for the matrix.
        scale: moving pixels per fixed pixel, by the pixel sizes; None where they are not known.
        config: spacing and smoothness are used.
        start: a field, fixed -> moving, that is near; ``task`` starts from its matrix then.
    """
    # That a matrix does not follow a motion that bends is no difference of contrast: the fit that bends tells.
    by_brightness = task.config.contrast is Contrast.AUTO
    task = replace(task, rough=True)
    first = replace(task, config=replace(task.config, contrast=Contrast.EITHER)) if by_brightness else task
    with part_of_rest(_MATRIX_SHARE):
        found = search_usual(images, first, scale)
    bent = _bent(images, task, found, config, start)
    if bent.verdict.status is Status.OK:
        return bent
    if by_brightness and (textured := search_texture(images, task, found)) is not found:
        by_texture = _bent(images, task, textured, config, start)
        if by_texture.verdict.status is Status.OK or bent.verdict.status is Status.FAILED:
            return by_texture
    # A matrix that failed may have been near enough.
    if bent.verdict.status is not Status.FAILED or found.status is not Status.FAILED or task.init is not None:
        return bent
    further = search_further(images, task, scale, found)
    return bent if further.status is Status.FAILED else _bent(images, task, further, config)


def bend_where_no_matrix_explains(images: Images, task: Task, scale: float | None, found: Found) -> Bent | None:
    """Return the transform that bends, of a pair that no matrix explains; None where the one that was found does.

    Where the parts of a pair tell one matrix as they should, and none is left behind, nothing is tried. Else the field
    must agree more on windows held out from its fit than the matrix does, by the mean of all of them or, where only a
    part was left behind, by most of those that change; and where no matrix was found, it must be ok.

    Args:
        images: the pair.
        task: of the search for the matrix, with model auto.
        scale: moving pixels per fixed pixel, by the pixel sizes; None where they are not known.
        found: what the search led to.
    """
    error = found.solution.evidence.expected_error
    left = found.status is not Status.FAILED and leaves_parts_behind(images, found)
    if not left and found.status is not Status.FAILED and error is not None and error < _EXPLAINED_PX:
        return None
    start = found
    if found.variant.by_texture:  # brightness is finer, and a motion that bends may be why it did not tell the matrix
        affine = replace(images.config, model=Model.AFFINE, contrast=Contrast.EITHER)
        start = search_usual(replace(images, config=affine), replace(task, config=affine), scale)
    bent = _bent(images, task, start, replace(images.config, model=Model.BSPLINE))
    told, status = bent.bending.held_out, bent.verdict.status
    if told is None or status is Status.FAILED or (start.status is Status.FAILED and status is not Status.OK):
        return None
    by = _gain(told.gains, of_part=left)
    if by is None or told.after <= told.before + ZNCC_TOLERANCE:
        return None
    solution = start.solution
    selection = _selection(bent, found.solution.fit.selection, solution.fit.model, by)
    return replace(
        bent, found=replace(start, solution=replace(solution, fit=replace(solution.fit, selection=selection)))
    )


def _gain(gains: np.ndarray, *, of_part: bool) -> str | None:
    """Return by which figures gains (n,) on fields held out are more than chance; None where they are not.

    ``of_part``: only a part of the overlap may gain, which says little of the mean. The sign test asks of the fields
    that change whether more of them gain than of coins show heads.
    """
    t, needed = significance(gains)
    if t > needed:
        told, bound = told_apart(t, needed, 1)
        return f"t = {told} where {bound} is needed"
    changed = gains[np.abs(gains) > ZNCC_TOLERANCE]
    n, better = len(changed), int((changed > 0).sum())
    if of_part and sum(math.comb(n, k) for k in range(better, n + 1)) <= _MAX_CHANCE * 2**n:
        return f"{better} of {n} parts that change agree more"
    return None


def _selection(bent: Bent, before: Selection | None, model: Model, gain: str) -> Selection | None:
    """Return why a transform that bends was selected, and not the matrix of a ``model``; ``before``: why that."""
    told = bent.bending.held_out
    if before is None or told is None:
        return None
    after, less = told_apart(told.after, told.before, 4)
    reason = (
        "no matrix explains the pair: a B-spline explains windows held out from its fit better than "
        f"{model} (ZNCC {after} and {less}, {gain})"
    )
    matrix = bent.bending.field.matrix
    return replace(before, model=Model.BSPLINE, matrix=matrix, reason="; ".join((reason, before.reason)))


def _bent(
    images: Images, task: Task, found: Found, config: RegistrationConfig, start: SplineField | None = None
) -> Bent:
    """Return the transform that bends upon the matrix that was found, or upon the identity where that explains more."""
    variant, solution = found.variant, found.solution
    pair = variant.pair.in_contrast(solution.fit.inverted)
    starts = [solution.fit.matrix]
    # Model auto compares the field with the matrix that was found.
    if variant is images.as_they_are and task.init is None and images.config.model is not Model.AUTO:
        starts.append(np.eye(3))
    start = start if variant is images.as_they_are else None  # that of another variant is not known
    with part_of_rest(_BEND_SHARE):
        bending = bend(*pair.level(0), starts, config, solution.config.window_side, start)
    verdict = judge_bending(bending, solution.evidence, solution.verdict)
    bound = variant.task(task).bound
    if bound is not None and bound.distance(bending.field.map_points(bound.frame)) > bound.max_motion:
        reason = f"the field moves a corner by more than the `max_motion` of {task.config.max_motion:g} px; raise it"
        verdict = Verdict(Status.FAILED, (reason, *(verdict.reasons if verdict.status is not Status.OK else ())))
    return Bent(variant.bending(bending), verdict, found)
