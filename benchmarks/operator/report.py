"""The report of a run on one device: its tables, all numbers and a picture."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.common import machine, report
from benchmarks.common.report import cross_table, short, table
from benchmarks.operator import chart
from benchmarks.operator.accuracy import Errors
from benchmarks.operator.cells import Cell, Row
from benchmarks.operator.contenders import LOSS, STD, TITLES
from benchmarks.operator.tasks import BOTH, FORWARD

_NOTES = (
    "All in one run, in turn. Milliseconds: median (lower to upper quartile). `copies`: over the time of a copy of "
    "one float32 plane of the same size. `faster`: the specification's time over this one's, forward+backward where "
    "there is one. Forward is without autograd; forward+backward is with it, for the moving image.",
    "Rows are not all the same task, nor equally exact: see benchmarks/README.md and the errors below.",
)


@dataclass(frozen=True)
class Peak:
    """Peak memory of a contender beyond its inputs, MiB, or the reason for having none."""

    task: str
    contender: str
    size: int
    window: int
    mib: float | None
    note: str = ""


@dataclass(frozen=True)
class Result:
    """All measurements of a run on one device."""

    device: torch.device
    threads: int
    window: int
    machine: dict[str, str]
    missing: dict[str, str]
    cells: list[Cell]
    peaks: list[Peak]
    errors: list[Errors]
    accuracy_size: int
    seconds: float


def write(result: Result, folder: Path) -> list[Path]:
    """Write the tables, all numbers and, where matplotlib is installed, the picture; return their paths."""
    content = dataclasses.asdict(result) | {"device": result.device.type}
    facts = content.pop("machine")
    threads = f"-{result.threads}-threads" if result.device.type == "cpu" and result.threads != 1 else ""
    name = f"operator-{machine.slug(result.device)}{threads}"
    title = f"The operator on {machine.device_name(result.device)}"
    files = report.write(folder, name, title, facts, _lines(result), content)
    return files + chart.write(result, files[0].with_suffix(".svg"))


def _lines(result: Result) -> Iterator[str]:
    for note in _NOTES:
        yield from (note, "")
    main = [cell for cell in result.cells if cell.window == result.window and not cell.kept_heap]
    if main:
        yield from (f"## Time, window {result.window}", "")
        if result.device.type == "cpu":
            yield from ("Every plane comes fresh from the system on every call: the upper bound of a real process.", "")
    for cell in main:
        yield from _cell_tables(cell)
    if len({cell.window for cell in result.cells}) > 1:
        yield from ("## Time by window", "")
        yield from _window_tables(result)
    kept = [cell for cell in result.cells if cell.kept_heap]
    if kept:
        yield from (f"## Time with reused memory, window {result.window}", "")
        yield from (
            "No plane is faulted in again: arithmetic and memory traffic alone, the lower bound of a real process.",
            "",
        )
    for cell in kept:
        yield from _cell_tables(cell)
    yield from _memory_tables(result)
    yield from _error_tables(result)
    yield from _unmeasured(result)
    yield f"The whole run took {result.seconds:.0f} s."


def _cell_tables(cell: Cell) -> Iterator[str]:
    gigabytes = 2 * 4 * cell.size**2 / (cell.copy.median * 1e6)
    for task, title in TITLES.items():
        by_name = _by_name(row for row in cell.rows if row.task == task)
        if not by_name:
            continue
        yield f"### {title}, {cell.size}x{cell.size}; a copy takes {short(cell.copy.median)} ms, {gigabytes:.1f} GB/s"
        yield ""
        reference = next((rows for rows in by_name.values() if _preferred(rows).kind == "specification"), {})
        lines = []
        for name, rows in by_name.items():
            line = [name]
            for direction in (FORWARD, BOTH):
                timing = rows[direction].timing if direction in rows else None
                line += [timing, short(timing.median / cell.copy.median)] if timing else ["", ""]
            lines.append([*line, _times_faster(rows, reference)])
        yield from table(("", "forward, ms", "copies", "forward+backward, ms", "copies", "faster"), lines)


def _by_name(rows: Iterable[Row]) -> dict[str, dict[str, Row]]:
    by_name: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_name.setdefault(row.contender, {})[row.direction] = row
    return by_name


def _preferred(rows: dict[str, Row]) -> Row:
    """Return the row of forward+backward, or of forward where there is no backward."""
    return rows.get(BOTH) or rows[FORWARD]


def _times_faster(rows: dict[str, Row], reference: dict[str, Row]) -> str:
    row = _preferred(rows)
    timing, other = row.timing, reference[row.direction].timing if reference else None
    return f"{other.median / timing.median:.3g}" if timing and other else ""


def _window_tables(result: Result) -> Iterator[str]:
    cells = sorted((cell for cell in result.cells if not cell.kept_heap), key=lambda cell: (cell.size, cell.window))
    for task, title in TITLES.items():
        for size, of_size in itertools.groupby(cells, lambda cell: cell.size):
            by_name = [(cell.window, _by_name(row for row in cell.rows if row.task == task)) for cell in of_size]
            rows = [(window, _preferred(rows)) for window, names in by_name for rows in names.values()]
            yield from (f"### {title}, {size}x{size}, forward+backward, ms", "")
            yield from cross_table(
                rows,
                lambda row: row[1].contender + (" (forward)" if row[1].direction == FORWARD else ""),
                lambda row: f"window {row[0]}",
                lambda rows: str(rows[0][1].timing or ""),
            )


def _memory_tables(result: Result) -> Iterator[str]:
    if not result.peaks:
        return
    first = result.peaks[0]
    plane = 4 * first.size**2 / 2**20
    yield from (f"## Peak memory beyond the inputs, {first.size}x{first.size}, window {first.window}", "")
    yield from ("Forward+backward where there is a backward, else forward; outputs and gradient included.", "")
    for task, title in TITLES.items():
        lines = [
            [peak.contender, f"{peak.mib:.0f}", f"{peak.mib / plane:.1f}"]
            if peak.mib is not None
            else [peak.contender, peak.note, ""]
            for peak in result.peaks
            if peak.task == task
        ]
        if lines:
            yield from table((title, "MiB", "planes"), lines)


def _error_tables(result: Result) -> Iterator[str]:
    for window in sorted({row.window for row in result.errors}):
        size = result.accuracy_size
        yield from (f"## Errors against float64, {size}x{size}, window {window}", "")
        for task, what in ((STD, "largest relative error of StdMap"), (LOSS, "absolute error of the loss")):
            rows = [row for row in result.errors if (row.window, row.task) == (window, task)]
            if rows:
                yield from (f"{TITLES[task]}: {what} / largest error of the gradient over its RMS.", "")
                yield from cross_table(
                    rows, lambda row: row.contender, lambda row: row.case, lambda rows: _error(rows[0])
                )


def _error(row: Errors) -> str:
    if row.value is None:
        return row.failure
    return f"{row.value:.0e}" + ("" if row.gradient is None else f" / {row.gradient:.0e}")


def _unmeasured(result: Result) -> Iterator[str]:
    lines = [f"- {name}: {reason}" for name, reason in result.missing.items()]
    for cell in result.cells:
        where = f"{cell.size}x{cell.size}, window {cell.window}{', reused memory' if cell.kept_heap else ''}"
        lines += [f"- {TITLES[r.task]}, {r.contender}, {r.direction}, {where}: {r.note}" for r in cell.rows if r.note]
    if lines:
        yield from ("## Missing, or not measured", "", *lines, "")
