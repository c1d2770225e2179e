"""A report of a check, and its figures, for HTML reports that need no comparison."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.report.html_samples import pictures
from zncc_cli.report.check_html import CheckFigures


def check_report(name: str = "slides/aligned.tif", status: str = "ok") -> dict[str, Any]:
    """Return the report of a check of an aligned image, with a status."""
    known = {
        "ce90": 0.42,
        "largest": 0.9,
        "largest_at": [3.0, 4.0],
        "mean_shift": [0.3, -0.1],
        "median_sigma": 0.02,
        "known": 0.8,
    }
    nothing = dict.fromkeys(known)
    return {
        "status": status,
        "reasons": [f"the images agree, as {name} has it"],
        "fixed": "slides/fixed.tif",
        "aligned": name,
        "metrics": {**(nothing if status == "failed" else known), "consensus": 40.0},
        "windows": {"side": 32, "step": 16.0, "ok": 2, "outlier": 1, "unclear": 1, "outside": 0},
        "compared_by": "brightness",
        "settings": {"max_ce90": 1.0},
        "notes": [name],
        "seconds": {"total": 2.0},
        "command": ["zncc", "check", "fixed.tif", name],
    }


def check_figures(*, measured: bool = True) -> CheckFigures:
    """Return figures of four windows: two that were measured, or none, an outlier and one that is not clear."""
    windows = np.full((4, 7), np.nan)
    windows[:, :2] = [[30, 30], [60, 30], [30, 60], [60, 60]]
    windows[:3, 2:] = [[0.3, 0.1, 0.01, 0.02, 0.9], [0.8, 0.4, 0.03, 0.04, 0.8], [7, -7, 0.1, 0.1, 0.5]]
    lengths = np.full((45, 60), np.nan)
    if measured:
        lengths[:30] = np.linspace(0, 0.9, 60)
    return CheckFigures(
        layers=pictures().layers,
        pixel=1,
        lengths=lengths,
        deviations=lengths / 10,
        windows=windows,
        status=np.array(["ok" if measured else "unclear"] * 2 + ["outlier", "unclear"], dtype=object),
        step=16.0,
    )
