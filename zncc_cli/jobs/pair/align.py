"""One pair of files: read, register, resample, write, report."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zncc_cli.config import Accept, PairConfig
from zncc_cli.errors import ExitCode
from zncc_cli.jobs.missing import report_entries
from zncc_cli.jobs.pair.inputs import downsampled_pair, read_views
from zncc_cli.jobs.pair.registering import register_views
from zncc_cli.jobs.pair.report import pair_report
from zncc_cli.jobs.pair.run_folder import REPORT, RunFolder
from zncc_cli.jobs.pair.writing import loading_for_pictures, write_html, write_images
from zncc_cli.jobs.reproducible import finished_report
from zncc_cli.operators import native
from zncc_cli.progress import part
from zncc_cli.registration.register import RegistrationResult
from zncc_cli.report.json import write_json

logger = logging.getLogger("zncc_cli.pair")

Progress = Callable[[str], None]

# Shares of the time of a pair of 1024 x 1024 to 4096 x 4096 pixels after each stage; the rest is the HTML report.
_READ, _REGISTERED, _WRITTEN = 0.03, 0.6, 0.95


@dataclass(frozen=True)
class PairOutcome:
    """What became of one pair.

    Attributes:
        folder: where the files are.
        result: the registration.
        report: what ``report.json`` holds.
        accept: which verdicts are good enough.
        missing: the files that could not be made, and why.
    """

    folder: Path
    result: RegistrationResult
    report: dict[str, Any]
    accept: Accept = Accept.OK
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> ExitCode:
        """0 when the result is to be trusted, or suspect and accepted, and all files are there; else 3, or 5."""
        if not self.accept.takes(self.result.status):
            return ExitCode.NOT_TRUSTED
        return ExitCode.INCOMPLETE if self.missing else ExitCode.OK


def align_pair(
    config: PairConfig,
    progress: Progress,
    import_seconds: float = 0.0,
    earlier_digests: Mapping[str, str] | None = None,
) -> PairOutcome:
    """Align the moving file to the fixed file, and write the products that are asked for into ``config.folder``.

    The files of an earlier run there are replaced or removed, see `RunFolder`. Pictures, maps and a mask that cannot be
    made are missing, and all else is written.

    Args:
        config: the files and all settings.
        progress: is called with a few words before each stage.
        import_seconds: time that loading the program took, for the report.
        earlier_digests: the `image_digests` of the run that is repeated; None where none is.

    Raises:
        InputError, OutputError, ContentError, OptionError, ResourceError, BackendError: no file is written then.
    """
    clock = _Clock(import_seconds)
    with RunFolder.of(config) as folder, loading_for_pictures(config):
        progress(f"reading {config.fixed.name} and {config.moving.name}")
        with part(0.0, _READ):
            views = read_views(config, earlier_digests)
            pair = downsampled_pair(views, config)
        clock.end_stage("read")

        progress(f"registering, {config.registration.model}")
        with part(_READ, _REGISTERED):
            result = register_views(views, pair, config)
        clock.set_stage("registration", result.seconds)

        progress(f"writing {config.folder}")
        with native.selected(config.registration.backend), part(_REGISTERED, _WRITTEN):
            images = write_images(folder, views, pair, result, config)
        clock.end_stage("write")

        notes = (*views.notes, *folder.notes, *pair.notes, *result.notes, *images.notes)
        report = pair_report(config, views, pair, result, images, clock.seconds())
        report |= report_entries(notes, folder.missing_files)
        # The HTML report may itself be missing, so report.json is completed after it.
        write_html(folder, finished_report(report, config), pair, result, images)
        clock.end_stage("write")
        report |= {"seconds": clock.seconds(), **report_entries(notes, folder.missing_files)}
        report = finished_report(report, config)
        if REPORT in folder.names:
            write_json(folder.staging / REPORT, report)
    for note in notes:
        logger.info("%s", note)
    return PairOutcome(config.folder, result, report, config.accept, folder.missing_files)


class _Clock:
    """Seconds of each stage; ``total`` counts from when the command began to load what it needs."""

    def __init__(self, import_seconds: float) -> None:
        self._stages = {"import": import_seconds}
        self._began = self._stage_began = time.perf_counter()

    def end_stage(self, stage: str) -> None:
        """Add the time since the last stage ended to ``stage``."""
        now = time.perf_counter()
        self._stages[stage] = self._stages.get(stage, 0.0) + now - self._stage_began
        self._stage_began = now

    def set_stage(self, stage: str, seconds: float) -> None:
        """Set the seconds of a stage that was timed elsewhere, and begin the next one."""
        self._stages[stage] = seconds
        self._stage_began = time.perf_counter()

    def seconds(self) -> dict[str, float]:
        """Return the seconds of all stages, and the total up to now."""
        total = self._stages["import"] + time.perf_counter() - self._began
        return {**{stage: round(s, 4) for stage, s in self._stages.items()}, "total": round(total, 4)}
