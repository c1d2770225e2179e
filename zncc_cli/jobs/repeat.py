"""A run again, from its report."""

from __future__ import annotations

from pathlib import Path

from zncc_cli.config import PairConfig
from zncc_cli.files.paths import MismatchError, refusal, small_file
from zncc_cli.files.transforms import parse_json
from zncc_cli.settings import pair_config


def config_of_report(path: Path) -> PairConfig:
    """Return the config that a report.json was made with.

    Raises:
        InputError: it is no report. OptionError: its settings are not those of this version.
    """
    expected, advice = "a report.json of zncc-align", "name the one in an output folder"
    content = small_file(path, expected=expected, advice=advice)
    try:
        report = parse_json(content, expected)
    except MismatchError as problem:
        raise refusal(path, expected=problem.expected, found=problem.found, advice=advice) from None
    if not isinstance(report, dict) or "settings" not in report:
        raise refusal(path, expected=expected, found="no settings", advice=advice)
    if isinstance(report["settings"], dict) and "fixed" not in report["settings"]:
        raise refusal(path, expected=expected, found="the report of another command", advice=advice)
    return pair_config(report["settings"])
