"""One movie or z-stack: every frame is aligned to one of them, and resampled once from its own pixels."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch

from zncc_cli.config import Model
from zncc_cli.config.stack import StackConfig
from zncc_cli.files.images import check_kind, read_image
from zncc_cli.files.output_folder import OutputFolder, refuse_sources
from zncc_cli.files.output_formats import check_output
from zncc_cli.jobs.budget import file_bytes
from zncc_cli.jobs.disk import check_disk
from zncc_cli.jobs.missing import Missing
from zncc_cli.jobs.resampled import missing_value
from zncc_cli.jobs.stack.align_bending import align_bending_stack
from zncc_cli.jobs.stack.film import FilmMaker
from zncc_cli.jobs.stack.measuring import path_misfit
from zncc_cli.jobs.stack.movie import Movie, Progress, movie_of
from zncc_cli.jobs.stack.outcome import (
    DRIFT_TABLE,
    FRAME_TRANSFORMS,
    StackOutcome,
    file_names,
    replaced_names,
    seconds_of,
    stack_name,
)
from zncc_cli.jobs.stack.pages import draw_drift, write_reports
from zncc_cli.jobs.stack.path import MoviePath, drift_rows, movie_path
from zncc_cli.jobs.stack.verdict import judge_path
from zncc_cli.jobs.threads import beside
from zncc_cli.operators import native
from zncc_cli.progress import part
from zncc_cli.registration.resampling.canvas import Frame, frame_of_all
from zncc_cli.registration.warp import corners, map_points
from zncc_cli.report.drift_files import BLANK, OK, OUTLIER, DriftRow, write_drift_table, write_frame_transforms
from zncc_cli.report.stack_html import load_stack_html

logger = logging.getLogger("zncc_cli.stack")

# Shares of the time of a movie after each stage; the rest is the page.
_MEASURED, _COMPARED, _WRITTEN = 0.55, 0.65, 0.85


def align_stack(config: StackConfig, progress: Progress, import_seconds: float = 0.0) -> StackOutcome:
    """Align the frames of a file, and write the stack, its drift and a report into ``config.folder``.

    Memory: some dozens of frames of at most 2^19 pixels, and the parts of the file that are read and written at a time.

    Args:
        config: the settings.
        progress: is told in a few words what comes next.
        import_seconds: time that loading the program took, for the report.

    Raises:
        InputError, OutputError, ContentError, OptionError, BackendError: nothing is written then.
    """
    if config.model is Model.BSPLINE:
        return align_bending_stack(config, progress, import_seconds)
    began = time.perf_counter()
    check_kind(config.image)
    refuse_sources((config.folder / name for name in replaced_names(config)), [config.image])
    with (
        OutputFolder(config.folder, names=replaced_names(config), overwrite=config.overwrite) as folder,
        native.selected(config.backend),
        beside(load_stack_html),
        _one_thread(),
    ):
        image = read_image(config.image, series=config.series, indices=config.resampling.labels)
        missing_value(image.dtype, image.metadata, config.resampling)  # before any work
        check_output(config.resampling.image_format, image.dtype, image.data.shape, image.axes)
        movie, movie_notes = movie_of(image, config)
        registration_began = time.perf_counter()
        with part(0.02, _MEASURED):
            followed = movie_path(movie, config, progress)
        with part(_MEASURED, _COMPARED):
            misfit = path_misfit(movie, followed.path, config.model, progress)
        matrices, rows, whole_notes = drift_rows(movie, followed, config.model)
        write_began = time.perf_counter()
        canvas = frame_of_all(config.resampling.canvas, list(matrices), image.shape, image.shape)
        outside = [
            row.frame for row, matrix in zip(rows, matrices, strict=True) if not _meets(matrix, canvas, image.shape)
        ]
        check_disk(config.folder, file_bytes(image, canvas))
        maker = FilmMaker(movie, canvas)
        with part(_COMPARED, _WRITTEN):
            written = movie.write(
                folder.staging / stack_name(config), list(matrices), canvas, config, progress, maker.collect
            )
        write_drift_table(folder.staging / DRIFT_TABLE, rows)
        missing = Missing(folder.staging)
        draw_drift(folder.staging, rows, config, missing)
        axis = image.axes[movie.axis]
        write_frame_transforms(
            folder.staging / FRAME_TRANSFORMS,
            matrices,
            rows,
            model=str(config.model),
            axis=axis,
            to=config.to,
            shape=image.shape,
        )
        status, reasons = judge_path(rows, config, misfit)
        notes = (
            *image.notes,
            *movie_notes,
            *followed.notes,
            *whole_notes,
            *_reference_note(rows, config),
            *_outside_note(outside, len(rows), config),
            *written.notes,
        )
        found: dict[str, Any] = {
            "status": status.value,
            "reasons": reasons,
            "image": str(config.image),
            "model": str(config.model),
            "to": config.to,
            "axis": axis,
            **_frame_lists(rows),
            "outside": outside,
            "metrics": {
                **_metrics(movie, followed, rows),
                "misfit": misfit,
                "clipped_values": written.clipped,
            },
        }
        seconds = partial(seconds_of, import_seconds, began, registration_began, write_began)
        with part(_WRITTEN, 1.0):
            report = write_reports(folder.staging, found, rows, maker, config, missing, notes, seconds, progress)
    for note in notes:
        logger.info("%s", note)
    return StackOutcome(config.folder, status, rows, report, missing.of(file_names(config)))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch compute on one core per thread: several frames are worked on at the same time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _frame_lists(rows: tuple[DriftRow, ...]) -> dict[str, Any]:
    """Return how many frames there are, and the numbers of those that are not as the others, as the report has them."""
    return {
        "frames": len(rows),
        "blank": [row.frame for row in rows if row.status == BLANK],
        "outliers": [row.frame for row in rows if row.status == OUTLIER],
        "inverted": [row.frame for row in rows if row.inverted],
    }


def _metrics(movie: Movie, followed: MoviePath, rows: tuple[DriftRow, ...]) -> dict[str, Any]:
    """Return the numbers of pairs and the expected errors, in pixels of the file, as the report has them."""
    expected_errors = (row.expected_error for row in rows if row.expected_error is not None)
    return {
        "pairs": followed.pairs,
        "pairs_left_out": followed.path.outliers,
        "pair_expected_error": followed.path.pair_error * movie.factor,
        "largest_expected_error": max(expected_errors, default=None),
    }


def _meets(matrix: np.ndarray, canvas: Frame, shape: tuple[int, int]) -> bool:
    """Return whether a frame (H, W) meets the rectangle around the canvas, which ``matrix`` maps into the frame."""
    mapped = map_points(matrix, corners(canvas.shape) + np.array(canvas.offset))
    low, high = mapped.min(axis=0), mapped.max(axis=0)
    return bool((high >= 0).all() and (low <= np.array(shape[::-1]) - 1).all())


def _reference_note(rows: tuple[DriftRow, ...], config: StackConfig) -> tuple[str, ...]:
    """Return a note if the frame to which the others are aligned has no place of its own."""
    number = config.reference
    if number is None or rows[number].status == OK:
        return ()
    status = "blank" if rows[number].status == BLANK else "an outlier"
    return (
        f"{config.image.name}: frame {number}, to which the others are aligned, is {status}; it lies between its "
        "neighbours; choose another with --to",
    )


def _outside_note(frames: list[int], count: int, config: StackConfig) -> tuple[str, ...]:
    """Return a note if frames show nothing on the canvas."""
    if not frames:
        return ()
    return (
        f"{config.image.name}: {len(frames)} of {count} frames, the first of them frame {frames[0]}, lie outside the "
        f"canvas and are empty in {stack_name(config)}; --canvas union holds all frames",
    )
