"""The calibration of channels: each is registered to one of them on an image of beads, and the matrices are kept."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zncc_cli.config import PairConfig
from zncc_cli.config.calibrate import CalibrateConfig
from zncc_cli.config.spelling import as_options
from zncc_cli.errors import ExitCode, InputError, OptionError
from zncc_cli.files.channels import Channels, channels_of, unique_names
from zncc_cli.files.digest import digest
from zncc_cli.files.images import check_kind, read_image
from zncc_cli.files.output_folder import OutputFolder, refuse_sources
from zncc_cli.files.transforms.calibration_json import calibration_entries
from zncc_cli.jobs.channel_view import ChannelView, exclude_no_data
from zncc_cli.jobs.pair.inputs import PairViews, downsampled_pair
from zncc_cli.jobs.pair.registering import register_views
from zncc_cli.jobs.reproducible import reported_settings
from zncc_cli.jobs.stack.movie import Progress
from zncc_cli.jobs.versions import versions
from zncc_cli.progress import counted, part
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.register import RegistrationResult
from zncc_cli.report.json import write_json
from zncc_cli.text import shown

logger = logging.getLogger("zncc_cli.calibrate")


@dataclass(frozen=True)
class CalibrationOutcome:
    """What became of a calibration: where it is, what it holds, and whether every channel's verdict is good enough."""

    out: Path
    report: dict[str, Any]
    trusted: bool

    @property
    def exit_code(self) -> ExitCode:
        """0 when every channel is to be trusted, else 3."""
        return ExitCode.OK if self.trusted else ExitCode.NOT_TRUSTED


@dataclass(frozen=True, eq=False)
class _Channel:
    """A channel: its name, its file, and the plane that is registered."""

    name: str
    path: Path
    view: ChannelView


def calibrate(config: CalibrateConfig, progress: Progress) -> CalibrationOutcome:
    """Register every channel to the fixed one, and write the calibration.

    Raises:
        InputError, ContentError, OptionError, OutputError, ResourceError, BackendError: nothing is written then.
    """
    for path in config.images:
        check_kind(path)
    refuse_sources([config.out], config.images)
    with OutputFolder(config.out.parent, names=[config.out.name], overwrite=config.overwrite) as folder:
        progress("reading")
        digests = {str(path): digest(path) for path in config.images}
        channels, notes = _read(config)
        fixed = _number(config.fixed, channels)
        entries = list[dict[str, Any]]()
        for number, channel in enumerate(counted(channels, len(channels))):
            if number == fixed:
                entries.append({"name": channel.name, "matrix": np.eye(3), "status": Status.OK.value, "reasons": []})
                continue
            progress(f"registering {channel.name}, channel {number + 1} of {len(channels)}")
            with part(number / len(channels), (number + 1) / len(channels)):
                result, result_notes = _registered(channels[fixed], channel, config)
            notes += tuple(f"{channel.name}: {note}" for note in result_notes)
            entries.append({"name": channel.name, **_entry(result)})
        height, width = channels[fixed].view.shape
        report = {
            **calibration_entries(str(config.registration.model), (height, width), channels[fixed].name),
            "channels": entries,
            "inputs": digests,
            "notes": [as_options(note) for note in notes],
            "settings": dataclasses.asdict(reported_settings(config)),
            "versions": versions(),
        }
        write_json(folder.staging / config.out.name, report)
    for note in notes:
        logger.info("%s", note)
    return CalibrationOutcome(config.out, report, all(config.accept.takes(entry["status"]) for entry in entries))


def _read(config: CalibrateConfig) -> tuple[tuple[_Channel, ...], tuple[str, ...]]:
    """Return the channels of one image, or the one channel of each image, and sentences on what was chosen."""
    images = [read_image(path, series=config.series) for path in config.images]
    all_channels = [channels_of(image) for image in images]
    if len(images) == 1 and len(all_channels[0].names) == 1:
        raise OptionError(
            f"IMAGE...: expected an image of several channels, or an image of each, got {shown(config.images[0])} of "
            "one channel"
        )
    for channels, image in zip(all_channels, images, strict=True):
        _check(channels, config, image.shape, images[0].shape)
    names = unique_names([(name, one.image.metadata.path.stem) for one in all_channels for name in one.names])
    notes = [note for image, one in zip(images, all_channels, strict=True) for note in (*image.notes, *one.notes)]
    planes = [(one, number) for one in all_channels for number in range(len(one.names))]
    found = []
    for name, (one, number) in zip(names, planes, strict=True):
        plane = ChannelView(one.image, one.index(number, tuple(n // 2 for _, n in one.others)))
        view, gap_notes = exclude_no_data(plane, config.registration.no_data)
        notes += gap_notes
        found.append(_Channel(name, one.image.metadata.path, view))
    return tuple(found), tuple(notes)


def _check(channels: Channels, config: CalibrateConfig, shape: tuple[int, int], first: tuple[int, int]) -> None:
    path = shown(channels.image.metadata.path)
    if len(config.images) > 1 and len(channels.names) > 1:
        raise OptionError(
            f"IMAGE...: expected one image of several channels, or several of one each, got {path} of "
            f"{len(channels.names)} channels among {len(config.images)} images"
        )
    if shape != first:
        raise InputError(
            f"{path}: expected {first[1]} x {first[0]} pixels, as the first image has, found {shape[1]} x {shape[0]}; "
            "use zncc-align for images of different sizes"
        )


def _number(choice: str, channels: Sequence[_Channel]) -> int:
    names = [channel.name.casefold() for channel in channels]
    if choice.strip().casefold() in names:
        return names.index(choice.strip().casefold())
    if choice.isdecimal() and len(choice) < 10 and int(choice) < len(names):
        return int(choice)
    known = ", ".join(channel.name for channel in channels)
    raise OptionError(f"--fixed {choice}: expected one of the channels ({known}), or its number from 0")


def _registered(
    fixed: _Channel, moving: _Channel, config: CalibrateConfig
) -> tuple[RegistrationResult, tuple[str, ...]]:
    pair_config = PairConfig(fixed=fixed.path, moving=moving.path, registration=config.registration)
    views = PairViews(fixed.view, moving.view, {}, ())
    pair = downsampled_pair(views, pair_config)
    result = register_views(views, pair, pair_config)
    return result, (*pair.notes, *result.notes)


def _entry(result: RegistrationResult) -> dict[str, Any]:
    return {
        "matrix": result.matrix,
        "status": result.status.value,
        "reasons": list(result.reasons),
        "probability": result.probability,
        "expected_error": None if result.uncertainty is None else result.uncertainty.rms,
        "motion": result.evidence.motion,
        "zncc_before": result.evidence.zncc_before,
        "zncc_after": result.evidence.zncc_after,
    }
