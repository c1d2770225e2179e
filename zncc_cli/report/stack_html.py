"""report.html of a movie: the verdict, the drift, kymographs and a loop before and after, in one file."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from zncc_cli.report.drift_files import BLANK, OUTLIER, DriftRow
from zncc_cli.report.drift_plot import NARROW, WIDE, by_night, drift_svg, load_plots, places_svg
from zncc_cli.report.html import load_template, write_html
from zncc_cli.report.json import plain
from zncc_cli.report.pair_figures import EmbeddedImage, embedded_image, jpeg, load_jpeg
from zncc_cli.report.pair_html import link, verdict
from zncc_cli.report.tables import VERSIONS, mapping, plain_tables
from zncc_cli.report.words import STACK_FILES, STACK_MEASURES, described, shell_line, text_lines, value_text

_TEMPLATE = "stack.html.j2"
_MAX_FILM_BYTES = 1_300_000  # of one loop, before base64
_QUALITIES = (85, 75, 60, 45, 30)
_MAX_BAD_SHOWN = 12
_MAX_ROWS = 2000  # of the table; drift.csv has them all
_PLACED_KEYS = (
    *("status", "reasons", "notes", "model", "to", "axis", "image", "metrics", "seconds", "settings", "versions"),
    *("frames", "blank", "outliers", "inverted", "outside", "missing", "command", "suspect", "frame_reasons"),
)


@dataclass(frozen=True, eq=False)
class Film:
    """What is shown of a movie before and after, uint8 in one contrast; frames are reduced.

    Attributes:
        before, after: (n, h, w), the frames of the loop, as they are in the file and as they are written.
        frames: their numbers.
        kymographs: before and after along x, and before and after along y: (frames, length); by name.
        kymograph_frames: the numbers of their frames.
        bad: (m, h, w), frames that have no place of their own, as they are in the file.
        bad_frames: their numbers.
        pixel: side of a pixel of these pictures, in pixels of the file.
    """

    before: NDArray[np.uint8]
    after: NDArray[np.uint8]
    frames: tuple[int, ...]
    kymographs: Mapping[str, NDArray[np.uint8]]
    kymograph_frames: tuple[int, ...]
    bad: NDArray[np.uint8]
    bad_frames: tuple[int, ...]
    pixel: int


@cache
def load_stack_html() -> None:
    """Load what `write_stack_html` takes most of a second to load when it is first called."""
    load_jpeg()
    load_template(_TEMPLATE)
    load_plots()


def write_stack_html(
    path: str | os.PathLike[str],
    report: Mapping[str, Any],
    rows: Sequence[DriftRow],
    film: Film,
    *,
    files: Sequence[str] = (),
) -> None:
    """Write the HTML report of one movie to ``path``: one file that works offline.

    Args:
        path: the file.
        report: the content of ``report.json``; entries that are missing are left out.
        rows: the places of all frames.
        film: the pictures.
        files: names of the files in the same folder, to be linked.

    Raises:
        OutputError: the file cannot be written.
    """
    report = plain(report)
    status_of = {row.frame: row.status for row in rows}
    wide, narrow, places = drift_svg(rows, WIDE), drift_svg(rows, NARROW), places_svg(rows)
    films = _films(film)
    content = {
        "verdict": verdict(report.get("status")),
        "status": report.get("status"),
        "reasons": text_lines(report.get("reasons")),
        "notes": text_lines(report.get("notes")),
        "name": PurePath(str(report.get("image") or "movie")).name,
        "highlights": _highlights(report, rows),
        "films": films,
        "film_frames": [{"number": number, "status": status_of.get(number, "")} for number in film.frames],
        "frame_size": {"height": film.before.shape[1], "width": film.before.shape[2], "pixel": film.pixel},
        "kymographs": _kymographs(film),
        "kymograph_count": len(film.kymograph_frames),
        "frame_count": len(rows),
        "plots": {
            "wide": {"day": _svg_uri(wide), "night": _svg_uri(by_night(wide))},
            "narrow": {"day": _svg_uri(narrow), "night": _svg_uri(by_night(narrow))},
            "places": {"day": _svg_uri(places), "night": _svg_uri(by_night(places))},
        },
        "drift_words": _drift_words(rows),
        "bad": [
            {"number": number, "status": status_of.get(number, ""), "picture": _picture(pixels)}
            for number, pixels in zip(film.bad_frames, film.bad, strict=True)
        ],
        "bad_count": sum(row.status in (BLANK, OUTLIER) for row in rows),
        "table": _table(rows),
        "rows_left_out": max(0, len(rows) - _MAX_ROWS),
        "metrics": list(described(mapping(report, "metrics"), STACK_MEASURES)),
        "tables": plain_tables(_further_tables(report)),
        "command": shell_line(report["command"]) if report.get("command") else None,
        "files": [{"name": name, "link": link(name), "meaning": STACK_FILES.get(name, "")} for name in files],
    }
    write_html(Path(path), _TEMPLATE, ("stack.js", "copy.js"), content)


def shown_bad_frames(rows: Sequence[DriftRow]) -> tuple[int, ...]:
    """Return the numbers of the frames without a place of their own that the report shows."""
    return tuple(row.frame for row in rows if row.status in (BLANK, OUTLIER))[:_MAX_BAD_SHOWN]


def _svg_uri(svg: bytes) -> Markup:
    return Markup(f"data:image/svg+xml;base64,{base64.b64encode(svg).decode('ascii')}")


def _films(film: Film) -> list[dict[str, Any]]:
    """Return both loops, each as one picture of all its frames, one below the other."""
    loops = ("before", film.before), ("after", film.after)
    strips = [(name, frames.reshape(-1, frames.shape[2])) for name, frames in loops]
    for quality in _QUALITIES:
        contents = [jpeg(np.ascontiguousarray(strip), quality) for _, strip in strips]
        if max(map(len, contents)) <= _MAX_FILM_BYTES:
            break
    return [
        {"name": name, "picture": embedded_image(content, "image/jpeg", strip.shape)}
        for (name, strip), content in zip(strips, contents, strict=True)
    ]


def _kymographs(film: Film) -> list[dict[str, Any]]:
    words = {
        "x": "The middle row of each frame: x to the right, frames downwards.",
        "y": "The middle column of each frame: y to the right, frames downwards.",
    }
    return [
        {
            "title": f"Along {axis}, {when}",
            "picture": _picture(film.kymographs[f"{axis}-{when}"]),
            "meaning": words[axis],
        }
        for axis in "xy"
        for when in ("before", "after")
    ]


def _picture(pixels: NDArray[np.uint8]) -> EmbeddedImage:
    return embedded_image(jpeg(np.ascontiguousarray(pixels), _QUALITIES[0]), "image/jpeg", pixels.shape)


def _highlights(report: Mapping[str, Any], rows: Sequence[DriftRow]) -> list[dict[str, str]]:
    """Return the few numbers that a reader looks for first, each a label, a value and a unit."""
    spans = [max(values) - min(values) for values in ([row.dx for row in rows], [row.dy for row in rows])]
    good = sum(row.status not in (BLANK, OUTLIER) for row in rows)
    highlights = [
        {"label": "Frames with a place", "value": f"{good} of {len(rows)}", "unit": ""},
        {"label": "Drift along x", "value": value_text(spans[0], digits=3), "unit": "px"},
        {"label": "Drift along y", "value": value_text(spans[1], digits=3), "unit": "px"},
    ]
    error = mapping(report, "metrics").get("largest_expected_error")
    if error is not None:
        highlights.append({"label": "Largest expected error", "value": value_text(error, digits=2), "unit": "px"})
    highlights.append({"label": "Model", "value": value_text(report.get("model")), "unit": ""})
    seconds = value_text(mapping(report, "seconds").get("total"), digits=3)
    return [*highlights, {"label": "Time", "value": seconds, "unit": "s"}]


def _drift_words(rows: Sequence[DriftRow]) -> str:
    """Return what the drift plot shows, for who cannot see it."""
    spans = (
        f"{name} from {min(values):.2f} to {max(values):.2f} px"
        for name, values in (("dx", [row.dx for row in rows]), ("dy", [row.dy for row in rows]))
    )
    return f"Drift of {len(rows)} frames: {', '.join(spans)}"


def _table(rows: Sequence[DriftRow]) -> dict[str, Any]:
    """Return the headings and cells of the table of frames."""
    further = [*rows[0].further]
    headings = ["Frame", "dx, px", "dy, px", *(name.replace("_", " ") for name in further), "Status", "Error, px"]
    inverted = any(row.inverted for row in rows)
    cells = []
    for row in rows[:_MAX_ROWS]:
        numbers = [f"{row.dx:.3f}", f"{row.dy:.3f}", *(f"{row.further[name]:.6g}" for name in further)]
        error = value_text(row.expected_error, digits=2)
        cells.append(
            {
                "frame": row.frame,
                "numbers": numbers,
                "status": row.status,
                "error": error,
                "inverted": "yes" if row.inverted else "",
            }
        )
    return {"headings": [*headings, *(["Inverted"] if inverted else [])], "rows": cells, "inverted": inverted}


def _further_tables(report: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    further = {key: value for key, value in report.items() if key not in _PLACED_KEYS}
    return [
        ("Settings", mapping(report, "settings")),
        ("Seconds", mapping(report, "seconds")),
        (VERSIONS, mapping(report, "versions")),
        ("Other", further),
    ]
