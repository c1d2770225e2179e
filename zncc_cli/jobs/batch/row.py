"""The result of one pair, and the table of all results."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from zncc_cli.errors import OutputError
from zncc_cli.files.output_folder import atomic_write
from zncc_cli.text import shown

ERROR = "error"
STATUSES = ("ok", "suspect", "failed", ERROR)


@dataclass(frozen=True)
class BatchRow:
    """The result of one pair: a row of ``batch.csv``.

    Attributes:
        name: the pair's name, which is its folder in the output folder.
        status: the verdict, or ``error`` where the pair could not be done.
        reason: the reasons of the verdict, or the error.
        zncc_before, zncc_after: mean local ZNCC before and after alignment, in [-1, 1].
        overlap: fraction of the windows that both images cover.
        motion: largest motion of a corner of the fixed image, pixels.
        probability: of being right, see `RegistrationResult`, in (0, 1).
        seconds: time that the pair took.
        model: the model that was fitted.
        attempts: how often the pair was tried.
        missing: names of files that could not be made, separated by blanks.
    """

    name: str
    status: str
    reason: str
    zncc_before: float | None = None
    zncc_after: float | None = None
    overlap: float | None = None
    motion: float | None = None
    probability: float | None = None
    seconds: float | None = None
    model: str | None = None
    attempts: int = 1
    missing: str = ""


COLUMNS = tuple(field.name for field in fields(BatchRow))


def row_of(content: Mapping[str, Any]) -> BatchRow:
    """Return the row that a record of the manifest, or a worker's answer, holds.

    Raises:
        ValueError: it holds no valid row.
    """
    values: dict[str, Any] = {column: content.get(column) for column in COLUMNS}
    values["missing"] = values["missing"] or ""  # records of an earlier version have none
    texts = all(isinstance(values[column], str) for column in ("name", "status", "reason", "missing"))
    numbers = (
        values[column] for column in ("zncc_before", "zncc_after", "overlap", "motion", "probability", "seconds")
    )
    if not texts or values["status"] not in STATUSES or not isinstance(values["attempts"], int):
        raise ValueError("no row of a batch")
    if not all(number is None or (isinstance(number, int | float) and math.isfinite(number)) for number in numbers):
        raise ValueError("no row of a batch")
    return BatchRow(**values)


def write_table(table: Path, rows: Iterable[BatchRow]) -> None:
    """Write ``batch.csv``; it replaces an older one.

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
        raise OutputError(
            f"{shown(table.parent)}: cannot be created ({error.strerror}); choose another --out"
        ) from error
    with atomic_write(table) as file:
        file.write(text.getvalue().encode())


def _cell(value: object) -> object:
    if isinstance(value, float):
        return f"{value:.6g}"
    return shown(value) if isinstance(value, str) else value
