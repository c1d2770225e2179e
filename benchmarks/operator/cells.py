"""Timing of all contenders together at one size and window, less those that are too slow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from benchmarks.common.timing import Timing, interleaved, seconds_of, warm_up
from benchmarks.operator.contenders import LOSS, STD, Contender, compiled
from benchmarks.operator.heap import set_heap
from benchmarks.operator.tasks import BOTH, FORWARD, Inputs, call_of, directions

Key = tuple[str, str, str]  # task, contender, direction
_COPY: Key = ("", "copy of a plane", FORWARD)
# The very first call of each loads what it needs, on an image of at least this side.
_SMALL_SIZE = 128


@dataclass(frozen=True)
class Row:
    """A contender in one direction: its time, or the reason for having none."""

    task: str
    contender: str
    kind: str
    direction: str
    timing: Timing | None
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """The contenders that were timed in turn at one size and window.

    ``copy`` is torch's copy_ of one plane, the floor; with ``kept_heap`` freed memory was used again.
    """

    size: int
    window: int
    copy: Timing
    rows: tuple[Row, ...]
    kept_heap: bool = False


@dataclass
class Clock:
    """Limits in seconds: of a contender in a cell, of compiling in all, and of the whole run.

    ``call_seconds`` holds the seconds of a call by what was called and the size, at the main ``window``.
    """

    budget: float
    max_samples: int
    deadline: float
    window: int
    compile_seconds: float
    last_compile: float = 0.0
    call_seconds: dict[tuple[Key, int], float] = field(default_factory=dict)

    def is_over(self) -> bool:
        return time.monotonic() > self.deadline

    def expected(self, key: Key, size: int) -> float:
        """Return the seconds that a call should take, from the nearest size that was measured; 0 if none was."""
        sizes = [s for k, s in self.call_seconds if k == key]
        if not sizes:
            return 0.0
        nearest = min(sizes, key=lambda s: abs(s - size))
        return self.call_seconds[key, nearest] * (size / nearest) ** 2


def measure_cell(
    contenders: list[Contender],
    size: int,
    window: int,
    device: torch.device,
    clock: Clock,
    limit: float,
    *,
    compiling: int = 0,
    kept_heap: bool = False,
) -> Cell:
    """Warm all contenders up, then time them in turn; those that are expected to take over ``limit`` s are left out.

    ``compiling`` is how many of the plain forms of each task, the fastest first, also run under torch.compile.
    """
    if device.type == "cpu":
        set_heap(keep=kept_heap)
    inputs = Inputs.make(size, device)
    source, target = inputs.moving.detach(), torch.empty_like(inputs.fixed)
    calls: dict[Key, Callable[[], Any]] = {_COPY: lambda: target.copy_(source)}
    warm_up_seconds = {_COPY: warm_up(calls[_COPY], device)}
    by_name = {(c.task, c.name): c for c in contenders}
    notes: dict[Key, str] = {}

    def enter(contender: Contender) -> None:
        for direction in directions(contender):
            key = (contender.task, contender.name, direction)
            call = call_of(contender, inputs, window, direction)
            note = _refusal(clock, key, size, limit)
            try:
                if not note:
                    if not clock.expected(key, size):
                        call_of(contender, Inputs.make(max(_SMALL_SIZE, window), device), window, direction)()
                    warm_up_seconds[key] = warm_up(call, device)
                    calls[key] = call
            except Exception as error:  # a failure is a line of the table, not the end of it
                note = f"failed: {str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}"
                inputs.moving.grad = None
            if note:
                notes[key] = note

    for contender in contenders:
        enter(contender)
    for contender in _worth_compiling(contenders, warm_up_seconds, compiling):
        if clock.is_over() or clock.compile_seconds < clock.last_compile:
            break
        wrapped = compiled(contender)
        by_name[wrapped.task, wrapped.name] = wrapped
        clock.last_compile = _first_calls(wrapped, inputs, window, device)
        clock.compile_seconds -= clock.last_compile
        enter(wrapped)
    timings = interleaved(calls, warm_up_seconds, device, clock.budget, clock.max_samples, clock.deadline)
    clock.call_seconds |= {
        (key, size): timing.median / 1e3 for key, timing in timings.items() if window == clock.window and not kept_heap
    }
    rows = [
        Row(*key[:2], by_name[key[:2]].kind, key[2], timings.get(key), notes.get(key, ""))
        for key in _ordered(by_name, calls, notes)
    ]
    return Cell(size, window, timings[_COPY], tuple(rows), kept_heap)


def _refusal(clock: Clock, key: Key, size: int, limit: float) -> str:
    if clock.is_over():
        return "not measured: the time given by --seconds was spent"
    expected = clock.expected(key, size)
    return f"not measured: about {expected:.1f} s a call, over the limit of {limit:.1f} s" if expected > limit else ""


def _worth_compiling(contenders: list[Contender], seconds: dict[Key, float], count: int) -> list[Contender]:
    """Return the ``count`` fastest plain forms of each task: the fastest of each, then the second, ..."""
    ranked: list[tuple[int, Contender]] = []
    for task in (STD, LOSS):
        forms = [c for c in contenders if c.task == task and c.kind == "torch" and (task, c.name, BOTH) in seconds]
        forms.sort(key=lambda c: seconds[c.task, c.name, BOTH])
        ranked += enumerate(forms[:count])
    return [contender for _, contender in sorted(ranked, key=lambda pair: pair[0])]


def _first_calls(contender: Contender, inputs: Inputs, window: int, device: torch.device) -> float:
    """Return the seconds of the first calls, in which a compiled contender is compiled; a failure shows later."""
    started = time.monotonic()
    for direction in directions(contender):
        try:
            seconds_of(call_of(contender, inputs, window, direction), device)
        except Exception:
            break
    return time.monotonic() - started


def _ordered(by_name: dict[tuple[str, str], Contender], calls: dict[Key, Any], notes: dict[Key, str]) -> Iterator[Key]:
    for (task, name), contender in by_name.items():
        for direction in directions(contender):
            key = (task, name, direction)
            if key in calls or key in notes:
                yield key
