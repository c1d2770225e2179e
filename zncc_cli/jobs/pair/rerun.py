"""An earlier run of a pair, read from its report.json, so that it can be run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zncc_cli.config import PairConfig
from zncc_cli.config.settings import pair_config
from zncc_cli.files.dataset_path import split_dataset
from zncc_cli.files.digest import digest
from zncc_cli.files.image_digest import image_digest
from zncc_cli.files.images import check_kind, read_image
from zncc_cli.files.paths import MismatchError, read_small_file, refusal
from zncc_cli.files.transforms.transform_json import BSPLINE, parse_json
from zncc_cli.text import shown

_MAX_WHOLE_BYTES = 2**28  # of a file that is read whole for its digest: a second or two
_EXPECTED, _ADVICE = "a report.json of zncc-align", "name the one in an output folder"


@dataclass(frozen=True)
class EarlierRun:
    """What a report.json says of the run that wrote it.

    Attributes:
        config: its settings.
        digests: the `image_digests` of its images; empty where the report has none.
        bent: whether its transform bends.
        signed: whether the report names the version of zncc-cli that wrote it, and its settings have all their parts.
    """

    config: PairConfig
    digests: Mapping[str, str]
    bent: bool
    signed: bool


def image_digests(config: PairConfig) -> dict[str, str]:
    """Return the `digest` of both images of a pair, under the keys "fixed" and "moving".

    Of one page of a large file, the `image_digest`: to read gigabytes for it would take far longer than the pair.

    Raises:
        InputError: a file is no image, or cannot be read.
    """
    digests, inputs = {}, config.inputs
    for name, path, series, page in zip(
        ("fixed", "moving"), (config.fixed, config.moving), inputs.each_series, inputs.each_page, strict=True
    ):
        check_kind(path)  # a folder may hold anything
        is_part = page is not None and path.is_file() and path.stat().st_size > _MAX_WHOLE_BYTES
        digests[name] = (
            image_digest(read_image(path, series=series, page=page)) if is_part else digest(split_dataset(path)[0])
        )
    return digests


def earlier_run(report_path: Path) -> EarlierRun:
    """Read the run that a report.json describes. Reports of earlier versions are read as well.

    Raises:
        InputError: the file is no report of zncc-align.
        OptionError: its settings cannot be used, see `pair_config`.
    """
    content = read_small_file(report_path, expected=_EXPECTED, advice=_ADVICE)
    try:
        report = parse_json(content, _EXPECTED)
    except MismatchError as problem:
        raise refusal(report_path, expected=problem.expected, found=problem.found, advice=_ADVICE) from None
    if not isinstance(report, dict) or "settings" not in report:
        raise refusal(report_path, expected=_EXPECTED, found="no settings", advice=_ADVICE)
    if isinstance(report["settings"], dict) and "fixed" not in report["settings"]:
        raise refusal(report_path, expected=_EXPECTED, found="the report of another command", advice=_ADVICE)
    digests = report.get("inputs")
    digests, bent = digests if isinstance(digests, dict) else {}, report.get("model") == BSPLINE
    return EarlierRun(pair_config(report["settings"]), digests, bent, _is_signed(report))


def _is_signed(report: Mapping[str, Any]) -> bool:
    """Tell whether a report has what every version of zncc-align has written into its reports."""
    versions, settings = report.get("versions"), report["settings"]
    return (
        isinstance(versions, dict)
        and "zncc-cli" in versions
        and all(isinstance(settings.get(part), dict) for part in ("inputs", "registration", "resampling"))
    )


def rerunnable_run(report_path: Path) -> EarlierRun:
    """Read the run that a report.json describes, and check that every file that it read is still there.

    A report holds paths as they were given; relative ones are looked up from the working folder.

    Raises:
        InputError: the file is no report of zncc-align, or a file that the run read is not there.
        OptionError: its settings cannot be used, see `pair_config`.
    """
    run = earlier_run(report_path)
    images = run.config.fixed, run.config.moving, run.config.fixed_mask, run.config.moving_mask
    for path in (*images, *run.config.init_files):
        if path is not None and not path.exists():
            expected = f"the file that {shown(report_path)} names, looked up from {shown(Path.cwd())}"
            advice = "go to the folder in which that run was started, or name the images without --rerun"
            raise refusal(path, expected=expected, found="nothing there", advice=advice)
    return run
