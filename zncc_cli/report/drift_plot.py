"""The plots of a movie's drift as SVG: dx, dy and the expected error of each frame, and the places on the plane."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.output_folder import atomic_write
from zncc_cli.report.drift_files import BLANK, OUTLIER, DriftRow
from zncc_cli.text import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, NARROW = (12.0, 5.6), (4.5, 6.4)
"""Sizes of a drift plot, inches, for a screen and for a phone: letters are as large as those around it."""
_FILE_SIZE, _PLACES_SIZE = (9.5, 6.0), (5.2, 4.4)
# Inches: the margin for the numbers, the room of a title and of a line of the legend; a wider plot has it on one line.
_LEFT, _TITLE, _LEGEND_LINE, _LEAST_WIDE = 0.75, 0.33, 0.24, 6
_SIGMAS = 2  # of the band: 95 percent
_MIN_RANGE_PX = 1e-6  # a range below it is drawn as one pixel
_MAX_DOTS = 150  # frames; of more, the line alone is drawn
# Colours of the page (style.css), by day and by night.
_INK, _QUIET, _LINE, _ACCENT, _BLANK, _OUTLIER = "#16191d", "#565e68", "#d9dde2", "#1f5fae", "#7d5200", "#a11d1d"
_BY_NIGHT = {
    _INK: "#e7e9ec",
    _QUIET: "#a3abb5",
    _LINE: "#343a41",
    _ACCENT: "#83b4ee",
    _BLANK: "#e6bc62",
    _OUTLIER: "#f39a94",
}
_COLOURS, _MARKERS = {BLANK: _BLANK, OUTLIER: _OUTLIER}, {BLANK: "s", OUTLIER: "X"}
_STYLE: Any = {
    "svg.fonttype": "none",  # letters stay text
    "svg.hashsalt": "zncc",  # the same bytes for the same drift
    "font.family": "sans-serif",
    "font.size": 10.0,
    "text.color": _INK,
    "axes.labelcolor": _QUIET,
    "axes.edgecolor": _LINE,
    "xtick.color": _QUIET,
    "ytick.color": _QUIET,
    "grid.color": _LINE,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "path.simplify": True,
}


def write_drift_plot(path: str | os.PathLike[str], rows: Sequence[DriftRow], title: str) -> None:
    """Write an SVG of dx, dy and the expected error by frame, with an error band; blank and outlier frames are marked.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_write(Path(path)) as file:
        file.write(drift_svg(rows, _FILE_SIZE, title=title))


def drift_svg(rows: Sequence[DriftRow], size: tuple[float, float], *, title: str | None = None) -> bytes:
    """Return the SVG of `write_drift_plot`, of a size in inches; without a title its ground is transparent."""
    with _figure(size, opaque=title is not None) as figure:
        draw_drift(figure, rows, title)
        return _svg(figure)


def draw_drift(figure: Figure, rows: Sequence[DriftRow], title: str | None) -> None:
    """Draw the plot of `drift_svg` into an empty figure."""
    errors, (width, height) = _errors(rows), figure.get_size_inches().tolist()
    known = bool(np.isfinite(errors).any())
    ratios = [2, 2, 1] if known else [1, 1]
    panels = figure.subplots(len(ratios), 1, sharex=True, gridspec_kw={"height_ratios": ratios})
    for axes, name in zip(panels, ("dx", "dy"), strict=False):
        _draw_path(axes, rows, np.array([getattr(row, name) for row in rows]), errors)
        axes.set_ylabel(f"{name}, px")
    if known:
        panels[2].plot([row.frame for row in rows], errors, color=_ACCENT, linewidth=1.2, **_dots(len(rows)))
        panels[2].set_ylim(bottom=0)
        panels[2].set_ylabel("error, px")
    for axes in panels:
        axes.grid(True, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("frame")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    handles, labels = panels[0].get_legend_handles_labels()
    columns = len(labels) if width > _LEAST_WIDE else 1
    above = (_TITLE if title else 0.0) + _LEGEND_LINE * -(-len(labels) // columns)
    _margins(figure, left=_LEFT, bottom=0.5, top=above + 0.1)
    figure.align_ylabels(panels)
    at = (_LEFT / width, 1 - (_TITLE if title else 0.0) / height)
    figure.legend(handles, labels, loc="upper left", bbox_to_anchor=at, ncols=columns, borderaxespad=0.1)
    if title is not None:
        figure.text(_LEFT / width, 1 - 0.24 / height, shown(title), fontsize=13, parse_math=False)


def places_svg(rows: Sequence[DriftRow]) -> bytes:
    """Return an SVG of the places of the frames on the plane, in the order of their numbers, y downwards."""
    x, y = (np.array([getattr(row, name) for row in rows]) for name in ("dx", "dy"))
    with _figure(_PLACES_SIZE, opaque=False) as figure:
        axes = figure.subplots()
        axes.plot(x, y, color=_QUIET, linewidth=0.8)
        dots = axes.scatter(x, y, c=[row.frame for row in rows], cmap="viridis", s=14, zorder=2)
        for status, numbers in _marked(rows).items():
            axes.scatter(x[numbers], y[numbers], marker=_MARKERS[status], color=_COLOURS[status], s=40, zorder=3)
        axes.set_xlabel("dx, px")
        axes.set_ylabel("dy, px")
        axes.set_aspect("equal", adjustable="datalim")
        axes.invert_yaxis()
        axes.grid(True, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        _margins(figure, left=_LEFT, bottom=0.55, top=0.15, right=0.95)
        bar = figure.add_axes((1 - 0.75 / _PLACES_SIZE[0], 0.55 / _PLACES_SIZE[1], 0.03, 1 - 0.7 / _PLACES_SIZE[1]))
        figure.colorbar(dots, cax=bar, label="frame").outline.set_visible(False)
        return _svg(figure)


def by_night(svg: bytes) -> bytes:
    """Return a plot in the colours of the page at night."""
    for day, night in _BY_NIGHT.items():
        svg = svg.replace(day.encode(), night.encode())
    return svg


def load_plots() -> None:
    """Load matplotlib, which takes half a second."""
    import matplotlib.backends.backend_svg
    import matplotlib.figure  # noqa: F401


def _draw_path(axes: Axes, rows: Sequence[DriftRow], values: NDArray[Any], errors: NDArray[np.float64]) -> None:
    """Draw one coordinate by frame, with its error band where that is known, and mark frames without a place."""
    frames = np.array([row.frame for row in rows])
    if np.isfinite(errors).any():
        band = np.where(np.isfinite(errors), _SIGMAS * errors, np.nan)
        label = f"±{_SIGMAS} standard deviations"
        axes.fill_between(frames, values - band, values + band, color=_ACCENT, alpha=0.25, linewidth=0, label=label)
    axes.plot(frames, values, color=_ACCENT, linewidth=1.2, label="place", **_dots(len(rows)))
    for status, numbers in _marked(rows).items():
        axes.plot(
            frames[numbers],
            values[numbers],
            linestyle="none",
            marker=_MARKERS[status],
            markersize=6,
            color=_COLOURS[status],
            label=f"{status} ({len(numbers)}), between its neighbours",
        )
    if np.ptp(values) < _MIN_RANGE_PX:
        axes.set_ylim(float(values.mean()) - 0.5, float(values.mean()) + 0.5)


def _dots(count: int) -> dict[str, Any]:
    return {"marker": "o", "markersize": 2.5} if count <= _MAX_DOTS else {}


def _errors(rows: Sequence[DriftRow]) -> NDArray[np.float64]:
    return np.array([np.nan if row.expected_error is None else row.expected_error for row in rows])


def _marked(rows: Sequence[DriftRow]) -> dict[str, list[int]]:
    """Return the positions of blank frames and outliers among ``rows``, as far as there are any."""
    found = {status: [k for k, row in enumerate(rows) if row.status == status] for status in (BLANK, OUTLIER)}
    return {status: numbers for status, numbers in found.items() if numbers}


@contextmanager
def _figure(size: tuple[float, float], *, opaque: bool) -> Iterator[Figure]:
    """Yield an empty figure in our style; what matplotlib says of letters that its own font lacks is of no use."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield Figure(figsize=size, facecolor="#ffffff" if opaque else "none")


def _margins(figure: Figure, *, left: float, bottom: float, top: float, right: float = 0.15) -> None:
    """Set the margins around all panels, inches."""
    width, height = figure.get_size_inches()
    figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height, hspace=0.12)
    for axes in figure.axes:
        axes.patch.set_visible(False)


def _svg(figure: Figure) -> bytes:
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    file = io.BytesIO()
    figure.set_canvas(FigureCanvasSVG(figure))
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()
