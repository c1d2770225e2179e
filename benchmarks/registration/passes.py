"""The time of registrations in passes of the operator, a figure that hardly depends on the machine.

A pass is one forward and one backward pass of `local_std` over an image of the same size. It and the tools take turns
in one process, with the memory settings of the command.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.common.command_line import show_progress
from benchmarks.common.timing import LONG_SECONDS, Timing, interleaved, timing_of, warm_up
from benchmarks.registration.pairs.plans import Image, Pair, large_pair, unrelated_pair
from benchmarks.registration.tools.contender import Contender
from benchmarks.registration.tools.opencv import PYRAMID_ECC, SIFT_ECC
from benchmarks.registration.trials import CLOCK, Trial, answer, trial
from zncc_cli import local_std
from zncc_cli.process import keep_freed_memory, usable_cores

PEERS = (PYRAMID_ECC, SIFT_ECC, "pystackreg", "elastix")
DAMAGE = "noise 0.2"  # of the pairs
WINDOW = 11
THREADS = 2
UNRELATED_COUNT = 3
MAX_UNRELATED_SIDE_PX = 2048  # larger pairs would take minutes: the search for a refusal is the longest there is
_WARM_UP_SIDE_PX = 256  # enough to load all that a tool needs
_SHRINKAGE = 4  # a pair with sides so many times shorter tells how long a peer will take
_MAX_SLOWDOWN = 2.0  # by threads: where others use the cores, these wait for one another, and one call tells enough
_PASS, _ON_THREADS = "a pass", "ours on several threads"


@dataclass(frozen=True)
class Effort:
    """The ``budget`` of a tool at a size, seconds; its ``max_samples``; the ``limit`` of a peer's call, seconds."""

    budget: float
    max_samples: int
    limit: float


@dataclass(frozen=True)
class ToolTime:
    """The first trial of a tool, and the milliseconds of a call: of a peer's call over a second, those of the trial."""

    trial: Trial
    timing: Timing


@dataclass(frozen=True)
class Passes:
    """The times at ``side`` x ``side`` pixels: of a pass, of ours and the peers, and of ours on `THREADS` threads.

    ``missing`` says which peers were not measured, and why.
    """

    side: int
    one_pass: Timing
    ours: ToolTime
    peers: tuple[ToolTime, ...]
    on_threads: Timing | None
    missing: dict[str, str]

    def count(self, timing: Timing) -> float:
        """Return how many passes take as long."""
        return timing.median / self.one_pass.median


@dataclass(frozen=True)
class Refusal:
    """The times of ours on pairs of unrelated images of ``side`` x ``side`` pixels, and the verdicts."""

    side: int
    timing: Timing
    verdicts: tuple[str, ...]


def prepare(contenders: list[Contender]) -> None:
    """Reuse freed memory as the command does, and let each contender load what it needs."""
    keep_freed_memory()
    small = large_pair(_WARM_UP_SIDE_PX, DAMAGE)
    for contender in contenders:
        trial(contender, small)


def passes(
    pair: Pair, device: torch.device, ours: Contender, peers: list[Contender], effort: Effort, *, on_threads: bool
) -> Passes:
    """Time ours and the peers on one pair, in turn with a pass over its fixed frame."""
    side = len(pair.fixed)
    show_progress(f"passes at {side} x {side}")
    first, missing = _first_trials(pair, peers, effort.limit)
    ours_first = trial(ours, pair)
    quick = [peer for peer in peers if peer.name in first and first[peer.name].seconds <= LONG_SECONDS]
    calls: dict[str, Callable[[], Any]] = {_PASS: _pass_of(pair.fixed, device)}
    calls |= {contender.name: functools.partial(answer, contender, pair) for contender in (ours, *quick)}
    if on_threads and usable_cores() < THREADS:
        missing[f"{ours.name} on {THREADS} threads"] = f"this process may use {usable_cores()} core"
    elif on_threads:
        calls[_ON_THREADS] = functools.partial(_on_threads, calls[ours.name])
    expected = {name: each.seconds for name, each in first.items()} | {ours.name: ours_first.seconds}
    expected |= {name: warm_up(call, CLOCK) for name, call in calls.items() if name not in expected}
    if expected.get(_ON_THREADS, 0.0) > _MAX_SLOWDOWN * ours_first.seconds:
        del calls[_ON_THREADS]
    timings = interleaved(calls, expected, CLOCK, effort.budget, effort.max_samples)
    timings |= {name: timing_of([expected[name]]) for name in expected.keys() - timings.keys()}
    return Passes(
        side,
        timings[_PASS],
        ToolTime(ours_first, timings[ours.name]),
        tuple(ToolTime(each, timings[name]) for name, each in first.items()),
        timings.get(_ON_THREADS),
        missing,
    )


def refusal(side: int, ours: Contender) -> Refusal:
    """Let ours register a few pairs of unrelated images, each once."""
    show_progress(f"unrelated images at {side} x {side}")
    seconds, verdicts = [], []
    for number in range(UNRELATED_COUNT):
        pair = unrelated_pair(side, number, DAMAGE)
        began = time.perf_counter()
        verdicts.append(answer(ours, pair).verdict)
        seconds.append(time.perf_counter() - began)
    return Refusal(side, timing_of(seconds), tuple(verdicts))


def refusal_sides(sides: list[int]) -> list[int]:
    """Return the shortest and the longest of the ``sides`` that refusals are measured at."""
    able = sorted(side for side in sides if side <= MAX_UNRELATED_SIDE_PX)
    return sorted({able[0], able[-1]}) if able else []


def _first_trials(pair: Pair, peers: list[Contender], limit: float) -> tuple[dict[str, Trial], dict[str, str]]:
    """Return the trials of the peers that give a transform for the pair, and why the others are missing."""
    side = len(pair.fixed)
    small = large_pair(max(side // _SHRINKAGE, _WARM_UP_SIDE_PX), DAMAGE)
    trials, missing = {}, {}
    for peer in peers:
        show_progress(f"{peer.name} at {side} x {side}")
        name = f"{peer.name} at {side} x {side}"
        if side > peer.max_side:
            missing[name] = f"over {peer.max_side} x {peer.max_side} it would need too much memory"
            continue
        seconds = trial(peer, small).seconds * (side / len(small.fixed)) ** 2
        if seconds > limit:
            missing[name] = f"{seconds:.0f} s expected, over the {limit:g} s of --limit"
            continue
        result = trial(peer, pair)
        if result.error is None:
            missing[name] = result.note
        else:
            trials[peer.name] = result
    return trials, missing


def _pass_of(image: Image, device: torch.device) -> Callable[[], None]:
    leaf = torch.from_numpy(image).to(device).requires_grad_()
    side = len(image) - WINDOW + 1
    incoming = leaf.detach()[:side, :side].contiguous()

    def one_pass() -> None:
        local_std(leaf, WINDOW).backward(incoming)
        leaf.grad = None
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    one_pass()  # its time would tell nothing: it loads the kernels
    return one_pass


def _on_threads(call: Callable[[], Any]) -> None:
    torch.set_num_threads(THREADS)
    try:
        call()
    finally:
        torch.set_num_threads(1)
