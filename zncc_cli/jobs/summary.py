"""The results of the jobs, printed on stdout."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zncc_cli.registration.nonrigid.error_map import UNCERTAIN_PX, ErrorMap
from zncc_cli.report.json import json_text
from zncc_cli.report.terminal import summary_table
from zncc_cli.report.words import probability_text
from zncc_cli.text import shown

if TYPE_CHECKING:  # most of them load torch
    from zncc_cli.jobs.batch.run import BatchOutcome
    from zncc_cli.jobs.build import Builds
    from zncc_cli.jobs.calibrate import CalibrationOutcome
    from zncc_cli.jobs.check import CheckOutcome
    from zncc_cli.jobs.doctor import Diagnosis
    from zncc_cli.jobs.evaluate import Evaluation
    from zncc_cli.jobs.pair.align import PairOutcome
    from zncc_cli.jobs.rounds.align import RoundsOutcome
    from zncc_cli.jobs.stack.outcome import StackOutcome
    from zncc_cli.jobs.stdmap import StdMapOutcome
    from zncc_cli.registration.quality.uncertainty import Uncertainty
    from zncc_cli.registration.register import RegistrationResult

_STYLE = {"ok": "green", "suspect": "yellow", "failed": "red", "error": "red"}


def print_json(content: Mapping[str, Any]) -> None:
    """Print one JSON object."""
    print(json_text(content))


def _accuracy(result: RegistrationResult) -> str:
    """Return how far off a result that is right may be, as its probability has it."""
    tolerance = result.evidence.consensus_tolerance
    return "less than a pixel off" if tolerance is None else f"at most {tolerance:g} px off"


def print_summary(outcome: PairOutcome) -> None:
    """Print the result of one pair."""
    result = outcome.result
    before, after = result.evidence.zncc_before, result.evidence.zncc_after
    failed = result.status.value == "failed"  # then contrast and error are those of a wrong position
    uncertainty = None if failed else result.uncertainty
    error = None if result.bending is None else result.bending.expected_error
    rows = [
        ("status", f"{result.status.value}: {'; '.join(result.reasons)}"),
        ("probability", f"{probability_text(result.probability)} of being right, {_accuracy(result)}"),
        *([("model", f"{result.model}: {result.selection.reason}")] if result.selection else []),
        ("zncc", f"{_number(before)} -> {_number(after)}, before -> after: mean over all windows, in [-1, 1]"),
        ("overlap", f"{result.evidence.overlap:.1%} of the {'pixels' if after is None else 'windows'}"),
        *([("compared by", "local texture, not brightness")] if result.by_texture and not failed else []),
        *([("inverted", "bright in one image is dark in the other")] if result.inverted and not failed else []),
        *([("mirrored", "the moving image shows the scene mirrored")] if result.mirrored and not failed else []),
        *([("spline", _spline(outcome))] if result.field is not None else []),
        ("motion", f"{result.evidence.motion:.3f} px at most{', at the corners' if result.field is None else ''}"),
        *([("expected error", _expected_error(uncertainty))] if uncertainty else []),
        *([("expected error", _error_of_field(error))] if error and not failed else []),
        ("matrix", f"fixed -> moving, (x, y) px{', without the spline' if result.field is not None else ''}"),
        *[("", "  ".join(f"{entry:14.8g}" for entry in row)) for row in result.matrix],
        ("backend", f"{result.backend.used} on {result.device} ({result.backend.reason})"),
        *_seconds(outcome.report),
        ("files", f"{outcome.folder}/"),
    ]
    summary_table(rows)


def _spline(outcome: PairOutcome) -> str:
    """Return what is said of the nodes of a transform that bends, and of its folds."""
    folds = outcome.report["metrics"]["folds"]
    where = "folds nowhere" if folds == 0 else f"folds at {folds} pixels: look at jacobian.tif"
    return f"nodes every {outcome.report['spline']['spacing']:g} px, {where}"


_PIPE_COLUMNS = 2**14  # no line is cut where the output is no terminal
_MAX_ROWS = 100  # of a larger batch only the pairs that are not good are listed


def print_batch(outcome: BatchOutcome) -> None:
    """Print a line for each pair, and how many are good. Of a large batch only the pairs that are not good are listed.

    On a terminal a reason is cut where the line ends; batch.csv, whose path is printed last, holds all of it.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    listed = outcome.pairs if len(outcome.pairs) <= _MAX_ROWS else outcome.bad
    table = Table(box=None, pad_edge=False)
    for column in ("name", "status", "zncc before", "after", "seconds", "reason"):
        table.add_column(column, overflow="fold", no_wrap=column not in ("name", "reason"))
    for row in listed[:_MAX_ROWS]:
        table.add_row(
            Text(shown(row.name)),
            Text(row.status, style=_STYLE[row.status]),
            _number(row.zncc_before),
            _number(row.zncc_after),
            _number(row.seconds),
            Text(shown(row.reason), no_wrap=True, overflow="ellipsis"),
        )
    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = _PIPE_COLUMNS
    if listed:
        with console.capture() as output:
            console.print(table)
        print("\n".join(line.rstrip() for line in output.get().splitlines()))
    if len(listed) > _MAX_ROWS:
        console.print(f"and {len(listed) - _MAX_ROWS} more that are not aligned")
    good = len(outcome.pairs) - len(outcome.bad)
    kept = f", {outcome.kept} of all were done before" if outcome.kept else ""
    left = f"; {outcome.left} were not done, --resume goes on" if outcome.left else ""
    count = len(outcome.pairs) + outcome.left
    console.print(f"{good} of {count} pairs aligned{kept}{left}; {shown(outcome.table)}", soft_wrap=True)


def print_stack(outcome: StackOutcome) -> None:
    """Print the result of one movie."""
    report, rows = outcome.report, outcome.rows
    spans = (max(values) - min(values) for values in ([row.dx for row in rows], [row.dy for row in rows]))
    expected_error = report["metrics"]["largest_expected_error"]
    lines = [
        ("status", f"{outcome.status.value}: {'; '.join(report['reasons'])}"),
        ("drift", "{:.2f} px along x, {:.2f} px along y, {}".format(*spans, report["model"])),
        *([] if expected_error is None else [("expected error", f"{expected_error:.3f} px RMS of the worst frame")]),
        *_seconds(report),
        ("files", f"{outcome.folder}/"),
    ]
    summary_table(lines)


def print_rounds(outcome: RoundsOutcome) -> None:
    """Print the result of the rounds of one scene, a line for each."""
    report = outcome.report
    lines = [("status", f"{outcome.status.value}: {report['reasons'][0]}")]
    for entry in report["rounds"]:
        words = f"{entry['status']}: {'; '.join(entry['reasons'])}"
        if not entry["fixed"]:
            metrics, error = entry["metrics"], entry["expected_error"]
            words += f"; zncc {_number(metrics['zncc_before'])} -> {_number(metrics['zncc_after'])}"
            words += f", motion {metrics['motion']:.3f} px at most"
            words += "" if error is None or entry["status"] == "failed" else f", expected error {error:.3f} px RMS"
        lines.append((entry["name"], words))
    lines.append(("channels", f"{len(report['channels'])}: {', '.join(one['name'] for one in report['channels'])}"))
    lines += _seconds(report)
    lines.append(("files", f"{shown(outcome.out)}, {shown(outcome.report_path)}, and a transform for each round"))
    summary_table(lines)


def print_calibration(outcome: CalibrationOutcome) -> None:
    """Print where each channel of an instrument lies, a line for each."""
    lines = []
    for entry in outcome.report["channels"]:
        words = "stays where it is"
        if "motion" in entry:
            shift = ", ".join(f"{entry['matrix'][row][2]:.3f}" for row in (0, 1))
            error = "" if entry["expected_error"] is None else f", expected error {entry['expected_error']:.3f} px RMS"
            words = f"{entry['status']}: {'; '.join(entry['reasons'])}; {entry['motion']:.3f} px at most, "
            words += f"{shift} px along x and y at the first pixel{error}"
        lines.append((entry["name"], words))
    summary_table([*lines, ("files", shown(outcome.out))])


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the error of a transform at landmarks."""
    errors, tre, shape = evaluation.errors, evaluation.errors.tre, evaluation.moving_shape
    lines = [
        ("landmarks", f"{len(errors.vectors)}"),
        (
            "tre",
            f"median {tre.median:.4g} px, 90th percentile {tre.p90:.4g} px, RMS {errors.rms:.4g} px, largest "
            f"{errors.largest:.4g} px",
        ),
        ("rtre", "not known: the transform does not hold the size of the moving image; --moving IMAGE gives it"),
        ("ce90", f"{errors.ce90:.4g} px, the circle that holds 90% of errors with this mean and covariance"),
        ("bias", "{:.4g}, {:.4g} px along x and y, mapped less marked".format(*errors.bias)),
        *([] if evaluation.out is None else [("files", shown(evaluation.out))]),
    ]
    if shape is not None:
        rtre, diagonal = errors.rtre(shape), math.hypot(*shape)
        lines[2] = (
            "rtre",
            f"median {rtre.median:.4g}, 90th percentile {rtre.p90:.4g}, of a diagonal of {diagonal:.1f} px",
        )
    summary_table(lines)


def print_check(outcome: CheckOutcome) -> None:
    """Print how well a pair is aligned."""
    report, metrics, windows = outcome.report, outcome.report["metrics"], outcome.report["windows"]
    ce90 = metrics["ce90"]
    lines = [
        ("status", f"{outcome.status.value}: {'; '.join(report['reasons'])}"),
        ("ce90", "not known" if ce90 is None else f"{ce90:.3f} px: 90% of the frame that is known lie within it"),
        ("known", f"{metrics['known']:.0%} of the frame"),
        ("windows", f"{windows['ok']} of {windows['side']} px measured, {windows['outlier']} unlike those around them"),
    ]
    if ce90 is not None:
        x, y = metrics["largest_at"]
        lines.append(("largest", f"{metrics['largest']:.3f} px, about x {x:.0f}, y {y:.0f}"))
        lines.append(("mean shift", "{:.3f}, {:.3f} px along x and y".format(*metrics["mean_shift"])))
        lines.append(("sigma", f"{metrics['median_sigma']:.3f} px of a window (median)"))
    summary_table([*lines, ("compared by", report["compared_by"]), ("files", f"{shown(outcome.folder)}/")])


def print_std_maps(outcome: StdMapOutcome) -> None:
    """Print a line for each image: the map's median, and how much of the image has enough texture to be registered."""
    for files in outcome.maps:
        window = files.recommended_window
        advice = "no window is enough" if window is None else f"recommended window {window}"
        blocks = "" if files.texture_factor == 1 else f", of means of {files.texture_factor} x {files.texture_factor}"
        print(
            f"{shown(files.map)}  median {files.median:.6g}  texture in {files.textured:.0%} of the windows of "
            f"{files.window}{blocks}; {advice}"
        )


def print_diagnosis(diagnosis: Diagnosis) -> None:
    """Print the state of the installation."""
    summary_table(
        [
            *diagnosis.versions.items(),
            ("device", diagnosis.device),
            ("backend", f"{diagnosis.backend.used}: {diagnosis.backend.reason}"),
            ("library", diagnosis.backend.library or "none"),
            ("cache", diagnosis.cache),
            *[
                (
                    f"{'ok ' if check.ok else 'NO '} {check.name}",
                    check.found if check.ok else f"{check.found}; {check.fix}",
                )
                for check in diagnosis.checks
            ],
        ],
    )


def print_builds(builds: Builds) -> None:
    """Print where the native library of each device is, or why there is none."""
    summary_table(
        [
            (device, f"{loaded.library} ({loaded.reason}, {loaded.seconds:.2f} s)" if loaded.library else loaded.reason)
            for device, loaded in builds.libraries.items()
        ],
    )


def _expected_error(uncertainty: Uncertainty) -> str:
    rms, worst = uncertainty.rms, uncertainty.corners.max()
    return f"{rms:.3f} px RMS over the fixed image, {worst:.3f} px at the worst corner (standard deviations)"


def _error_of_field(error: ErrorMap) -> str:
    if not error.overlap.any():
        return "not known: the images share no pixel"
    worst, x, y = error.worst
    return (
        f"{error.rms:.3f} px RMS where there is texture, {worst:.3f} px at the worst place, ({x}, {y}): standard "
        "deviations; "
        f"above {UNCERTAIN_PX:g} px in {error.uncertain_share:.1%} of the overlap"
    )


def _seconds(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the row of the seconds, which the report of a reproducible run does not hold."""
    if (seconds := report.get("seconds")) is None:
        return []
    return [("seconds", f"{seconds['registration']:.2f} registration, {seconds['total']:.2f} in all")]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
