"""The report of a run on one device: its tables, all numbers and a picture."""

from __future__ import annotations

import collections
import dataclasses
import math
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.common import machine, report
from benchmarks.common.report import cross_table, pixels, table
from benchmarks.registration import chart, stage_report
from benchmarks.registration.pairs.damage import BORDERS
from benchmarks.registration.pairs.plans import SHAPE
from benchmarks.registration.passes import Passes, Refusal
from benchmarks.registration.processes import ALIGN, ALIGN_FEWEST, IMPORT_TORCH, BatchOverhead, Process
from benchmarks.registration.speed import Speed
from benchmarks.registration.stages import StageTimes
from benchmarks.registration.trials import FINE_PX, SOLVED_PX, Trial

_NO_MODEL = "no such model"


@dataclass(frozen=True)
class Result:
    """All measurements of a run on one device; ``models`` are those that each contender has."""

    device: torch.device
    machine: dict[str, str]
    models: dict[str, tuple[str, ...]]
    missing: dict[str, str]
    side: int
    trials: list[Trial]
    borders: list[Trial]
    speeds: list[Speed]
    passes: list[Passes]
    refusals: list[Refusal]
    stages: list[StageTimes]
    processes: list[Process]
    batch: BatchOverhead | None
    seconds: float

    def of(self, contender: str) -> list[Trial]:
        """Return the trials of one contender, less those on borders."""
        return [trial for trial in self.trials if trial.contender == contender]


def write(result: Result, folder: Path) -> list[Path]:
    """Write the tables, all numbers and, where matplotlib is installed, the picture; return their paths."""
    content = dataclasses.asdict(result) | {"device": result.device.type}
    facts = content.pop("machine")
    name = f"registration-{machine.slug(result.device)}"
    title = f"Registration on {machine.device_name(result.device)}"
    files = report.write(folder, name, title, facts, _lines(result), content)
    return files + chart.write(result, files[0].with_suffix(".svg"))


def _lines(result: Result) -> Iterator[str]:
    yield from ("All tools on the same pairs in one run, one thread each. How to read it: benchmarks/README.md.", "")
    if result.trials:
        yield from _overview(result)
        yield from _by(result, "model", lambda trial: trial.plan.model)
        yield from _by(result, "damage", lambda trial: trial.plan.damage)
        if any(trial.verdict for trial in result.trials):
            yield from _verdicts(result)
    yield from _borders(result)
    yield from _speeds(result)
    yield from stage_report.lines(result.passes, result.refusals, result.stages)
    yield from _processes(result)
    if result.missing:
        yield from ("## Missing, or not measured", "")
        yield from (*(f"- {name}: {reason}" for name, reason in result.missing.items()), "")
    yield from _every_pair(result)
    yield f"The whole run took {result.seconds:.0f} s."


def _overview(result: Result) -> Iterator[str]:
    count = len({trial.plan for trial in result.trials})
    height, width = SHAPE
    yield from (f"## {count} pairs, {width} x {height} pixels", "")
    yield (
        f"RMS error below {SOLVED_PX:g} px, below {FINE_PX:g} px, and its median, over the pairs whose model the tool "
        "has; no transform counts as infinitely wrong. `error / bound`: median over the noisy pairs of the error over "
        "the Cramer-Rao bound; an efficient estimator would show 0.8 to 1."
    )
    yield ""
    rows = []
    for name in result.models:
        of_tool = result.of(name)
        if of_tool:
            solved, fine = sum(t.is_solved for t in of_tool), sum(t.is_fine for t in of_tool)
            rows.append([name, len(of_tool), solved, fine, pixels(_median(map(_error, of_tool))), _ratio(of_tool)])
    head = ("", "pairs", f"< {SOLVED_PX:g} px", f"< {FINE_PX:g} px", "median error, px", "error / bound")
    yield from table(head, rows)


def _by(result: Result, title: str, column: Callable[[Trial], str]) -> Iterator[str]:
    yield from (f"### By {title}", "", "Solved of tried, and the median error in pixels.", "")
    yield from cross_table(result.trials, lambda trial: trial.contender, column, _score, missing=_NO_MODEL)


def _verdicts(result: Result) -> Iterator[str]:
    yield from ("### The tool's own verdict", "", "Only ours says whether its result is to be trusted.", "")
    yield from cross_table(
        [trial for trial in result.trials if trial.verdict],
        lambda trial: f"{trial.contender}: {trial.verdict}",
        lambda trial: f"< {SOLVED_PX:g} px" if trial.is_solved else "not",
        lambda trials: str(len(trials)),
        missing="0",
    )


def _borders(result: Result) -> Iterator[str]:
    if not result.borders:
        return
    yield from ("## Black borders", "", "Pixels that show nothing are black.", "")
    yield (
        f"Solved of tried, the median error, and the largest below {SOLVED_PX:g} px: without masks of the valid "
        "pixels, and with them."
    )
    yield ""
    for border in BORDERS:
        yield from cross_table(
            [trial for trial in result.borders if trial.plan.damage == border],
            lambda trial: trial.contender,
            lambda trial: "with masks" if trial.masked else "without masks",
            lambda trials: f"{_score(trials)}, {pixels(_worst_solved(trials))}",
            corner=border,
            missing="takes no masks",
        )


def _speeds(result: Result) -> Iterator[str]:
    if not result.speeds:
        return
    yield from (f"## Time, {result.side} x {result.side}", "")
    yield "Images in memory to matrix, milliseconds: median (lower to upper quartile); then the error in pixels."
    yield from ("Light noise and small motions, which all should solve; the tools took turns.", "")
    yield from cross_table(
        result.speeds,
        lambda speed: speed.trial.contender,
        lambda speed: speed.model,
        lambda speeds: _speed(*speeds),
        missing=_NO_MODEL,
    )


def _speed(speed: Speed) -> str:
    return f"{speed.timing}; {pixels(_error(speed.trial))}" if speed.timing else f"failed: {speed.trial.note}"


def _processes(result: Result) -> Iterator[str]:
    if not result.processes:
        return
    yield from (f"## Whole processes, affine, {result.side} x {result.side}, 16-bit TIFF to files", "")
    rows = []
    median = {each.name: statistics.median(each.seconds) for each in result.processes}
    for each in result.processes:
        low, high = min(each.seconds), max(each.seconds)
        error = "" if each.error is None else pixels(each.error)
        rows.append([each.name, f"{median[each.name]:.2f}", f"{low:.2f} to {high:.2f}", len(each.seconds), error])
    for name in (ALIGN, ALIGN_FEWEST):
        rows.append([f"{name}, less the import of torch", f"{median[name] - median[IMPORT_TORCH]:.2f}", "", "", ""])
    yield from table(("", "median, s", "least to most", "processes", "error, px"), rows)
    if result.batch:
        inside, beyond = result.batch.inside, result.batch.beyond
        yield (
            f"`zncc-batch` with all files, one worker, {result.batch.pairs} pairs: {inside:.3f} s a pair inside "
            f"`register` and {beyond:.3f} s beyond it, {100 * beyond / inside:.0f} % (medians)."
        )
        yield ""


def _every_pair(result: Result) -> Iterator[str]:
    if not result.trials:
        return
    yield from ("## Every pair", "", "RMS error in pixels; the smallest of a row is bold.", "")
    rows = []
    for plan in dict.fromkeys(trial.plan for trial in result.trials):
        of_pair = {trial.contender: trial for trial in result.trials if trial.plan == plan}
        smallest = min(map(_error, of_pair.values()))
        bound = next(iter(of_pair.values())).bound
        row = [f"{plan.model}, {plan.size} motion, {plan.damage}, {plan.scene}", "" if bound is None else pixels(bound)]
        for name in result.models:
            trial = of_pair.get(name)
            cell = _NO_MODEL if trial is None else pixels(_error(trial))
            row.append(f"**{cell}**" if trial is not None and trial.error == smallest else cell)
        rows.append(row)
    yield from table(("", "bound", *result.models), rows)
    notes = collections.Counter((t.contender, t.note) for t in (*result.trials, *result.borders) if t.note)
    if notes:
        yield from ("`none` is no transform, where the tool said:", "")
        yield from (*(f"- {name}, {count} times: {note}" for (name, note), count in notes.items()), "")


def _score(trials: list[Trial]) -> str:
    return f"{sum(trial.is_solved for trial in trials)}/{len(trials)}, {pixels(_median(map(_error, trials)))}"


def _worst_solved(trials: list[Trial]) -> float:
    return max((_error(trial) for trial in trials if trial.is_solved), default=math.inf)


def _error(trial: Trial) -> float:
    return math.inf if trial.error is None else trial.error


def _median(errors: Iterable[float]) -> float:
    # Of an even number the greater of the two in the middle: a mean with infinity would be none.
    return statistics.median_high(errors)


def _ratio(of_tool: list[Trial]) -> str:
    ratios = [_error(trial) / trial.bound for trial in of_tool if trial.bound is not None]
    return f"{_median(ratios):.3g}" if ratios else ""
