"""What a job on a movie returns, and the files that it writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zncc_cli.config.stack import StackConfig
from zncc_cli.errors import ExitCode
from zncc_cli.files.output_formats import OUTPUT_FORMATS, output_format
from zncc_cli.files.transforms.stack_json import SPLINES
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.report.drift_files import DriftRow

DRIFT_TABLE, DRIFT_PLOT = "drift.csv", "drift.svg"
_STACKS = {name: f"stack{entry.suffix}" for name, entry in OUTPUT_FORMATS.items()}
FRAME_TRANSFORMS, REPORT = "transforms.json", "report.json"
# All that a run may write; of the stacks it writes one, and removes the others of an earlier run.
FILES = (*_STACKS.values(), DRIFT_TABLE, DRIFT_PLOT, FRAME_TRANSFORMS, REPORT)
TOTAL, INCREMENTAL, EXPECTED_ERROR = "displacement.tif", "incremental.tif", "expected_error.tif"
FILES_OF_BENT = (*FILES, SPLINES, TOTAL, INCREMENTAL, EXPECTED_ERROR)


def stack_name(config: StackConfig) -> str:
    """Return the name of the aligned stack."""
    return f"stack{output_format(config.resampling.image_format).suffix}"


@dataclass(frozen=True)
class StackOutcome:
    """The result of one movie.

    Attributes:
        folder: the output folder.
        status: whether the path of the frames is to be trusted.
        rows: the places of all frames.
        report: the content of ``report.json``.
        missing: files that could not be made, and why; only ``drift.svg`` can be missing.
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
