"""What a job on a movie returns, and the files that it writes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zncc_cli.config import Model
from zncc_cli.config.stack import StackConfig
from zncc_cli.errors import ExitCode
from zncc_cli.files.output_formats import OUTPUT_FORMATS, output_format
from zncc_cli.files.transforms.stack_json import SPLINES
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.report.drift_files import DriftRow

DRIFT_TABLE, DRIFT_PLOT = "drift.csv", "drift.svg"
FRAME_TRANSFORMS, REPORT, HTML = "transforms.json", "report.json", "report.html"
TOTAL, INCREMENTAL, EXPECTED_ERROR = "displacement.tif", "incremental.tif", "expected_error.tif"
_COMMON = (HTML, DRIFT_TABLE, DRIFT_PLOT, FRAME_TRANSFORMS, REPORT)
_OF_BENT = (SPLINES, TOTAL, INCREMENTAL, EXPECTED_ERROR)


def stack_name(config: StackConfig) -> str:
    """Return the name of the aligned stack."""
    return f"stack{output_format(config.resampling.image_format).suffix}"


def file_names(config: StackConfig) -> tuple[str, ...]:
    """Return the names of the files that a run writes, the HTML report first."""
    return (*_COMMON, stack_name(config), *(_OF_BENT if config.model is Model.BSPLINE else ()))


def replaced_names(config: StackConfig) -> tuple[str, ...]:
    """Return the names of the files that a run replaces: its own, and a stack of another format."""
    stacks = (f"stack{entry.suffix}" for entry in OUTPUT_FORMATS.values())
    return (*dict.fromkeys((*file_names(config), *stacks)),)


def seconds_of(imported: float, began: float, registration_began: float, write_began: float) -> dict[str, float]:
    """Return the seconds of each stage up to now, for the report; ``imported`` is a duration, the others are times."""
    ended = time.perf_counter()
    seconds = {
        "import": imported,
        "read": registration_began - began,
        "registration": write_began - registration_began,
        "write": ended - write_began,
        "total": imported + ended - began,
    }
    return {stage: round(value, 4) for stage, value in seconds.items()}


@dataclass(frozen=True)
class StackOutcome:
    """The result of one movie.

    Attributes:
        folder: the output folder.
        status: whether the path of the frames is to be trusted.
        rows: the places of all frames.
        report: the content of ``report.json``.
        missing: files that could not be made, and why; only ``drift.svg`` and ``report.html`` can be missing.
    """

    folder: Path
    status: Status
    rows: tuple[DriftRow, ...]
    report: dict[str, Any]
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> ExitCode:
        """3 if the path is not to be trusted, else 5 if a file is missing, else 0."""
        if self.status is not Status.OK:
            return ExitCode.NOT_TRUSTED
        return ExitCode.INCOMPLETE if self.missing else ExitCode.OK
