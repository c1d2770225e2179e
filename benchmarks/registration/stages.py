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
from benchmarks.registration.pairs.plans import Pair, large_pair
from benchmarks.registration.tools.contender import Contender
from benchmarks.registration.trials import Trial, trial
from zncc_cli.registration import attempt, register, retry
from zncc_cli.registration.search.multistart import LevelRecord

_WARM_UP_SIDE_PX = 256  # enough to load all that a tool needs
# The modules that lead through a registration from top to bottom; what they call of other modules are its stages.
_OUTLINE = {register.__file__, attempt.__file__, retry.__file__}
_PACKAGE = str(Path(zncc_cli.__file__).parent)


@dataclass(frozen=True)
class StageTimes:
    """The seconds of one registration of an affine pair of ``side`` x ``side`` pixels: in all, by stage and by level.

    ``stages`` are the functions that the registration calls, the longest first; ``peers`` the trials of other tools on
    the same pair.
    """

    side: int
    seconds: float
    stages: dict[str, float]
    levels: tuple[LevelRecord, ...]
    peers: tuple[Trial, ...]


def stage_times(side: int, device: torch.device, peers: list[Contender]) -> StageTimes:
    """Register one pair under a profiler, after a smaller one to warm up, and let the peers register it once."""
    show_progress(f"stages at {side} x {side}")
    pair, small = large_pair(side), large_pair(min(side, _WARM_UP_SIDE_PX))

    def ours(pair: Pair) -> register.RegistrationResult:
        return register.register(pair.fixed, pair.moving, pair.plan.model, device=device.type)

    ours(small)
    profile = cProfile.Profile()
    result = profile.runcall(ours, pair)
    others = []
    for contender in peers:
        show_progress(f"{contender.name} at {side} x {side}")
        trial(contender, small)
        others.append(trial(contender, pair))
    return StageTimes(side, result.seconds, _stages(profile), result.levels, tuple(others))


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
