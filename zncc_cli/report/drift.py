"""The drift of a movie on disk: a table, a picture, and the matrices of its frames."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.folder import atomic_write
from zncc_cli.report.report import write_json
from zncc_cli.text import shown

FORMAT, VERSION = "zncc-stack", 1

_WIDTH, _PANEL, _LEFT, _TOP, _GAP = 860, 190, 64, 56, 30
_COLOURS = {"ok": "#0b6e4f", "blank": "#c77700", "outlier": "#b3261e"}
_STEPS = (1, 2, 5, 10)
_TICKS = 6


@dataclass(frozen=True)
class DriftRow:
    """One frame.

    Attributes:
        frame: its number along the axis, from 0.
        dx, dy: where the centre of the reference lies in this frame, less where it lies in the reference, pixels.
        further: what the model has beside a shift (angle, scale, ...), by name.
        status: "ok", "blank" or "outlier".
        expected_error: expected RMS error of the place, pixels; None where not known.
        inverted: bright and dark are exchanged against the reference.
    """

    frame: int
    dx: float
    dy: float
    status: str
    expected_error: float | None
    further: dict[str, float] = field(default_factory=dict)
    inverted: bool = False


def write_drift_table(path: str | os.PathLike[str], rows: Sequence[DriftRow]) -> None:
    """Write a CSV: frame, dx, dy, what else the model has, status, expected_error, inverted (0 or 1).

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["frame", "dx", "dy", *rows[0].further, "status", "expected_error", "inverted"])
    for row in rows:
        numbers = [f"{value:.9g}" for value in (row.dx, row.dy, *row.further.values())]
        expected_error = "" if row.expected_error is None else f"{row.expected_error:.3g}"
        writer.writerow([row.frame, *numbers, row.status, expected_error, int(row.inverted)])
    with atomic_write(Path(path)) as file:
        file.write(text.getvalue().encode())


def write_frame_transforms(
    path: str | os.PathLike[str],
    matrices: NDArray[np.float64],
    rows: Sequence[DriftRow],
    *,
    model: str,
    axis: str,
    to: str,
    shape: tuple[int, int],
) -> None:
    """Write the matrices (n, 3, 3), reference -> frame, of all frames as JSON (docs/stack.md).

    Raises:
        OutputError: the file cannot be written.
    """
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "model": model,
        "axis": axis,
        "to": to,
        "shape": list(shape),
        "direction": "reference -> frame",
        "axis_order": "xy",
        "pixel_origin": "centre of the top-left pixel is (0, 0)",
        "frames": [
            {"frame": row.frame, "status": row.status, "expected_error": row.expected_error, "matrix": matrix}
            for row, matrix in zip(rows, matrices, strict=True)
        ],
    }
    write_json(path, content)


def write_drift_picture(path: str | os.PathLike[str], rows: Sequence[DriftRow], title: str) -> None:
    """Write an SVG: dx and dy by frame, with what is known of their error; blank and outlier frames are marked.

    Raises:
        OutputError: the file cannot be written.
    """
    height = _TOP + 2 * (_PANEL + _GAP) + 34
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        _text(_LEFT, 22, shown(title), size=15),
    ]
    at = _LEFT
    for status in ("blank", "outlier"):
        if count := sum(row.status == status for row in rows):
            body.append(_text(at, 42, f"{count} {status}", colour=_COLOURS[status]))
            at += 90
    for number, name in enumerate(("dx", "dy")):
        body += _panel(rows, name, _TOP + number * (_PANEL + _GAP))
    body.append(_text(_WIDTH / 2, height - 8, "frame", anchor="middle"))
    with atomic_write(Path(path)) as file:
        file.write("\n".join([*body, "</svg>", ""]).encode())


def _panel(rows: Sequence[DriftRow], name: str, top: float) -> list[str]:
    frames = np.array([row.frame for row in rows], dtype=np.float64)
    values = np.array([getattr(row, name) for row in rows], dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    low, high = (low - 0.5, high + 0.5) if high - low < 1e-6 else (low, high)
    last = max(float(frames[-1]), 1.0)
    x = _LEFT + frames / last * (_WIDTH - _LEFT - 20)
    y = top + (high - values) / (high - low) * _PANEL
    out = [f'<rect x="{_LEFT}" y="{top}" width="{_WIDTH - _LEFT - 20}" height="{_PANEL}" fill="none" stroke="#bbb"/>']
    for tick in _ticks(low, high):
        place = top + (high - tick) / (high - low) * _PANEL
        out.append(f'<path d="M{_LEFT} {place:.1f}H{_WIDTH - 20}" stroke="#e4e4e4"/>')
        out.append(_text(_LEFT - 6, place + 4, f"{tick:g}", anchor="end"))
    for tick in _ticks(0, last):
        place = _LEFT + tick / last * (_WIDTH - _LEFT - 20)
        out.append(_text(place, top + _PANEL + 15, f"{tick:g}", anchor="middle"))
    for status in ("blank", "outlier"):
        marks = "".join(f"M{x[k]:.1f} {top}v{_PANEL}" for k, row in enumerate(rows) if row.status == status)
        if marks:
            out.append(f'<path d="{marks}" stroke="{_COLOURS[status]}" stroke-width="1.2" opacity="0.7"/>')
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    out.append(f'<polyline points="{points}" fill="none" stroke="{_COLOURS["ok"]}" stroke-width="1.5"/>')
    out.append(_text(_LEFT + 6, top + 16, f"{name}, pixels", size=13, halo=True))
    return out


def _ticks(low: float, high: float) -> list[float]:
    """Return a few round numbers between two."""
    raw = (high - low) / _TICKS
    power = 10.0 ** np.floor(np.log10(raw))
    step = next(power * s for s in _STEPS if power * s >= raw * (1 - 1e-9))
    first = int(np.ceil(low / step - 1e-9))
    return [k * step for k in range(first, int(np.floor(high / step + 1e-9)) + 1)]


def _text(
    x: float, y: float, words: str, *, size: int = 12, anchor: str = "start", colour: str = "#222", halo: bool = False
) -> str:
    style = f'font-size="{size}" text-anchor="{anchor}" fill="{colour}"'
    style += ' stroke="#fff" stroke-width="5" paint-order="stroke"' if halo else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(words)}</text>'
