"""A picture of a result: how many pairs each tool solved, and how finely, beside its time; SVG by hand."""

from __future__ import annotations

import math
from pathlib import Path

from benchmarks import machine
from benchmarks.alignment.entrants import OURS
from benchmarks.alignment.report import Result
from benchmarks.alignment.speed import Speed
from benchmarks.alignment.trials import FINE, SOLVED, Trial
from benchmarks.picture import svg, text
from benchmarks.report import short

# Of a tool: solved finely, solved, not solved.
_OURS, _PEERS = ("#0b6e4f", "#7fb8a4", "#e4e4e4"), ("#3f5f93", "#a9bddb", "#e4e4e4")
_WIDTH, _TOP, _BAR, _STEP = 860, 96, 16, 26
_LEFT, _PAIRS_END, _TIMES, _TIMES_END = 215, 490, 560, 740  # where the bars of pairs and those of times lie
_SHOWN = "affine"  # the model whose time is shown; the first that a tool has, where it has no such


def write(result: Result, folder: Path) -> Path:
    """Write the picture, the tool that solved most pairs first, and return its name."""
    tried = {name: result.of(name) for name in result.models if result.of(name)}
    names = sorted(tried, key=lambda name: (-_solved(tried[name]), -_fine(tried[name])))
    times = {name: _shown([each for each in result.speeds if each.trial.contender == name]) for name in names}
    count, bottom = len({trial.plan for trial in result.trials}), _TOP + _STEP * len(names)
    medians = [speed.timing.median for speed in times.values() if speed and speed.timing]
    first, last = math.floor(math.log10(min(medians, default=1))), math.ceil(math.log10(max(medians, default=10)))
    per_decade = (_TIMES_END - _TIMES) / max(1, last - first)
    body = [
        text(20, 26, f"{count} pairs with known truth: how many are solved, and in what time", size=16),
        text(20, 46, f"{machine.device_name(result.device)}, {result.date}; one thread each"),
        text(_LEFT, 80, f"pairs below {FINE:g} px (dark), below {SOLVED:g} px (light)"),
        text(_TIMES, 80, f"milliseconds, {_SHOWN}, {result.side} x {result.side}"),
    ]
    for power in range(first, last + 1):
        x = _TIMES + per_decade * (power - first)
        body.append(f'<path d="M{x:.0f} {_TOP}V{bottom}" stroke="#ddd"/>')
        body.append(text(x, bottom + 14, f"{10.0**power:,g}", anchor="middle"))
    for at, name in enumerate(names):
        y, shades = _TOP + _STEP * at, _OURS if name.startswith(OURS) else _PEERS
        body.append(text(_LEFT - 8, y + 13, name, anchor="end"))
        body += _pairs(tried[name], count, shades, y)
        if (speed := times[name]) and speed.timing:
            length = per_decade * (math.log10(speed.timing.median) - first)
            note = "" if speed.model == _SHOWN else f" ({speed.model})"
            body.append(_bar(_TIMES, y, length, shades[0]))
            body.append(text(_TIMES + length + 5, y + 13, f"{short(speed.timing.median)}{note}"))
    file = folder / f"{result.stem}.svg"
    file.write_text(svg(body, _WIDTH, bottom + 30), encoding="utf-8")
    return file


def _pairs(trials: list[Trial], count: int, shades: tuple[str, str, str], y: int) -> list[str]:
    """Return the bars of one tool; pairs whose model it lacks are blank."""
    per_pair = (_PAIRS_END - _LEFT) / count
    fine, solved, tried = (per_pair * number for number in (_fine(trials), _solved(trials), len(trials)))
    label = text(_LEFT + tried + 5, y + 13, f"{_solved(trials)}/{len(trials)}")
    lengths = zip((tried, solved, fine), reversed(shades), strict=True)
    return [*(_bar(_LEFT, y, length, shade) for length, shade in lengths), label]


def _solved(trials: list[Trial]) -> int:
    return sum(trial.is_solved for trial in trials)


def _fine(trials: list[Trial]) -> int:
    return sum(trial.is_fine for trial in trials)


def _shown(speeds: list[Speed]) -> Speed | None:
    return next((speed for speed in speeds if speed.model == _SHOWN), speeds[0] if speeds else None)


def _bar(x: float, y: float, length: float, colour: str) -> str:
    return f'<rect x="{x:.0f}" y="{y:.0f}" width="{length:.1f}" height="{_BAR}" fill="{colour}"/>'
