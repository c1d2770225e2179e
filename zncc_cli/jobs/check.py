"""The check of a pair of files that are said to be aligned: local shifts, a map of them, and a verdict."""

from __future__ import annotations

import csv
import dataclasses
import io
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from zncc_cli.config import NONE, RegistrationConfig
from zncc_cli.config.check import CheckConfig
from zncc_cli.config.settings import check_command_line
from zncc_cli.config.spelling import as_options
from zncc_cli.errors import ExitCode, InputError, WindowError
from zncc_cli.files.digest import digest
from zncc_cli.files.image_output import STRIP_ROWS, write_picture, write_strips
from zncc_cli.files.images import check_kind, read_image
from zncc_cli.files.output_folder import OutputFolder, atomic_write, refuse_sources
from zncc_cli.jobs.channel_view import Agreeing, ChannelView, choose_views, exclude_no_data, masked
from zncc_cli.jobs.downsampling import Downsampled, downsampled, downsampling_factor, read_block_means
from zncc_cli.jobs.missing import Missing, report_entries
from zncc_cli.jobs.pair.channel_pair import agreeing_channels
from zncc_cli.jobs.reproducible import finished_report, reported_settings
from zncc_cli.jobs.versions import versions
from zncc_cli.operators import native
from zncc_cli.progress import part
from zncc_cli.registration.inputs.prepare import prepare
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.quality.alignment_check import AlignmentCheck, ComparedBy, check_alignment
from zncc_cli.registration.quality.local_shifts import LocalShifts, WindowStatus
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.resampling.resample import array_reader
from zncc_cli.report.check_html import CheckFigures, map_places, write_check_html
from zncc_cli.report.json import write_json
from zncc_cli.report.layers import Layers
from zncc_cli.report.shift_picture import shift_picture
from zncc_cli.text import shown

logger = logging.getLogger("zncc_cli.check")

MAP, PICTURE, TABLE, HTML, REPORT = NAMES = ("shift.tif", "shift.png", "shifts.csv", "report.html", "report.json")
_COLUMNS = "x,y,dx,dy,sigma_x,sigma_y,zncc,status"
_PICTURE_SIDE = 1024  # pixels

Progress = Callable[[str], None]


@dataclass(frozen=True)
class CheckOutcome:
    """What became of a check.

    Attributes:
        folder: where the files are. report: what report.json holds.
        status: the verdict. trusted: whether it is good enough (`CheckConfig.accept`).
        missing: the files that could not be made, and why.
    """

    folder: Path
    report: dict[str, Any]
    status: Status
    trusted: bool
    missing: Mapping[str, str]

    @property
    def exit_code(self) -> ExitCode:
        """0 when the images are aligned, 3 when not, 5 when they are and the picture is missing."""
        if not self.trusted:
            return ExitCode.NOT_TRUSTED
        return ExitCode.INCOMPLETE if self.missing else ExitCode.OK


def check_files(config: CheckConfig, progress: Progress) -> CheckOutcome:
    """Measure the residual shifts of two files, and write their map, a picture, a table and the reports.

    Raises:
        InputError, ContentError, OptionError, OutputError, ResourceError: nothing is written then.
    """
    began = time.perf_counter()
    sources = (config.fixed, config.aligned, config.fixed_mask, config.aligned_mask)
    refuse_sources((config.folder / name for name in NAMES), sources)
    with OutputFolder(config.folder, names=NAMES, overwrite=config.overwrite) as folder:
        progress(f"reading {config.fixed.name} and {config.aligned.name}")
        digests = {name: _digest(path) for name, path in (("fixed", config.fixed), ("aligned", config.aligned))}
        views, notes = _read(config)
        fixed_view = views[0]
        factor = downsampling_factor(fixed_view.shape)
        if factor > 1:
            notes += (f"measured on means of {factor} x {factor} pixels, since the images are large",)
        pair = [downsampled(view, factor) for view in views]
        _check_window(config.window, pair[0].grey.shape)
        progress("measuring shifts")
        with part(0.2, 0.9):
            check = _checked(pair, config, factor)
        progress(f"writing {config.folder}")
        missing = Missing(folder.staging)
        shape = fixed_view.shape
        write_strips(
            folder.staging / MAP,
            _strips(check, shape),
            shape=shape,
            dtype=np.float32,
            axes="YX",
            like=None,
            frame=fixed_view.image.metadata,
        )
        with atomic_write(folder.staging / TABLE) as file:
            file.write(_table(check.shifts).encode())
        with missing.on_failure(PICTURE):
            write_picture(folder.staging / PICTURE, _picture(pair[0], check, factor))
        found = _report(config, check, views, digests, factor)

        def report_now() -> dict[str, Any]:
            seconds = {"total": round(time.perf_counter() - began, 4)}
            return finished_report({**found, **report_entries(notes, missing.of(NAMES)), "seconds": seconds}, config)

        with missing.on_failure(HTML):
            files = [name for name in NAMES if name != HTML and name not in missing]
            write_check_html(folder.staging / HTML, report_now(), _figures(pair, check, factor, shape), files=files)
        report, missing_files = report_now(), missing.of(NAMES)
        write_json(folder.staging / REPORT, report)
    for note in notes:
        logger.info("%s", note)
    status = check.verdict.status
    return CheckOutcome(config.folder, report, status, config.accept.takes(status), missing_files)


def _digest(path: Path) -> str:
    check_kind(path)
    return digest(path)


def _read(config: CheckConfig) -> tuple[tuple[ChannelView, ChannelView], tuple[str, ...]]:
    """Return the planes that are compared, less masked pixels and those without data, and sentences on the choice."""
    inputs, paths = config.inputs, (config.fixed, config.aligned)
    images = [
        read_image(path, series=series, page=page)
        for path, series, page in zip(paths, inputs.each_series, inputs.each_page, strict=True)
    ]
    fixed, aligned = images
    if fixed.shape != aligned.shape:
        raise InputError(
            f"{shown(config.aligned)}: expected {fixed.shape[1]} x {fixed.shape[0]} pixels, as {shown(config.fixed)} "
            f"has, found {aligned.shape[1]} x {aligned.shape[0]}; align it with zncc-align"
        )
    masks = [None if path is None else read_image(path) for path in (config.fixed_mask, config.aligned_mask)]

    def agreeing(channels: Sequence[Sequence[ChannelView]]) -> Agreeing | None:
        return agreeing_channels(channels, masks, RegistrationConfig(no_data=config.no_data), np.eye(3))

    views, notes = choose_views(images, inputs.each_channel, alone=True, agreeing=agreeing)
    left = [exclude_no_data(masked(view, mask), config.no_data) for view, mask in zip(views, masks, strict=True)]
    reading = (note for image in (*images, *masks) if image is not None for note in image.notes)
    (first, first_notes), (second, second_notes) = left
    return (first, second), (*reading, *notes, *first_notes, *second_notes)


def _check_window(window: int, shape: tuple[int, ...]) -> None:
    if window > min(shape):
        raise WindowError(
            f"`window`: expected at most {min(shape)} pixels, the shorter side of what is compared, got {window}"
        )


def _checked(pair: list[Downsampled], config: CheckConfig, factor: int) -> AlignmentCheck:
    device = torch.device("cpu")
    prepared = (
        prepare(f"{name} {shown(path)}", image.grey, image.valid, device, NONE)
        for name, path, image in zip(("fixed", "aligned"), (config.fixed, config.aligned), pair, strict=True)
    )
    fixed, aligned = (Level(image.image, image.mask, 1) for image in prepared)
    with torch.no_grad(), native.selected("auto"):
        return check_alignment(fixed, aligned, config.window, config.max_ce90 / factor).scaled(factor)


def _strips(check: AlignmentCheck, shape: tuple[int, int]) -> Iterator[np.ndarray]:
    for first in range(0, shape[0], STRIP_ROWS):
        yield check.field.at_rows(range(first, min(first + STRIP_ROWS, shape[0])), shape[1]).astype(np.float32)


def _picture(fixed: Downsampled, check: AlignmentCheck, factor: int) -> np.ndarray:
    small, side = _reduced(fixed)
    pixel, shifts = side * factor, check.shifts
    y, x = (np.arange(n, dtype=np.float64) * pixel + (pixel - 1) / 2 for n in small.grey.shape)
    lengths = check.field.at(x, y)
    arrows = np.hstack([shifts.centres, shifts.shifts])[shifts.ok]
    outliers = shifts.centres[shifts.status == WindowStatus.OUTLIER]
    return shift_picture(small.grey, small.valid, lengths, arrows, outliers, pixel)


def _reduced(image: Downsampled) -> tuple[Downsampled, int]:
    """Return an image as means of blocks, at most `_PICTURE_SIDE` a side, and the side of a block."""
    side = math.ceil(max(image.grey.shape) / _PICTURE_SIDE)
    if side == 1:
        return image, side
    return read_block_means(array_reader(image.grey, image.valid), image.grey.shape, side), side


def _figures(pair: list[Downsampled], check: AlignmentCheck, factor: int, shape: tuple[int, int]) -> CheckFigures:
    """Return what the HTML report shows of images of ``shape`` (H, W)."""
    (fixed, side), (aligned, _) = map(_reduced, pair)
    moved = -aligned.grey if check.by is ComparedBy.INVERTED else aligned.grey
    layers = Layers(
        fixed=np.where(fixed.valid, fixed.grey, np.nan),
        before=moved,
        after=moved,
        valid_before=aligned.valid,
        valid_after=aligned.valid,
    )
    places = map_places(shape)
    return CheckFigures(
        layers=layers,
        pixel=side * factor,
        lengths=check.field.at(*places),
        deviations=check.field.deviations_at(*places),
        windows=_numbers(check.shifts),
        status=check.shifts.status,
        step=check.shifts.step,
    )


def _numbers(shifts: LocalShifts) -> np.ndarray:
    """Return what is known of each window, (N, 7): x, y, dx, dy, sigma_x, sigma_y, ZNCC."""
    return np.hstack([shifts.centres, shifts.shifts, shifts.sigmas, shifts.zncc[:, None]])


def _table(shifts: LocalShifts) -> str:
    """Return the shift of each window as text; what was not measured is left empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS.split(","))
    for row, status in zip(_numbers(shifts).tolist(), shifts.status, strict=True):
        writer.writerow([*(f"{value:.9g}" if math.isfinite(value) else "" for value in row), status])
    return text.getvalue()


def _report(
    config: CheckConfig,
    check: AlignmentCheck,
    views: tuple[ChannelView, ChannelView],
    digests: Mapping[str, str],
    factor: int,
) -> dict[str, Any]:
    shifts, field, worst = check.shifts, check.field, check.worst
    counts = {str(status): int((shifts.status == status).sum()) for status in WindowStatus}
    mean = shifts.shifts[shifts.ok].mean(axis=0) if shifts.ok.any() else None
    sigmas = np.hypot(*shifts.sigmas[shifts.ok].T)
    fixed_view, aligned_view = views
    return {
        "status": check.verdict.status.value,
        "reasons": [as_options(reason) for reason in check.verdict.reasons],
        "fixed": str(config.fixed),
        "aligned": str(config.aligned),
        "inputs": digests,
        "metrics": {
            "ce90": field.ce90,
            "known": field.known,
            "expected_error": check.expected_error,
            "largest": None if worst is None else worst[0],
            "largest_at": None if worst is None else worst[1:],
            "mean_shift": mean,
            "median_sigma": float(np.median(sigmas)) if sigmas.size else None,
            "consensus": shifts.consensus,
        },
        "windows": {"side": shifts.window, "step": shifts.step, **counts},
        "compared_by": str(check.by),
        "planes": {"fixed": fixed_view.described, "aligned": aligned_view.described, "blocks": factor},
        "settings": dataclasses.asdict(reported_settings(config)),
        "versions": versions(),
        "command": check_command_line(reported_settings(config)),
    }
