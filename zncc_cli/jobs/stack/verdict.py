"""The verdict on the path of a movie: whether it is to be trusted, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from zncc_cli.config.stack import StackConfig
from zncc_cli.registration.quality.bounds import MAX_EXPECTED_ERROR_PX, MAX_MODEL_MISFIT_PX
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.report.drift_files import BLANK, OK, OUTLIER, DriftRow
from zncc_cli.text import told_apart

# A path is suspect if more frames, and a larger share of all, have no place of their own.
_MAX_BAD_FRAMES, _MAX_BAD_SHARE = 1, 0.1
_MAX_NUMBERS = 20  # of frames in a sentence; report.json has them all


def judge_path(rows: Sequence[DriftRow], config: StackConfig, misfit: float | None) -> tuple[Status, list[str]]:
    """Return the status of a path and the reasons for it.

    Args:
        rows: the places of all frames.
        config: model and reference are used.
        misfit: how far a richer model moves frames, pixels; None if no two frames could be compared.
    """
    bad = [row for row in rows if row.status != OK]
    good = len(rows) - len(bad)
    reasons = [f"{good} of {len(rows)} frames agree"]
    for status, words in ((BLANK, "blank"), (OUTLIER, "no agreement with any other frame")):
        numbers = [row.frame for row in bad if row.status == status]
        if numbers:
            reasons.append(f"{words}: {_frame_list(numbers)}")
    if good < 2:
        return Status.FAILED, reasons
    doubts = list(_doubts(rows, config, misfit))
    trusted = len(bad) <= max(_MAX_BAD_FRAMES, _MAX_BAD_SHARE * len(rows)) and not doubts
    return (Status.OK if trusted else Status.SUSPECT), reasons + doubts


def _frame_list(numbers: list[int]) -> str:
    """Return "frame 6", or "frames 6, 8" with at most `_MAX_NUMBERS` numbers."""
    more = f" and {len(numbers) - _MAX_NUMBERS} more" if len(numbers) > _MAX_NUMBERS else ""
    return f"{'frame' if len(numbers) == 1 else 'frames'} {', '.join(map(str, numbers[:_MAX_NUMBERS]))}{more}"


def _doubts(rows: Sequence[DriftRow], config: StackConfig, misfit: float | None) -> Iterator[str]:
    """Yield the reasons not to trust the path of the frames that agree."""
    if config.reference is not None and rows[config.reference].status == OUTLIER:
        yield (
            f"frame {config.reference}, to which the others are aligned, does not agree with them; "
            "choose another with --to"
        )
    expected_error, frame = max((row.expected_error, row.frame) for row in rows if row.expected_error is not None)
    if expected_error > MAX_EXPECTED_ERROR_PX:
        error, bound = told_apart(expected_error, MAX_EXPECTED_ERROR_PX, 2)
        yield (
            f"the expected error of frame {frame} is {error} px, more than {bound} px: its pairs with other frames "
            f"contradict each other, or have too little texture for --model {config.model}"
        )
    if misfit is not None and misfit > MAX_MODEL_MISFIT_PX:
        yield (
            f"a richer model finds frames {misfit:.1f} px from their places, more than chance explains: the motion may "
            f"be richer than --model {config.model}"
        )
