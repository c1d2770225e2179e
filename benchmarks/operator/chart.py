"""The picture of a run: bars of forward+backward in copies of a plane, on a logarithmic axis."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common import chart, machine
from benchmarks.common.report import short
from benchmarks.operator.contenders import TITLES
from benchmarks.operator.tasks import BOTH

if TYPE_CHECKING:
    from benchmarks.operator.report import Result

_COLOURS = {"ours": "#0b6e4f", "specification": "#b3541e", "torch": "#5b7db1", "peer": "#8a8a8a"}
_MAX_SIZE = 4096  # every contender but the slowest is measured there
_WIDTH, _BAR_HEIGHT, _MARGIN = 9.0, 0.24, 1.2  # inches


def write(result: Result, file: Path) -> list[Path]:
    """Draw the largest size up to 4096 at the main window; return the file, if one was written."""
    cells = [cell for cell in result.cells if cell.window == result.window and not cell.kept_heap]
    cells = [cell for cell in cells if cell.size <= _MAX_SIZE] or cells
    if not cells:
        return []
    cell = max(cells, key=lambda cell: cell.size)
    timed = [row for row in cell.rows if row.direction == BOTH and row.timing]
    # The fastest is at the top of its panel.
    panels = {
        title: sorted((row for row in timed if row.task == task), key=lambda row: -row.timing.median)
        for task, title in TITLES.items()
    }
    panels = {title: rows for title, rows in panels.items() if rows}
    max_copies = max([10.0, *(row.timing.median / cell.copy.median for row in timed)])
    threads = f", {result.threads} threads" if result.device.type == "cpu" and result.threads > 1 else ""

    def draw(figure: Any) -> None:
        figure.suptitle(
            f"Forward and backward, in copies of the image\n{cell.size} x {cell.size} float32, window {cell.window}, "
            f"{machine.device_name(result.device)}{threads}, {datetime.date.today()}; "
            f"a copy takes {cell.copy.median:.3g} ms"
        )
        heights = [len(rows) for rows in panels.values()]
        grid = figure.subplots(len(panels), squeeze=False, sharex=True, height_ratios=heights)
        for axes, (title, rows) in zip(grid[:, 0], panels.items(), strict=True):
            copies = [row.timing.median / cell.copy.median for row in rows]
            bars = axes.barh([row.contender for row in rows], copies, color=[_COLOURS[row.kind] for row in rows])
            labels = [f"{short(row.timing.median)} ms, {short(n)} copies" for row, n in zip(rows, copies, strict=True)]
            axes.bar_label(bars, labels, padding=3)
            axes.set_title(title, loc="left", fontsize="medium", fontweight="bold")
            axes.set_xscale("log")
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_xlim(1, max_copies**1.35)  # the labels stand beyond the bars
        grid[-1, 0].set_xlabel("copies")

    return chart.save(file, _WIDTH, _MARGIN + _BAR_HEIGHT * len(timed), draw) if timed else []
