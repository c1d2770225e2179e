"""report.html, the HTML report of one pair: the verdict and the evidence for it, in one file that works offline."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from zncc_cli.report.arrows import motion
from zncc_cli.report.deformation import deformation
from zncc_cli.report.html import load_template, write_html
from zncc_cli.report.json import plain
from zncc_cli.report.pair_figures import PairFigures, embedded_views, load_jpeg, map_figures
from zncc_cli.report.tables import VERSIONS, mapping, plain_tables
from zncc_cli.report.words import (
    FILES,
    MEASURES,
    described,
    plain_name,
    probability_text,
    shell_line,
    text_lines,
    value_text,
)


@dataclass(frozen=True)
class Verdict:
    """How a status is shown: a word, a sentence of advice, and a sign for people who do not see its colour."""

    word: str
    advice: str
    sign: str


VERDICTS: Mapping[str, Verdict] = {
    "ok": Verdict("Aligned", "The evidence below supports this result.", "✓"),
    "suspect": Verdict("Suspect", "Look at the pictures before you use this result.", "!"),
    "failed": Verdict("Failed", "Do not use this result: nothing shows that it is right.", "×"),  # noqa: RUF001
    "error": Verdict("Error", "The pair could not be processed.", "×"),  # noqa: RUF001
}

# Keys of a report that have a place of their own; the others are shown at the end, under their own names.
_PLACED_KEYS = (
    *("status", "reasons", "notes", "model", "model_asked", "selection", "inverted", "by_texture", "mirrored"),
    *("fixed", "moving", "metrics", "probability"),
    *("seconds", "levels", "settings", "backend", "versions", "command", "uncertainty", "missing"),
    *("spline", "matrix_metrics"),
)


_TEMPLATE = "pair.html.j2"


@cache
def load_pair_html() -> None:
    """Load what `write_pair_html` takes a tenth of a second to load when it is first called."""
    load_jpeg()
    load_template(_TEMPLATE)


def write_pair_html(
    path: str | os.PathLike[str], report: Mapping[str, Any], figures: PairFigures, *, files: Sequence[str] = ()
) -> None:
    """Write the HTML report of one pair to ``path``: one file below 5 MB, the same bytes for the same input.

    Args:
        path: the file.
        report: the content of ``report.json``. Entries that are missing are left out. ``command`` is the list of
            arguments that repeats the run. Metrics without an entry in `MEASURES` are shown under their own names.
        figures: the images to show.
        files: names of the files in the same folder, to be linked.

    Raises:
        OutputError: the file cannot be written.
    """
    report, shown = plain(report), figures.reduced()
    if failed := report.get("status") == "failed":  # the expected error of a wrong transform says nothing
        bend = shown.bend and dataclasses.replace(shown.bend, expected_error=None)
        report, shown = {**report, "uncertainty": None}, dataclasses.replace(shown, expected_error=None, bend=bend)
    height, width = shown.layers.fixed.shape
    content = {
        "verdict": verdict(report.get("status")),
        "status": report.get("status"),
        "reasons": text_lines(report.get("reasons")),
        "notes": text_lines(report.get("notes")),
        "names": {side: PurePath(str(report.get(side) or side)).name for side in ("fixed", "moving")},
        "paths": {side: report.get(side) for side in ("fixed", "moving")},
        "highlights": _highlights(report),
        "inverted": bool(report.get("inverted")),
        "failed": failed,
        "selection": mapping(report, "selection"),
        "views": embedded_views(shown.layers.views),
        "frame": {"width": width, "height": height, "pixel": value_text(shown.pixel), "reduced": shown.pixel > 1},
        "overlaps": bool(shown.layers.shared_after.any()),
        "maps": map_figures(shown, mapping(report, "registered_by").get("window")),
        "motion": motion(shown.matrix, (height, width), shown.pixel, None if shown.bend is None else shown.bend.field),
        "deformation": shown.bend and deformation(shown.bend, shown.layers),
        "folds": mapping(report, "metrics").get("folds"),
        "levels": _level_table(report.get("levels")),
        "metrics": list(described(mapping(report, "metrics"))),
        "tables": _tables(report),
        "command": shell_line(report["command"]) if report.get("command") else None,
        "files": [{"name": name, "link": link(name), "meaning": FILES.get(name, "")} for name in files],
        "number": value_text,
    }
    write_html(Path(path), _TEMPLATE, ("pair.js", "copy.js"), content)


def verdict(status: object) -> Verdict:
    """Return how ``status`` is shown; an unknown one is shown as it is."""
    return VERDICTS.get(str(status)) or Verdict(plain_name(str(status or "No verdict")), "", "?")


def link(path: str) -> str:
    """Return a link to ``path``, which is relative and divided by "/".

    Whatever characters ``path`` holds, the link leads into the folder of the HTML file or below it.
    """
    return "./" + "/".join(quote(os.fsencode(part), safe="") for part in path.split("/"))


def _highlights(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the few numbers that a reader looks for first, each a label, a value and a unit."""
    metrics = mapping(report, "metrics")
    before, after = (value_text(metrics.get(key), digits=3) for key in ("zncc_before", "zncc_after"))
    highlights = [{"label": "ZNCC", "value": f"{before} → {after}", "unit": ""}]
    if (probability := _number(report.get("probability"))) is not None:
        label = "Probability of being right"
        highlights.insert(0, {"label": label, "value": probability_text(probability), "unit": ""})
    for key, name in (("overlap", "Overlap"), ("motion", "Largest motion")):
        measure = MEASURES[key]
        value = value_text(metrics.get(key), measure.factor, digits=3)
        highlights.append({"label": name, "value": value, "unit": measure.unit})
    uncertainty = mapping(report, "uncertainty")
    if uncertainty.get("rms") is not None:
        highlights.append({"label": "Expected error", "value": value_text(uncertainty["rms"], digits=2), "unit": "px"})
    if (share := _number(uncertainty.get("uncertain_share"))) is not None:
        highlights.append({"label": "Uncertain", "value": value_text(share, 100, digits=2), "unit": "% of the overlap"})
    asked, model = report.get("model_asked"), report.get("model")
    label = "Model" if asked in (model, None) else f"Model ({value_text(asked)})"
    highlights.append({"label": label, "value": value_text(model), "unit": ""})
    if (seconds := _number(mapping(report, "seconds").get("total"))) is not None:
        highlights.append({"label": "Time", "value": value_text(seconds, digits=3), "unit": "s"})
    return highlights


@dataclass(frozen=True)
class Cell:
    """A cell of the table of levels: its text, and the length of its bar, 0 to 100, or None for a cell without one."""

    text: str
    bar: float | None = None


@dataclass(frozen=True)
class LevelTable:
    """The table of the pyramid levels, coarse to fine."""

    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


_BAR_KEYS = ("loss", "iterations", "seconds")


def _level_table(levels: object) -> LevelTable | None:
    """Return the table of ``levels``, a report's list of mappings; None if it holds none."""
    rows = [level for level in levels if isinstance(level, Mapping)] if isinstance(levels, list | tuple) else []
    if not rows:
        return None
    keys = sorted(dict.fromkeys(key for row in rows for key in row), key=lambda key: key != "factor")
    largest = {key: max((_number(row.get(key)) or 0.0 for row in rows), default=0.0) for key in _BAR_KEYS}

    def cell(row: Mapping[str, Any], key: str) -> Cell:
        value = row.get(key)
        number = _number(value)
        if key == "factor" and number is not None:
            return Cell("full size" if number == 1 else f"1/{value_text(value)}")
        if key in _BAR_KEYS and number is not None and largest[key] > 0:
            return Cell(value_text(value, digits=3), round(100 * max(number, 0.0) / largest[key], 1))
        return Cell(plain_name(value).lower() if key == "ending" and isinstance(value, str) else value_text(value))

    return LevelTable(
        tuple("Level" if key == "factor" else plain_name(key) for key in keys),
        tuple(tuple(cell(row, key) for key in keys) for row in rows),
    )


def _number(value: object) -> float | None:
    """Return ``value`` if it is a finite number, else None."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _tables(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the tables of settings, versions and the like, each a title and rows of (name, value)."""
    expected_errors = {key: value for key, value in mapping(report, "uncertainty").items() if key != "covariance"}
    further = {key: value for key, value in report.items() if key not in _PLACED_KEYS}
    tables = (
        ("Settings", mapping(report, "settings")),
        ("Backend", mapping(report, "backend")),
        ("Expected error, px", expected_errors),
        ("Spline", mapping(report, "spline")),
        ("Matrix alone", mapping(report, "matrix_metrics")),
        ("Seconds", mapping(report, "seconds")),
        (VERSIONS, mapping(report, "versions")),
        ("Other", further),
    )
    return plain_tables(tables)
