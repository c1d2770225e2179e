"""Which variant of a pair is registered: the images as they are, their texture maps, a mirror image, or one reduced.

The images as they are come first, or the scale that the pixel sizes tell. Where they do not agree by their brightness,
their texture maps are compared. Only where nothing is found features are matched, and the mirror image and larger
scales tried. That gives chance further tries: a place is followed only where it stands out, and its result is taken
only where it is ok.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from zncc_cli.config import NESTED_MODELS, Contrast, Flip, Model
from zncc_cli.registration.attempt import Task
from zncc_cli.registration.found import Found, registered, searched, solved, stands_out
from zncc_cli.registration.pair_variant import Images
from zncc_cli.registration.quality.verdict import Status, Verdict
from zncc_cli.registration.search.feature_place import EXTRA, MAX_PIXELS, can_match, feature_place
from zncc_cli.registration.search.global_search import USUAL_SCALES
from zncc_cli.registration.search.multistart import placed
from zncc_cli.registration.texture_search import search_texture, search_texture_alone
from zncc_cli.registration.transforms.matrices import is_mirrored
from zncc_cli.registration.warp import area_scale

_WITHOUT_SCALE = frozenset({Model.TRANSLATION, Model.RIGID})
# Of the scale that the pixel sizes tell, up and down: an objective magnifies within some percent of what it says.
_PIXEL_SIZE_TOLERANCE = 1.25
_SCALE_SLACK = 1.25  # a result whose scale lies farther beyond those that were searched has gone astray
# Scales that are believed; and how different pixel sizes must be for a model without a scale not to fit them.
_MAX_SCALE, _SAME_SCALE = 10.0, 1.05
_FEATURES_NOTE = "the place was found by matching features (SIFT)"
# The scales beyond the usual ones, twice to four times, as reductions of fixed and moving and what is left to search.
_LARGER_SCALES = (((1, 2), (1.0, 2.0)), ((2, 1), (0.5, 1.0)))


def search_variants(images: Images, task: Task, scale: float | None) -> Found:
    """Register a pair, and its variants where nothing is found.

    Args:
        images: the pair.
        task: with a start, only the variant that it belongs to is registered.
        scale: moving pixels per fixed pixel, by the pixel sizes; None where they are not known.
    """
    found = search_usual(images, task, scale)
    return found if task.init is not None else search_further(images, task, scale, found)


def search_usual(images: Images, task: Task, scale: float | None) -> Found:
    """Register a pair as it is, or at the scale that the pixel sizes tell; arguments as for `search_variants`."""
    if task.init is not None:
        return _from_start(images, task, task.init)
    told = _told_scales(task, scale)
    first = None if told is None else _search_scales(images, task, *told)
    if first is not None and first.status is Status.OK:
        return first
    found = _by_brightness_or_texture(images, task)
    return found if first is None or found.is_better_than(first) else first


def search_further(images: Images, task: Task, scale: float | None, found: Found) -> Found:
    """Return what the variants lead to where nothing was ``found`` by `search_usual`."""
    if found.status is not Status.FAILED:
        return found
    by_features = _by_features(images, task)
    if by_features is not None and by_features.status is Status.OK:
        return by_features
    for further in _further(images, task, _told_scales(task, scale)):
        if further.status is Status.OK:
            return further
    # A place in doubt is one that many features tell.
    if by_features is not None and by_features.is_better_than(found):
        return by_features
    return _with_reason_of_scale(_with_note_of_features(found, task.config.contrast), task, scale)


def _told_scales(task: Task, scale: float | None) -> tuple[tuple[int, int], tuple[float, float]] | None:
    return None if task.config.model in _WITHOUT_SCALE or scale is None else _told_by(scale)


def _by_brightness_or_texture(images: Images, task: Task) -> Found:
    """Return what the usual search leads to, by the images' brightness, or their texture where that fails."""
    textures = images.textures if task.config.contrast is Contrast.ANY else None
    if textures is not None:
        return search_texture_alone(images, task, textures)
    return search_texture(images, task, registered(images, task, images.as_they_are))


def _from_start(images: Images, task: Task, init: np.ndarray) -> Found:
    """Return what the start ``init`` (3, 3) leads to, in the variant that it belongs to."""
    scale = math.sqrt(abs(area_scale(init, images.shapes[0])))
    told = None if task.config.model in _WITHOUT_SCALE else _told_by(scale)
    mirrored, reductions = is_mirrored(init), (1, 1) if told is None else told[0]
    if not mirrored and reductions == (1, 1):
        return _by_brightness_or_texture(images, task)
    # Without reductions where they leave too little.
    variant = images.variant(mirrored=mirrored, reductions=reductions) or images.variant(mirrored=mirrored)
    assert variant is not None
    return registered(images, task, variant)


def _told_by(scale: float) -> tuple[tuple[int, int], tuple[float, float]] | None:
    """Return the reductions for a ``scale``, and the scales that are left to search; None where it is a usual one."""
    larger = max(scale, 1 / scale)
    if not USUAL_SCALES[1] <= larger <= _MAX_SCALE:
        return None
    by = 2 ** int(math.log2(larger))
    reductions, left = ((1, by), scale / by) if scale > 1 else ((by, 1), scale * by)
    return reductions, (left / _PIXEL_SIZE_TOLERANCE, left * _PIXEL_SIZE_TOLERANCE)


def _by_features(images: Images, task: Task) -> Found | None:
    """Return what the place leads to where features of both images match; None where they do not."""
    variant, config = images.as_they_are, task.config
    index = variant.pair.finest_of(MAX_PIXELS) if _has_features(config.contrast) else None
    matrix = None if index is None else feature_place(*variant.pair.level(index), config.model)
    if index is None or matrix is None or not (task.bound is None or task.bound.holds(matrix)):
        return None
    model, factor = NESTED_MODELS[-1] if config.model is Model.AUTO else config.model, variant.pair.fixed[index].factor
    found = solved(images, replace(task, further=True), variant, [placed(matrix, model, factor)])
    return replace(found, solution=replace(found.solution, notes=(*found.solution.notes, _FEATURES_NOTE)))


def _has_features(contrast: Contrast) -> bool:
    """Tell whether features are matched: they are of one contrast, and what is found is judged by brightness."""
    return False in contrast.signs and contrast is not Contrast.ANY


def _with_note_of_features(found: Found, contrast: Contrast) -> Found:
    """Return what failed with the note that features were not matched, where that is for want of OpenCV."""
    if can_match() or not _has_features(contrast):
        return found
    note = f'features were not matched, which finds views that differ much: run: pip install "{EXTRA}"'
    return replace(found, solution=replace(found.solution, notes=(*found.solution.notes, note)))


def _further(images: Images, task: Task, told: tuple[tuple[int, int], tuple[float, float]] | None) -> Iterator[Found]:
    """Yield what the variants lead to that are tried where nothing else was found, and where something stands out."""
    usual = (1, 1), USUAL_SCALES
    mirrored = [usual] if told is None else [told, usual]
    larger = () if task.config.model in _WITHOUT_SCALE else _LARGER_SCALES
    tries = [(True, each) for each in mirrored if task.config.flip is Flip.AUTO] + [(False, each) for each in larger]
    for flipped, (reductions, scales) in tries:
        found = _search_scales(images, task, reductions, scales, mirrored=flipped, quick=True)
        if found is not None:
            yield found


def _search_scales(
    images: Images,
    task: Task,
    reductions: tuple[int, int],
    scales: tuple[float, float],
    *,
    mirrored: bool = False,
    quick: bool = False,
) -> Found | None:
    """Return what a search of some scales leads to, in pixels of the reduced images; ``quick`` as in `Search`.

    None where no place stands out, where the result left the scales that were searched, or an image is too small.
    """
    variant = images.variant(mirrored=mirrored, reductions=reductions)
    candidates = [] if variant is None else searched(images, task, variant, scales, quick=quick)
    if variant is None or not stands_out(variant, candidates):
        return None
    found = solved(images, task, variant, candidates)
    scale = math.sqrt(area_scale(found.solution.fit.matrix, variant.pair.shape))
    return found if scales[0] / _SCALE_SLACK <= scale <= scales[1] * _SCALE_SLACK else None


def _with_reason_of_scale(found: Found, task: Task, scale: float | None) -> Found:
    """Return what failed with the reason that the model has no scale, where the pixel sizes ask for one."""
    if task.config.model not in _WITHOUT_SCALE or scale is None or max(scale, 1 / scale) < _SAME_SCALE:
        return found
    reason = (
        f"the pixel sizes differ by a factor of {max(scale, 1 / scale):.3g}, which `model` {task.config.model} cannot "
        "follow; use `model` similarity"
    )
    verdict = Verdict(found.status, (*found.solution.verdict.reasons, reason))
    return replace(found, solution=replace(found.solution, verdict=verdict))
