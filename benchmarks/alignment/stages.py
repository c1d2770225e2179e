"""Where our own time goes: the stages and the levels of one registration.

A profiler tells the stages. It slows a registration, a few thousand calls of much arithmetic, by a percent or two.
"""

from __future__ import annotations

import cProfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

import zncc_cli
from benchmarks.alignment.contender import Contender
from benchmarks.alignment.pairs import Pair, large_pair
from benchmarks.alignment.trials import Trial, trial
from zncc_cli.registration import register
from zncc_cli.registration.descent import LevelRecord

_WARM_UP_SIDE = 256  # enough to load all that a tool needs
_PACKAGE = str(Path(zncc_cli.__file__).parent)


@dataclass(frozen=True)
class Anatomy:
    """Of one registration of an affine pair of side ``side``: seconds in all, by stage and by level.

    ``stages`` are the functions that the registration calls, the longest first. ``others`` registered the same pair.
    """

    side: int
    seconds: float
    stages: dict[str, float]
    levels: tuple[LevelRecord, ...]
    others: tuple[Trial, ...]


def anatomy(side: int, device: torch.device, others: list[Contender], say: Callable[[str], None]) -> Anatomy:
    """Register one pair under a profiler, after a smaller one to warm up; and let others register it, once."""
    say(f"stages at {side} x {side}")
    pair, small = large_pair(side), large_pair(min(side, _WARM_UP_SIDE))

    def ours(pair: Pair) -> register.RegistrationResult:
        return register.register(pair.fixed, pair.moving, pair.plan.model, device=device.type)

    ours(small)
    profile = cProfile.Profile()
    result = profile.runcall(ours, pair)
    done = []
    for contender in others:
        say(f"{contender.name} at {side} x {side}")
        trial(contender, small)
        done.append(trial(contender, pair))
    return Anatomy(side, result.seconds, _stages(profile), result.levels, tuple(done))


def _stages(profile: cProfile.Profile) -> dict[str, float]:
    """Return the seconds of each of our functions that the registration's own calls, those inside it left out."""
    story = register._register.__code__
    (calls,) = (entry.calls for entry in profile.getstats() if entry.code is story)
    ours = [call for call in calls if getattr(call.code, "co_filename", "").startswith(_PACKAGE)]
    named = {call.code.co_name.strip("_"): call.totaltime for call in ours if call.code.co_name.isidentifier()}
    return dict(sorted(named.items(), key=lambda item: -item[1]))
