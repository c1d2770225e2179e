"""One movie or z-stack: every frame put on one of them, each resampled once from its own pixels."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zncc_cli.config.stack import StackConfig
from zncc_cli.errors import ExitCode
from zncc_cli.files.folder import OutputFolder, refuse_sources
from zncc_cli.files.images import check_kind, read_image
from zncc_cli.jobs.budget import check_disk, file_bytes
from zncc_cli.jobs.missing import Missing, said_of
from zncc_cli.jobs.pair.align import versions
from zncc_cli.jobs.resampled import missing_value
from zncc_cli.jobs.stack.movie import BLANK, OK, OUTLIER, Progress, movie_of
from zncc_cli.operators import native
from zncc_cli.registration.quality.bounds import MAX_EXPECTED_ERROR_PX, MAX_MODEL_MISFIT_PX
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.resampling.canvas import Frame, frame_of_all
from zncc_cli.registration.warp import corners, map_points
from zncc_cli.report.drift import DriftRow, write_drift_picture, write_drift_table, write_frame_transforms
from zncc_cli.report.report import write_json

logger = logging.getLogger("zncc_cli.stack")

STACK, TABLE, PICTURE, TRANSFORMS_FILE, REPORT = "stack.tif", "drift.csv", "drift.svg", "transforms.json", "report.json"

_FEW, _SHARE = 1, 0.1  # frames, and of all: when more have no place of their own, the path is not to be trusted

_NAMED = 20  # frames, in a sentence; report.json has them all


@dataclass(frozen=True)
class StackOutcome:
    """What became of one movie.

    Attributes:
        folder: where the files are.
        status: whether the path of the frames is to be trusted.
        rows: every frame.
        report: what ``report.json`` holds.
        missing: drift.svg, if it could not be made, and why.
    """

    folder: Path
    status: Status
    rows: tuple[DriftRow, ...]
    report: dict[str, Any]
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> ExitCode:
        """0 when the path is to be trusted and all files are there, else 3, or 5."""
        if self.status is not Status.OK:
            return ExitCode.NOT_TRUSTED
        return ExitCode.SOME_FAILED if self.missing else ExitCode.OK


def align_stack(config: StackConfig, progress: Progress, import_seconds: float = 0.0) -> StackOutcome:
    """Put the frames of a file on one of them, and write the stack, its drift and a report into ``config.folder``.

    Memory: some dozens of frames of 256 x 256, and of the file what is read and written at a time.

    Raises:
        InputError, OutputError, ContentError, OptionError, BackendError: nothing is written then.
    """
    began = time.perf_counter()
    names = (STACK, TABLE, PICTURE, TRANSFORMS_FILE, REPORT)
    check_kind(config.image)
    refuse_sources((config.folder / name for name in names), [config.image])
    with (
        OutputFolder(config.folder, names=names, overwrite=config.overwrite) as folder,
        native.selected(config.backend),
        _one_thread(),
    ):
        image = read_image(config.image, series=config.series)
        missing_value(image.dtype, image.metadata, config.resampling)  # before any work
        movie, notes = movie_of(image, config)
        measuring = time.perf_counter()
        path, status, said = movie.followed(config, progress)
        misfit = movie.misfit(path, config, progress)
        matrices, rows = movie.full(path, status, config.model)
        writing = time.perf_counter()
        frame = frame_of_all(config.resampling.canvas, list(matrices), image.shape, image.shape)
        unseen = [
            row.frame for row, matrix in zip(rows, matrices, strict=True) if not _shows(matrix, frame, image.shape)
        ]
        check_disk(config.folder, file_bytes(image, frame))
        written = movie.write(folder.staging / STACK, matrices, frame, config, progress)
        write_drift_table(folder.staging / TABLE, rows)
        title = f"{config.image.name}: drift of {len(rows)} frames, to {config.to}, {config.model}"
        missing = Missing(folder.staging)
        with missing.spared(PICTURE):
            write_drift_picture(folder.staging / PICTURE, rows, title)
        write_frame_transforms(
            folder.staging / TRANSFORMS_FILE,
            matrices,
            rows,
            model=str(config.model),
            axis=image.axes[movie.axis],
            to=config.to,
            shape=image.shape,
        )
        ended = time.perf_counter()
        seconds = {
            "import": import_seconds,
            "read": measuring - began,
            "registration": writing - measuring,
            "write": ended - writing,
            "total": import_seconds + ended - began,
        }
        verdict, reasons = _verdict(rows, config, misfit)
        notes = (
            *image.notes,
            *notes,
            *said,
            *_unplaced_reference(rows, config),
            *_unseen(unseen, len(rows), config),
            *written.notes,
        )
        report: dict[str, Any] = {
            "status": verdict.value,
            "reasons": reasons,
            "image": str(config.image),
            "model": str(config.model),
            "to": config.to,
            "axis": image.axes[movie.axis],
            "frames": len(rows),
            "blank": [row.frame for row in rows if row.status == BLANK],
            "outliers": [row.frame for row in rows if row.status == OUTLIER],
            "inverted": [row.frame for row in rows if row.inverted],
            "outside": unseen,
            "metrics": {
                "pairs": movie.pairs,
                "pairs_left_out": path.left_out,
                "pair_sigma": path.disagreement * movie.factor,
                "largest_expected_error": max(
                    (row.expected_error for row in rows if row.expected_error is not None), default=None
                ),
                "misfit": misfit,
                "clipped_values": written.clipped,
            },
            "registered_on": {"channel_index": list(movie.view.index), "blocks": movie.factor},
            "canvas": {"offset": list(frame.offset), "shape": list(frame.shape)},
            **said_of(notes, missing.of(names)),
            "seconds": {stage: round(value, 4) for stage, value in seconds.items()},
            "settings": dataclasses.asdict(config),
            "threads": movie.threads,
            "versions": versions(),
        }
        write_json(folder.staging / REPORT, report)
    for note in notes:
        logger.info("%s", note)
    return StackOutcome(config.folder, verdict, rows, report, missing.of(names))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch compute on one core in each thread: frames are what is done side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _unplaced_reference(rows: tuple[DriftRow, ...], config: StackConfig) -> tuple[str, ...]:
    """Return a sentence where the frame on which the others are put has no place of its own."""
    number = config.reference
    if number is None or rows[number].status == OK:
        return ()
    said = f"frame {number}, on which the others are put, is {rows[number].status}; the frames beside it tell its place"
    return (f"{config.image.name}: {said}; --to N takes another",)


def _shows(matrix: np.ndarray, frame: Frame, shape: tuple[int, int]) -> bool:
    """Tell whether the rectangle around the canvas, as it lies in a frame (H, W), meets the frame."""
    onto = map_points(matrix, corners(frame.shape) + np.array(frame.offset))
    low, high = onto.min(axis=0), onto.max(axis=0)
    return bool((high >= 0).all() and (low <= np.array(shape[::-1]) - 1).all())


def _unseen(frames: list[int], count: int, config: StackConfig) -> tuple[str, ...]:
    """Return a sentence where frames show nothing of what is written."""
    if not frames:
        return ()
    said = f"{len(frames)} of {count} frames lie wholly outside the canvas and are empty in {STACK}: {frames[0]} first"
    return (f"{config.image.name}: {said}; --canvas union holds all",)


def _verdict(rows: tuple[DriftRow, ...], config: StackConfig, misfit: float | None) -> tuple[Status, list[str]]:
    bad = [row for row in rows if row.status != OK]
    good = len(rows) - len(bad)
    said = [f"{good} of {len(rows)} frames agree"]
    for status, word in ((BLANK, "blank"), (OUTLIER, "agrees with no other")):
        numbers = [str(row.frame) for row in bad if row.status == status]
        if numbers:
            more = f" and {len(numbers) - _NAMED} more" if len(numbers) > _NAMED else ""
            said.append(f"{word}: frame {', '.join(numbers[:_NAMED])}{more}")
    if good < 2:
        return Status.FAILED, said
    doubts = list(_doubts(rows, config, misfit))
    trusted = len(bad) <= max(_FEW, _SHARE * len(rows)) and not doubts
    return (Status.OK if trusted else Status.SUSPECT), said + doubts


def _doubts(rows: tuple[DriftRow, ...], config: StackConfig, misfit: float | None) -> Iterator[str]:
    """Yield what speaks against the path of the frames that agree."""
    if config.reference is not None and rows[config.reference].status == OUTLIER:
        yield f"the others are put on frame {config.reference}, with which they do not agree"
    expected_error, frame = max((row.expected_error, row.frame) for row in rows if row.expected_error is not None)
    if expected_error > MAX_EXPECTED_ERROR_PX:
        yield (
            f"the place of frame {frame} is known to {expected_error:.2f} px only: its pairs with others contradict each other, "
            f"or hold too little texture for --model {config.model}"
        )
    if misfit is not None and misfit > MAX_MODEL_MISFIT_PX:
        yield (
            f"measured anew, frames lie {misfit:.1f} px from where they were put, more than chance explains: the "
            f"motion may be richer than --model {config.model}"
        )
