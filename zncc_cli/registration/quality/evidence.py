"""The evidence of a verdict: each figure with the name, unit and meaning by which tables and reports show it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zncc_cli.registration.optimizer import Ending
from zncc_cli.text import Measure

_PIXELS = "px"  # the unit of every length: moving pixels, where not said otherwise
_MIN_CEILING = 0.02  # of a ZNCC; below it noise is all there is


def _figure(label: str, unit: str, meaning: str, factor: float = 1.0, **default: Any) -> Any:
    return field(metadata={"measure": Measure(label, unit, meaning, factor)}, **default)


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on; None stands for a figure that could not be computed.

    A mean over the overlap is a mean over a grid of 9 x 9 points of the fixed frame, of the smallest rectangle that
    holds its valid pixels. The judged level is the coarsest one of at least 256 pixels, where noise hides less.
    """

    zncc_before: float | None = _figure(
        "ZNCC before", "", "Mean local correlation of the images as they came: 1 is the same, 0 is unrelated."
    )
    zncc_after: float | None = _figure("ZNCC after", "", "The same after the alignment; noise alone keeps it below 1.")
    # Of windows; where none could be compared, of pixels, which is what `min_overlap` bounds. Masks are left out.
    overlap: float = _figure(
        "Overlap",
        "%",
        "Share of the smaller image's windows that both images show; of its pixels where too few do.",
        100,
    )
    # See `block_significance`; None with too few blocks.
    block_significance: float | None = _figure(
        "Block significance",
        "",
        "How much better the parts of the overlap agree than chance would have them: unrelated images stayed below 51, "
        "aligned ones came above 85.",
    )
    ending: Ending = _figure(  # noqa: RUF009 - it is a field
        "Ending", "", "How the optimisation on the last level ended."
    )
    motion: float = _figure(
        "Motion",
        _PIXELS,
        "Largest displacement of a corner of the fixed image; of any pixel where the transform bends.",
    )
    # The significance of the start's candidate over that of the best one elsewhere; None where no other was followed.
    start_ratio: float | None = _figure(
        "Start ratio",
        "",
        "How many times better this place is than the next best; empty where nothing had to be searched.",
        default=None,
    )
    # None where the start ratio is high enough, or there is none.
    fine_ratio: float | None = _figure(
        "Fine ratio",
        "",
        "The same where both places are followed to a finer level; only computed where the start ratio is low.",
        default=None,
    )
    # See `block_consensus`; None where the images are compared by their brightness alone.
    consensus: float | None = _figure(
        "Block consensus",
        "",
        "How many parts of the overlap find this place by themselves: minus the logarithm of the probability that so "
        "many do by chance; unrelated images stayed below 1.5, but those of objects that are all alike came to 6. Only "
        "computed where texture is compared.",
        default=None,
    )
    consensus_tolerance: float | None = _figure(
        "Consensus tolerance", _PIXELS, "To within how much those parts find this place.", default=None
    )
    # None where no other shift agrees at all.
    peak_ratio: float | None = _figure(
        "Peak ratio",
        "",
        "How many times better the aligned images agree than at the best other shift; repeated texture stays near 1.",
        default=None,
    )
    # The highest of a few; None where no other shift agrees nearly as well, or blocks do not judge.
    rival_consensus: float | None = _figure(
        "Rival consensus",
        "",
        "The block consensus at the other shifts that agree nearly as well; only computed where the peak ratio is low.",
        default=None,
    )
    # Infinite where the images do not agree at all without single pixels; None for a result far from the identity,
    # where the pixels of a camera do not stay.
    single_pixel_ratio: float | None = _figure(
        "Single-pixel ratio",
        "",
        "How many times better the images agree with the pixels that stand out by themselves than without.",
        default=None,
    )
    # On the coarsest level of at least 128 pixels, see `LevelMetrics.agreement`.
    signal_agreement: float | None = _figure(
        "Signal agreement",
        "",
        "How much of what both images show in the overlap, leaving empty ground out, is alike, on a coarse level.",
        default=None,
    )
    zncc_coarse: float | None = _figure(
        "ZNCC, coarse", "", "ZNCC after, on a coarser level, where noise hides less.", default=None
    )
    zncc_ceiling: float | None = _figure(
        "ZNCC ceiling", "", "The most that the images' own noise leaves to that ZNCC.", default=None
    )
    # On the judged level, of windows in the black fields of a chessboard, with a field a quarter of the frame's shorter
    # side, where the fit to the white fields sends them, and the other way round.
    held_out_before: float | None = _figure(
        "Held out, before", "", "ZNCC of the windows held out, as the images came.", default=None
    )
    held_out_after: float | None = _figure(
        "Held out, after",
        "",
        "ZNCC of windows that took no part in the fit that puts them on each other.",
        default=None,
    )
    fold_distance: float | None = _figure(
        "Fold distance", _PIXELS, "RMS distance between what two halves of the overlap find.", default=None
    )
    # Per parameter, in units of the covariance that the scatter of the blocks predicts.
    fold_distance_ratio: float | None = _figure(
        "Fold distance / chance", "", "The same squared, over what chance explains: about 1.", default=None
    )
    # Three refinement steps by an affine model, or by a homography for an affine one, on the judged level; zero where
    # chance explains them; None for a homography.
    model_misfit: float | None = _figure(
        "Model misfit", _PIXELS, "How far a richer model would move the result beyond chance, RMS.", default=None
    )
    # Of half of them, or of a quarter where the images look unlike, see `residual_motion`. None where too few tell, and
    # where the expected error is so small that none can be off.
    residual_motion: float | None = _figure(
        "Residual motion",
        _PIXELS,
        "How far the parts of the overlap, each for itself, lie from where the transform puts them; 0 where that is "
        "less than they tell. Only computed where the scatter of the fit leaves room for it.",
        default=None,
    )
    # See `second_motion`; None where the images look alike.
    second_motion: float | None = _figure(
        "Second motion",
        "",
        "How many parts of the overlap another transform explains, over how many this one does; 0 where chance does. "
        "Only computed where the images differ by what they show.",
        default=None,
    )
    # See `agreeing_share`; None where noise hides what agrees, and of results that are not ok.
    agreeing_share: float | None = _figure(
        "Agreeing share",
        "",
        "Which share of what both images show in the overlap is alike where the transform puts it; what is hidden, "
        "moved by itself or lies at another depth is not.",
        default=None,
    )
    # See `Parts`; None where `residual_motion` is, and where the images do not look alike.
    left_behind: float | None = _figure(
        "Left behind",
        _PIXELS,
        "By how much the parts that lie off the transform by two pixels and more put the overlap off, RMS over all "
        "parts that tell.",
        default=None,
    )
    # Block by block, see `block_significance`; None with too few blocks.
    aperture_agreement: float | None = _figure(
        "Aperture agreement",
        "",
        "How much better than by chance the gradients agree along the motion that they tell least about.",
        default=None,
    )
    round_trip: float | None = _figure(
        "Round trip",
        _PIXELS,
        "What a step with fixed and moving exchanged would still change, RMS, fixed pixels.",
        default=None,
    )
    # None where texture does not determine every parameter of the model.
    expected_error: float | None = _figure(
        "Expected error", _PIXELS, "Predicted RMS error of a position in the overlap.", default=None
    )
    # Infinite where nothing was found without the border; None without a border.
    border_pull: float | None = _figure(
        "Border pull", _PIXELS, "How far a border that both images have alike had pulled a corner.", default=None
    )
    border_left_out: bool = _figure(
        "Border left out", "", "Whether that border was left out of the result.", default=False
    )
    # At a corner. The result is the start itself then.
    distance_beyond_bound: float | None = _figure(
        "Beyond the bound",
        _PIXELS,
        "How far from the start the place lies that was found and that `max_motion` refuses.",
        default=None,
    )
    # Below zero where the transform mirrors.
    least_scale: float = _figure(
        "Least scale", "", "Least moving pixels per fixed pixel, along any direction.", default=1.0
    )
    most_scale: float = _figure(
        "Most scale", "", "Most moving pixels per fixed pixel, along any direction.", default=1.0
    )
    shear: float = _figure(
        "Shear", "", "How much more one direction is scaled than another; 1 is not at all.", default=1.0
    )

    @property
    def explained(self) -> float | None:
        """How much of what the images' own noise leaves of a ZNCC was reached; None where that is not known."""
        if self.zncc_coarse is None or self.zncc_ceiling is None:
            return None
        return self.zncc_coarse / max(self.zncc_ceiling, _MIN_CEILING)

    def scaled(self, factor: float) -> Evidence:
        """Return the evidence with every length ``factor`` times as long, in pixels that are so much smaller."""
        lengths = [name for name, measure in MEASURES.items() if measure.unit == _PIXELS]
        values = {name: value for name in lengths if (value := getattr(self, name)) is not None}
        return dataclasses.replace(self, **{name: value * factor for name, value in values.items()})


MEASURES: Mapping[str, Measure] = {one.name: one.metadata["measure"] for one in dataclasses.fields(Evidence)}
"""How each figure of the evidence is shown."""
