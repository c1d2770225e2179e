"""What is drawn of a movie beside its files: the drift plot and the HTML report; they may be missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zncc_cli.config.stack import StackConfig
from zncc_cli.jobs.missing import Missing
from zncc_cli.jobs.stack.film import FilmMaker
from zncc_cli.jobs.stack.movie import Progress
from zncc_cli.jobs.stack.outcome import DRIFT_PLOT, HTML
from zncc_cli.report.drift_files import DriftRow
from zncc_cli.report.drift_plot import write_drift_plot
from zncc_cli.report.stack_html import shown_bad_frames, write_stack_html


def draw_drift(staging: Path, rows: Sequence[DriftRow], config: StackConfig, missing: Missing) -> None:
    """Write the drift plot."""
    with missing.on_failure(DRIFT_PLOT):
        title = f"{config.image.name}: drift of {len(rows)} frames, to {config.to}, {config.model}"
        write_drift_plot(staging / DRIFT_PLOT, rows, title)


def write_page(
    staging: Path,
    report: Mapping[str, Any],
    rows: Sequence[DriftRow],
    maker: FilmMaker,
    files: Sequence[str],
    missing: Missing,
    progress: Progress,
) -> None:
    """Write the HTML report, which links those of ``files`` that are there."""
    with missing.on_failure(HTML):
        film = maker.film(shown_bad_frames(rows), progress)
        progress("drawing the report")
        others = [name for name in files if name != HTML and name not in missing]
        write_stack_html(staging / HTML, report, rows, film, files=others)
