"""Is this result to be trusted? The evidence, the status, and the reasons in plain words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from zncc_cli.config import LEAST_MIN_OVERLAP, NESTED_MODELS, Choice, Model, RegistrationConfig
from zncc_cli.registration.optimizer import Ending
from zncc_cli.text import told_apart


class Status(Choice):
    """What a registration ended with."""

    OK = "ok"
    SUSPECT = "suspect"
    FAILED = "failed"


@dataclass(frozen=True)
class Evidence:
    """What the verdict rests on. None, where not said otherwise, is a figure that could not be had.

    Lengths are in moving pixels; means over the overlap are over a grid of 9 x 9 points of the fixed frame, of the
    smallest rectangle that holds its valid pixels.

    Attributes:
        zncc_before, zncc_after: mean local ZNCC at the identity and at the result; None without enough overlap.
        overlap: share of the smaller image, masks apart, that lies in the overlap, at the result: of its windows, or,
            where these could not be compared, of its pixels, which is what ``min_overlap`` bounds.
        block_significance: how much better than by chance the blocks of the overlap agree, see `block_significance`; None where it
            holds too few.
        ending: how the last level's optimisation ended.
        motion: largest displacement of a corner of the fixed frame, pixels.
        single_pixel_ratio: how many times as well, by `block_significance`, the images agree as they do when no pixel stands out
            from its eight neighbours; infinite where they do not agree at all then; None for a result that is not near
            the identity, where the pixels of a camera stay.
        start_ratio: how many times as significant the result's start was as the best of those that led elsewhere;
            None where no other was followed, or none agreed at all.
        peak_ratio: how many times as significant the agreement is as at the best other shift of the aligned images;
            below one where another agrees better (`zncc_cli.registration.quality.peak_ratio`); None where no other agrees at all.
        zncc_coarse: mean local ZNCC at the result on the coarsest level of at least 256 pixels, where noise hides less.
        held_out_before, held_out_after: mean local ZNCC on that level, of windows in the black fields of a chessboard
            where the fit to the white fields sends them, and the other way round; and of the same windows at the
            identity. A field is about a quarter of the frame's shorter side; a fit knows the neighbouring fields'
            pixels as far as its windows reach.
        fold_distance: RMS distance over the overlap between the two fits of the halves, pixels.
        fold_distance_ratio: their distance squared, in units of its covariance as the blocks' own scatter predicts it, per
            parameter; about one where blocks disagree by chance alone.
        model_misfit: RMS over the overlap of three refinement steps by a richer model (affine; a homography for affine) on
            the level of `zncc_coarse`, pixels; zero where chance explains it; None for a homography.
        aperture_agreement: how much better than by chance both images' gradients agree, block by block, along the motion of the
            model along which they agree least, see `block_significance`; None where there are too few blocks.
        round_trip: RMS over the overlap of a step of the refinement with fixed and moving exchanged, pixels of the
            fixed image: zero where forward and backward agree.
        expected_error: RMS over the overlap of the predicted standard deviation, pixels
            (`zncc_cli.registration.quality.uncertainty`); None where texture does not hold every parameter.
        border_pull: how far a corner moved, pixels, when a border of constant pixels that both images have alike was
            left out (`zncc_cli.registration.quality.static_border`); infinite where nothing was found without it; None without one.
        border_left_out: whether the border pulled by more than chance, and the result is the one without it.
        beyond: how far from the start, at a corner, what was found lies, where ``max_motion`` does not allow it and
            nothing else was found: the result is the start then; None else.
        least_scale, most_scale: least and most moving pixels per fixed pixel, along any direction anywhere in the
            frame; least_scale is below zero where the transform mirrors.
        shear: the most that one direction is scaled more than another at one place, a ratio.
    """

    zncc_before: float | None
    zncc_after: float | None
    overlap: float
    block_significance: float | None
    ending: Ending
    motion: float
    start_ratio: float | None = None
    peak_ratio: float | None = None
    single_pixel_ratio: float | None = None
    zncc_coarse: float | None = None
    held_out_before: float | None = None
    held_out_after: float | None = None
    fold_distance: float | None = None
    fold_distance_ratio: float | None = None
    model_misfit: float | None = None
    aperture_agreement: float | None = None
    round_trip: float | None = None
    expected_error: float | None = None
    border_pull: float | None = None
    border_left_out: bool = False
    beyond: float | None = None
    least_scale: float = 1.0
    most_scale: float = 1.0
    shear: float = 1.0


@dataclass(frozen=True)
class Verdict:
    """A status and why."""

    status: Status
    reasons: tuple[str, ...]


# Of 81 unrelated pairs (noise, random scenes, different photographs) on which the search and the optimiser had done
# their best, none came above 51; of 56 pairs that were aligned, none below 85 (docs/architecture.md, "Verdict").
MIN_BLOCK_SIGNIFICANCE = 55.0
# All of n blocks are above zero by chance with a probability of 2^-n: n such blocks count for this times n at most, so
# that fewer than 14 can say nothing.
_PER_BLOCK = 4.0
LEAST_BLOCKS = 14
# The best of many places that all agree by chance is hardly better than the next. Of 55 unrelated pairs none stood out
# by more than 1.6, and none whose blocks agreed by more than 1.45; of 26 aligned ones that were searched a noisy brick
# wall, beside itself a period off, stood out by 1.79, the others by more than 2.1.
MIN_START_RATIO = 1.6
# Where a result stands out by this much, less agreement will do, as where noise hides most of it or tissue differs from
# section to section: of 73 unrelated pairs those that stood out by more than 1.8 agreed by less than 13, and those that
# agreed by more than 20 stood out by less than 1.4.
_CLEAR_START_RATIO, _MIN_SIGNIFICANCE_IF_CLEAR = 1.8, 25.0
# The bounds below were set on one half of the pairs of the trust benchmark (120 right results, 80 pairs that cannot be
# aligned) and tested on the other. Against the best other shift none of the wrong results that have an agreement stood
# out by more than 1.8 (textures that repeat themselves), of the others none by more than 2.2; of the right ones none by
# less than 5.3. Photographs come lower, down to 2.5: a noisy brick wall of which a third is seen.
_PEAK_RATIO = 2.2
# Pixels: twice the standard deviation is as far as a result may be off to be right. Right ones expected 0.12 at most.
LARGEST_ERROR = 0.5
# Halves of the overlap that want to move apart by this much more than chance explains (right ones: 2.8 at most), and by
# pixels that matter.
_SPLIT_RATIO, _NOTABLE_SPLIT = 5.0, 0.1
# Pixels, RMS, that a richer model would move the result by. On twenty right results of every damage it is zero, chance
# explains it all; photographs turned by half a degree and registered by a translation show 1.8 to 2.6.
NOTABLE_MOTION = 0.5
# Where noise alone holds a motion it agrees along it by chance: 90 fits of every model to parallel lines and to rings
# came to 6.7 at most; of 120 right results of the trust benchmark none below 150, the most that so few blocks allow.
MIN_APERTURE_AGREEMENT = 10.0
# Pixels by which forward and backward may differ on a level of 128 pixels; right results differ by 0.42 at most.
_ROUND_TRIP = 0.75
# Of the ZNCC of all windows, what half of them must be able to say of the other half: 0.94 and more in right results,
# less than 0.63 in a twentieth of the wrong ones.
_HELD_OUT = 0.75
# Pixels at a corner: a pull of a border that matters. Frames that hide 8 percent on each side pull by 0.02 to 0.7.
BORDER_PULL = 0.03
# Without its single pixels a scene agrees nearly as well: by a factor of 1.2 less at most on 19 scenes, of white noise,
# salt, and stars of 1.4 pixels' width among them. Results that hot pixels held lost factors of 88 and more.
_MAX_SINGLE_PIXEL_RATIO = 2.0
# What no camera does: beyond it a result is more likely to have slipped. The global search looks for 0.5 to 2.
_SCALES, _SHEAR = (0.2, 5.0), 3.0
_SMALLEST = 1e-12  # of a ZNCC: all blocks zero agree by nothing
_NOTABLE = 0.01  # the loss weighs windows by evidence and the ZNCC does not: less than this is no contradiction


@dataclass(frozen=True)
class Asked:
    """What was asked for: advice to do what was done is none.

    Attributes:
        config: the settings.
        fitted: the model that was fitted; None for the one of ``config``.
        started: whether a start was given (``init``).
    """

    config: RegistrationConfig = field(default_factory=RegistrationConfig)
    fitted: Model | None = None
    started: bool = False

    @property
    def model(self) -> Model:
        """The model that was fitted."""
        return self.fitted or self.config.model

    @property
    def least_overlap(self) -> float:
        """The least overlap that was looked for before nothing was said to be found."""
        return LEAST_MIN_OVERLAP if self.config.min_overlap is None else self.config.min_overlap

    @property
    def simpler(self) -> str:
        """Advice to try a simpler model, where there is one."""
        return "" if self.model is NESTED_MODELS[0] else "; try a simpler --model"


_DEFAULT = Asked()


def judge(evidence: Evidence, asked: Asked = _DEFAULT) -> Verdict:
    """Return the verdict on ``evidence`` of a registration that was ``asked`` for."""
    failures = list(_failures(evidence, asked))
    silent = evidence.zncc_after is None or evidence.beyond is not None
    doubts = [] if silent else list(_doubts(evidence, asked))
    if evidence.ending is Ending.NOTHING_BETTER:
        # Where the result would lie beyond the bound, that is the reason, and nothing was compared.
        doubts += [] if evidence.beyond is not None else [evidence.ending.advice]
    elif evidence.ending is not Ending.CONVERGED:
        doubts.append(
            f"the optimiser ended early: {evidence.ending.advice}{_more_iterations(evidence, failures + doubts, asked)}"
        )
    if failures:
        return Verdict(Status.FAILED, tuple(failures + doubts))
    if doubts:
        return Verdict(Status.SUSPECT, tuple(doubts))
    return Verdict(Status.OK, ("the images agree",))


def _more_iterations(evidence: Evidence, against: list[str], asked: Asked) -> str:
    """Return what helps where the optimiser ended early; what else speaks against a result, iterations seldom mend."""
    if evidence.ending is Ending.UNDETERMINED:
        return asked.simpler
    return "; raise --max-iterations" if evidence.ending is Ending.MAX_ITERATIONS and not against else ""


def _failures(evidence: Evidence, asked: Asked) -> Iterator[str]:
    """Yield why nothing was found."""
    needed = _needed_significance(evidence.start_ratio)
    if evidence.beyond is not None:
        yield (
            f"nothing was found within --max-motion {asked.config.max_motion:g}: what was found lies "
            f"{evidence.beyond:.1f} px from the start at a corner; raise --max-motion, or start nearer with --init"
        )
        return  # the start is the result, and what speaks against that is no news
    if evidence.zncc_after is None:
        yield f"the images do not overlap enough to be compared{_overlap(evidence.overlap, asked)}"
    elif evidence.block_significance is not None and evidence.block_significance < needed:
        found, bound = told_apart(max(evidence.block_significance, 0), needed, 0)
        yield (
            f"no agreement found: with a ZNCC of {evidence.zncc_after:.3f} the parts of the overlap agree no better "
            f"than those of unrelated images may (by {found} times the error that chance leaves, {bound} times is "
            f"needed); the images may not show the same scene, or {_or(_causes(asked))}"
        )
    elif evidence.start_ratio is not None and evidence.start_ratio < MIN_START_RATIO:
        yield (
            "no agreement found that stands out: elsewhere the images agree nearly as well (by a factor of "
            "{}, {} is needed); they may show different scenes, or repeat themselves"
        ).format(*told_apart(evidence.start_ratio, MIN_START_RATIO, 2))
    elif evidence.block_significance is None and evidence.ending in (Ending.OUT_OF_DOMAIN, Ending.NOTHING_BETTER):
        yield "nothing was found beyond the start, and too few windows tell whether that is right"
    if evidence.least_scale <= 0:
        yield "the transform turns part of the frame inside out"


def _overlap(overlap: float, asked: Asked) -> str:
    """Return by how much images overlap that do so too little, and what lets them be compared all the same."""
    share, least = told_apart(100 * overlap, 100 * asked.least_overlap, 1)
    if 0 < overlap < asked.least_overlap:
        enough = math.floor(overlap * 1000) / 1000
        named = "of --min-overlap" if asked.config.min_overlap is not None else "that is looked for"
        advice = f"; --min-overlap {enough:g} takes that" if enough > 0 else ""
        return f": they overlap by {share}%, less than the {least}% {named}{advice}"
    if overlap > 0 and asked.config.window is not None:
        return f": they overlap by {share}%, in which no window of {asked.config.window} pixels fits; lower --window"
    return ""


def _causes(asked: Asked) -> Iterator[str]:
    """Yield what may have kept a place from being found where there is one."""
    config = asked.config
    if asked.started:
        yield "the start of --init lies far from the place (without it one is searched for)"
    else:
        yield "the motion is beyond the search"
    if config.max_motion is not None:
        yield f"the motion is more than --max-motion {config.max_motion:g}"
    if config.min_overlap is not None and config.min_overlap > LEAST_MIN_OVERLAP:
        yield f"they have less in common than the {config.min_overlap:.0%} of --min-overlap"
    if config.model not in (Model.AUTO, NESTED_MODELS[-1]):
        yield f"the motion needs a --model richer than {config.model}"


def _or(parts: Iterator[str]) -> str:
    return ", or ".join(parts)


def _elsewhere(asked: Asked) -> str:
    """Return what helps where another shift agrees as well, as far as it was not done."""
    start = "" if asked.started else "start near the truth with --init"
    bound = "" if asked.config.max_motion is not None else "allow less than a period with --max-motion"
    advice = ", and ".join(part for part in (start, bound) if part)
    return f"; {advice}" if advice else ""


def _doubts(evidence: Evidence, asked: Asked) -> Iterator[str]:
    """Yield what speaks against what was found."""
    e = evidence
    if e.block_significance is None:
        window = asked.config.window
        advice = "" if window is None else f"; choose a --window smaller than {window}, or leave it out"
        yield f"the overlap holds too few independent windows to judge by{advice}"
    if e.peak_ratio is not None and e.peak_ratio < _PEAK_RATIO:
        yield (
            "the aligned images agree as well, or nearly, when one is shifted elsewhere (by a factor of {}, {} is "
            "needed): a texture that repeats itself may be a period off, and images without a scene in common agree "
            "nowhere better{}"
        ).format(*told_apart(e.peak_ratio, _PEAK_RATIO, 2), _elsewhere(asked))
    if e.zncc_before is not None and e.zncc_after is not None and e.zncc_after < e.zncc_before - _NOTABLE:
        yield f"the ZNCC fell from {e.zncc_before:.3f} to {e.zncc_after:.3f}"
    elif e.held_out_after is not None and e.zncc_coarse is not None:
        if e.held_out_before is not None and e.held_out_after < e.held_out_before - _NOTABLE:
            yield (
                f"on windows held out from the fit the ZNCC fell from {e.held_out_before:.3f} to {e.held_out_after:.3f}"
            )
        elif e.held_out_after < _HELD_OUT * e.zncc_coarse:
            yield (
                f"half of the overlap does not say where the other half lies: a ZNCC of {e.held_out_after:.3f} on "
                f"windows held out from the fit, and of {e.zncc_coarse:.3f} on all"
            )
    wants_richer = e.model_misfit is not None and e.model_misfit > NOTABLE_MOTION
    splits = (e.fold_distance or 0) > _NOTABLE_SPLIT and (e.fold_distance_ratio or 0) > _SPLIT_RATIO
    if e.expected_error is not None and e.expected_error > LARGEST_ERROR:
        advice = "" if wants_richer or splits else asked.simpler
        yield f"the texture tells the position to {e.expected_error:.2f} px only{advice}"
    if splits and e.fold_distance_ratio:
        yield (
            f"parts of the overlap want to move {e.fold_distance:.2f} px apart, {math.sqrt(e.fold_distance_ratio):.1f} times what "
            f"chance explains: the motion may be richer than {_named(asked)}"
        )
    if wants_richer:
        yield (
            f"a model richer than {_named(asked)} would move the overlap by {e.model_misfit:.1f} px more than chance "
            f"explains; {_richer(asked)}"
        )
    if e.aperture_agreement is not None and e.aperture_agreement < MIN_APERTURE_AGREEMENT:
        yield (
            "the images say nothing about one of the motions that the --model allows, as parallel lines do not tell a "
            f"shift along them (gradients agree there by {e.aperture_agreement:.1f} times what chance explains, "
            f"{MIN_APERTURE_AGREEMENT:.0f} is needed){'' if wants_richer else asked.simpler}"
        )
    if e.round_trip is not None and e.round_trip > _ROUND_TRIP:
        yield f"with fixed and moving exchanged the result would move by {e.round_trip:.2f} px"
    if e.single_pixel_ratio is not None and e.single_pixel_ratio > _MAX_SINGLE_PIXEL_RATIO:
        yield (
            "hardly anything moved, and the images agree by single pixels that stand out at the same places, as hot "
            "pixels of a camera do; remove them before (by a dark frame, or a 3 x 3 median), or leave them out by masks"
        )
    if e.border_left_out:
        yield (
            "both images have the same border of constant pixels, which does not move with the scene: it pulled the "
            f"result by {e.border_pull or 0:.2f} px and was left out; mask it with --fixed-mask and --moving-mask"
        )
    elif e.border_pull is not None and math.isinf(e.border_pull):
        yield (
            "both images have the same border of constant pixels, and without it nothing holds the result; "
            "mask it with --fixed-mask and --moving-mask"
        )
    if not _SCALES[0] <= e.least_scale <= e.most_scale <= _SCALES[1] and e.least_scale > 0:
        yield f"the transform scales by {e.least_scale:.2f} to {e.most_scale:.2f}, more than is likely"
    if e.shear > _SHEAR:
        yield f"the transform stretches one direction {e.shear:.1f} times as much as another, more than is likely"


def _named(asked: Asked) -> str:
    """Return how the model is told of that was fitted."""
    if asked.config.model is Model.AUTO:
        return (
            f"the {asked.model} that --model auto chose" if asked.model is not Model.AUTO else "what --model auto chose"
        )
    return f"--model {asked.model}"


def _richer(asked: Asked) -> str:
    """Return what helps where a richer model than the one that was fitted moves the result."""
    richer = Model.HOMOGRAPHY if asked.model is Model.AFFINE else Model.AFFINE
    if asked.config.model is not Model.AUTO:
        return f"try --model {richer}, or auto"
    return f"compare with --model {richer}, which was no better on windows held out from the fit"


def _needed_significance(start_ratio: float | None) -> float:
    return (
        _MIN_SIGNIFICANCE_IF_CLEAR
        if start_ratio is not None and start_ratio >= _CLEAR_START_RATIO
        else MIN_BLOCK_SIGNIFICANCE
    )


def block_significance(blocks: np.ndarray) -> float | None:
    """Return the mean ZNCC of ``blocks``, any shape, over the error that chance leaves in it; NaN does not count.

    Unrelated images agree here and there and disagree elsewhere, however well the best overall position was chosen:
    chance scatters blocks to both sides of zero. What is seen of it is what lies below zero; how unequal the blocks
    above zero are says nothing, since texture, noise and occlusion differ from place to place. None with too few
    blocks to tell.
    """
    values = blocks[np.isfinite(blocks)]
    n = len(values)
    if n < LEAST_BLOCKS:
        return None
    chance = math.sqrt(2 * float(np.square(np.minimum(values, 0)).mean()))
    mean = float(values.mean())
    return mean / max(chance / math.sqrt(n), abs(mean) / (_PER_BLOCK * n), _SMALLEST)
