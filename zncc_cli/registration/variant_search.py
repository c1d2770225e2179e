"""Which variant of a pair is registered: the images as they are, their texture maps, a mirror image, or one reduced.

The images as they are come first, or the scale that the pixel sizes tell. Where they do not agree by their brightness,
their texture maps are compared. Only where nothing is found the mirror image and larger scales are tried. That gives
chance further tries: a place is followed only where it stands out, and its result is taken only where it is ok.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from zncc_cli.config import Contrast, Flip, Model
from zncc_cli.registration.attempt import TONE_NOTE, Solution, Task, confirmed, find, solve
from zncc_cli.registration.pair_variant import Images, PairVariant
from zncc_cli.registration.quality.bounds import MAX_MODEL_MISFIT_PX, MAX_TEXTURE_MISFIT_PX, MIN_START_RATIO
from zncc_cli.registration.quality.compute_evidence import overlap_distance
from zncc_cli.registration.quality.verdict import Status, Verdict, is_static
from zncc_cli.registration.refine.tone_curve import with_one_tone
from zncc_cli.registration.retry import with_smaller_overlap, with_smaller_windows
from zncc_cli.registration.search.global_search import USUAL_SCALES
from zncc_cli.registration.search.multistart import start_ratio
from zncc_cli.registration.transforms.matrices import is_mirrored
from zncc_cli.registration.warp import area_scale

_WITHOUT_SCALE = frozenset({Model.TRANSLATION, Model.RIGID})
# Of the scale that the pixel sizes tell, up and down: an objective magnifies within some percent of what it says.
_PIXEL_SIZE_TOLERANCE = 1.25
_SCALE_SLACK = 1.25  # a result whose scale lies farther beyond those that were searched has gone astray
# Scales that are believed; and how different pixel sizes must be for a model without a scale not to fit them.
_MAX_SCALE, _SAME_SCALE = 10.0, 1.05
# The scales beyond the usual ones, twice to four times, as reductions of fixed and moving and what is left to search.
_LARGER_SCALES = (((1, 2), (1.0, 2.0)), ((2, 1), (0.5, 1.0)))
# Of the variance of an image, what a tone curve may leave where texture has found the place. A line leaves more then.
_MAX_UNEXPLAINED = 0.5
_CONFIRMED_NOTE = (
    "the images agree little by brightness as it is; their parts confirm the place by texture or by a curve"
)
_RANK = (Status.OK, Status.SUSPECT, Status.FAILED)


@dataclass(frozen=True, eq=False)
class Found:
    """What a registration led to.

    Attributes:
        variant: the pair that was registered.
        solution: between the images of the variant.
    """

    variant: PairVariant
    solution: Solution

    @property
    def status(self) -> Status:
        """The verdict's status."""
        return self.solution.verdict.status

    @property
    def reasons(self) -> tuple[str, ...]:
        """The verdict's reasons; lengths in them are in moving pixels of the variant, which is said."""
        reasons, by = self.solution.verdict.reasons, self.variant.reductions[1]
        if by == 1 or self.status is Status.OK:
            return reasons
        return tuple(f"on the moving image at 1/{by} of its size, with lengths in its pixels: {r}" for r in reasons)

    @property
    def notes(self) -> Iterator[str]:
        """A sentence for each thing that sets the variant apart from the images."""
        if self.variant.by_texture:
            yield (
                "the images are compared by their local texture (log of the local standard deviation), as those of "
                "different sensors or stains are; the figures are of these maps"
            )
        if self.variant.mirrored:
            yield "the moving image is mirrored: the transform reverses it"
        for name, by in zip(("fixed", "moving"), self.variant.reductions, strict=True):
            if by > 1:
                yield f"the {name} image is the finer one: it was reduced to 1/{by} of its size for the registration"


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
    return found if first is None or _is_better(found, first) else first


def search_further(images: Images, task: Task, scale: float | None, found: Found) -> Found:
    """Return what the variants lead to where nothing was ``found`` by `search_usual`."""
    if found.status is not Status.FAILED:
        return found
    for further in _further(images, task, _told_scales(task, scale)):
        if further.status is Status.OK:
            return further
    return _with_reason_of_scale(found, task, scale)


def _told_scales(task: Task, scale: float | None) -> tuple[tuple[int, int], tuple[float, float]] | None:
    return None if task.config.model in _WITHOUT_SCALE or scale is None else _told_by(scale)


def _is_better(found: Found, other: Found) -> bool:
    return _RANK.index(found.status) < _RANK.index(other.status)


def _by_brightness_or_texture(images: Images, task: Task) -> Found:
    """Return what the usual search leads to, by the images' brightness, or their texture where that fails."""
    textures = images.textures if task.config.contrast is Contrast.ANY else None
    if textures is not None:
        return _through_curve(images, task, _registered(images, task, textures))
    return search_texture(images, task, _registered(images, task, images.as_they_are))


def search_texture(images: Images, task: Task, found: Found) -> Found:
    """Return what a search by texture leads to, where brightness has ``found`` nothing that is ok; else ``found``.

    What a camera leaves at its own place, a border or single pixels, has texture there as well.
    """
    static = found.status is Status.SUSPECT and is_static(found.solution.evidence)
    if found.status is Status.OK or task.config.contrast is not Contrast.AUTO or static:
        return found
    textures = images.textures
    by_texture = None if textures is None else _where_it_stands_out(images, task, textures, USUAL_SCALES, quick=False)
    if by_texture is not None and _is_better_by_texture(by_texture, found):
        return _through_curve(images, task, by_texture)
    return found if _bends(found) else _confirmed_by_blocks(images, task, found)


def _confirmed_by_blocks(images: Images, task: Task, found: Found) -> Found:
    """Return the fit by brightness as ok where blocks find its place by themselves, by texture or through a curve."""
    fit, pair = found.solution.fit, images.without_border
    as_compared = pair.in_contrast(fit.inverted)
    toned = with_one_tone(as_compared, fit.matrix, _MAX_UNEXPLAINED)
    textures = images.textures
    pairs = [*([] if textures is None else [textures.pair]), *([] if toned is as_compared else [toned])]
    for shown in pairs:
        solution = confirmed(found.solution, task, shown)
        if solution.verdict.status is Status.OK:
            return replace(found, solution=replace(solution, notes=(*solution.notes, _CONFIRMED_NOTE)))
    return found


def _bends(found: Found) -> bool:
    """Tell whether the motion is richer than the model, by more than a fit by brightness may leave."""
    misfit = found.solution.evidence.model_misfit
    return misfit is not None and misfit > MAX_MODEL_MISFIT_PX


def _through_curve(images: Images, task: Task, by_texture: Found) -> Found:
    """Return the fit by brightness through the tone curve that a fit by texture tells, where there is one.

    Texture is as coarse as its windows. It has found the place, so the finer fit has to agree with it.
    """
    pair, matrix = images.as_they_are.pair, by_texture.solution.fit.matrix
    toned = pair if by_texture.status is not Status.OK else with_one_tone(pair, matrix, _MAX_UNEXPLAINED)
    if toned is pair:
        return by_texture
    variant = replace(images.as_they_are, pair=toned)
    finer = _registered(images, replace(task, init=matrix), variant)
    distance = overlap_distance(finer.solution.fit.matrix, matrix, *toned.level(0))
    near = distance is not None and distance <= MAX_TEXTURE_MISFIT_PX
    if finer.status is not Status.OK or not near:
        return by_texture
    return replace(finer, solution=replace(finer.solution, notes=(*finer.solution.notes, TONE_NOTE)))


def _is_better_by_texture(by_texture: Found, found: Found) -> bool:
    """Tell whether the fit by texture is to be taken, and not that by brightness.

    Where brightness tells a place, too, it also tells better how far the motion is richer than the model.
    """
    return _is_better(by_texture, found) and (found.status is Status.FAILED or not _bends(by_texture))


def _registered(images: Images, task: Task, variant: PairVariant) -> Found:
    """Return what the usual search of a variant leads to."""
    pair, own = variant.pair, variant.task(task)
    settings = variant.settings(images.fitted((pair.shape, pair.moving_shape)))
    solution = solve(pair, own, settings, find(pair, own, settings))
    solution = with_smaller_overlap(pair, own, solution)
    return Found(variant, with_smaller_windows(pair, own, solution))


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
    return _registered(images, task, variant)


def _told_by(scale: float) -> tuple[tuple[int, int], tuple[float, float]] | None:
    """Return the reductions for a ``scale``, and the scales that are left to search; None where it is a usual one."""
    larger = max(scale, 1 / scale)
    if not USUAL_SCALES[1] <= larger <= _MAX_SCALE:
        return None
    by = 2 ** int(math.log2(larger))
    reductions, left = ((1, by), scale / by) if scale > 1 else ((by, 1), scale * by)
    return reductions, (left / _PIXEL_SIZE_TOLERANCE, left * _PIXEL_SIZE_TOLERANCE)


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
    found = None if variant is None else _where_it_stands_out(images, task, variant, scales, quick=quick)
    if variant is None or found is None:
        return None
    scale = math.sqrt(area_scale(found.solution.fit.matrix, variant.pair.shape))
    return found if scales[0] / _SCALE_SLACK <= scale <= scales[1] * _SCALE_SLACK else None


def _where_it_stands_out(
    images: Images, task: Task, variant: PairVariant, scales: tuple[float, float], *, quick: bool
) -> Found | None:
    """Return what a search of a variant leads to; None where no place stands out. ``quick`` as in `Search`."""
    pair, own = variant.pair, variant.task(task)
    settings = variant.settings(images.fitted((pair.shape, pair.moving_shape)))
    candidates = find(pair, own, settings, scales=scales, quick=quick)
    if not candidates:
        return None
    ratio = start_ratio(candidates, pair.shape, pair.moving_shape)
    if not candidates[0].score > 0 or (ratio is not None and ratio < MIN_START_RATIO):
        return None
    return Found(variant, with_smaller_windows(pair, own, solve(pair, own, settings, candidates)))


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
