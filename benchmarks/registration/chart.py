"""The picture of a run: how many pairs each tool solved, and how finely, beside its time."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common import chart, machine
from benchmarks.common.report import short
from benchmarks.registration.tools.registry import OURS
from benchmarks.registration.trials import FINE_PX, SOLVED_PX

if TYPE_CHECKING:
    from benchmarks.registration.report import Result
    from benchmarks.registration.speed import Speed

# Of a tool: solved finely, solved, not solved.
_OURS, _PEERS = ("#0b6e4f", "#7fb8a4", "#e4e4e4"), ("#3f5f93", "#a9bddb", "#e4e4e4")
_MODEL = "affine"  # the model whose time is shown; where a tool lacks it, its first
_WIDTH, _BAR_HEIGHT, _MARGIN = 9.5, 0.28, 1.4  # inches


def write(result: Result, file: Path) -> list[Path]:
    """Draw all tools, the one that solved most pairs first; return the file, if one was written."""
    counts = {}  # pairs solved finely, solved and tried, by tool; pairs whose model a tool lacks are blank
    for name in result.models:
        trials = result.of(name)
        counts[name] = (sum(t.is_fine for t in trials), sum(t.is_solved for t in trials), len(trials))
    # The bottom bar comes first.
    names = sorted((name for name in counts if counts[name][2]), key=lambda name: (counts[name][1], counts[name][0]))
    colours = [_OURS if name.startswith(OURS) else _PEERS for name in names]
    speeds = {name: speed for name in names if (speed := _shown_speed(result, name))}
    pair_count = len({trial.plan for trial in result.trials})

    def draw(figure: Any) -> None:
        figure.suptitle(
            f"{pair_count} pairs with known truth: how many are solved, and in what time\n"
            f"{machine.device_name(result.device)}, {datetime.date.today()}; one thread each"
        )
        pairs, times = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        for shade in (2, 1, 0):
            bars = pairs.barh(names, [counts[name][shade] for name in names], color=[c[shade] for c in colours])
            if shade == 2:
                pairs.bar_label(bars, [f"{counts[name][1]}/{counts[name][2]}" for name in names], padding=3)
        pairs.set_title(f"pairs below {FINE_PX:g} px (dark), below {SOLVED_PX:g} px (light)", fontsize="medium")
        pairs.margins(x=0.15)
        medians = [speeds[name].timing.median if name in speeds else 0 for name in names]
        labels = [
            short(median) + (f" ({speeds[name].model})" if speeds[name].model != _MODEL else "") if median else ""
            for name, median in zip(names, medians, strict=True)
        ]
        bars = times.barh(names, medians, color=[c[0] for c in colours])
        times.bar_label(bars, labels, padding=3)
        times.set_title(f"milliseconds, {_MODEL}, {result.side} x {result.side}", fontsize="medium")
        if speeds:
            times.set_xscale("log")
            times.margins(x=0.3)
        for axes in (pairs, times):
            axes.spines[["top", "right"]].set_visible(False)

    return chart.save(file, _WIDTH, _MARGIN + _BAR_HEIGHT * len(names), draw) if names else []


def _shown_speed(result: Result, name: str) -> Speed | None:
    timed = [speed for speed in result.speeds if speed.trial.contender == name and speed.timing]
    return next((speed for speed in timed if speed.model == _MODEL), timed[0] if timed else None)
