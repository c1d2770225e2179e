"""Many pairs of one folder; one bad pair does not stop the rest."""

from __future__ import annotations

import csv
import io
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zncc_cli.config import BatchConfig, PairConfig
from zncc_cli.errors import ExitCode, InputError, OutputError, ZnccError
from zncc_cli.files.batch_page import BatchPageRow, thumbnail, write_batch_page
from zncc_cli.files.folder import beside
from zncc_cli.files.images import list_images, read_image
from zncc_cli.jobs.pair import PAGE, align_pair
from zncc_cli.registration.verdict import Status

logger = logging.getLogger("zncc_cli.batch")

FIXED, MOVING = "_fixed", "_moving"
COLUMNS = ("name", "status", "reason", "zncc_before", "zncc_after", "overlap", "motion", "seconds", "model")


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
    model: str | None = None

    @property
    def good(self) -> bool:
        """The pair is aligned and the result is to be trusted."""
        return self.status == Status.OK.value


@dataclass(frozen=True)
class BatchOutcome:
    """All rows, in the order of the names."""

    pairs: tuple[BatchRow, ...]
    table: Path

    @property
    def exit_code(self) -> ExitCode:
        """0 when every pair is good, else 5."""
        return ExitCode.OK if all(row.good for row in self.pairs) else ExitCode.SOME_FAILED


def find_pairs(config: BatchConfig) -> dict[str, PairConfig | str]:
    """Return by pair name what to align, or why that cannot be done.

    Raises:
        InputError: the folder or the fixed image cannot be read, or the folder holds no pair.
    """
    images = list_images(config.folder)
    found = _onto_one(images, config.fixed) if config.fixed is not None else _by_name(images)
    if not found:
        raise InputError(
            f"{config.folder}: expected images named *{FIXED}.* and *{MOVING}.*, or --fixed REF to align every image "
            f"to one; found {len(images)} image files and no pair"
        )
    return {
        name: pair
        if isinstance(pair, str)
        else PairConfig(
            fixed=pair[0],
            moving=pair[1],
            out=config.out / name,
            overwrite=config.overwrite,
            inputs=config.inputs,
            registration=config.registration,
            resampling=config.resampling,
        )
        for name, pair in sorted(found.items())
    }


def _onto_one(images: list[Path], fixed: Path) -> dict[str, tuple[Path, Path] | str]:
    if not fixed.is_file():
        raise InputError(f"{fixed}: expected an image file for --fixed, found none")
    moving = [image for image in images if not image.samefile(fixed)]
    stems = [image.stem for image in moving]
    # Two files of one stem (a.tif, a.png) must not share a folder: the suffix becomes part of the name.
    return {image.name if stems.count(image.stem) > 1 else image.stem: (fixed, image) for image in moving}


def _by_name(images: list[Path]) -> dict[str, tuple[Path, Path] | str]:
    sides: dict[str, dict[str, list[Path]]] = {}
    for image in images:
        for ending in (FIXED, MOVING):
            if image.stem.endswith(ending) and len(image.stem) > len(ending):
                name = image.stem[: -len(ending)]
                sides.setdefault(name, {FIXED: [], MOVING: []})[ending].append(image)
    return {name: _one_pair(name, found) for name, found in sides.items()}


def _one_pair(name: str, found: dict[str, list[Path]]) -> tuple[Path, Path] | str:
    for ending, files in found.items():
        if len(files) != 1:
            names = ", ".join(file.name for file in files) or "none"
            return f"expected one file named {name}{ending}.*, found {names}"
    return found[FIXED][0], found[MOVING][0]


def run_batch(
    config: BatchConfig, pairs: dict[str, PairConfig | str], on_row: Callable[[BatchRow], None]
) -> BatchOutcome:
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
    write_batch_page(config.out / "batch.html", [_page_row(row, pairs[row.name]) for row in rows])
    return BatchOutcome(tuple(rows), table)


def _align_one(name: str, pair: PairConfig | str) -> BatchRow:
    if isinstance(pair, str):
        return BatchRow(name, "error", pair)
    began = time.perf_counter()
    try:
        outcome = align_pair(pair, progress=lambda _: None)
    except Exception as error:
        # One bad pair does not stop the rest, whatever is bad about it; a defect is told apart by its name.
        logger.debug("%s", name, exc_info=True)
        reason = str(error) if isinstance(error, ZnccError) else f"{type(error).__name__}: {error}"
        return BatchRow(name, "error", " ".join(reason.split()), seconds=round(time.perf_counter() - began, 3))
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
        str(outcome.result.model),
    )


def _page_row(row: BatchRow, pair: PairConfig | str) -> BatchPageRow:
    shown = ("zncc_before", "zncc_after", "motion", "model", "seconds")
    folder = None if isinstance(pair, str) or row.status == "error" else pair.folder
    return BatchPageRow(
        name=row.name,
        status=row.status,
        reason=row.reason,
        metrics={key: value for key in shown if (value := getattr(row, key)) is not None},
        thumbnail=None if folder is None else thumbnail(np.asarray(read_image(folder / "overlay.png").data)),
        report=None if folder is None else f"{row.name}/{PAGE}",
    )


def _write_table(table: Path, rows: list[BatchRow]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        values = (getattr(row, column) for column in COLUMNS)
        writer.writerow([f"{value:.6g}" if isinstance(value, float) else value for value in values])
    try:
        table.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{table.parent}: cannot be created ({error.strerror}); choose another --out") from error
    with beside(table) as file:
        file.write(text.getvalue().encode())
