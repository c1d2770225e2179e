"""Registration of images that round stops of cameras frame: what lies within them has to agree by itself.

The edges of two stops lie on each other wherever the scene has moved, and so does the shading that goes with them. So
what is ok needs parts within the stops that find the place by themselves (`quality.block_consensus`), which neither an
edge nor a shading does.
"""

from __future__ import annotations

from dataclasses import replace

from zncc_cli.registration.attempt import Task
from zncc_cli.registration.found import Found
from zncc_cli.registration.pair_variant import Images
from zncc_cli.registration.quality.block_consensus import clearest_consensus
from zncc_cli.registration.quality.bounds import MIN_BORDER_PULL_PX, MIN_CONSENSUS
from zncc_cli.registration.quality.compute_evidence import overlap_distance
from zncc_cli.registration.quality.verdict import Status, Verdict
from zncc_cli.registration.variant_search import search_usual
from zncc_cli.registration.warp import in_front

_CHANCE_DEVIATIONS = 3.0  # expected errors: a shorter pull may be chance
_NOTE = "both images have a round dark frame, as the stop of a camera is: what lies within was compared alone"
_REASON = (
    "both images have a round dark frame, as the stop of a camera is, and edge and shading agree, but too few parts "
    "within find this place by themselves; leave the frames out with `fixed_mask` and `moving_mask` where they are not "
    "of the scene"
)


def search_within_stops(images: Images, task: Task, scale: float | None, found: Found) -> tuple[Images, Found]:
    """Return the images and what was ``found``, or both within their round stops where these held the result.

    Args:
        images: the pair.
        task: what is asked for.
        scale: moving pixels per fixed pixel, by the pixel sizes; None where they are not known.
        found: what a search of the whole images led to.
    """
    within = images.within_stops
    if within is None:
        return images, found
    agrees = _agrees_within(within, found)
    # The edges pull at a place that is right as well.
    start = found.variant.matrix(found.solution.fit.matrix) if agrees and found.status is Status.OK else task.init
    inner = search_usual(within, replace(task, init=start, further=True), scale)
    inner_agrees = _agrees_within(within, inner)
    inner, found = (each if ok else _doubted(each) for each, ok in ((inner, inner_agrees), (found, agrees)))
    inner = replace(inner, solution=replace(inner.solution, notes=(*inner.solution.notes, _NOTE)))
    if not inner_agrees or found.is_better_than(inner):
        return images, found
    pulled = not agrees or found.status is not Status.OK or _is_pulled(within, found, inner)
    return (within, inner) if pulled or inner.is_better_than(found) else (images, found)


def _is_pulled(within: Images, found: Found, inner: Found) -> bool:
    """Tell whether what was found lies farther from the fit within the stops, ``inner``, than chance explains."""
    whole, alone = (each.variant.matrix(each.solution.fit.matrix) for each in (found, inner))
    distance = overlap_distance(whole, alone, *within.as_they_are.pair.level(0))
    error = inner.solution.evidence.expected_error
    return distance is None or error is None or distance > max(MIN_BORDER_PULL_PX, _CHANCE_DEVIATIONS * error)


def _agrees_within(within: Images, found: Found) -> bool:
    """Tell whether enough parts of the images ``within`` their stops find the place that was found by themselves."""
    fit, variant = found.solution.fit, within.variant(mirrored=found.variant.mirrored)
    assert variant is not None  # only a reduction may leave too little
    matrix = variant.matrix_of_pair(found.variant.matrix(fit.matrix))
    if not in_front(matrix, within.shapes[0]):
        return False
    oriented = within.oriented_of(variant, variant.pair.judged) if variant.mirrored else within.oriented
    return clearest_consensus(oriented, matrix, fit.model).significance >= MIN_CONSENSUS


def _doubted(found: Found) -> Found:
    """Return what was found, suspect where it is ok."""
    if found.status is not Status.OK:
        return found
    return replace(found, solution=replace(found.solution, verdict=Verdict(Status.SUSPECT, (_REASON,))))
