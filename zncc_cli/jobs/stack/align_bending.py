"""One movie whose frames bend: a field of every frame, the aligned movie, and the displacements as TIFFs."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from zncc_cli.config.stack import StackConfig
from zncc_cli.files.image_output import STRIP_ROWS, write_strips
from zncc_cli.files.images import check_kind, read_image
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.output_folder import OutputFolder, refuse_sources
from zncc_cli.files.output_formats import check_output
from zncc_cli.files.transforms.stack_json import SPLINES, write_splines
from zncc_cli.jobs.budget import file_bytes
from zncc_cli.jobs.disk import check_disk
from zncc_cli.jobs.missing import Missing
from zncc_cli.jobs.resampled import missing_value
from zncc_cli.jobs.stack.fields import SUSPECT, MovieFrame, in_pixels, movie_frames
from zncc_cli.jobs.stack.film import FilmMaker
from zncc_cli.jobs.stack.movie import Progress, movie_of
from zncc_cli.jobs.stack.outcome import (
    DRIFT_TABLE,
    EXPECTED_ERROR,
    FRAME_TRANSFORMS,
    INCREMENTAL,
    TOTAL,
    StackOutcome,
    file_names,
    replaced_names,
    seconds_of,
    stack_name,
)
from zncc_cli.jobs.stack.pages import draw_drift, write_reports
from zncc_cli.jobs.threads import beside
from zncc_cli.operators import native
from zncc_cli.progress import part
from zncc_cli.registration.nonrigid.frame_field import FrameField
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.resampling.canvas import Frame
from zncc_cli.registration.transforms.bending import displacements
from zncc_cli.report.drift_files import BLANK, OK, OUTLIER, DriftRow, write_drift_table, write_frame_transforms
from zncc_cli.report.stack_html import load_stack_html

logger = logging.getLogger("zncc_cli.stack")

_FOLLOWED, _WRITTEN = 0.85, 0.95  # shares of the time after these stages
_BYTES_A_PIXEL = 4 * (2 + 2 + 1)  # of a frame: both displacements and the expected error
_MAX_BAD_SHARE = 0.1  # of the frames; the path is suspect with more that have no place, as that of matrices


def align_bending_stack(config: StackConfig, progress: Progress, import_seconds: float) -> StackOutcome:
    """Align the frames of a file by transforms that bend; see `align_stack`."""
    began = time.perf_counter()
    check_kind(config.image)
    refuse_sources((config.folder / name for name in replaced_names(config)), [config.image])
    with (
        OutputFolder(config.folder, names=replaced_names(config), overwrite=config.overwrite) as folder,
        native.selected(config.backend),
        beside(load_stack_html),
    ):
        image = read_image(config.image, series=config.series, indices=config.resampling.labels)
        missing_value(image.dtype, image.metadata, config.resampling)  # before any work
        check_output(config.resampling.image_format, image.dtype, image.data.shape, image.axes)
        movie, movie_notes = movie_of(image, config)
        shape, canvas = image.shape, Frame(0, 0, image.shape[1], image.shape[0])
        check_disk(config.folder, file_bytes(image, canvas) + _BYTES_A_PIXEL * movie.count * shape[0] * shape[1])
        registration_began = time.perf_counter()
        with part(0.02, _FOLLOWED):
            frames = movie_frames(movie, config, progress)
        places = [in_pixels(frame.place, movie.factor, shape) for frame in frames]
        write_began = time.perf_counter()
        fields = [place.field for place in places]
        staging, maker = folder.staging, FilmMaker(movie, canvas)
        with part(_FOLLOWED, _WRITTEN):
            written = movie.write(staging / stack_name(config), fields, canvas, config, progress, maker.collect)
        progress("writing displacements")
        grid, count = image.metadata, movie.count
        _write(staging / TOTAL, _totals(places), (count, *shape, 2), grid)
        _write(staging / INCREMENTAL, _increments(places), (count, *shape, 2), grid)
        _write(staging / EXPECTED_ERROR, _errors(places), (count, *shape), grid)
        digest = write_splines(staging / SPLINES, fields)
        rows = tuple(_row(frame, place) for frame, place in zip(frames, places, strict=True))
        write_drift_table(staging / DRIFT_TABLE, rows)
        missing = Missing(staging)
        draw_drift(staging, rows, config, missing)
        axis = image.axes[movie.axis]
        write_frame_transforms(
            staging / FRAME_TRANSFORMS,
            np.stack([field.matrix for field in fields]),
            rows,
            model=str(config.model),
            axis=axis,
            to=config.to,
            shape=shape,
            spline={
                "spline": {"spacing": fields[0].spacing, "coefficients": SPLINES, "sha256": digest},
                "displacement": TOTAL,
                "incremental": INCREMENTAL,
                "expected_error": EXPECTED_ERROR,
            },
        )
        status, reasons = _judged(frames)
        notes = (*image.notes, *movie_notes, *written.notes)
        found: dict[str, Any] = {
            "status": status.value,
            "reasons": reasons,
            "image": str(config.image),
            "model": str(config.model),
            "to": config.to,
            "axis": axis,
            "frames": len(frames),
            "blank": [frame.number for frame in frames if frame.status == BLANK],
            "outliers": [frame.number for frame in frames if frame.status == OUTLIER],
            "suspect": [frame.number for frame in frames if frame.status == SUSPECT],
            "frame_reasons": {str(frame.number): list(frame.reasons) for frame in frames if frame.status != OK},
            "metrics": {
                "largest_expected_error": max((row.expected_error for row in rows if row.expected_error), default=None),
                "largest_uncertain_share": max((p.error.uncertain_share for p in places if p.error), default=None),
                "composition_error": max(place.fit_error for place in places),
                "least_zncc": min((frame.zncc for frame in frames if frame.zncc is not None), default=None),
                "clipped_values": written.clipped,
            },
        }
        seconds = partial(seconds_of, import_seconds, began, registration_began, write_began)
        with part(_WRITTEN, 1.0):
            report = write_reports(staging, found, rows, maker, config, missing, notes, seconds, progress)
    for note in notes:
        logger.info("%s", note)
    return StackOutcome(config.folder, status, rows, report, missing.of(file_names(config)))


def _row(frame: MovieFrame, place: FrameField) -> DriftRow:
    """Return the place of the reference's centre, the matrix beside it, and the RMS of the expected error."""
    field, matrix = place.field, place.field.matrix
    centre = (np.array(field.shape[::-1]) - 1) / 2
    dx, dy = (field.map_points(centre[None])[0] - centre).tolist()
    known = frame.status in (OK, SUSPECT) and place.error is not None and place.error.overlap.any()
    error = place.error.rms if known and place.error is not None else None
    further = {f"a{row}{column}": float(matrix[row - 1, column - 1]) for row in (1, 2) for column in (1, 2)}
    return DriftRow(frame.number, dx, dy, frame.status, error, further)


def _judged(frames: Sequence[MovieFrame]) -> tuple[Status, list[str]]:
    """Return the status of a movie and the reasons for it."""
    good = [frame for frame in frames if frame.status == OK]
    reasons = [f"{len(good)} of {len(frames)} frames are aligned"]
    for status, words in ((BLANK, "blank"), (OUTLIER, "not aligned"), (SUSPECT, "suspect")):
        numbers = [frame.number for frame in frames if frame.status == status]
        if numbers:
            first = next(frame for frame in frames if frame.status == status)
            reasons.append(
                f"{words}: {len(numbers)} frames, the first of them frame {first.number}: {first.reasons[0]}"
            )
    if len(good) < 2:
        return Status.FAILED, reasons
    return (Status.OK if len(frames) - len(good) <= _MAX_BAD_SHARE * len(frames) else Status.SUSPECT), reasons


def _write(path: Path, strips: Iterator[np.ndarray], shape: tuple[int, ...], grid: Metadata) -> None:
    axes = "TYXS" if len(shape) == 4 else "TYX"
    write_strips(path, strips, shape=shape, dtype=np.float32, axes=axes, like=None, frame=grid)


def _strips_of(places: Sequence[FrameField]) -> Iterator[tuple[int, range]]:
    """Yield the number of each frame, and the rows of each of its strips."""
    height = places[0].field.shape[0]
    for number in range(len(places)):
        for first in range(0, height, STRIP_ROWS):
            yield number, range(first, min(first + STRIP_ROWS, height))


def _totals(places: Sequence[FrameField]) -> Iterator[np.ndarray]:
    for number, rows in _strips_of(places):
        yield _displacements(places[number], rows).astype(np.float32)


def _increments(places: Sequence[FrameField]) -> Iterator[np.ndarray]:
    """Yield how far the points of the reference moved since the frame before; of the first frame nowhere."""
    for number, rows in _strips_of(places):
        before = places[max(0, number - 1)]
        yield (_displacements(places[number], rows) - _displacements(before, rows)).astype(np.float32)


def _errors(places: Sequence[FrameField]) -> Iterator[np.ndarray]:
    for number, rows in _strips_of(places):
        place, columns = places[number], range(places[number].field.shape[1])
        known = np.isfinite(_displacements(place, rows)).all(axis=-1)
        values = np.nan if place.error is None else place.error.at(rows, columns)
        yield np.where(known, values, np.nan).astype(np.float32)


def _displacements(place: FrameField, rows: range) -> np.ndarray:
    shape = place.field.shape
    return displacements(place.field, rows, range(shape[1]), shape)
