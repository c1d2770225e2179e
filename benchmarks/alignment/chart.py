"""A picture of a result: how many pairs each tool solved, and how finely, beside its time; SVG by hand."""

from __future__ import annotations

import math
from pathlib import Path

from benchmarks import machine
from benchmarks.alignment.entrants import OURS
from benchmarks.alignment.report import Result
from benchmarks.alignment.speed import Speed
from benchmarks.alignment.trials import FINE, SOLVED
from benchmarks.picture import svg, text

# Of a tool: solved finely, solved, not solved.
_OURS, _PEERS = ("#0b6e4f", "#7fb8a4", "#e4e4e4"), ("#3f5f93", "#a9bddb", "#e4e4e4")
_WIDTH, _LEFT, _MIDDLE, _RIGHT, _TOP, _BAR, _STEP = 860, 215, 555, 740, 96, 16, 26
_SHOWN = "affine"  # the model whose time is shown; the first that a tool has, where it has no such


def write(result: Result, folder: Path) -> Path:
    """Write the picture, the tool that solved most pairs first, and return its name."""
    count = len({trial.plan for trial in result.trials})
    names = sorted(filter(result.of, result.models), key=lambda name: -sum(t.is_solved for t in result.of(name)))
    times = {name: _shown([each for each in result.speeds if each.trial.contender == name]) for name in names}
    bottom = _TOP + _STEP * len(names)
    body = [
        text(20, 26, f"{count} pairs with known truth: how many are solved, and in what time", size=16),
        text(20, 46, f"{machine.device_name(result.device)}, {result.date}; one thread each"),
        text(_LEFT, 78, f"error below {FINE:g} px (dark), below {SOLVED:g} px (light); no such model (blank)"),
        text(_MIDDLE, 78, f"milliseconds, {_SHOWN}, {result.side} x {result.side}"),
    ]
    milliseconds = [speed.timing.median for speed in times.values() if speed and speed.timing]
    first, last = (
        math.floor(math.log10(min(milliseconds, default=1))),
        math.ceil(math.log10(max(milliseconds, default=10))),
    )
    per_decade = (_RIGHT - _MIDDLE) / max(1, last - first)
    for power in range(first, last + 1):
        x = _MIDDLE + per_decade * (power - first)
        body += [
            f'<path d="M{x:.0f} {_TOP}V{bottom}" stroke="#ddd"/>',
            text(x, bottom + 14, f"{10.0**power:,g}", anchor="middle"),
        ]
    for at, name in enumerate(names):
        y = _TOP + _STEP * at
        fine, light, none = _OURS if name.startswith(OURS) else _PEERS
        of_tool = result.of(name)
        body.append(text(_LEFT - 8, y + 13, name, anchor="end"))
        for number, colour in (
            (len(of_tool), none),
            (sum(trial.is_solved for trial in of_tool), light),
            (sum(trial.is_fine for trial in of_tool), fine),
        ):
            body.append(_bar(_LEFT, y, number / count * (_MIDDLE - 75 - _LEFT), colour))
        x = _LEFT + len(of_tool) / count * (_MIDDLE - 75 - _LEFT)
        body.append(text(x + 5, y + 13, f"{sum(trial.is_solved for trial in of_tool)}/{len(of_tool)}"))
        speed = times[name]
        if speed and speed.timing:
            length = per_decade * (math.log10(speed.timing.median) - first)
            body.append(_bar(_MIDDLE, y, length, fine))
            note = "" if speed.model == _SHOWN else f" ({speed.model})"
            body.append(text(_MIDDLE + length + 5, y + 13, f"{speed.timing.median:.3g}{note}"))
    file = folder / f"{result.stem}.svg"
    file.write_text(svg(body, _WIDTH, bottom + 30), encoding="utf-8")
    return file


def _shown(speeds: list[Speed]) -> Speed | None:
    return next((speed for speed in speeds if speed.model == _SHOWN), speeds[0] if speeds else None)


def _bar(x: float, y: float, length: float, colour: str) -> str:
    return f'<rect x="{x:.0f}" y="{y}" width="{max(0.0, length):.1f}" height="{_BAR}" fill="{colour}"/>'
