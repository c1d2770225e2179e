"""The report of a run: its tables, and all numbers."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import machine, report
from benchmarks.common.report import cross_table, pixels, table
from benchmarks.nonrigid import movie
from benchmarks.nonrigid.movie import Movie
from benchmarks.nonrigid.pairs import SIDE
from benchmarks.nonrigid.tools import OURS
from benchmarks.nonrigid.trials import FINE_PX, SOLVED_PX, Calibration, Speckle, Trial


@dataclass(frozen=True)
class Result:
    """All measurements of a run; ``unrelated`` holds our verdict on each pair of unrelated images."""

    machine: dict[str, str]
    missing: dict[str, str]
    trials: list[Trial]
    unrelated: dict[str, str]
    speckles: list[Speckle]
    movie: Movie | None
    seconds: float


def write(result: Result, folder: Path) -> list[Path]:
    """Write the tables and all numbers, and return their paths."""
    content = dataclasses.asdict(result)
    facts = content.pop("machine")
    title = f"Transforms that bend on {machine.device_name(machine.CPU)}"
    return report.write(folder, f"nonrigid-{machine.slug()}", title, facts, _lines(result), content)


def _lines(result: Result) -> Iterator[str]:
    yield from ("All tools on the same pairs in one run, one thread each. How to read it: benchmarks/README.md.", "")
    yield from _overview(result)
    yield from _cross(result, "By motion", "motion")
    yield from _cross(result, "By damage", "damage")
    yield from _calibrated(result)
    yield from _unrelated(result)
    yield from _speckled(result)
    yield from _filmed(result.movie)
    if result.missing:
        yield from ("## Missing", "", *(f"- {name}: {reason}" for name, reason in result.missing.items()), "")
    yield from ("## Every pair", "", "RMS error, px.", "")
    yield from cross_table(result.trials, lambda trial: trial.pair, lambda trial: trial.tool, _errors)
    yield f"The whole run took {result.seconds:.0f} s."


def _tools(result: Result) -> dict[str, list[Trial]]:
    by_tool = dict[str, list[Trial]]()
    for trial in result.trials:
        by_tool.setdefault(trial.tool, []).append(trial)
    return by_tool


def _overview(result: Result) -> Iterator[str]:
    count = len({trial.pair for trial in result.trials})
    yield from (f"## {count} pairs, {SIDE} x {SIDE} pixels", "")
    yield "RMS error over the pixels that both images show; no field counts as infinitely wrong."
    yield ""
    rows = []
    for tool, tried in _tools(result).items():
        errors = [float("inf") if trial.error is None else trial.error for trial in tried]
        solved, fine = (sum(error < bound for error in errors) for bound in (SOLVED_PX, FINE_PX))
        seconds = statistics.median(trial.seconds for trial in tried)
        rows.append([tool, len(tried), solved, fine, pixels(statistics.median(errors)), f"{seconds:.2f}"])
    head = ("", "pairs", f"< {SOLVED_PX:g} px", f"< {FINE_PX:g} px", "median error, px", "median seconds")
    yield from table(head, rows)


def _cross(result: Result, title: str, field: str) -> Iterator[str]:
    yield from (f"### {title}", "", "Median RMS error, px.", "")
    yield from cross_table(result.trials, lambda trial: trial.tool, lambda trial: getattr(trial, field), _errors)


def _errors(tried: list[Trial]) -> str:
    return pixels(statistics.median(float("inf") if trial.error is None else trial.error for trial in tried))


def _calibrated(result: Result) -> Iterator[str]:
    told = [(trial.error, trial.calibration) for trial in result.trials if trial.calibration and trial.error]
    if not told:
        return
    ratios = [calibration.expected / error for error, calibration in told]
    between = sum(0.5 <= ratio <= 1.5 for ratio in ratios)
    shares = [_mean_share(told, name) for name in ("inside_68", "inside_95")]
    yield from ("## Expected error", "")
    yield (
        f"Of {len(told)} pairs the expected RMS error is 0.5 to 1.5 times the true one on {between}; the median ratio "
        f"is {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f}. Inside the regions of 68 "
        f"and 95 percent lie {shares[0]:.0%} and {shares[1]:.0%} of the pixels of all pairs."
    )
    yield ""
    ours = [trial for trial in result.trials if trial.tool == OURS]
    words = sorted({trial.verdict for trial in ours})
    rows = []
    for word in words:
        of_word = [trial for trial in ours if trial.verdict == word and trial.error is not None]
        right = sum(trial.error is not None and trial.error < SOLVED_PX for trial in of_word)
        rows.append([word, len(of_word), right])
    yield from table(("verdict", "pairs", f"below {SOLVED_PX:g} px"), rows)


def _mean_share(told: list[tuple[float, Calibration]], name: str) -> float:
    return statistics.fmean(getattr(calibration, name) for _, calibration in told)


def _unrelated(result: Result) -> Iterator[str]:
    if result.unrelated:
        good = sum(verdict == "ok" for verdict in result.unrelated.values())
        yield from ("## Unrelated images", "")
        yield from (f"{good} of {len(result.unrelated)} pairs of unrelated images are ok.", "")


def _filmed(made: Movie | None) -> Iterator[str]:
    if made is None:
        return
    yield from ("## A movie under tension", "")
    yield (
        f"{made.frames} frames of {movie.SIDE} x {movie.SIDE} pixels of speckle with noise of {movie.NOISE:.0%} of the "
        f"grey range, stretched to a mean strain of {made.strain_last:.2%} with twice as much in the neck. "
        "`zncc stack --model bspline`, the whole process from file to file, then `zncc strain`."
    )
    yield ""
    rows = [
        ("frames a second", f"{made.frames_per_second:.2f}"),
        ("seconds a frame, processor", f"{made.seconds_a_frame:.2f}"),
        ("mean strain of a frame, RMS error", f"{made.strain_rms:.6f}"),
        ("mean strain of a frame, largest error", f"{made.strain_worst:.6f}"),
        ("strain at a point, RMS error", f"{made.strain_point_rms:.5f}"),
        ("displacement at a point, RMS error, px", f"{made.displacement_rms:.4f}"),
        ("sigma over the true deviation of u and v", f"{made.expected:.2f}"),
        ("u and v inside 68 and 95 percent", f"{made.inside_68:.0%}, {made.inside_95:.0%}"),
        ("frames that are not ok", str(made.not_ok)),
    ]
    yield from table(("", ""), rows)


def _speckled(result: Result) -> Iterator[str]:
    if not result.speckles:
        return
    yield from ("## Speckle", "")
    yield (
        "The star: from which period on 90 percent of an amplitude of 0.5 px are kept, clean and under noise of 2 "
        "percent of the grey range; what a shift scatters by under that noise, RMS; and the share of the amplitude by "
        "period, clean."
    )
    yield ""
    periods = list(result.speckles[0].kept)
    head = ("", "clean, px", "noise, px", "shift, px", *periods)
    yield from table(
        head,
        (
            (
                one.tool,
                f"{one.period_clean:.0f}",
                f"{one.period_noise:.0f}",
                f"{one.floor:.4f}",
                *(f"{share:.2f}" for share in one.kept.values()),
            )
            for one in result.speckles
        ),
    )
