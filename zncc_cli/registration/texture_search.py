"""Registration of images of different sensors, bands or stains: by their texture, and by how their edges lie.

What is tried, each where nothing before it is ok:

    brightness           as it is, by the caller
    texture maps         searched, descended and refined as images are
    blocks on the fit    do they confirm the one by brightness? not where brightness tells that the model is too simple
    blocks around        where do they find themselves, around the best places of all that?

Whatever is ok is compared with the place that its blocks find, held against a richer model, and refined through the
tone curve that it tells, where there is one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from zncc_cli.config import NESTED_MODELS, Contrast, Model
from zncc_cli.registration.attempt import TONE_NOTE, Task, confirmed
from zncc_cli.registration.found import Found, registered, searched, solved, stands_out
from zncc_cli.registration.pair_variant import Images, PairVariant
from zncc_cli.registration.quality.block_consensus import SAME_PX, block_consensus, clearest_consensus
from zncc_cli.registration.quality.bounds import (
    MAX_MODEL_MISFIT_PX,
    MAX_TEXTURE_MISFIT_PX,
    MIN_CONSENSUS,
    MIN_EXPLAINED_SHARE,
    MIN_PEAK_RATIO,
    MIN_START_RATIO,
)
from zncc_cli.registration.quality.compute_evidence import RICHER_MODEL, overlap_distance
from zncc_cli.registration.quality.verdict import Status, Verdict, is_static, look_alike
from zncc_cli.registration.refine.tone_curve import with_one_tone
from zncc_cli.registration.search.block_fit import DRAWS, block_fit
from zncc_cli.registration.search.multistart import Candidate, placed
from zncc_cli.registration.warp import corners, map_points

# Of the variance of an image, what a tone curve may leave where texture has found the place. A line leaves more then.
_MAX_UNEXPLAINED = 0.5
_CONFIRMED_NOTE = "the images agree little by brightness as it is; their parts confirm the place by their edges"
_BLOCKS_NOTE = "the place is the one that most parts of the images find for themselves by their edges"
_SAME_PLACE_PX = 5.0  # of the judged level: no other place of a texture that repeats itself is as near
_SEARCH_COST = math.log10(DRAWS)  # of a consensus: the best of so many places has it by chance
_CANDIDATES = 4  # of a search, around whose places blocks are asked
_SAME_START_PX = 8.0  # of the judged level, at a corner: blocks reach farther than that


def search_texture(images: Images, task: Task, found: Found) -> Found:
    """Return what a search by texture leads to, where brightness has ``found`` nothing that is ok; else ``found``."""
    textures = None if _is_settled(task, found) else images.textures
    if textures is None:
        return found
    candidates = searched(images, task, textures)
    by_texture = solved(images, task, textures, candidates) if stands_out(textures, candidates) else None
    best = found if by_texture is None or not _is_taken(images, task, by_texture, found) else by_texture
    bends = best.status is not Status.OK and _bends(images, found)
    chosen = best if best.status is Status.OK or bends else _confirmed_by_blocks(images, task, textures, found, best)
    if chosen.status is Status.OK:
        return _followed(images, task, textures, chosen, [])
    if bends and found.status is Status.SUSPECT:
        return best
    fits = [each.solution.fit.matrix for each in (by_texture, found) if each is not None]
    return _followed(images, task, textures, best, [*fits, *(each.start.matrix for each in candidates[:_CANDIDATES])])


def _is_settled(task: Task, found: Found) -> bool:
    """Tell whether texture is not asked.

    What a camera leaves at its own place, a border or single pixels, has texture there as well; and where images look
    alike, and at no other shift as much, brightness tells best how far the motion is richer than the model.
    """
    evidence = found.solution.evidence
    told = look_alike(evidence) and (evidence.peak_ratio is None or evidence.peak_ratio >= MIN_PEAK_RATIO)
    stays = found.status is Status.SUSPECT and (is_static(evidence) or told)
    return found.status is Status.OK or task.config.contrast is not Contrast.AUTO or stays


def search_texture_alone(images: Images, task: Task, textures: PairVariant) -> Found:
    """Return what a search by texture leads to, without one by brightness."""
    found = registered(images, task, textures)
    candidates = [] if found.status is Status.OK else found.solution.candidates[:_CANDIDATES]
    return _followed(images, task, textures, found, [each.start.matrix for each in candidates])


def _followed(images: Images, task: Task, textures: PairVariant, found: Found, starts: list[np.ndarray]) -> Found:
    """Return what the place leads to that most blocks find around what was ``found`` and the ``starts`` (3, 3).

    That is ``found`` itself where no place is clearly better, refined through a curve where it is by texture.
    """
    fit, own = found.solution.fit.matrix, 0.0
    if found.status is Status.OK:
        own = found.solution.evidence.consensus or 0.0
        model, pair = found.solution.fit.model, images.oriented
        beside = block_fit(pair, fit, model, quick=True)
        near = None if beside is None else overlap_distance(beside, fit, *images.as_they_are.pair.level(0))
        if near is None or near <= _SAME_PLACE_PX * pair.factor:
            return _finished(images, task, found)
    place = _place_of_blocks(images, task, [fit, *starts])
    if place is not None and place.score >= max(MIN_CONSENSUS, MIN_START_RATIO * own):
        there = solved(images, task, textures, [place])
        if there.status is Status.OK and (there.solution.evidence.consensus or 0.0) >= MIN_CONSENSUS + _SEARCH_COST:
            found = replace(there, solution=replace(there.solution, notes=(*there.solution.notes, _BLOCKS_NOTE)))
        elif found.status is Status.OK and there.status is not Status.OK:  # a place that is better leaves a doubt
            found = there
    return _finished(images, task, found)


def _finished(images: Images, task: Task, found: Found) -> Found:
    """Return what was found, held against a richer model, and refined through a curve where it is by texture."""
    checked = _checked_by_richer_model(images, found)
    return _through_curve(images, task, checked) if checked.variant.by_texture else checked


def _place_of_blocks(images: Images, task: Task, starts: list[np.ndarray]) -> Candidate | None:
    """Return the place that most blocks around one of the ``starts`` (3, 3) find.

    Its score is the block consensus less `_SEARCH_COST`: what chance does once in so many tries, every search does.
    """
    pair, model = images.oriented, Model.AFFINE if task.config.model is Model.AUTO else task.config.model
    places = list[tuple[float, np.ndarray]]()
    for start in _distinct(starts, images.shapes[0], _SAME_START_PX * pair.factor):
        matrix = block_fit(pair, start, model)
        if matrix is not None and (task.bound is None or task.bound.holds(matrix)):
            places.append((clearest_consensus(images.oriented, matrix, model).significance, matrix))
    if not places:
        return None
    consensus, place = max(places, key=lambda each: each[0])
    consensus -= _SEARCH_COST
    richest = NESTED_MODELS[-1] if task.config.model is Model.AUTO else model
    return placed(place, richest, pair.factor, consensus)


def _distinct(starts: list[np.ndarray], shape: tuple[int, int], apart: float) -> Iterator[np.ndarray]:
    """Yield ``starts`` (3, 3) without those that take all corners to within ``apart`` pixels of where another does."""
    frame, seen = corners(shape), list[np.ndarray]()
    for start in starts:
        there = map_points(start, frame)
        if all(np.linalg.norm(there - other, axis=-1).max() > apart for other in seen):
            seen.append(there)
            yield start


def _confirmed_by_blocks(images: Images, task: Task, textures: PairVariant, found: Found, best: Found) -> Found:
    """Return the fit by brightness, ok where the blocks find its place by themselves; else the ``best`` one."""
    solution = confirmed(found.solution, task, images.oriented, found.variant.pair, textures.pair)
    if solution.verdict.status is not Status.OK:
        return best
    return replace(found, solution=replace(solution, notes=(*solution.notes, _CONFIRMED_NOTE)))


def _bends(images: Images, found: Found) -> bool:
    """Tell whether the motion is richer than the model, by more than a fit by brightness may leave.

    Where brightness explains little, either the images differ by what they show, and a richer model fits that, or the
    model is too simple: then blocks find much more of the place with a richer one.
    """
    evidence = found.solution.evidence
    misfit, explained = evidence.model_misfit, evidence.explained
    if misfit is None or misfit <= MAX_MODEL_MISFIT_PX:
        return False
    if explained is None or explained >= MIN_EXPLAINED_SHARE:
        return True
    return _find_more_by_richer_model(images, found)


def _find_more_by_richer_model(images: Images, found: Found) -> bool:
    """Tell whether blocks find much more of a place with a model that is richer than the one that was fitted."""
    fit, oriented = found.solution.fit, images.oriented
    own = clearest_consensus(oriented, fit.matrix, fit.model)
    if oriented.finer is not None and own.tolerance < SAME_PX * oriented.factor:
        oriented = oriented.finer
    richer = RICHER_MODEL.get(fit.model)
    matrix = None if richer is None else block_fit(oriented, fit.matrix, richer)
    if richer is None or matrix is None:
        return False
    found_by_richer = block_consensus(oriented, matrix, richer).significance - _SEARCH_COST
    return found_by_richer >= MIN_START_RATIO * max(own.significance, MIN_CONSENSUS)


def _checked_by_richer_model(images: Images, found: Found) -> Found:
    """Return what was found, suspect where it rests on its blocks, and they find much more with a richer model."""
    evidence, model = found.solution.evidence, found.solution.fit.model
    if found.status is not Status.OK or evidence.consensus is None or not _find_more_by_richer_model(images, found):
        return found
    reason = (
        f"parts of the images find much more of each other with a model richer than `model` {model}; try `model` "
        f"{RICHER_MODEL[model]}, or auto"
    )
    return replace(found, solution=replace(found.solution, verdict=Verdict(Status.SUSPECT, (reason,))))


def _through_curve(images: Images, task: Task, by_texture: Found) -> Found:
    """Return the fit by brightness through the tone curve that a fit by texture tells, where there is one.

    Texture is as coarse as its windows. It has found the place, so the finer fit has to agree with it.
    """
    pair, matrix = images.as_they_are.pair, by_texture.solution.fit.matrix
    toned = pair if by_texture.status is not Status.OK else with_one_tone(pair, matrix, _MAX_UNEXPLAINED)
    if toned is pair:
        return by_texture
    variant = replace(images.as_they_are, pair=toned)
    finer = registered(images, replace(task, init=matrix), variant)
    distance = overlap_distance(finer.solution.fit.matrix, matrix, *toned.level(0))
    near = distance is not None and distance <= MAX_TEXTURE_MISFIT_PX
    if finer.status is not Status.OK or not near:
        return by_texture
    return replace(finer, solution=replace(finer.solution, notes=(*finer.solution.notes, TONE_NOTE)))


def _is_taken(images: Images, task: Task, by_texture: Found, found: Found) -> bool:
    """Tell whether the fit by texture is to be taken, and not that by brightness.

    Where brightness tells a place, too, it also tells better how far the motion is richer than the model. A start that
    was given is not left for a place that is in doubt.
    """
    free = task.init is None or by_texture.status is Status.OK
    better = free and by_texture.is_better_than(found)
    return better and (found.status is Status.FAILED or not _bends(images, by_texture))
