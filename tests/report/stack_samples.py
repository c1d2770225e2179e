"""A report, places and pictures of a movie for HTML reports that need no registration."""

from __future__ import annotations

import numpy as np

from zncc_cli.report.drift_files import BLANK, OK, OUTLIER, DriftRow
from zncc_cli.report.stack_html import Film

COUNT, BAD = 24, {7: BLANK, 15: OUTLIER}


def places(count: int = COUNT) -> tuple[DriftRow, ...]:
    """A drift along x with a blank frame and an outlier."""
    return tuple(
        DriftRow(k, 0.25 * k, float(np.sin(k / 3)), BAD.get(k, OK), None if k in BAD else 0.02) for k in range(count)
    )


def film(count: int = COUNT, shape: tuple[int, int] = (60, 80)) -> Film:
    """Frames whose brightness tells their number: 10 times it."""
    frames = (10 * np.arange(count, dtype=np.uint8))[:, None, None] * np.ones(shape, np.uint8)
    cuts = {f"{axis}-{when}": frames[:, 0, : shape[axis == "x"]] for axis in "xy" for when in ("before", "after")}
    return Film(frames, frames, tuple(range(count)), cuts, tuple(range(count)), frames[[7, 15]], (7, 15), pixel=2)


def stack_report(**changes: object) -> dict[str, object]:
    report = {
        "status": "ok",
        "reasons": ["22 of 24 frames agree", "blank: frame 7"],
        "image": "folder/movie.tif",
        "model": "translation",
        "notes": ["registered by channel 1"],
        "metrics": {"pairs": 60, "largest_expected_error": 0.02},
        "seconds": {"total": 3.5},
        "settings": {"to": "first"},
        "versions": {"zncc-cli": "1"},
        "command": ["zncc", "stack", "folder/movie.tif"],
    }
    return {**report, **changes}
