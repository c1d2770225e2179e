"""The tables of registrations in passes of the operator, and of their stages and levels."""

from __future__ import annotations

import collections
from collections.abc import Iterator

from benchmarks.common.report import cross_table, pixels, short, table
from benchmarks.common.timing import Timing
from benchmarks.registration.passes import DAMAGE, THREADS, WINDOW, Passes, Refusal, ToolTime
from benchmarks.registration.stages import StageTimes

_MIN_SHARE = 0.01  # of the time: a stage that takes less has no row
_MAIN_COUNT = 6  # stages in the table of all sizes


def lines(passes: list[Passes], refusals: list[Refusal], stages: list[StageTimes]) -> Iterator[str]:
    """Yield the lines of a Markdown report."""
    if passes:
        yield from _passes(passes)
        yield from _main_stages(stages)
        yield from _peers(passes)
        yield from _refusals(refusals, passes)
        yield from _threads(passes)
    for times in stages:
        yield from _stages(times)


def _passes(passes: list[Passes]) -> Iterator[str]:
    yield from ("## A registration in passes of the operator", "")
    yield (
        f"A pass is one forward and one backward pass of `local_std`, window {WINDOW}, float32, over an image of that "
        f"size; it and the registrations took turns in one process. Affine, small motion, {DAMAGE}. Milliseconds: "
        "median (lower to upper quartile)."
    )
    yield ""
    rows = []
    for each in passes:
        trial, timing = each.ours.trial, each.ours.timing
        times = str(each.one_pass), str(timing), timing.samples, short(each.count(timing))
        rows.append((_size(each.side), *times, *_errors(each.ours), trial.verdict))
    head = ("size", "pass, ms", "registration, ms", "calls", "passes", "RMS error, px", "corner, px", "verdict")
    yield from table(head, rows)


def _main_stages(stages: list[StageTimes]) -> Iterator[str]:
    """Yield the share of the stages that take most at any size, less those that take little everywhere."""
    share: collections.Counter[str] = collections.Counter()
    for times in stages:
        for name, seconds in times.stages.items():
            share[name] = max(share[name], seconds / times.seconds)
    main = [name for name, _ in share.most_common(_MAIN_COUNT)]
    yield from ("### Share of the main stages, percent", "")
    rows = []
    for times in stages:
        shares = [100 * times.stages.get(name, 0.0) / times.seconds for name in main]
        rows.append((_size(times.side), *(f"{share:.0f}" for share in (*shares, 100 - sum(shares)))))
    yield from table(("size", *main, "all else"), rows)


def _peers(passes: list[Passes]) -> Iterator[str]:
    cells = [(each, tool) for each in passes for tool in (each.ours, *each.peers)]
    yield from ("### Beside other tools", "", "Milliseconds; passes; RMS error, pixels.", "")
    yield from cross_table(
        cells,
        lambda cell: cell[1].trial.contender,
        lambda cell: _size(cell[0].side),
        lambda found: "; ".join(_summary(*found[0])),
        missing="not measured",
    )


def _summary(passes: Passes, tool: ToolTime) -> tuple[str, str, str]:
    return short(tool.timing.median), short(passes.count(tool.timing)), _errors(tool)[0]


def _errors(tool: ToolTime) -> tuple[str, str]:
    """Return the RMS error and the largest of a corner, pixels; only trials with a transform have a time."""
    rms, corner = tool.trial.error, tool.trial.corner_error
    assert rms is not None
    assert corner is not None
    return pixels(rms), pixels(corner)


def _refusals(refusals: list[Refusal], passes: list[Passes]) -> Iterator[str]:
    if not refusals:
        return
    yield from ("### Two unrelated images", "")
    yield from ("In registrations of the good pair of that size, and in passes.", "")
    of_side = {each.side: each for each in passes}
    rows = []
    for each in refusals:
        good = of_side[each.side]
        registrations = each.timing.median / good.ours.timing.median
        counts = collections.Counter(each.verdicts)
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        row = str(each.timing), short(registrations), short(good.count(each.timing)), verdicts
        rows.append((_size(each.side), *row))
    yield from table(("size", "ms", "registrations", "passes", "verdicts"), rows)


def _threads(passes: list[Passes]) -> Iterator[str]:
    rows = [
        (_size(each.side), str(each.ours.timing), str(each.on_threads), _ratio(each.ours.timing, each.on_threads))
        for each in passes
        if each.on_threads
    ]
    if rows:
        yield from (f"### {THREADS} threads", "")
        yield from table(("size", "1 thread, ms", f"{THREADS} threads, ms", "times as fast"), rows)


def _ratio(one: Timing, several: Timing) -> str:
    return f"{one.median / several.median:.2f}"


def _stages(times: StageTimes) -> Iterator[str]:
    yield from (f"## Our time by stage and level, affine, {_size(times.side)}: {times.seconds:.2f} s", "")
    stages = {name: seconds for name, seconds in times.stages.items() if seconds > _MIN_SHARE * times.seconds}
    stages["all else"] = times.seconds - sum(stages.values())
    yield from table(("stage", "ms"), [(name, short(1e3 * seconds)) for name, seconds in stages.items()])
    rows = [
        (
            f"1/{level.factor}, {level.model}" + (", refinement" if level is times.levels[-1] else ""),
            level.iterations,
            level.evaluations,
            short(1e3 * level.seconds),
        )
        for level in times.levels
    ]
    rest = times.seconds - sum(level.seconds for level in times.levels)
    rows.append(("all else", "", "", short(1e3 * rest)))
    yield from table(("level", "iterations", "evaluations of the loss", "ms"), rows)


def _size(side: int) -> str:
    return f"{side} x {side}"
