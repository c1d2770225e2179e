"""Many pairs of one folder; one bad pair does not stop the rest."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zncc_cli.config import BatchConfig, PairConfig
from zncc_cli.errors import ExitCode, InputError, OutputError, ZnccError
from zncc_cli.files.images import list_images
from zncc_cli.jobs.pair import align_pair
from zncc_cli.registration.verdict import Status

FIXED, MOVING = "_fixed", "_moving"
COLUMNS = ("name", "status", "reason", "zncc_before", "zncc_after", "overlap", "motion", "seconds")


@dataclass(frozen=True)
class BatchRow:
    """What became of one pair: a row of ``batch.csv``. ``status`` is a verdict's, or ``error``."""

    name: str
    status: str
    reason: str
    zncc_before: float | None = None
    zncc_after: float | None = None
    overlap: float | None = None
    motion: float | None = None
    seconds: float | None = None

    @property
    def good(self) -> bool:
        """The pair is aligned and the result is to be trusted."""
        return self.status == Status.OK.value


@dataclass(frozen=True)
class BatchOutcome:
    """All rows, in the order of the names."""

    rows: tuple[BatchRow, ...]
    table: Path

    @property
    def exit_code(self) -> ExitCode:
        """0 when every pair is good, else 5."""
        return ExitCode.OK if all(row.good for row in self.rows) else ExitCode.SOME_FAILED


def find_pairs(config: BatchConfig) -> dict[str, PairConfig]:
    """Return what to align, by pair name.

    Raises:
        InputError: the folder cannot be read, holds no pair, or a pair is incomplete or ambiguous.
    """
    images = list_images(config.folder)
    found = _onto_one(images, config.fixed) if config.fixed is not None else _by_name(images, config.folder)
    if not found:
        raise InputError(
            f"{config.folder}: expected images named *{FIXED}.* and *{MOVING}.*, or --fixed REF to align every image "
            f"to one; found {len(images)} image files and no pair"
        )
    return {
        name: PairConfig(
            fixed=fixed,
            moving=moving,
            out=config.out / name,
            overwrite=config.overwrite,
            registration=config.registration,
        )
        for name, (fixed, moving) in sorted(found.items())
    }


def _onto_one(images: list[Path], fixed: Path) -> dict[str, tuple[Path, Path]]:
    moving = [image for image in images if not (fixed.exists() and image.samefile(fixed))]
    stems = [image.stem for image in moving]
    # Two files of one stem (a.tif, a.png) must not share a folder: the suffix becomes part of the name.
    return {image.name if stems.count(image.stem) > 1 else image.stem: (fixed, image) for image in moving}


def _by_name(images: list[Path], folder: Path) -> dict[str, tuple[Path, Path]]:
    sides: dict[str, dict[str, Path]] = {FIXED: {}, MOVING: {}}
    for image in images:
        for ending, found in sides.items():
            if image.stem.endswith(ending) and len(image.stem) > len(ending):
                name = image.stem[: -len(ending)]
                if name in found:
                    raise InputError(
                        f"{folder}: expected one file named {name}{ending}.*, found {found[name].name} and {image.name}"
                    )
                found[name] = image
    for ending, other in ((FIXED, MOVING), (MOVING, FIXED)):
        for name in sides[ending].keys() - sides[other].keys():
            raise InputError(
                f"{folder}: expected {name}{other}.* beside {sides[ending][name].name}, found none; "
                "add it or move the other away"
            )
    return {name: (sides[FIXED][name], sides[MOVING][name]) for name in sides[FIXED]}


def run_batch(config: BatchConfig, pairs: dict[str, PairConfig], on_row: Callable[[BatchRow], None]) -> BatchOutcome:
    """Align every pair, and write ``batch.csv`` anew after each.

    Args:
        config: the batch.
        pairs: of `find_pairs`.
        on_row: is told of each pair when it is done.

    Raises:
        OutputError: the output folder or the table cannot be written; pairs that are done stay.
    """
    table = config.out / "batch.csv"
    if table.exists() and not config.overwrite:
        raise OutputError(f"{table}: expected no such file, found one; choose another --out or give --overwrite")
    rows: list[BatchRow] = []
    for name, pair in pairs.items():
        rows.append(_align_one(name, pair))
        _write_table(table, rows)
        on_row(rows[-1])
    return BatchOutcome(tuple(rows), table)


def _align_one(name: str, pair: PairConfig) -> BatchRow:
    began = time.perf_counter()
    try:
        outcome = align_pair(pair, progress=lambda _: None)
    except ZnccError as error:
        return BatchRow(name, "error", str(error), seconds=round(time.perf_counter() - began, 3))
    evidence = outcome.result.evidence
    return BatchRow(
        name,
        outcome.result.status.value,
        "; ".join(outcome.result.reasons),
        evidence.zncc_before,
        evidence.zncc_after,
        evidence.overlap,
        evidence.motion,
        round(time.perf_counter() - began, 3),
    )


def _write_table(table: Path, rows: list[BatchRow]) -> None:
    beside = table.with_name(f".{table.name}.{os.getpid()}")
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for row in rows:
                values = (getattr(row, column) for column in COLUMNS)
                writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in values])
        beside.replace(table)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OutputError(f"{table}: cannot be written ({error.strerror}); choose another --out") from error
