"""Write a result as JSON, whole, and as Markdown, for people."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks import machine
from benchmarks.accuracy import Errors
from benchmarks.cells import Cell, Row
from benchmarks.contenders import LOSS, STD
from benchmarks.tasks import BOTH, FORWARD

TITLES = {STD: "local standard deviation", LOSS: "local ZNCC loss"}
_NOTES = (
    "All in one run, in turn. Milliseconds: median (lower to upper quartile). `copies`: over the time of a copy of "
    "one float32 plane of the same size. `faster`: the specification's time over this one's, forward+backward where "
    "there is one. Forward is without autograd; forward+backward is with it, for the moving image.",
    "Rows are not all the same task, nor equally exact: see benchmarks/README.md and the errors below.",
)


@dataclass(frozen=True)
class Peak:
    """The peak memory of a contender in MiB beyond its inputs, or why it is not known."""

    task: str
    contender: str
    size: int
    window: int
    mib: float | None
    note: str = ""


@dataclass(frozen=True)
class Result:
    """Everything that a run on one device found."""

    date: str
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

    @property
    def stem(self) -> str:
        """The name of its files, less the suffix."""
        threads = f"-{self.threads}-threads" if self.device.type == "cpu" and self.threads != 1 else ""
        return f"operator-{machine.slug(self.device)}{threads}-{self.date}"


def write(result: Result, folder: Path) -> list[Path]:
    """Write both files, and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    markdown, data = folder / f"{result.stem}.md", folder / f"{result.stem}.json"
    markdown.write_text("\n".join(_lines(result)) + "\n", encoding="utf-8")
    plain = {
        "format": "zncc-operator-benchmark",
        "version": 1,
        **dataclasses.asdict(result),
        "device": result.device.type,
    }
    data.write_text(json.dumps(without_nan(plain), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return [markdown, data]


def without_nan(value: Any) -> Any:
    """Return ``value`` as JSON can hold it: what is not finite as its name."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _lines(result: Result) -> Iterator[str]:
    yield f"# The operator on {machine.device_name(result.device)}, {result.date}"
    yield ""
    yield from table(("", ""), result.machine.items())
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


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    head = list(head)
    yield "| " + " | ".join(head) + " |"
    yield "|---" + "|--:" * (len(head) - 1) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def _cell_tables(cell: Cell) -> Iterator[str]:
    gigabytes = 2 * 4 * cell.size**2 / (cell.copy.median * 1e6)
    for task, title in TITLES.items():
        by_name = _by_name(row for row in cell.rows if row.task == task)
        if not by_name:
            continue
        yield f"### {title}, {cell.size}x{cell.size}; a copy takes {short(cell.copy.median)} ms, {gigabytes:.1f} GB/s"
        yield ""
        reference = next((rows for rows in by_name.values() if rows and _kind(rows) == "specification"), {})
        lines = []
        for name, rows in by_name.items():
            line = [name]
            for direction in (FORWARD, BOTH):
                row = rows.get(direction)
                line += [_spread(row), _copies(row, cell)]
            lines.append([*line, _times_faster(rows, reference)])
        yield from table(("", "forward, ms", "copies", "forward+backward, ms", "copies", "faster"), lines)


def _by_name(rows: Iterable[Row]) -> dict[str, dict[str, Row]]:
    by_name: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_name.setdefault(row.contender, {})[row.direction] = row
    return by_name


def _kind(rows: dict[str, Row]) -> str:
    return next(iter(rows.values())).kind


def _times_faster(rows: dict[str, Row], reference: dict[str, Row]) -> str:
    direction = BOTH if BOTH in rows else FORWARD
    mine, other = rows[direction].timing, reference[direction].timing if direction in reference else None
    return f"{other.median / mine.median:.3g}" if mine and other else ""


def _window_tables(result: Result) -> Iterator[str]:
    cells = [cell for cell in result.cells if not cell.kept_heap]
    for task, title in TITLES.items():
        for size in sorted({cell.size for cell in cells}):
            of_size = sorted((cell for cell in cells if cell.size == size), key=lambda cell: cell.window)
            names = list(dict.fromkeys(row.contender for cell in of_size for row in cell.rows if row.task == task))
            lines = []
            for name in names:
                rows = [_by_name(row for row in cell.rows if row.task == task).get(name, {}) for cell in of_size]
                times = [_spread(row.get(BOTH) or row.get(FORWARD)) for row in rows]
                lines.append([name if any(BOTH in row for row in rows) else f"{name} (forward)", *times])
            yield from (f"### {title}, {size}x{size}, forward+backward, ms", "")
            yield from table(("", *(f"window {cell.window}" for cell in of_size)), lines)


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
            names = list(dict.fromkeys(row.case for row in rows))
            by_name: dict[str, dict[str, Errors]] = {}
            for row in rows:
                by_name.setdefault(row.contender, {})[row.case] = row
            if rows:
                yield from (f"{TITLES[task]}: {what} / largest error of the gradient over its RMS.", "")
                lines = [[name, *(_error(found[case]) for case in names)] for name, found in by_name.items()]
                yield from table(("", *names), lines)


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


def short(number: float) -> str:
    """Return three digits, and no power of ten."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def _spread(row: Row | None) -> str:
    if row is None or row.timing is None:
        return ""
    return f"{short(row.timing.median)} ({short(row.timing.low)} to {short(row.timing.high)})"


def _copies(row: Row | None, cell: Cell) -> str:
    return "" if row is None or row.timing is None else short(row.timing.median / cell.copy.median)
