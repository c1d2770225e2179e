"""What became of one pair, and the table of all."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from zncc_cli.errors import OutputError
from zncc_cli.files.folder import atomic_write
from zncc_cli.text import shown

ERROR = "error"
STATUSES = ("ok", "suspect", "failed", ERROR)


@dataclass(frozen=True)
class BatchRow:
    """What became of one pair: a row of ``batch.csv``.

    ``status`` is a verdict's, or ``error``; ``missing`` names the files that could not be made, divided by blanks.
    """

    name: str
    status: str
    reason: str
    zncc_before: float | None = None
    zncc_after: float | None = None
    overlap: float | None = None
    motion: float | None = None
    seconds: float | None = None
    model: str | None = None
    attempts: int = 1
    missing: str = ""


COLUMNS = tuple(field.name for field in fields(BatchRow))


def row_of(content: Mapping[str, Any]) -> BatchRow:
    """Return the row that a record or an answer holds.

    Raises:
        ValueError: it holds none.
    """
    values: dict[str, Any] = {column: content.get(column) for column in COLUMNS}
    values["missing"] = values["missing"] or ""  # of an earlier version
    texts = all(isinstance(values[column], str) for column in ("name", "status", "reason", "missing"))
    numbers = (values[column] for column in ("zncc_before", "zncc_after", "overlap", "motion", "seconds"))
    if not texts or values["status"] not in STATUSES or not isinstance(values["attempts"], int):
        raise ValueError("no row of a batch")
    if not all(number is None or (isinstance(number, int | float) and math.isfinite(number)) for number in numbers):
        raise ValueError("no row of a batch")
    return BatchRow(**values)


def write_table(table: Path, rows: Iterable[BatchRow]) -> None:
    """Write ``batch.csv``, in the place of an older one.

    Raises:
        OutputError: it cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(getattr(row, column)) for column in COLUMNS])
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        found = f"{shown(table.parent)}: cannot be created ({error.strerror})"
        raise OutputError(f"{found}; choose another --out") from error
    with atomic_write(table) as file:
        file.write(text.getvalue().encode())


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}"
    return shown(value) if isinstance(value, str) else value
