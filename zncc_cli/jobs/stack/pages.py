"""The reports of a movie: report.json, and what is drawn beside it, the drift plot and the HTML report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zncc_cli.config.settings import stack_command_line
from zncc_cli.config.stack import StackConfig
from zncc_cli.jobs.missing import Missing, report_entries
from zncc_cli.jobs.reproducible import finished_report, reported_settings
from zncc_cli.jobs.stack.film import FilmMaker
from zncc_cli.jobs.stack.movie import Progress
from zncc_cli.jobs.stack.outcome import DRIFT_PLOT, HTML, REPORT, file_names
from zncc_cli.jobs.versions import versions
from zncc_cli.report.drift_files import DriftRow
from zncc_cli.report.drift_plot import write_drift_plot
from zncc_cli.report.json import write_json
from zncc_cli.report.stack_html import shown_bad_frames, write_stack_html


def draw_drift(staging: Path, rows: Sequence[DriftRow], config: StackConfig, missing: Missing) -> None:
    """Write the drift plot."""
    with missing.on_failure(DRIFT_PLOT):
        title = f"{config.image.name}: drift of {len(rows)} frames, to {config.to}, {config.model}"
        write_drift_plot(staging / DRIFT_PLOT, rows, title)


def write_reports(
    staging: Path,
    found: Mapping[str, Any],
    rows: Sequence[DriftRow],
    maker: FilmMaker,
    config: StackConfig,
    missing: Missing,
    notes: tuple[str, ...],
    seconds: Callable[[], dict[str, float]],
    progress: Progress,
) -> dict[str, Any]:
    """Write the HTML report, and report.json of what was ``found``; return what that holds.

    ``seconds`` returns those of each stage up to now.
    """
    movie, names, settings = maker.movie, file_names(config), reported_settings(config)
    report = {
        **found,
        "registered_on": {"channel_index": list(movie.view.index), "blocks": movie.factor},
        "canvas": {"offset": list(maker.canvas.offset), "shape": list(maker.canvas.shape)},
        **report_entries(notes, missing.of(names)),
        "seconds": seconds(),
        "settings": dataclasses.asdict(settings),
        "threads": movie.threads,
        "versions": versions(),
        "command": stack_command_line(settings),
    }
    _write_page(staging, finished_report(report, config), rows, maker, names, missing, progress)
    # The page may itself be missing, so report.json is completed after it.
    report |= {"seconds": seconds(), **report_entries(notes, missing.of(names))}
    report = finished_report(report, config)
    write_json(staging / REPORT, report)
    return report


def _write_page(
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
