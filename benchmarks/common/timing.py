"""Timing of calls in turn (A B C A B C ...), so that the machine's noise hits all alike."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from benchmarks.common.report import short

Key = TypeVar("Key", bound=Hashable)

# One sample lasts at least this long, else the call is repeated within it: clocks and launches have a grain.
_SAMPLE_SECONDS = 0.002
_MIN_SAMPLES = 5
# The first sample of a call this long counts, for want of time for a warm-up, and three samples are enough.
LONG_SECONDS = 1.0
_LONG_SAMPLES = 3
# A shorter call on a CPU would pay for what the one before it has driven out of the caches: it is called once untimed
# before each sample.
_MAX_CACHED_SECONDS = 0.05
# The first calls on a GPU load kernels, plan FFTs and choose algorithms.
_GPU_WARM_UPS = 2


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call: the median of ``samples``, and the quartiles around it."""

    median: float
    low: float
    high: float
    samples: int

    def __str__(self) -> str:
        return f"{short(self.median)} ({short(self.low)} to {short(self.high)})"


def seconds_of(call: Callable[[], Any], device: torch.device, repeats: int = 1) -> float:
    """Return the mean seconds of ``repeats`` calls in a row until the device is done, by its own clock on CUDA."""
    if device.type != "cuda":
        started = time.perf_counter()
        for _ in range(repeats):
            call()
        return (time.perf_counter() - started) / repeats
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize(device)
    start.record()
    for _ in range(repeats):
        call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1e3 / repeats


def warm_up(call: Callable[[], Any], device: torch.device) -> float:
    """Warm ``call`` up, and return the seconds of its last call."""
    for _ in range(_GPU_WARM_UPS if device.type == "cuda" else 0):
        call()
    return seconds_of(call, device)


def interleaved(
    calls: dict[Key, Callable[[], Any]],
    first: dict[Key, float],
    device: torch.device,
    budget: float,
    max_samples: int,
    deadline: float = math.inf,
) -> dict[Key, Timing]:
    """Time ``calls`` in turn; each gets about ``budget`` seconds, and at most ``max_samples`` samples, over all rounds.

    ``first`` holds the seconds of each call's warm-up. After ``deadline``, of time.monotonic, no further round begins
    once every call has a sample.
    """
    wanted = {key: min(max_samples, _samples(first[key], budget)) for key in calls}
    repeats = {key: max(1, math.ceil(_SAMPLE_SECONDS / max(first[key], 1e-6))) for key in calls}
    samples = {key: [first[key]] if first[key] > LONG_SECONDS else [] for key in calls}
    rounds = max(wanted.values(), default=0)
    gc.collect()
    gc.disable()
    try:
        for index in range(rounds):
            if time.monotonic() > deadline and all(samples.values()):
                break
            for key, call in calls.items():
                # A slow call takes part in every few rounds, spread over all of them.
                if (index + 1) * wanted[key] // rounds > index * wanted[key] // rounds:
                    if device.type == "cpu" and first[key] < _MAX_CACHED_SECONDS:
                        call()
                    samples[key].append(seconds_of(call, device, repeats[key]))
    finally:
        gc.enable()
    return {key: timing_of(samples[key]) for key in calls}


def _samples(seconds: float, budget: float) -> int:
    if seconds > LONG_SECONDS:
        return _LONG_SAMPLES - 1
    return max(_MIN_SAMPLES, int(budget / max(seconds, _SAMPLE_SECONDS)))


def timing_of(seconds: Sequence[float]) -> Timing:
    """Return the times of calls that took so many ``seconds`` each."""
    low, median, high = quartiles([1e3 * value for value in seconds])
    return Timing(median, low, high, len(seconds))


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile; of a single value that value."""
    low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
    return low, statistics.median(values), high
