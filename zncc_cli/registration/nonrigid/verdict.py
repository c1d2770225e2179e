"""Is a transform that bends to be trusted? A status, and the reasons for it in plain words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

from zncc_cli.registration.nonrigid.bending import Bending
from zncc_cli.registration.nonrigid.error_map import UNCERTAIN_PX
from zncc_cli.registration.nonrigid.held_out import HeldOut
from zncc_cli.registration.quality.bounds import MIN_PEAK_RATIO, ZNCC_TOLERANCE, block_significance
from zncc_cli.registration.quality.evidence import Evidence
from zncc_cli.registration.quality.verdict import MOST_PROBABLE, Status, Verdict
from zncc_cli.text import told_apart

# Of windows held out from the fit. On 63 pairs that cannot be aligned, of 256 x 256 pixels, their significance was 13
# at most, but for repeated textures; on 22 pairs with known truth 46 at least, under noise of half the signal.
MIN_SIGNIFICANCE = 35.0
# The least that windows held out agree by, and the share of what the fitted ones do. Right results: 0.46 and 0.85.
MIN_HELD_OUT, MIN_HELD_OUT_SHARE = 0.05, 0.5
# How much less ZNCC a field has where it was fitted than the usual one has on windows held out. Of 35 fields that were
# forced on five pairs with known truth, all that were off by 0.5 px more than the usual field had 0.003 less or more,
# and none that was within 0.1 px of it had less at all.
_LEAST_FOLLOWED = 0.002
# RMS over the part of the overlap that shows more than noise, and over all of it: a result that is right is off by less
# than a pixel.
MAX_EXPECTED_ERROR_PX = 1.0
_UNCERTAIN_SHARE = 0.02  # of the overlap; a smaller one is not worth a word
_UNMATCHED_SHARE = 0.002  # a crack is narrow

# The RMS error of 22 pairs with known truth was the expected one times a factor whose logarithm has this deviation.
_ERROR_FACTOR = 0.4


def judge_bending(bending: Bending, evidence: Evidence, of_matrix: Verdict) -> Verdict:
    """Return the verdict on a transform that bends.

    Args:
        bending: the transform.
        evidence, of_matrix: of the matrix alone. That the motion is richer than a matrix is no reason against it.
    """
    failures = list(_failures(bending, evidence, of_matrix))
    doubts = list(_doubts(bending, evidence, of_matrix))
    if failures:
        return Verdict(Status.FAILED, tuple(failures + doubts))
    if doubts:
        return Verdict(Status.SUSPECT, tuple(doubts))
    return Verdict(Status.OK, ("the images agree", *_remarks(bending)))


def bending_probability(bending: Bending, status: Status) -> float:
    """Return the probability that a field is off by less than a pixel, RMS over the overlap."""
    error = math.inf if bending.expected_error is None else bending.expected_error.rms_everywhere
    below = NormalDist().cdf(-math.log(error) / _ERROR_FACTOR) if 0 < error < math.inf else 0.0
    return min(below, MOST_PROBABLE[status])


def _failures(bending: Bending, evidence: Evidence, of_matrix: Verdict) -> Iterator[str]:
    told = bending.held_out
    if evidence.distance_beyond_bound is not None or (told is None and of_matrix.status is Status.FAILED):
        yield from of_matrix.reasons
    elif told is not None and not _agrees(told) and of_matrix.status is not Status.OK:
        yield f"no agreement found: {_not_put(told)}; the images may not show the same scene"


def _not_put(told: HeldOut) -> str:
    significance = block_significance(told.blocks)
    shown = "none" if significance is None else f"{max(significance, 0):.0f}"
    return (
        "a field that is fitted to one half of the images does not put the other half in place "
        f"(ZNCC {told.after:.3f} on windows held out; significance {shown}, at least {MIN_SIGNIFICANCE:.0f} is needed)"
    )


def _agrees(told: HeldOut) -> bool:
    significance = block_significance(told.blocks)
    return told.after > MIN_HELD_OUT and (significance is None or significance >= MIN_SIGNIFICANCE)


def _doubts(bending: Bending, evidence: Evidence, of_matrix: Verdict) -> Iterator[str]:
    told = bending.held_out
    if told is None:
        if of_matrix.status is not Status.OK:
            yield "the images hold too few windows to judge a transform that bends by"
    else:
        if not _agrees(told) and of_matrix.status is Status.OK:
            yield f"the images agree by a matrix, and no further: {_not_put(told)}"
        yield from _doubts_of_windows(told, of_matrix)
        if bending.usual_agreement is not None and told.fitted < bending.usual_agreement - _LEAST_FOLLOWED:
            less, more = told_apart(told.fitted, bending.usual_agreement, 3)
            yield (
                f"the field is too stiff to follow the images: a ZNCC of {less} where it was fitted, and the usual one "
                f"has {more} on windows held out; lower `smoothness` or `spacing`"
            )
    if bending.peak_ratio is not None and bending.peak_ratio < MIN_PEAK_RATIO:
        shown, bound = told_apart(bending.peak_ratio, MIN_PEAK_RATIO, 2)
        yield (
            f"the images agree nearly as well at another shift (peak ratio {shown}, at least {bound} is needed): a "
            "texture that repeats itself may be off by a period, or the images show different scenes"
        )
    if evidence.border_left_out or (evidence.border_pull is not None and math.isinf(evidence.border_pull)):
        yield (
            "both images have the same border of constant pixels, which does not move with the scene; mask it with "
            "`fixed_mask` and `moving_mask`"
        )
    if bending.folded:
        yield f"the transform folds at {bending.folded} pixels; raise `smoothness`"
    error = bending.expected_error
    if error is None:
        yield "how far the field may be off cannot be told"
    elif error.rms > MAX_EXPECTED_ERROR_PX:
        rms, bound = told_apart(error.rms, MAX_EXPECTED_ERROR_PX, 2)
        yield (
            f"the texture determines the position only to within {rms} px (at most {bound} is allowed), RMS where "
            "both images show more than noise; raise `smoothness`, or mask what has no texture"
        )
        yield from _remarks(bending)
    elif error.rms_everywhere > MAX_EXPECTED_ERROR_PX:
        rms, bound = told_apart(error.rms_everywhere, MAX_EXPECTED_ERROR_PX, 2)
        yield (
            f"over the whole overlap an error of {rms} px is expected (RMS; at most {bound} is allowed), and of "
            f"{error.rms:.2f} px where both images show more than noise; mask what has no texture, or what only one "
            "image shows"
        )
        yield from _remarks(bending)


def _doubts_of_windows(told: HeldOut, of_matrix: Verdict) -> Iterator[str]:
    """Yield where windows held out speak against the result."""
    if told.after < told.before - ZNCC_TOLERANCE:
        yield f"on windows held out from the fit the ZNCC fell from {told.before:.3f} to {told.after:.3f}"
    elif told.after < MIN_HELD_OUT_SHARE * told.fitted:
        yield (
            f"half of the overlap does not say where the other half lies: a ZNCC of {told.after:.3f} on windows held "
            f"out from the fit, and of {told.fitted:.3f} on those that were fitted"
        )
    if block_significance(told.blocks) is None and of_matrix.status is not Status.OK:
        yield "the images hold too few windows to judge a transform that bends by"


def _remarks(bending: Bending) -> Iterator[str]:
    """Yield where a part of the overlap is not to be trusted."""
    error = bending.expected_error
    if bending.line_shift:
        yield (
            f"rows or columns are shifted one by one by {bending.line_shift:.2f} px (RMS), as by a scan that drifts or "
            "shakes: the field is smooth and does not follow them"
        )
    if error is not None and error.uncertain_share >= _UNCERTAIN_SHARE:
        yield (
            f"in {error.uncertain_share:.0%} of the overlap there is too little texture to tell the position to within "
            f"{UNCERTAIN_PX:g} px: the field there only continues its surroundings"
        )
    if error is not None and error.unmatched_share >= _UNMATCHED_SHARE:
        yield (
            f"in {error.unmatched_share:.1%} of the overlap both images show texture and do not agree: a depth edge, a "
            "crack, or what only one image shows; the field is smooth across it and not to be trusted there"
        )
