"""Is this result to be trusted? A status, and the reasons for it in plain words.

Reasons name settings by the arguments of `register` in backticks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from zncc_cli.config import FALLBACK_MIN_OVERLAP, NESTED_MODELS, Choice, Model, RegistrationConfig
from zncc_cli.registration.optimizer import Ending
from zncc_cli.registration.quality import bounds
from zncc_cli.registration.quality.evidence import Evidence
from zncc_cli.registration.quality.probability import probability_right
from zncc_cli.text import told_apart


class Status(Choice):
    """How far the result of a registration is to be trusted."""

    OK = "ok"
    SUSPECT = "suspect"
    FAILED = "failed"


MOST_PROBABLE = {Status.OK: 1.0, Status.SUSPECT: 0.5, Status.FAILED: 0.05}
"""The probability of being right that a verdict leaves at most, whatever the figures that tell it come to."""


@dataclass(frozen=True)
class Verdict:
    """A status and the reasons for it."""

    status: Status
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """What the user asked for; reasons do not advise what was done already.

    Attributes:
        config: the settings.
        fitted: the model that was fitted; None for the one of ``config``.
        init_given: whether a start was given (``init``).
        further: whether another variant of the pair was tried before, so that chance has had its try.
    """

    config: RegistrationConfig = field(default_factory=RegistrationConfig)
    fitted: Model | None = None
    init_given: bool = False
    further: bool = False

    @property
    def model(self) -> Model:
        """The model that was fitted."""
        return self.fitted or self.config.model

    @property
    def lowest_min_overlap(self) -> float:
        """The least overlap that the search accepts before the registration fails."""
        return FALLBACK_MIN_OVERLAP if self.config.min_overlap is None else self.config.min_overlap

    @property
    def simpler_model(self) -> str:
        """Advice to try a simpler model, where there is one."""
        return "" if self.model is NESTED_MODELS[0] else "; try a simpler `model`"


_DEFAULT = Request()


def judge(evidence: Evidence, request: Request = _DEFAULT) -> Verdict:
    """Return the verdict on the ``evidence`` for the result of a ``request``."""
    probability = probability_right(evidence)
    failures = list(_failures(evidence, request, probability))
    nothing_to_doubt = evidence.zncc_after is None or evidence.distance_beyond_bound is not None
    doubts = [] if nothing_to_doubt else list(_doubts(evidence, request))
    if evidence.ending is Ending.NOTHING_BETTER:
        # Where the result would lie beyond the bound, that is the reason, and nothing was compared.
        doubts += [] if evidence.distance_beyond_bound is not None else [evidence.ending.advice]
    elif evidence.ending is not Ending.CONVERGED and not _is_confirmed(evidence):
        advice = _optimiser_advice(evidence, alone=not failures and not doubts, request=request)
        doubts.append(f"the optimiser ended early: {evidence.ending.advice}{advice}")
    if failures:
        return Verdict(Status.FAILED, tuple(failures + doubts))
    if not doubts and not nothing_to_doubt and probability < bounds.MIN_PROBABILITY:
        told, bound = told_apart(probability, bounds.MIN_PROBABILITY, 2)
        doubts.append(
            f"all figures together leave a probability of {told} that this is right (at least {bound} is needed), "
            "though none alone speaks against it"
        )
    if doubts:
        return Verdict(Status.SUSPECT, tuple(doubts))
    return Verdict(Status.OK, ("the images agree",))


def _is_confirmed(evidence: Evidence) -> bool:
    """Tell whether the parts of texture maps find the place by themselves, all within half a window of it.

    What doubts a place by how alike brightness is, or by less than half a window, does not count then.
    """
    return evidence.consensus is not None and evidence.consensus >= bounds.MIN_CONSENSUS


def _optimiser_advice(evidence: Evidence, *, alone: bool, request: Request) -> str:
    """Return what helps where the optimiser ended early; iterations seldom mend a result with other flaws."""
    if evidence.ending is Ending.UNDETERMINED:
        return request.simpler_model
    return "; raise `max_iterations`" if evidence.ending is Ending.MAX_ITERATIONS and alone else ""


def _failures(evidence: Evidence, request: Request, probability: float) -> Iterator[str]:
    """Yield the reasons why nothing was found; that blocks agree little is none where all else speaks for it."""
    noisy = evidence.zncc_ceiling is not None and evidence.zncc_ceiling < bounds.NOISY_CEILING
    hidden = probability >= bounds.BELIEVED_PROBABILITY and noisy and not request.further
    believed = hidden or _is_confirmed(evidence)
    min_significance = bounds.min_block_significance(evidence.start_ratio)
    if evidence.distance_beyond_bound is not None:
        yield (
            f"no agreement found within a `max_motion` of {request.config.max_motion:g} px: the best place lies "
            f"{evidence.distance_beyond_bound:.1f} px from the start at a corner; raise `max_motion`, or give a nearer "
            "`init`"
        )
        return  # the start is the result, and what speaks against that is no news
    if evidence.zncc_after is None:
        yield f"the images do not overlap enough to be compared{_overlap_advice(evidence.overlap, request)}"
    elif not believed and evidence.block_significance is not None and evidence.block_significance < min_significance:
        significance, bound = told_apart(max(evidence.block_significance, 0), min_significance, 0)
        yield (
            "no agreement found: the parts of the overlap agree no better than those of unrelated images may (ZNCC "
            f"{evidence.zncc_after:.3f}; block significance {significance}, at least {bound} is needed); the images "
            f"may not show the same scene, or {', or '.join(_causes(request))}"
        )
    elif evidence.start_ratio is not None and not _stands_out(evidence, evidence.start_ratio):
        yield (
            "no agreement found that stands out: elsewhere the images agree nearly as well (start ratio {}, at least "
            "{} is needed); they may show different scenes, or repeat themselves"
        ).format(*told_apart(evidence.start_ratio, bounds.MIN_START_RATIO, 2))
    elif evidence.block_significance is None and evidence.ending in (Ending.OUT_OF_DOMAIN, Ending.NOTHING_BETTER):
        yield "nothing was found beyond the start, and too few windows tell whether that is right"
    if evidence.least_scale <= 0:
        yield "the transform turns part of the frame inside out"


def _stands_out(evidence: Evidence, start_ratio: float) -> bool:
    """Tell whether the place is clearly better than the best other one, among the starts or on the judged level.

    What did not converge has not been compared fairly on the finer level.
    """
    finely = evidence.fine_ratio is not None and evidence.fine_ratio >= bounds.MIN_FINE_RATIO
    return start_ratio >= bounds.MIN_START_RATIO or (finely and evidence.ending is Ending.CONVERGED)


def _overlap_advice(overlap: float, request: Request) -> str:
    """Return by how much images overlap that do so too little, and what lets them be compared all the same."""
    share, least = told_apart(100 * overlap, 100 * request.lowest_min_overlap, 1)
    if 0 < overlap < request.lowest_min_overlap:
        enough = math.floor(overlap * 1000) / 1000
        bound = "of `min_overlap`" if request.config.min_overlap is not None else "that the search accepts"
        advice = f"; a `min_overlap` of {enough:g} accepts that" if enough > 0 else ""
        return f": they overlap by {share}%, less than the {least}% {bound}{advice}"
    if overlap > 0 and request.config.window is not None:
        return f": they overlap by {share}%, in which no window of {request.config.window} pixels fits; lower `window`"
    return ""


def _causes(request: Request) -> Iterator[str]:
    """Yield what may have kept the right place from being found, where there is one."""
    config = request.config
    if request.init_given:
        yield "the start given as `init` lies far from the place (without it the start is searched for)"
    else:
        yield "the motion is beyond the search"
    if config.max_motion is not None:
        yield f"the motion is more than the `max_motion` of {config.max_motion:g} px"
    if config.min_overlap is not None and config.min_overlap > FALLBACK_MIN_OVERLAP:
        yield f"they have less in common than the `min_overlap` of {config.min_overlap:.0%}"
    if config.model not in (Model.AUTO, NESTED_MODELS[-1]):
        yield f"the motion needs a `model` richer than {config.model}"


def _doubts(evidence: Evidence, request: Request) -> Iterator[str]:
    """Yield what speaks against the place that was found."""
    e, confirmed = evidence, _is_confirmed(evidence)
    clear = confirmed and e.start_ratio is not None and e.start_ratio >= bounds.CLEAR_START_RATIO
    if e.block_significance is None:
        window = request.config.window
        advice = "" if window is None else f"; choose a `window` smaller than {window}, or leave it out"
        yield f"the overlap holds too few independent windows to judge by{advice}"
    if e.consensus is not None and not confirmed:
        yield (
            "too few parts of the overlap find this place by themselves (block consensus {}, at least {} is needed)"
        ).format(*told_apart(e.consensus, bounds.MIN_CONSENSUS, 1))
    least = bounds.MIN_PEAK_RATIO_IF_CONFIRMED if clear else bounds.MIN_PEAK_RATIO
    if e.peak_ratio is not None and e.peak_ratio < least and not _is_told_apart(e):
        yield (
            "the images agree nearly as well at another shift (peak ratio {}, at least {} is needed): a texture that "
            "repeats itself may be off by a period, or the images show different scenes{}"
        ).format(*told_apart(e.peak_ratio, least, 2), _repetition_advice(request))
    if not confirmed:
        yield from _doubts_of_zncc(e)
        yield from _doubts_of_signal(e)
    yield from _doubts_of_model(e, request)
    if e.round_trip is not None and e.round_trip > bounds.MAX_ROUND_TRIP_PX and not confirmed:
        yield f"with fixed and moving exchanged the result would move by {e.round_trip:.2f} px"
    if _rests_on_single_pixels(e):
        yield (
            "hardly anything moved, and the images agree by single pixels that stand out at the same places, as hot "
            "pixels of a camera do; remove them before (by a dark frame, or a 3 x 3 median), or leave them out by masks"
        )
    if _rests_on_border(e):
        yield (
            "both images have the same border of constant pixels, and without it nothing holds the result; "
            "mask it with `fixed_mask` and `moving_mask`"
        )
    if not bounds.SCALE_RANGE[0] <= e.least_scale <= e.most_scale <= bounds.SCALE_RANGE[1] and e.least_scale > 0:
        yield f"the transform scales by {e.least_scale:.2f} to {e.most_scale:.2f}, more than is likely"
    if e.shear > bounds.MAX_SHEAR:
        yield f"the transform stretches one direction {e.shear:.1f} times as much as another, more than is likely"


def _is_told_apart(e: Evidence) -> bool:
    """Tell whether the parts of the overlap find this place by themselves, and no other one that agrees as well."""
    if e.consensus is None or e.rival_consensus is None:
        return False
    return e.consensus >= bounds.CLEAR_CONSENSUS and e.rival_consensus < bounds.MIN_CONSENSUS


def _repetition_advice(request: Request) -> str:
    """Return advice for images that agree as well at another shift, without what was given already."""
    start = "" if request.init_given else "start near the truth with `init`"
    bound = "" if request.config.max_motion is not None else "allow less than a period with `max_motion`"
    advice = ", and ".join(part for part in (start, bound) if part)
    return f"; {advice}" if advice else ""


def _doubts_of_zncc(e: Evidence) -> Iterator[str]:
    """Yield where the ZNCC fell, of all windows or of those that took no part in the fit."""
    if e.zncc_before is not None and e.zncc_after is not None and e.zncc_after < e.zncc_before - bounds.ZNCC_TOLERANCE:
        yield f"the ZNCC fell from {e.zncc_before:.3f} to {e.zncc_after:.3f}"
    elif e.held_out_after is not None and e.zncc_coarse is not None:
        if e.held_out_before is not None and e.held_out_after < e.held_out_before - bounds.ZNCC_TOLERANCE:
            yield (
                f"on windows held out from the fit the ZNCC fell from {e.held_out_before:.3f} to {e.held_out_after:.3f}"
            )
        elif e.held_out_after < bounds.MIN_HELD_OUT_SHARE * e.zncc_coarse:
            yield (
                f"half of the overlap does not say where the other half lies: a ZNCC of {e.held_out_after:.3f} on "
                f"windows held out from the fit, and of {e.zncc_coarse:.3f} on all"
            )


def _doubts_of_signal(e: Evidence) -> Iterator[str]:
    """Yield where little of what both images show agrees, and no noise hides it."""
    hidden = e.zncc_ceiling is None or e.zncc_ceiling < bounds.NOISY_CEILING
    if not hidden and e.signal_agreement is not None and e.signal_agreement < bounds.MIN_SIGNAL_AGREEMENT:
        told, bound = told_apart(e.signal_agreement, bounds.MIN_SIGNAL_AGREEMENT, 2)
        yield (
            f"little of what both images show in the overlap is alike (signal agreement {told}, at least {bound} is "
            "needed): a part of it may be in place, and the rest not"
        )


def _doubts_of_model(e: Evidence, request: Request) -> Iterator[str]:
    """Yield where the model is too rich for the texture, or too simple for the motion."""
    confirmed = _is_confirmed(e)
    tolerated = max(bounds.MAX_TEXTURE_MISFIT_PX, e.consensus_tolerance or 0)
    max_misfit = tolerated if confirmed else bounds.MAX_MODEL_MISFIT_PX
    misfits = e.model_misfit is not None and e.model_misfit > max_misfit
    distance, ratio = e.fold_distance or 0, e.fold_distance_ratio or 0
    folds_differ = not confirmed and distance > bounds.MIN_FOLD_DISTANCE_PX and ratio > bounds.MAX_FOLD_DISTANCE_RATIO
    max_error = max(bounds.MAX_EXPECTED_ERROR_PX, (e.consensus_tolerance or 0) / 2 if confirmed else 0)
    if e.expected_error is not None and e.expected_error > max_error:
        advice = "" if misfits or folds_differ else request.simpler_model
        yield f"the texture determines the position only to within {e.expected_error:.2f} px{advice}"
    if folds_differ:
        yield (
            f"parts of the overlap want to move {distance:.2f} px apart, {math.sqrt(ratio):.1f} times what chance "
            f"explains: the motion may be richer than {_fitted_model(request)}"
        )
    if misfits:
        yield (
            f"a model richer than {_fitted_model(request)} would move the overlap by {e.model_misfit:.1f} px more than "
            f"chance explains; {_richer_model_advice(request)}"
        )
    advice = "compare with `model` bspline" if request.config.model is Model.AUTO else "try `model` auto, or bspline"
    if e.residual_motion and not misfits:
        yield (
            f"many parts of the overlap that find a place by themselves lie {e.residual_motion:.1f} px or more from "
            f"where the transform puts them: the motion is richer than {_fitted_model(request)}, as that of tissue or "
            f"of a scene with depth is; {advice}"
        )
    elif e.left_behind is not None and e.left_behind > bounds.MAX_LEFT_BEHIND_PX and not misfits:
        yield (
            f"a part of the overlap lies elsewhere by itself, which puts the whole off by {e.left_behind:.1f} px RMS: "
            f"it moved, or the motion is richer there than {_fitted_model(request)}; {advice}"
        )
    if e.second_motion is not None and e.second_motion >= bounds.MAX_SECOND_MOTION:
        yield (
            f"another transform explains {e.second_motion:.0%} as many parts of the overlap as this one: the scene has "
            "depth, or parts of it moved by themselves"
        )
    if e.aperture_agreement is not None and e.aperture_agreement < bounds.MIN_APERTURE_AGREEMENT:
        yield (
            "the images say nothing about one of the motions that the `model` allows, as parallel lines do not tell a "
            f"shift along them (aperture agreement {e.aperture_agreement:.1f}, at least "
            f"{bounds.MIN_APERTURE_AGREEMENT:.0f} is needed){'' if misfits else request.simpler_model}"
        )


def look_alike(evidence: Evidence) -> bool:
    """Tell whether brightness explains much of both images, as it does in those of one sensor."""
    return evidence.explained is not None and evidence.explained >= bounds.MIN_ALIKE_SHARE


def is_static(evidence: Evidence) -> bool:
    """Tell whether a camera's own pixels held the result: single ones, or a border of constant pixels."""
    return _rests_on_single_pixels(evidence) or _rests_on_border(evidence)


def _rests_on_single_pixels(evidence: Evidence) -> bool:
    return evidence.single_pixel_ratio is not None and evidence.single_pixel_ratio > bounds.MAX_SINGLE_PIXEL_RATIO


def _rests_on_border(evidence: Evidence) -> bool:
    return evidence.border_pull is not None and math.isinf(evidence.border_pull)


def _fitted_model(request: Request) -> str:
    """Return how a reason names the model that was fitted."""
    if request.config.model is not Model.AUTO:
        return f"`model` {request.model}"
    if request.model is Model.AUTO:
        return "what `model` auto chose"
    return f"the {request.model} that `model` auto chose"


def _richer_model_advice(request: Request) -> str:
    """Return what helps where a richer model than the one that was fitted moves the result."""
    richer = Model.HOMOGRAPHY if request.model is Model.AFFINE else Model.AFFINE
    if request.config.model is not Model.AUTO:
        return f"try `model` {richer}, or auto"
    return f"compare with `model` {richer}, which was no better on windows held out from the fit"
