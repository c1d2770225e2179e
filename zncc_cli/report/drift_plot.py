"""The drift plot, drift.svg: dx and dy of each frame. It is drawn as SVG without a plotting library."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from zncc_cli.files.output_folder import atomic_write
from zncc_cli.report.drift_files import BLANK, OK, OUTLIER, DriftRow
from zncc_cli.text import shown

# Units of the drawing: its width, the panels' height and right margin, the place of the first panel's top left corner,
# the gap between panels, and the room for the label below them.
_WIDTH, _PANEL_HEIGHT, _RIGHT_MARGIN, _LEFT, _TOP, _PANEL_GAP, _BOTTOM = 860, 190, 20, 64, 56, 30, 34
_PANEL_WIDTH = _WIDTH - _LEFT - _RIGHT_MARGIN
_LEGEND_STEP = 90  # between two entries
_COLOURS = {OK: "#0b6e4f", BLANK: "#c77700", OUTLIER: "#b3261e"}
_TICK_STEPS = (1, 2, 5, 10)  # times a power of ten
_MAX_TICKS = 6
_MIN_RANGE_PX = 1e-6  # a range below it is drawn as one pixel


def write_drift_plot(path: str | os.PathLike[str], rows: Sequence[DriftRow], title: str) -> None:
    """Write an SVG with one panel for dx and one for dy by frame; blank and outlier frames are marked.

    Raises:
        OutputError: the file cannot be written.
    """
    height = _TOP + 2 * (_PANEL_HEIGHT + _PANEL_GAP) + _BOTTOM
    elements = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        _text(_LEFT, 22, shown(title), size=15),
    ]
    legend_x = _LEFT
    for status in (BLANK, OUTLIER):
        if count := sum(row.status == status for row in rows):
            elements.append(_text(legend_x, 42, f"{count} {status}", colour=_COLOURS[status]))
            legend_x += _LEGEND_STEP
    for number, name in enumerate(("dx", "dy")):
        elements += _panel(rows, name, _TOP + number * (_PANEL_HEIGHT + _PANEL_GAP))
    elements.append(_text(_WIDTH / 2, height - 8, "frame", anchor="middle"))
    with atomic_write(Path(path)) as file:
        file.write("\n".join([*elements, "</svg>", ""]).encode())


def _panel(rows: Sequence[DriftRow], name: str, top: float) -> list[str]:
    """Return the elements of the panel of ``name``, dx or dy, whose upper edge lies at ``top``."""
    frames = np.array([row.frame for row in rows], dtype=np.float64)
    values = np.array([getattr(row, name) for row in rows], dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    low, high = (low - 0.5, high + 0.5) if high - low < _MIN_RANGE_PX else (low, high)
    last_frame = max(float(frames[-1]), 1.0)
    x = _LEFT + frames / last_frame * _PANEL_WIDTH
    y = top + (high - values) / (high - low) * _PANEL_HEIGHT
    elements = [
        f'<rect x="{_LEFT}" y="{top}" width="{_PANEL_WIDTH}" height="{_PANEL_HEIGHT}" fill="none" stroke="#bbb"/>'
    ]
    for tick in _ticks(low, high):
        tick_y = top + (high - tick) / (high - low) * _PANEL_HEIGHT
        elements.append(f'<path d="M{_LEFT} {tick_y:.1f}H{_LEFT + _PANEL_WIDTH}" stroke="#e4e4e4"/>')
        elements.append(_text(_LEFT - 6, tick_y + 4, f"{tick:g}", anchor="end"))
    for tick in _ticks(0, last_frame):
        tick_x = _LEFT + tick / last_frame * _PANEL_WIDTH
        elements.append(_text(tick_x, top + _PANEL_HEIGHT + 15, f"{tick:g}", anchor="middle"))
    for status in (BLANK, OUTLIER):
        marks = "".join(f"M{x[k]:.1f} {top}v{_PANEL_HEIGHT}" for k, row in enumerate(rows) if row.status == status)
        if marks:
            elements.append(f'<path d="{marks}" stroke="{_COLOURS[status]}" stroke-width="1.2" opacity="0.7"/>')
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    elements.append(f'<polyline points="{points}" fill="none" stroke="{_COLOURS[OK]}" stroke-width="1.5"/>')
    elements.append(_text(_LEFT + 6, top + 16, f"{name}, pixels", size=13, halo=True))
    return elements


def _ticks(low: float, high: float) -> list[float]:
    """Return the multiples of a round number between ``low`` and ``high``, about `_MAX_TICKS` of them."""
    raw = (high - low) / _MAX_TICKS
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(power * s for s in _TICK_STEPS if power * s >= raw * (1 - 1e-9))
    first = int(np.ceil(low / step - 1e-9))
    return [k * step for k in range(first, int(np.floor(high / step + 1e-9)) + 1)]


def _text(
    x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", colour: str = "#222", halo: bool = False
) -> str:
    """Return a text element; with ``halo`` it has a white outline, so that it can be read on lines."""
    style = f'font-size="{size}" text-anchor="{anchor}" fill="{colour}"'
    style += ' stroke="#fff" stroke-width="5" paint-order="stroke"' if halo else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'
