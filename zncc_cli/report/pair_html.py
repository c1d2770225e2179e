"""The page of one pair: the verdict first, then what it rests on, in one file that works offline."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from zncc_cli.report.arrows import motion
from zncc_cli.report.html import write_html
from zncc_cli.report.json import plain
from zncc_cli.report.pair_figures import PairFigures, maps, views
from zncc_cli.report.words import FILES, MEASURES, flat, measured, plain_name, shell_line, text_lines, value_text


@dataclass(frozen=True)
class Verdict:
    """How a status is said: a word, a sentence of advice, and a sign for those who do not see its colour."""

    word: str
    advice: str
    sign: str


VERDICTS: Mapping[str, Verdict] = {
    "ok": Verdict("Aligned", "The evidence below supports this result.", "✓"),
    "suspect": Verdict("Suspect", "SymmetricMetric at the pictures before you use this result.", "!"),
    "failed": Verdict("Failed", "Do not use this result: nothing shows that it is right.", "×"),  # noqa: RUF001
    "error": Verdict("Error", "The pair could not be processed.", "×"),  # noqa: RUF001
}

# What of a report has a place of its own on the page; the rest is shown at its end, under its own name.
_PLACED = (
    *("status", "reasons", "notes", "model", "model_asked", "selection", "inverted", "fixed", "moving", "metrics"),
    *("seconds", "levels", "settings", "backend", "versions", "command", "uncertainty", "missing"),
)


def write_pair_html(
    path: str | os.PathLike[str], report: Mapping[str, Any], pictures: PairFigures, *, files: Sequence[str] = ()
) -> None:
    """Write the page of one pair to ``path``: one HTML file, below 5 MB, the same for the same input.

    Args:
        path: the file.
        report: what ``report.json`` holds. What is missing is left out; ``command``, a list of arguments, is what to
            run to do it again. Metrics that are not known here are shown under their own names.
        pictures: what to show.
        files: names of the files beside it, to be linked.

    Raises:
        OutputError: the file cannot be written.
    """
    report, shown = plain(report), pictures.reduced()
    if failed := report.get("status") == "failed":  # how precise a place is that is wrong, nobody asks
        report, shown = {**report, "uncertainty": None}, dataclasses.replace(shown, uncertainty=None)
    height, width = shown.fixed.shape
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
        "selection": _mapping(report, "selection"),
        "views": views(shown),
        "frame": {"width": width, "height": height, "pixel": value_text(shown.pixel), "reduced": shown.pixel > 1},
        "overlaps": bool(shown.shared(after=True).any()),
        "maps": maps(shown, _mapping(report, "registered_by").get("window")),
        "motion": motion(shown.matrix, (height, width), shown.pixel),
        "levels": _levels(report.get("levels")),
        "metrics": list(measured(_mapping(report, "metrics"))),
        "tables": _tables(report),
        "command": shell_line(report["command"]) if report.get("command") else None,
        "files": [{"name": name, "link": link(name), "meaning": FILES.get(name, "")} for name in files],
        "number": value_text,
    }
    write_html(Path(path), "pair.html.j2", "pair.js", content)


def verdict(status: object) -> Verdict:
    """How ``status`` is said; one that is not known is shown as it is."""
    return VERDICTS.get(str(status)) or Verdict(plain_name(str(status or "No verdict")), "", "?")


def link(path: str) -> str:
    """A link to ``path``, relative and divided by "/", whatever letters are in it: it stays below this page."""
    return "./" + "/".join(quote(os.fsencode(part), safe="") for part in path.split("/"))


def _mapping(report: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = report.get(key)
    return value if isinstance(value, Mapping) else {}


def _highlights(report: Mapping[str, Any]) -> list[dict[str, str]]:
    """The few numbers that are looked for first."""
    metrics = _mapping(report, "metrics")
    before, after = (value_text(metrics.get(key), digits=3) for key in ("zncc_before", "zncc_after"))
    found = [{"label": "ZNCC", "value": f"{before} → {after}", "unit": ""}]
    for key, name in (("overlap", "Overlap"), ("motion", "Motion, at most")):
        measure = MEASURES[key]
        value = value_text(metrics.get(key), measure.factor, digits=3)
        found.append({"label": name, "value": value, "unit": measure.unit})
    sure = _mapping(report, "uncertainty").get("rms")
    if sure is not None:
        found.append({"label": "Sure to", "value": value_text(sure, digits=2), "unit": "px"})
    asked, model = report.get("model_asked"), report.get("model")
    label = "Model" if asked in (model, None) else f"Model ({value_text(asked)})"
    found.append({"label": label, "value": value_text(model), "unit": ""})
    seconds = value_text(_mapping(report, "seconds").get("total"), digits=3)
    return [*found, {"label": "Time", "value": seconds, "unit": "s"}]


@dataclass(frozen=True)
class Cell:
    """A cell of the table of levels: its text, and the share of a bar, 0 to 100, or None where there is none."""

    text: str
    bar: float | None = None


@dataclass(frozen=True)
class LevelTable:
    """The levels, coarse to fine."""

    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


_BARS = ("loss", "iterations", "seconds")


def _levels(levels: object) -> LevelTable | None:
    rows = [level for level in levels if isinstance(level, Mapping)] if isinstance(levels, list | tuple) else []
    if not rows:
        return None
    keys = sorted(dict.fromkeys(key for row in rows for key in row), key=lambda key: key != "factor")
    most = {key: max((_number(row.get(key)) or 0.0 for row in rows), default=0.0) for key in _BARS}

    def cell(row: Mapping[str, Any], key: str) -> Cell:
        value = row.get(key)
        number = _number(value)
        if key == "factor" and number is not None:
            return Cell("full size" if number == 1 else f"1/{value_text(value)}")
        if key in _BARS and number is not None and most[key] > 0:
            return Cell(value_text(value, digits=3), round(100 * max(number, 0.0) / most[key], 1))
        return Cell(plain_name(value).lower() if key == "ending" and isinstance(value, str) else value_text(value))

    return LevelTable(
        tuple("Level" if key == "factor" else plain_name(key) for key in keys),
        tuple(tuple(cell(row, key) for key in keys) for row in rows),
    )


def _number(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None


def _tables(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Settings, versions and the like, each a title and rows of (name, value)."""
    sure = {key: value for key, value in _mapping(report, "uncertainty").items() if key != "covariance"}
    further = {key: value for key, value in report.items() if key not in _PLACED}
    chosen = (
        ("Settings", _mapping(report, "settings")),
        ("Backend", _mapping(report, "backend")),
        ("Standard deviations, px", sure),
        ("Seconds", _mapping(report, "seconds")),
        ("Versions", _mapping(report, "versions")),
        ("Further", further),
    )
    return [
        {
            "title": title,
            "rows": [
                (name if title == "Versions" else plain_name(name), value_text(value)) for name, value in flat(values)
            ],
        }
        for title, values in chosen
        if values
    ]
