"""Runs random commands for as long as you like, or a single one again; `make soak` sets its options.

Options are environment variables: SOAK_MINUTES, SOAK_COMMANDS (at most), SOAK_SEED (random and printed where it is not
set), SOAK_LARGE (only images with a side of more than 1024 pixels), SOAK_ONLY (a key of `KINDS`), SOAK_CASE (a case as
a failure prints it).
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
from promises import check_promises

_ROUND = 20  # commands of one kind in a row, drawn from one seed
_IMAGE_COMMANDS = ("zncc-align", "zncc-stdmap", "stack", "apply")


@dataclass
class Soak:
    """The limits of a run, and the outcomes of its commands.

    Attributes:
        minutes, max_commands: how long the run lasts, and how many commands it runs at most.
        counts: the number of commands by kind and outcome.
        failed: the cases that broke a promise.
    """

    minutes: float
    max_commands: float
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    failed: list[Case] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._end = time.monotonic() + 60 * self.minutes

    @property
    def total(self) -> int:
        return sum(counter.total() for counter in self.counts.values())

    @property
    def over(self) -> bool:
        return time.monotonic() > self._end or self.total >= self.max_commands

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
                self._check(case)

        one_round()

    def _check(self, case: Case) -> None:
        counter = self.counts.setdefault(case.kind, Counter())
        try:
            counter[f"exit code {check_promises(case)}"] += 1
        except Exception:
            counter["failed"] += 1
            self.failed.append(case)
            print(f"\n{traceback.format_exc()}\n{case!r}\n", flush=True)

    def print_summary(self) -> None:
        """Print the counts, and the cases that failed."""
        for kind, counter in self.counts.items():
            print(f"{kind}: {counter.total()} commands;", ", ".join(f"{k}: {n}" for k, n in sorted(counter.items())))
        for case in self.failed:
            print(f"failed: {case!r}")
        print(f"{len(self.failed)} of {self.total} commands failed")


def main() -> None:
    """Run the soak that the environment describes; exit with 1 where a command broke a promise."""
    options = {
        name.removeprefix("SOAK_"): value for name, value in os.environ.items() if name.startswith("SOAK_") and value
    }
    if "CASE" in options:
        print(f"exit code {check_promises(Case.from_json(options['CASE']))}")
        return
    first, large = int(options.get("SEED") or random.randrange(10**6)), "LARGE" in options
    print(f"SEED={first}", flush=True)
    soak = Soak(float(options.get("MINUTES", 10)), float(options.get("COMMANDS", "inf")))
    kinds = [options["ONLY"]] if "ONLY" in options else list(_IMAGE_COMMANDS if large else KINDS)
    number = 0
    while not soak.over:
        soak.run(kinds[number % len(kinds)], first + number, True if large else None)
        number += 1
    soak.print_summary()
    sys.exit(bool(soak.failed))


if __name__ == "__main__":
    main()
