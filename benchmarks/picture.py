"""A picture of a result: bars of forward+backward, in copies of a plane, on a logarithmic axis; SVG by hand."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

from benchmarks import machine
from benchmarks.cells import Cell
from benchmarks.measure import Timing
from benchmarks.report import TITLES, Result, short
from benchmarks.tasks import BOTH

_COLOURS = {"ours": "#0b6e4f", "specification": "#b3541e", "torch": "#5b7db1", "peer": "#8a8a8a"}
_WIDTH, _LEFT, _RIGHT, _TOP, _BAR, _STEP = 860, 260, 150, 70, 15, 22
_LARGEST = 4096  # every contender but the slowest is measured there


def write(result: Result, folder: Path) -> Path:
    """Write the picture of the largest size up to 4096 at the main window, and return its name."""
    file = folder / f"{result.stem}.svg"
    cells = [cell for cell in result.cells if cell.window == result.window and not cell.kept_heap]
    cells = [cell for cell in cells if cell.size <= _LARGEST] or cells
    body, height = _chart(result, max(cells, key=lambda cell: cell.size)) if cells else ([], _TOP)
    file.write_text(svg(body, _WIDTH, height), encoding="utf-8")
    return file


def svg(body: list[str], width: int, height: int) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
    lines = [f'{head} font-size="12" fill="#222">', '<rect width="100%" height="100%" fill="#fff"/>', *body, "</svg>"]
    return "\n".join(lines) + "\n"


def _chart(result: Result, cell: Cell) -> tuple[list[str], int]:
    """Return the elements, and the height that they need."""
    bars = [(row, row.timing) for row in cell.rows if row.direction == BOTH and row.timing]
    most = max((timing.median / cell.copy.median for _, timing in bars), default=10.0)
    decades = max(1, math.ceil(math.log10(most)))
    body = [
        text(20, 24, "Forward and backward, in copies of the image", size=16),
        text(
            20,
            44,
            f"{cell.size} x {cell.size} float32, window {cell.window}, {machine.device_name(result.device)}"
            + (f", {result.threads} thread{'s' * (result.threads > 1)}" if result.device.type == "cpu" else "")
            + f", {result.date}; a copy takes {cell.copy.median:.3g} ms",
        ),
    ]
    y = _TOP
    for task, title in TITLES.items():
        of_task = sorted(((r, t) for r, t in bars if r.task == task), key=lambda bar: bar[1].median)
        if not of_task:
            continue
        body.append(text(20, y + 12, title, weight="bold"))
        y += _STEP
        for row, timing in of_task:
            body += _bar(row.contender, _COLOURS[row.kind], timing, cell.copy.median, y, decades)
            y += _STEP
        y += _STEP // 2
    axis = []
    for power in range(decades + 1):
        x = _x(10.0**power, decades)
        axis.append(f'<path d="M{x:.0f} {_TOP}V{y}" stroke="#ddd"/>')
        axis.append(text(x, y + 16, f"{10**power:,}", anchor="middle"))
    return [*body[:2], *axis, *body[2:]], y + 30


def _bar(name: str, colour: str, timing: Timing, copy: float, y: int, decades: int) -> list[str]:
    copies = timing.median / copy
    end = _x(copies, decades)
    label = (
        f"{timing.median:.3g} ms, {short(copies)} copies"
        if timing.median < 1000
        else (f"{timing.median / 1000:.3g} s, {short(copies)} copies")
    )
    return [
        text(_LEFT - 8, y + 12, name, anchor="end"),
        f'<rect x="{_LEFT}" y="{y}" width="{max(1.0, end - _LEFT):.0f}" height="{_BAR}" fill="{colour}"/>',
        text(end + 6, y + 12, label),
    ]


def _x(copies: float, decades: int) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * max(0.0, math.log10(copies)) / decades


def text(x: float, y: float, words: str, *, anchor: str = "start", weight: str = "normal", size: int = 12) -> str:
    style = f'text-anchor="{anchor}" font-weight="{weight}" font-size="{size}"'
    return f'<text x="{x:.0f}" y="{y:.0f}" {style}>{escape(words)}</text>'
