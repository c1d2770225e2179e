"""A path that falls into parts, put together: pairs of frames at its gaps are registered as two files are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zncc_cli.config import RegistrationConfig
from zncc_cli.jobs.threads import in_order
from zncc_cli.registration.drift.frame_pair import Measurement, PreparedFrame
from zncc_cli.registration.drift.joining import confirmed, parts_of, registered
from zncc_cli.registration.drift.parts import to_join
from zncc_cli.registration.drift.path import NEAR, DriftPath

_EACH = 2  # pairs between any two parts at a time: one may show a bad frame
_AT_ONCE = 8  # pairs, before it is asked whether to go on
# Registrations that fail, beyond one for each that does not: a movie of noise ends the search after these.
_MOST_FAILED = 48


@dataclass(frozen=True)
class Joined:
    """What joins the parts of a path.

    Attributes:
        kept: of the pairs that were measured, those that parts rest on; all others are open.
        found: motions at the gaps.
        parts: (n,) int, the part of each frame before they were found.
        given_up: whether gaps were left that nobody looked at.
    """

    kept: list[Measurement]
    found: list[Measurement]
    parts: np.ndarray
    given_up: bool


def joined(
    path: DriftPath,
    measurements: list[Measurement],
    frames: list[int],
    prepared: Callable[[int], PreparedFrame | None],
    config: RegistrationConfig,
    threads: int,
    progress: Callable[[str], None],
) -> Joined:
    """Return what joins the parts of ``path``: neighbours first, then frames with one between them.

    Args:
        path: of the movie.
        measurements: the pairs that it was solved from.
        frames: those that show something.
        prepared: what gives a frame by its number.
        config: of the registrations.
        threads: how many pairs are registered at a time.
        progress: told what is going on.
    """
    count = len(path.parts)
    kept = [m for m, rests in zip(measurements, confirmed(path, measurements), strict=True) if rests]
    found = list[Measurement]()
    tried = set[tuple[int, int]]()

    def of_pair(pair: tuple[int, int]) -> Measurement | None:
        progress(f"searching frame {pair[1] + 1} of {count} on frame {pair[0] + 1}")
        fixed, moving = (prepared(frame) for frame in pair)
        return None if fixed is None or moving is None else registered(fixed, moving, pair, config)

    for lag in range(1, NEAR + 1):
        while pairs := to_join(parts_of(count, [*kept, *found]), frames, lag, tried, _EACH):
            for k in range(0, len(pairs), _AT_ONCE):
                if len(tried) - 2 * len(found) > _MOST_FAILED:
                    return Joined(kept, found, parts_of(count, kept), given_up=True)
                some = pairs[k : k + _AT_ONCE]
                tried.update(some)
                found += [m for m in in_order(of_pair, some, threads) if m is not None]
    return Joined(kept, found, parts_of(count, kept), given_up=False)
