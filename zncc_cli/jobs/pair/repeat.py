"""A run again, from its report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from zncc_cli.config import IDENTITY, PairConfig
from zncc_cli.config.settings import pair_config
from zncc_cli.files.paths import MismatchError, read_small_file, refusal
from zncc_cli.files.transforms.transform_json import parse_json
from zncc_cli.text import shown


@dataclass(frozen=True)
class EarlierRun:
    """What a report.json tells of the run that wrote it: its config, and the digests of its images (`digests`)."""

    config: PairConfig
    inputs: Mapping[str, str]


def run_of_report(path: Path) -> EarlierRun:
    """Return the run that a report.json tells of.

    Raises:
        InputError: it is no report. OptionError: its settings are not those of this version.
    """
    expected, advice = "a report.json of zncc-align", "name the one in an output folder"
    content = read_small_file(path, expected=expected, advice=advice)
    try:
        report = parse_json(content, expected)
    except MismatchError as problem:
        raise refusal(path, expected=problem.expected, found=problem.found, advice=advice) from None
    if not isinstance(report, dict) or "settings" not in report:
        raise refusal(path, expected=expected, found="no settings", advice=advice)
    if isinstance(report["settings"], dict) and "fixed" not in report["settings"]:
        raise refusal(path, expected=expected, found="the report of another command", advice=advice)
    config, inputs = pair_config(report["settings"]), report.get("inputs")
    return EarlierRun(config, inputs if isinstance(inputs, dict) else {})


def run_again(path: Path) -> EarlierRun:
    """Return what `run_of_report` does, where the files that were read are there.

    Raises:
        InputError: one is not. Paths stand in a report as they were given, and are looked for from the working folder.
    """
    run = run_of_report(path)
    init = None if run.config.init in (None, IDENTITY) else Path(run.config.init)
    for file in (run.config.fixed, run.config.moving, run.config.fixed_mask, run.config.moving_mask, init):
        if file is not None and not file.exists():
            expected = f"the file that {shown(path)} tells of, looked for from {shown(Path.cwd())}"
            advice = "go to the folder in which that run was started, or name the images without --from"
            raise refusal(file, expected=expected, found="nothing there", advice=advice)
    return run
