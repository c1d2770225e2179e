"""The time of the stages and of the levels of one of our registrations.

A profiler tells the stages. It slows a registration, a few thousand calls of much arithmetic, by a percent or two.
"""

from __future__ import annotations

import cProfile
from dataclasses import dataclass
from pathlib import Path

import torch

import zncc_cli
from benchmarks.common.command_line import show_progress
from benchmarks.registration.pairs.plans import Pair
from zncc_cli.registration import attempt, found, pair_variant, register, retry, texture_search, variant_search
from zncc_cli.registration.search.multistart import LevelRecord

# The modules that lead through a registration from top to bottom; what they call of other modules are its stages.
_OUTLINE = {
    module.__file__ for module in (register, variant_search, texture_search, found, pair_variant, attempt, retry)
}
_PACKAGE = str(Path(zncc_cli.__file__).parent)


@dataclass(frozen=True)
class StageTimes:
    """The seconds of one registration of a pair of ``side`` x ``side`` pixels: in all, by stage and by level.

    ``stages`` are the functions that the registration calls, the longest first.
    """

    side: int
    seconds: float
    stages: dict[str, float]
    levels: tuple[LevelRecord, ...]


def stage_times(pair: Pair, device: torch.device) -> StageTimes:
    """Register a pair under a profiler; a registration before has loaded all that it needs."""
    side = len(pair.fixed)
    show_progress(f"stages at {side} x {side}")
    profile = cProfile.Profile()
    result = profile.runcall(register.register, pair.fixed, pair.moving, pair.plan.model, device=device.type)
    return StageTimes(side, result.seconds, _stages(profile), result.levels)


def _stages(profile: cProfile.Profile) -> dict[str, float]:
    """Return the seconds of each function of ours that the modules of the outline call from others, longest first."""
    seconds: dict[str, float] = {}
    for entry in profile.getstats():
        if getattr(entry.code, "co_filename", "") not in _OUTLINE:
            continue
        for call in entry.calls or ():
            file = getattr(call.code, "co_filename", "")
            if file.startswith(_PACKAGE) and file not in _OUTLINE and call.code.co_name.isidentifier():
                name = call.code.co_name.strip("_")
                seconds[name] = seconds.get(name, 0.0) + call.totaltime
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))
