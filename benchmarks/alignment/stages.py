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
from zncc_cli.registration import attempt, register
from zncc_cli.registration.search.multistart import LevelRecord

_WARM_UP_SIDE = 256  # enough to load all that a tool needs
# The functions that tell the story from top to bottom: what they call are its stages.
_STORY = (register._register, attempt.found_of, attempt._ends, attempt._finished, attempt._descended, attempt._refined)
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
    """Return the seconds of each of our functions that the story of a registration calls, those inside it left out."""
    story = [function.__code__ for function in _STORY]
    named: dict[str, float] = {}
    for entry in profile.getstats():
        if entry.code not in story:
            continue
        for call in entry.calls or ():
            inside = getattr(call.code, "co_filename", "").startswith(_PACKAGE) and call.code not in story
            if inside and call.code.co_name.isidentifier():
                name = call.code.co_name.strip("_")
                named[name] = named.get(name, 0.0) + call.totaltime
    return dict(sorted(named.items(), key=lambda item: -item[1]))
