"""Rounds of one scene: read, each registered to the fixed one, merged, and reported."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zncc_cli.config import Canvas, PairConfig
from zncc_cli.config.rounds import RoundsConfig
from zncc_cli.config.settings import rounds_command_line
from zncc_cli.config.spelling import as_options
from zncc_cli.errors import ContentError, ExitCode, OptionError
from zncc_cli.files.images import check_kind
from zncc_cli.files.output_folder import OutputFolder, refuse_sources
from zncc_cli.files.transforms.side_files import DISPLACEMENT, EXPECTED_ERROR, SPLINE, side_file
from zncc_cli.files.transforms.transform_json import write_transform
from zncc_cli.jobs.budget import file_bytes
from zncc_cli.jobs.disk import check_disk
from zncc_cli.jobs.missing import Missing, report_entries
from zncc_cli.jobs.pair.expected_error import write_expected_error
from zncc_cli.jobs.pair.inputs import PairViews, downsampled_pair
from zncc_cli.jobs.pair.pictures import pair_layers
from zncc_cli.jobs.pair.registering import register_views
from zncc_cli.jobs.reproducible import finished_report, reported_settings
from zncc_cli.jobs.resampled import missing_value
from zncc_cli.jobs.rounds.inputs import Round, read_rounds
from zncc_cli.jobs.rounds.merging import merged_canvas, merged_channels, merged_dtype, write_merged
from zncc_cli.jobs.stack.movie import Progress
from zncc_cli.jobs.threads import beside
from zncc_cli.jobs.versions import versions
from zncc_cli.operators import native
from zncc_cli.progress import part
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.register import RegistrationResult
from zncc_cli.registration.resampling.canvas import Frame
from zncc_cli.registration.transforms.bending import Transform
from zncc_cli.report.json import write_json
from zncc_cli.report.pair_figures import load_jpeg
from zncc_cli.report.rounds_html import round_picture, write_rounds_html

logger = logging.getLogger("zncc_cli.rounds")

_SEVERITY = (Status.OK, Status.SUSPECT, Status.FAILED)
_REGISTERED = 0.5  # of the time, when all rounds are registered
_SIDE_FILES = (SPLINE, DISPLACEMENT, EXPECTED_ERROR)


@dataclass(frozen=True)
class RoundsOutcome:
    """What became of the rounds.

    Attributes:
        out: the merged image. report: what the report holds. report_path: where it is.
        status: the worst verdict of a round. trusted: whether every verdict is good enough (`RoundsConfig.accept`).
        missing: the files that could not be made, and why; only the HTML report can be missing.
    """

    out: Path
    report_path: Path
    report: dict[str, Any]
    status: Status
    trusted: bool
    missing: Mapping[str, str]

    @property
    def exit_code(self) -> ExitCode:
        """0 when every round is to be trusted, else 3; 5 when they are and the HTML report is missing."""
        if not self.trusted:
            return ExitCode.NOT_TRUSTED
        return ExitCode.INCOMPLETE if self.missing else ExitCode.OK


def merge_rounds(config: RoundsConfig, progress: Progress, import_seconds: float = 0.0) -> RoundsOutcome:
    """Register every round to the fixed one, and write all channels as one OME-TIFF, the transforms and a report.

    Memory: a registration of two planes, and some strips of the planes that are written.

    Raises:
        InputError, ContentError, OptionError, OutputError, ResourceError, BackendError: nothing is written then.
    """
    began = time.perf_counter()
    for path in config.images:
        check_kind(path)
    progress(f"reading {len(config.images)} rounds")
    rounds, fixed = read_rounds(config), config.fixed_round
    transform_names = _transform_names(config, rounds)
    bent_files = [side_file(Path(name), side).name for name in transform_names for side in _SIDE_FILES]
    report_name, html_name = (f"{config.stem}_report.{suffix}" for suffix in ("json", "html"))
    names = (config.out.name, *transform_names, *bent_files, report_name, html_name)
    folder_path = config.out.parent
    refuse_sources((folder_path / name for name in names), config.images)
    merged_dtype(rounds)  # refused before any work
    for one in rounds:
        missing_value(one.channels.image.dtype, one.channels.image.metadata, config.resampling)
    with OutputFolder(folder_path, names=names, overwrite=config.overwrite) as folder, beside(load_jpeg):
        missing = Missing(folder.staging)
        read_ended = time.perf_counter()
        with part(0.05, _REGISTERED):
            results, pictures, pair_notes = _results(rounds, fixed, config, progress, missing, html_name)
        registered = time.perf_counter()
        transforms = [np.eye(3) if result is None else result.transform for result in results]
        canvas, canvas_notes = _canvas(rounds, results, transforms, config)
        check_disk(folder_path, sum(file_bytes(one.channels.image, canvas) for one in rounds))
        with native.selected(config.registration.backend), part(_REGISTERED, 1.0):
            out = folder.staging / config.out.name
            clipped, notes = write_merged(out, rounds, transforms, fixed, canvas, config.resampling, progress)
        for name, one, result in zip(transform_names, rounds, results, strict=True):
            _write_transform(folder.staging / name, rounds[fixed], one, result)
        statuses = [Status.OK if result is None else result.status for result in results]
        status = max(statuses, key=_SEVERITY.index)
        notes = (*(note for one in rounds for note in one.notes), *pair_notes, *canvas_notes, *notes)
        ended = time.perf_counter()
        seconds = {
            "import": import_seconds,
            "read": read_ended - began,
            "registration": registered - read_ended,
            "write": ended - registered,
            "total": import_seconds + ended - began,
        }
        report: dict[str, Any] = {
            "status": status.value,
            "reasons": _reasons(rounds, results),
            "rounds": [
                _round_entry(one, result, name, number == fixed)
                for number, (one, result, name) in enumerate(zip(rounds, results, transform_names, strict=True))
            ],
            "channels": [
                {"name": channel.name, "round": channel.round, "channel": channel.number, "own_name": channel.own_name}
                for channel in merged_channels(rounds)
            ],
            "dtype": str(merged_dtype(rounds)[0]),
            "model": str(config.registration.model),
            "metrics": {"clipped_values": clipped},
            "canvas": {"offset": list(canvas.offset), "shape": list(canvas.shape)},
            **report_entries(tuple(map(as_options, notes)), {}),
            "seconds": {stage: round(value, 4) for stage, value in seconds.items()},
            "settings": dataclasses.asdict(reported_settings(config)),
            "versions": versions(),
            "command": rounds_command_line(reported_settings(config)),
        }
        report = finished_report(report, config)
        if html_name not in missing:
            with missing.on_failure(html_name):
                others = [config.out.name, *transform_names, report_name]
                write_rounds_html(folder.staging / html_name, report, pictures, files=others)
        missing_files = missing.of((html_name,))
        report |= report_entries(tuple(map(as_options, notes)), missing_files)
        write_json(folder.staging / report_name, report)
    for note in notes:
        logger.info("%s", note)
    trusted = all(config.accept.takes(one) for one in statuses)
    return RoundsOutcome(config.out, folder_path / report_name, report, status, trusted, missing_files)


def _transform_names(config: RoundsConfig, rounds: Sequence[Round]) -> list[str]:
    """Return the name of the transform file of each round; they differ, since the names of the rounds do."""
    return [f"{config.stem}_{one.name.replace(' ', '_')}_transform.json" for one in rounds]


def _results(
    rounds: Sequence[Round], fixed: int, config: RoundsConfig, progress: Progress, missing: Missing, html_name: str
) -> tuple[list[RegistrationResult | None], list[np.ndarray | None], tuple[str, ...]]:
    """Return the registration and a picture of each round, None of the fixed one, and sentences on how they were made.

    Where a picture cannot be drawn, the HTML report ``html_name`` is missing.
    """
    results, pictures, notes = list[RegistrationResult | None](), list[np.ndarray | None](), list[str]()
    for number, one in enumerate(rounds):
        if number == fixed:
            results.append(None)
            pictures.append(None)
            continue
        progress(f"registering {one.name}, round {number + 1} of {len(rounds)}, {config.registration.model}")
        pair_config = PairConfig(
            fixed=rounds[fixed].path, moving=one.path, registration=config.registration, resampling=config.resampling
        )
        views = PairViews(rounds[fixed].view, one.view, {}, ())
        pair = downsampled_pair(views, pair_config)
        with part(number / len(rounds), (number + 1) / len(rounds)):
            result = register_views(views, pair, pair_config)
        notes += [f"{one.name}: {note}" for note in (*pair.notes, *result.notes)]
        results.append(result)
        pictures.append(None)
        with missing.on_failure(html_name), native.selected(config.registration.backend):
            pictures[-1] = round_picture(pair_layers(pair, result, None))
    return results, pictures, tuple(notes)


def _canvas(
    rounds: Sequence[Round],
    results: Sequence[RegistrationResult | None],
    transforms: Sequence[Transform],
    config: RoundsConfig,
) -> tuple[Frame, tuple[str, ...]]:
    """Return the canvas, and a sentence where it is the fixed frame because a round is not aligned."""
    fixed = config.fixed_round
    try:
        return merged_canvas(rounds, transforms, fixed, config.resampling), ()
    except (OptionError, ContentError) as error:
        if all(result is None or result.status is Status.OK for result in results):
            raise
        settings = dataclasses.replace(config.resampling, canvas=Canvas.FIXED)
        return merged_canvas(rounds, transforms, fixed, settings), (f"written on the fixed frame: {error}",)


def _write_transform(path: Path, fixed: Round, one: Round, result: RegistrationResult | None) -> None:
    grid = fixed.channels.image.metadata
    field = None if result is None else result.field
    write_transform(
        path,
        model="translation" if result is None else str(result.model),
        matrix=np.eye(3) if result is None else result.matrix,
        fixed_shape=fixed.view.shape,
        moving_shape=one.view.shape,
        model_asked=None if result is None else str(result.model_asked),
        grid=grid,
        status=Status.OK.value if result is None else result.status.value,
        field=field,
        with_expected_error=field is not None,
    )
    if result is not None and field is not None:
        error = None if result.bending is None else result.bending.expected_error
        write_expected_error(side_file(path, EXPECTED_ERROR), error, field, one.view.shape, grid)


def _reasons(rounds: Sequence[Round], results: Sequence[RegistrationResult | None]) -> list[str]:
    """Return how many rounds are aligned, and why the others are not."""
    moved = [(one, result) for one, result in zip(rounds, results, strict=True) if result is not None]
    good = sum(result.status is Status.OK for _, result in moved)
    doubts = [
        f"{one.name} is {result.status.value}: {result.reasons[0]}"
        for one, result in moved
        if result.status is not Status.OK
    ]
    return [f"{good} of {len(moved)} rounds are aligned", *doubts]


def _round_entry(one: Round, result: RegistrationResult | None, transform: str, is_fixed: bool) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "name": one.name,
        "file": str(one.path),
        "digest": one.digest,
        "fixed": is_fixed,
        "registered_by": {**one.view.described, "channel": one.channels.names[one.by]},
        "transform": transform,
    }
    if result is None:
        return {**entry, "status": Status.OK.value, "reasons": ["stays where it is"]}
    uncertainty = result.uncertainty
    figures: Mapping[str, Any] = dataclasses.asdict(result.evidence)
    return {
        **entry,
        "status": result.status.value,
        "reasons": list(result.reasons),
        "probability": result.probability,
        "model": str(result.model),
        "inverted": result.inverted,
        "matrix": result.matrix.tolist(),
        "metrics": figures,
        "expected_error": None if uncertainty is None else uncertainty.rms,
        "seconds": round(result.seconds, 4),
    }
