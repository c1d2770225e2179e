"""Where our own time goes: the stages of one registration, and what each level took."""

from __future__ import annotations

import cProfile
import pstats
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.alignment.contender import Contender
from benchmarks.alignment.pairs import large_pair
from benchmarks.alignment.trials import Trial, trial
from zncc_cli import register
from zncc_cli.registration import register as story
from zncc_cli.registration.register import LevelRecord


@dataclass(frozen=True)
class Anatomy:
    """Of an affine pair of side ``side``: seconds in all, seconds by stage, levels, and how others did.

    ``stages`` are the functions that the registration calls, in the order of the code, and were timed by a profiler in
    a run of their own, which took ``profiled`` seconds.
    """

    side: int
    seconds: float
    profiled: float
    stages: dict[str, float]
    levels: tuple[LevelRecord, ...]
    others: tuple[Trial, ...]


def anatomy(side: int, device: torch.device, others: list[Contender], say: Callable[[str], None]) -> Anatomy:
    """Register one pair three times: to warm up, for the levels, and under a profiler."""
    pair = large_pair(side)

    def ours() -> tuple[LevelRecord, ...]:
        result = register(pair.fixed, pair.moving, pair.plan.model, device=device.type)
        return result.levels

    say(f"stages at {side} x {side}")
    ours()
    began = time.perf_counter()
    levels = ours()
    seconds = time.perf_counter() - began
    profile = cProfile.Profile()
    began = time.perf_counter()
    profile.runcall(ours)
    profiled = time.perf_counter() - began
    done = []
    for contender in others:
        say(f"{contender.name} at {side} x {side}")
        done.append(trial(contender, pair))
    return Anatomy(side, seconds, profiled, _stages(profile), levels, tuple(done))


def _stages(profile: cProfile.Profile) -> dict[str, float]:
    """Return the seconds that the registration's own function spent in each of its module's that it calls."""
    caller = story._register.__code__
    key = (caller.co_filename, caller.co_firstlineno, caller.co_name)
    found = {}
    for (file, line, name), (_, _, _, _, callers) in pstats.Stats(profile).stats.items():
        if key in callers and "zncc_cli" in file and not name.startswith("<"):
            found[name.strip("_")] = (line, callers[key][3])
    return {name: seconds for name, (_, seconds) in sorted(found.items(), key=lambda item: -item[1][1])}
