"""Commands drawn at random for as long as one likes, or one of them again: `make soak` has the words for it.

From the environment: SOAK_MINUTES, SOAK_COMMANDS (at most), SOAK_SEED (else drawn, and printed), SOAK_LARGE (a side of
more than 1024 pixels in each), SOAK_ONLY (a name of `KINDS`), SOAK_CASE (what a failure printed).
"""

from __future__ import annotations

import os
import random
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field

from cases import KINDS, Case
from hypothesis import HealthCheck, Phase, given, seed, settings
from promises import keep

_ROUND = 20  # commands of one kind in a row, drawn from one seed
_OF_IMAGES = ("zncc-align", "zncc-stdmap", "stack", "apply")


@dataclass
class Soak:
    """What became of the commands.

    Attributes:
        minutes, most: how long, and how many commands at most.
        counts: how often each kind ended how.
        failed: those that broke a promise.
    """

    minutes: float
    most: float
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    failed: list[Case] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._end = time.monotonic() + 60 * self.minutes

    @property
    def total(self) -> int:
        return sum(counter.total() for counter in self.counts.values())

    @property
    def over(self) -> bool:
        return time.monotonic() > self._end or self.total >= self.most

    def run(self, kind: str, number: int, long: bool | None) -> None:
        """Run a round of one kind; ``number`` is its seed."""

        @seed(number)
        @settings(
            max_examples=_ROUND,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(KINDS[kind](long=long))
        def one_round(case: Case) -> None:
            if not self.over:
                self._keep(case)

        one_round()

    def _keep(self, case: Case) -> None:
        counter = self.counts.setdefault(case.kind, Counter())
        try:
            counter[f"exit code {keep(case)}"] += 1
        except Exception:
            counter["failed"] += 1
            self.failed.append(case)
            print(f"\n{traceback.format_exc()}\n{case!r}\n", flush=True)

    def tell(self) -> None:
        """Print what became of all, and the cases that failed."""
        for kind, counter in self.counts.items():
            print(f"{kind}: {counter.total()} commands;", ", ".join(f"{k}: {n}" for k, n in sorted(counter.items())))
        for case in self.failed:
            print(f"failed: {case!r}")
        print(f"{len(self.failed)} of {self.total} commands failed")


def main() -> None:
    """Run what the environment asks for; exit code 1 where a command broke a promise."""
    asked = {
        name.removeprefix("SOAK_"): value for name, value in os.environ.items() if name.startswith("SOAK_") and value
    }
    if "CASE" in asked:
        print(f"exit code {keep(Case.of(asked['CASE']))}")
        return
    first, large = int(asked.get("SEED") or random.randrange(10**6)), "LARGE" in asked
    print(f"SEED={first}", flush=True)
    soak = Soak(float(asked.get("MINUTES", 10)), float(asked.get("COMMANDS", "inf")))
    kinds = [asked["ONLY"]] if "ONLY" in asked else list(_OF_IMAGES if large else KINDS)
    number = 0
    while not soak.over:
        soak.run(kinds[number % len(kinds)], first + number, True if large else None)
        number += 1
    soak.tell()
    sys.exit(bool(soak.failed))


if __name__ == "__main__":
    main()
