"""Are two images of one frame aligned, how well, and where not? A verdict on a pair that somebody else aligned."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from zncc_cli.config import Choice
from zncc_cli.registration.inputs.texture_map import texture_map
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.quality.bounds import MIN_CONSENSUS
from zncc_cli.registration.quality.local_shifts import LocalShifts, WindowStatus, local_shifts
from zncc_cli.registration.quality.residual_field import ResidualField, residual_field
from zncc_cli.registration.quality.verdict import Status, Verdict
from zncc_cli.text import told_apart

_MIN_KNOWN = 0.5  # of the frame: with less, most of it is not judged
_MAX_OUTLIERS = 0.25  # of the windows that were measured
_FAR_RATIO = 2.0  # a place that is off by this many times what is asked for


class ComparedBy(Choice):
    """What of both images was compared: the first one that finds places is taken."""

    BRIGHTNESS = "brightness"
    INVERTED = "inverted brightness"
    TEXTURE = "local texture"


@dataclass(frozen=True, eq=False)
class AlignmentCheck:
    """How well two images are aligned.

    Attributes:
        shifts: of the windows.
        field: the shifts everywhere.
        by: what was compared.
        verdict: on the pair, for a CE90 of at most `max_ce90` pixels.
    """

    shifts: LocalShifts
    field: ResidualField
    by: ComparedBy
    verdict: Verdict

    @property
    def expected_error(self) -> float | None:
        """Root of the mean variance of the field, pixels; None where it is not known."""
        known = np.isfinite(self.field.variances)
        return float(np.sqrt(self.field.variances[known].mean())) if known.any() else None

    @property
    def worst(self) -> tuple[float, float, float] | None:
        """The largest length of the field, and its place (x, y), pixels; None where it is not known."""
        return _worst(self.field)

    def scaled(self, factor: int) -> AlignmentCheck:
        """Return the same in pixels of images of which means of ``factor`` x ``factor`` pixels were compared."""
        middle, shifts, field = (factor - 1) / 2, self.shifts, self.field
        shifts = replace(
            shifts,
            window=shifts.window * factor,
            step=shifts.step * factor,
            centres=shifts.centres * factor + middle,
            shifts=shifts.shifts * factor,
            covariances=shifts.covariances * factor**2,
        )
        x, y = (places * factor + middle for places in (field.x, field.y))
        field = ResidualField(x, y, field.shifts * factor, field.variances * factor**2)
        return replace(self, shifts=shifts, field=field)


def check_alignment(fixed: Level, aligned: Level, window: int, max_ce90: float) -> AlignmentCheck:
    """Compare two images of one frame.

    Args:
        fixed, aligned: of one shape, of a variance of about one.
        window: side of the windows, see `local_shifts`.
        max_ce90: the circular error that is still good enough, pixels.
    """
    checks = ((by, local_shifts(*_compared(fixed, aligned, by), window)) for by in ComparedBy)
    best: tuple[ComparedBy, LocalShifts] | None = None
    for by, shifts in checks:
        if best is None or shifts.consensus > best[1].consensus:
            best = by, shifts
        if shifts.consensus >= MIN_CONSENSUS:
            break
    assert best is not None
    by, shifts = best
    field = residual_field(shifts, fixed.shape)
    return AlignmentCheck(shifts, field, by, _judge(shifts, field, max_ce90))


def _compared(fixed: Level, aligned: Level, by: ComparedBy) -> tuple[Level, Level]:
    if by is ComparedBy.BRIGHTNESS:
        return fixed, aligned
    if by is ComparedBy.INVERTED:
        return fixed, aligned.negative
    maps = (Level(*texture_map(level.image, level.mask), level.factor) for level in (fixed, aligned))
    return next(maps), next(maps)


def _judge(shifts: LocalShifts, field: ResidualField, max_ce90: float) -> Verdict:
    ce90 = field.ce90
    if ce90 is None or shifts.consensus < MIN_CONSENSUS:
        consensus, least = told_apart(shifts.consensus, MIN_CONSENSUS, 1)
        return Verdict(
            Status.FAILED,
            (
                f"the parts of the images find no places that fit together (consensus {consensus}, at least {least} is "
                "needed): they show different scenes, or lie far apart; align them with zncc-align",
            ),
        )
    told, bound = told_apart(ce90, max_ce90, 2)
    if ce90 > max_ce90:
        return Verdict(Status.FAILED, (f"the images lie apart: CE90 {told} px, at most {bound} px is asked for",))
    doubts = tuple(_doubts(shifts, field, max_ce90))
    if doubts:
        return Verdict(Status.SUSPECT, doubts)
    return Verdict(Status.OK, (f"the images agree: CE90 {told} px, at most {bound} px is asked for",))


def _doubts(shifts: LocalShifts, field: ResidualField, max_ce90: float) -> Iterator[str]:
    """Yield what speaks against a pair whose CE90 is small enough."""
    if field.known < _MIN_KNOWN:
        yield (
            f"only {field.known:.0%} of the frame could be measured (at least {_MIN_KNOWN:.0%} is needed); the rest "
            "has too little texture, or shows other things in both images"
        )
    outliers = int((shifts.status == WindowStatus.OUTLIER).sum())
    measured = outliers + int(shifts.ok.sum())
    if outliers > _MAX_OUTLIERS * measured:
        yield (
            f"{outliers} of {measured} windows lie unlike those around them: a texture that repeats itself, or parts "
            "that moved by themselves"
        )
    worst = _worst(field)
    if worst is not None and worst[0] > _FAR_RATIO * max_ce90:
        yield f"a part lies {worst[0]:.2f} px off, about x {worst[1]:.0f}, y {worst[2]:.0f}"


def _worst(field: ResidualField) -> tuple[float, float, float] | None:
    lengths = field.lengths
    if not np.isfinite(lengths).any():
        return None
    row, column = np.unravel_index(int(np.nanargmax(lengths)), lengths.shape)
    length = float(lengths[row, column])
    assert math.isfinite(length)
    return length, float(field.x[column]), float(field.y[row])
