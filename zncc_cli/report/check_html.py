"""The HTML report of a pair that was said to be aligned: the verdict, where the images differ, and by how much."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from zncc_cli.report.arrows import ArrowChart, arrow_chart
from zncc_cli.report.colours import MAGMA, VIRIDIS
from zncc_cli.report.grey import grey_levels, robust_limits
from zncc_cli.report.html import write_html
from zncc_cli.report.json import plain
from zncc_cli.report.layers import Layers
from zncc_cli.report.pair_figures import (
    MAX_MAP_SIDE,
    EmbeddedImage,
    MapFigure,
    embedded_image,
    embedded_views,
    jpeg,
    map_figure,
)
from zncc_cli.report.pair_html import Verdict, link
from zncc_cli.report.tables import VERSIONS, mapping, plain_tables
from zncc_cli.report.words import (
    CHECK_FILES,
    CHECK_MEASURES,
    described,
    shell_line,
    text_lines,
    value_text,
)

_VERDICTS: Mapping[str, Verdict] = {
    "ok": Verdict("Aligned", "The images lie on each other as closely as was asked for.", "✓"),
    "suspect": Verdict("Suspect", "Look at the map and the pictures before you use these images as a pair.", "!"),
    "failed": Verdict("Not aligned", "Do not use these images as a pair as they are.", "×"),  # noqa: RUF001
}
_GROUND_SIDE, _GROUND_QUALITY = 640, 60  # pixels of the image below the arrows, and its JPEG quality
_RING_RADIUS = 5  # drawing units
_FARTHEST = 12  # windows in the table: more than a page shows is for shifts.csv
_WINDOW_MEANINGS = {
    "ok": "measured, and like those around it",
    "outlier": "measured, and unlike those around it",
    "unclear": "too little texture, or no place that is clearly the best",
    "outside": "masked, or without data",
}


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckFigures:
    """What the report shows of a check.

    Attributes:
        layers: both images on one frame, of which both moving ones are the aligned image.
        pixel: side of a pixel of that frame, in pixels of the fixed image.
        lengths, deviations: (h, w), lengths of the shifts over the frame, and their standard deviations, pixels of the
            fixed image; NaN where they are not known.
        windows: (N, 7), of each window x, y, dx, dy, sigma_x, sigma_y and ZNCC; NaN for what was not measured.
        status: (N,), what became of each, a word.
        step: distance between windows, pixels of the fixed image.
    """

    layers: Layers
    pixel: float
    lengths: NDArray[Any]
    deviations: NDArray[Any]
    windows: NDArray[np.float64]
    status: NDArray[Any]
    step: float


@dataclass(frozen=True)
class _Shifts:
    """The drawing of the shifts: the fixed image, arrows on it, and rings around windows that are unlike others."""

    chart: ArrowChart
    ground: EmbeddedImage
    rings: Markup


def map_places(shape: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the columns x and the rows y of an image (H, W) at which the maps of the report are sampled, pixels."""
    block = math.ceil(max(shape) / MAX_MAP_SIDE)
    rows, columns = (np.arange(math.ceil(side / block), dtype=np.float64) * block + (block - 1) / 2 for side in shape)
    return columns, rows


def write_check_html(
    path: str | os.PathLike[str], report: Mapping[str, Any], figures: CheckFigures, *, files: Sequence[str] = ()
) -> None:
    """Write the HTML report of a check to ``path``: one file that works offline, the same bytes for the same input.

    Args:
        path: the file.
        report: the content of the report.json.
        figures: the images, maps and windows to show.
        files: names of the files in the same folder, to be linked.

    Raises:
        OutputError: the file cannot be written.
    """
    report, status = plain(report), str(report.get("status"))
    metrics, windows = mapping(report, "metrics"), mapping(report, "windows")
    height, width = figures.layers.fixed.shape
    content = {
        "verdict": _VERDICTS[status],
        "status": status,
        "reasons": text_lines(report.get("reasons")),
        "notes": text_lines(report.get("notes")),
        "names": {side: PurePath(str(report.get(side) or side)).name for side in ("fixed", "aligned")},
        "highlights": _highlights(report, metrics),
        "shifts": _shifts(figures),
        "maps": _maps(figures),
        "views": embedded_views({name: figures.layers.views[name] for name in ("fixed", "after", "overlay-after")}),
        "frame": {"width": width, "height": height, "pixel": value_text(figures.pixel), "reduced": figures.pixel > 1},
        "inverted": report.get("compared_by") == "inverted brightness",
        "side": windows.get("side"),
        "counts": [
            {"status": name, "count": windows.get(name), "meaning": meaning}
            for name, meaning in _WINDOW_MEANINGS.items()
        ],
        "farthest": _farthest(figures),
        "metrics": list(described(metrics, CHECK_MEASURES)),
        "tables": plain_tables(
            [
                ("Settings", mapping(report, "settings")),
                ("Planes", mapping(report, "planes")),
                ("Seconds", mapping(report, "seconds")),
                (VERSIONS, mapping(report, "versions")),
            ]
        ),
        "command": shell_line(report["command"]) if report.get("command") else None,
        "files": [{"name": name, "link": link(name), "meaning": CHECK_FILES.get(name, "")} for name in files],
        "number": value_text,
    }
    write_html(Path(path), "check.html.j2", ("pair.js", "copy.js"), content)


def _highlights(report: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the few numbers that a reader looks for first, each a label, a value and a unit."""
    asked = mapping(report, "settings").get("max_ce90")
    chosen = {
        "CE90": (metrics.get("ce90"), "px"),
        "Asked for": (asked, "px at most"),
        "Largest": (metrics.get("largest"), "px"),
        "Sigma of a window": (metrics.get("median_sigma"), "px"),
    }
    highlights = [
        {"label": label, "value": value_text(value, digits=3), "unit": "" if value is None else unit}
        for label, (value, unit) in chosen.items()
    ]
    known = {"label": "Known", "value": value_text(metrics.get("known"), 100, digits=3), "unit": "% of the frame"}
    by = {"label": "Compared by", "value": value_text(report.get("compared_by")), "unit": ""}
    return [*highlights, known, by]


def _shifts(figures: CheckFigures) -> _Shifts | None:
    """Return the drawing of the shifts; None where no window was measured."""
    measured = figures.status == "ok"
    if not measured.any():
        return None
    layers, pixel = figures.layers, figures.pixel
    # Drawn coordinates begin at the corner of a pixel, those of windows at the centre of the first.
    points = (figures.windows[:, :2] + 0.5) / pixel
    per_side = max(layers.fixed.shape) * pixel / figures.step
    steps = figures.windows[measured, 2:4] / pixel
    chart = arrow_chart(points[measured], steps, layers.fixed.shape, pixel, per_side)
    unit = chart.width / layers.fixed.shape[1]
    rings = "\n".join(
        f'<circle class="ring" cx="{x:g}" cy="{y:g}" r="{_RING_RADIUS}"/>'
        for x, y in np.round(points[figures.status == "outlier"] * unit, 1).tolist()
    )
    small = layers.reduced(_GROUND_SIDE)
    levels = grey_levels(small.fixed, small.fixed_known, robust_limits(small.fixed, small.fixed_known))
    ground = embedded_image(jpeg(levels, _GROUND_QUALITY, small=True), "image/jpeg", levels.shape)
    return _Shifts(chart, ground, Markup(rings))


def _maps(figures: CheckFigures) -> list[MapFigure]:
    finite = figures.lengths[np.isfinite(figures.lengths)]
    largest = float(finite.max()) if finite.size else 0.0
    return [
        map_figure(
            "shift",
            "Shift",
            figures.lengths,
            "How far the aligned image is off at each place of the fixed image, from planes fitted to the windows.",
            VIRIDIS,
            unit="px",
            limits=(0.0, largest),
        ),
        map_figure(
            "sigma",
            "Standard deviation",
            figures.deviations,
            "How well that is known, as far as it comes from noise and the texture that there is.",
            MAGMA,
            unit="px",
        ),
    ]


def _farthest(figures: CheckFigures) -> list[list[str]]:
    """Return the rows of the table of the windows that are farthest off, the farthest first."""
    lengths = np.where(figures.status == "ok", np.hypot(*figures.windows[:, 2:4].T), -1)
    order = np.argsort(-lengths, kind="stable")[: min(_FARTHEST, int((lengths >= 0).sum()))]
    rows = []
    for number in order.tolist():
        x, y, dx, dy, sigma_x, sigma_y, zncc = figures.windows[number].tolist()
        length = float(lengths[number])
        rows.append(
            [
                *(f"{value:.0f}" for value in (x, y)),
                f"{length:.3f}",
                *(f"{value:.3f} ± {sigma:.3f}" for value, sigma in ((dx, sigma_x), (dy, sigma_y))),
                f"{zncc:.2f}",
            ]
        )
    return rows
