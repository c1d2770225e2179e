"""Write a result as JSON, whole, and as Markdown, for people."""

from __future__ import annotations

import collections
import dataclasses
import json
import math
import statistics
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import machine
from benchmarks.alignment.damage import BORDERS, DAMAGES
from benchmarks.alignment.motion import MODELS
from benchmarks.alignment.pairs import SHAPE
from benchmarks.alignment.processes import ALIGN, IMPORT_TORCH, Process
from benchmarks.alignment.speed import Speed
from benchmarks.alignment.stages import Anatomy
from benchmarks.alignment.trials import FINE, SOLVED, Trial
from benchmarks.report import short, table, without_nan

_NO_MODEL = "no such model"
_SHOWN_SHARE = 0.01  # of the time: a stage that takes less has no row


@dataclass(frozen=True)
class Result:
    """Everything that a run on one device found; ``models`` are those that each contender has."""

    date: str
    device: torch.device
    machine: dict[str, str]
    models: dict[str, tuple[str, ...]]
    missing: dict[str, str]
    side: int
    trials: list[Trial]
    borders: list[Trial]
    speeds: list[Speed]
    anatomies: list[Anatomy]
    processes: list[Process]
    seconds: float

    @property
    def stem(self) -> str:
        """The name of its files, less the suffix."""
        return f"registration-{machine.slug(self.device)}-{self.date}"

    def of(self, contender: str) -> list[Trial]:
        """Return the trials of one contender, less those on borders."""
        return [trial for trial in self.trials if trial.contender == contender]


def write(result: Result, folder: Path) -> list[Path]:
    """Write both files, and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    markdown, data = folder / f"{result.stem}.md", folder / f"{result.stem}.json"
    markdown.write_text("\n".join(_lines(result)) + "\n", encoding="utf-8")
    plain = {
        "format": "zncc-registration-benchmark",
        "version": 1,
        **dataclasses.asdict(result),
        "device": result.device.type,
    }
    data.write_text(json.dumps(without_nan(plain), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return [markdown, data]


def _lines(result: Result) -> Iterator[str]:
    yield from (f"# Registration on {machine.device_name(result.device)}, {result.date}", "")
    yield from table(("", ""), result.machine.items())
    yield from ("All tools on the same pairs in one run, one thread each. How to read it: benchmarks/README.md.", "")
    if result.trials:
        yield from _overview(result)
        yield from _by(result, "model", MODELS, lambda trial: trial.plan.model)
        yield from _by(result, "what is wrong with the images", DAMAGES, lambda trial: trial.plan.damage)
        yield from _verdicts(result)
    yield from _borders(result)
    yield from _speeds(result)
    for each in result.anatomies:
        yield from _anatomy(each)
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
        f"RMS error below {SOLVED:g} px, below {FINE:g} px, and its median, over the pairs whose model the tool has; "
        "no transform counts as infinitely wrong. `error / bound`: median over the noisy pairs of the error over the "
        "Cramer-Rao bound; an efficient estimator would show 0.8 to 1."
    )
    yield ""
    rows = []
    for name in result.models:
        of_tool = result.of(name)
        if of_tool:
            solved, fine = sum(t.is_solved for t in of_tool), sum(t.is_fine for t in of_tool)
            rows.append(
                [name, f"{len(of_tool)}", f"{solved}", f"{fine}", _px(_median(map(_error, of_tool))), _ratio(of_tool)]
            )
    head = ("", "pairs", f"< {SOLVED:g} px", f"< {FINE:g} px", "median error, px", "error / bound")
    yield from table(head, rows)


def _by(result: Result, title: str, columns: Iterable[str], key: Callable[[Trial], str]) -> Iterator[str]:
    seen = {key(trial) for trial in result.trials}
    columns = [column for column in columns if column in seen]
    yield from (f"### By {title}", "", "Solved of tried, and the median error in pixels.", "")
    rows = []
    for name in result.models:
        row = [name]
        for column in columns:
            chosen = [trial for trial in result.of(name) if key(trial) == column]
            row.append(_score(chosen) if chosen else _NO_MODEL)
        rows.append(row)
    yield from table(("", *columns), rows)


def _verdicts(result: Result) -> Iterator[str]:
    speaking = [name for name in result.models if any(trial.said for trial in result.of(name))]
    if not speaking:
        return
    yield from ("### What the tool itself said", "", "Only ours says whether its result is to be trusted.", "")
    rows = []
    for name in speaking:
        of_tool = [trial for trial in result.of(name) if trial.said]
        for said in sorted({trial.said for trial in of_tool}):
            solved = [trial.is_solved for trial in of_tool if trial.said == said]
            rows.append([f"{name}: {said}", f"{sum(solved)}", f"{len(solved) - sum(solved)}"])
    yield from table(("", f"< {SOLVED:g} px", "not"), rows)


def _borders(result: Result) -> Iterator[str]:
    if not result.borders:
        return
    yield from ("## Black borders", "", "Pixels that show nothing are black.", "")
    yield (
        f"Solved of tried, the median error, and the largest below {SOLVED:g} px: when a tool is not told which pixels "
        "are valid, and when it is."
    )
    yield ""
    for border in BORDERS:
        rows = []
        for name in result.models:
            row = [name]
            for masked in (False, True):
                key = (name, border, masked)
                chosen = [t for t in result.borders if (t.contender, t.plan.damage, t.masked) == key]
                solved = [_error(trial) for trial in chosen if trial.is_solved]
                row.append(f"{_score(chosen)}, {_px(max(solved, default=math.inf))}" if chosen else "takes no masks")
            rows.append(row)
        yield from table((border, "not told", "told"), rows)


def _speeds(result: Result) -> Iterator[str]:
    if not result.speeds:
        return
    yield from (f"## Time, {result.side} x {result.side}", "")
    yield "Images in memory to matrix, milliseconds: median (lower to upper quartile); then the error in pixels."
    yield from ("Light noise and small motions, which all should solve; the tools took turns.", "")
    found = {(each.trial.contender, each.model): each for each in result.speeds}
    rows = [[name, *(_speed(found.get((name, model))) for model in MODELS)] for name in result.models]
    yield from table(("", *MODELS), rows)


def _speed(found: Speed | None) -> str:
    if found is None:
        return _NO_MODEL
    if found.timing is None:
        return f"failed: {found.trial.note}"
    timing = found.timing
    return f"{short(timing.median)} ({short(timing.low)} to {short(timing.high)}); {_px(_error(found.trial))}"


def _anatomy(each: Anatomy) -> Iterator[str]:
    yield from (f"## Where our time goes, affine, {each.side} x {each.side}: {each.seconds:.2f} s", "")
    stages = {name: seconds for name, seconds in each.stages.items() if seconds > _SHOWN_SHARE * each.seconds}
    stages["all else"] = each.seconds - sum(stages.values())
    yield from table(("stage", "ms"), [(name, short(1e3 * seconds)) for name, seconds in stages.items()])
    rows = [
        (
            f"1/{level.factor}, {level.model}" + (", refinement" if level is each.levels[-1] else ""),
            f"{level.iterations}",
            f"{level.evaluations}",
            short(1e3 * level.seconds),
        )
        for level in each.levels
    ]
    rest = each.seconds - sum(level.seconds for level in each.levels)
    rows.append(("all else", "", "", short(1e3 * rest)))
    yield from table(("level", "iterations", "evaluations of the loss", "ms"), rows)
    for other in each.others:
        yield from (f"{other.contender}, one call: {other.seconds:.2f} s, {_px(_error(other))} px. {other.note}", "")


def _processes(result: Result) -> Iterator[str]:
    if not result.processes:
        return
    yield from (f"## Whole processes, affine, {result.side} x {result.side}, 16-bit TIFF to files", "")
    rows = []
    median = {each.name: statistics.median(each.seconds) for each in result.processes}
    for each in result.processes:
        low, high = min(each.seconds), max(each.seconds)
        error = "" if each.error is None else _px(each.error)
        rows.append([each.name, f"{median[each.name]:.2f}", f"{low:.2f} to {high:.2f}", f"{len(each.seconds)}", error])
    rows.append([f"{ALIGN} less the import of torch", f"{median[ALIGN] - median[IMPORT_TORCH]:.2f}", "", "", ""])
    yield from table(("", "median, s", "least to most", "processes", "error, px"), rows)


def _every_pair(result: Result) -> Iterator[str]:
    if not result.trials:
        return
    yield from ("## Every pair", "", "RMS error in pixels; the least of a row is bold.", "")
    rows = []
    for plan in dict.fromkeys(trial.plan for trial in result.trials):
        of_pair = {trial.contender: trial for trial in result.trials if trial.plan == plan}
        least = min(map(_error, of_pair.values()))
        bound = next(iter(of_pair.values())).bound
        row = [f"{plan.model}, {plan.size} motion, {plan.damage}, {plan.scene}", "" if bound is None else _px(bound)]
        for name in result.models:
            trial = of_pair.get(name)
            cell = _NO_MODEL if trial is None else _px(_error(trial))
            row.append(f"**{cell}**" if trial is not None and trial.error == least else cell)
        rows.append(row)
    yield from table(("", "bound", *result.models), rows)
    notes = collections.Counter((t.contender, t.note) for t in (*result.trials, *result.borders) if t.note)
    if notes:
        yield from ("`none` is no transform, where the tool said:", "")
        yield from (*(f"- {name}, {count} times: {note}" for (name, note), count in notes.items()), "")


def _score(trials: list[Trial]) -> str:
    return f"{sum(trial.is_solved for trial in trials)}/{len(trials)}, {_px(_median(map(_error, trials)))}"


def _error(trial: Trial) -> float:
    return math.inf if trial.error is None else trial.error


def _median(errors: Iterable[float]) -> float:
    # Of an even number the greater of the two in the middle: a mean with infinity would be none.
    return statistics.median_high(errors)


def _ratio(of_tool: list[Trial]) -> str:
    ratios = [_error(trial) / trial.bound for trial in of_tool if trial.bound is not None]
    return f"{_median(ratios):.3g}" if ratios else ""


def _px(error: float) -> str:
    """Return three digits, fewer below a thousandth of a pixel."""
    if not math.isfinite(error):
        return "none"
    return f"{error:.4f}" if error < 1e-3 else f"{error:.3g}"
