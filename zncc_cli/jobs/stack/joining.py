"""Parts of a movie's path are joined: pairs of frames at the gaps between them are registered as two images are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from zncc_cli.config import RegistrationConfig
from zncc_cli.jobs.threads import in_order
from zncc_cli.progress import unheard
from zncc_cli.registration.drift.frame_pair import Measurement, PreparedFrame
from zncc_cli.registration.drift.joining import confirmed, parts_of, register_pair
from zncc_cli.registration.drift.parts import to_join
from zncc_cli.registration.drift.path import NEIGHBOUR_LAG, DriftPath

_PAIRS_PER_GAP = 2  # between any two parts in one round: one pair may hold a bad frame
_BATCH = 8  # pairs that are registered before the number of failures is looked at
# Registrations may fail so often, and once more for each that does not: the search ends early in a movie of noise.
_MAX_FAILURES = 48


@dataclass(frozen=True)
class JoinedParts:
    """The measurements that join the parts of a path.

    Attributes:
        kept: the measurements that the parts are built on; all others are dropped.
        joining: the measurements at the gaps.
        parts: (n,) int, the part of each frame without ``joining``.
        given_up: whether the search ended before all gaps were tried.
    """

    kept: list[Measurement]
    joining: list[Measurement]
    parts: np.ndarray
    given_up: bool


def join_parts(
    path: DriftPath,
    measurements: list[Measurement],
    frames: list[int],
    prepared: Callable[[int], PreparedFrame | None],
    config: RegistrationConfig,
    threads: int,
    progress: Callable[[str], None],
) -> JoinedParts:
    """Register pairs of frames until the parts of ``path`` are joined: neighbours first, then frames two apart.

    Args:
        path: the path of the movie.
        measurements: the pairs that it was solved from.
        frames: numbers of the frames that are searched, ascending.
        prepared: returns a frame by its number, or None if it has no texture.
        config: settings of the registrations.
        threads: how many pairs are registered at a time.
        progress: is told which pair is registered.
    """
    count = len(path.parts)
    kept = [m for m, is_confirmed in zip(measurements, confirmed(path, measurements), strict=True) if is_confirmed]
    joining = list[Measurement]()
    tried = set[tuple[int, int]]()

    def measure_pair(pair: tuple[int, int]) -> Measurement | None:
        progress(f"registering frame {pair[1] + 1} of {count} to frame {pair[0] + 1}")
        fixed, moving = (prepared(frame) for frame in pair)
        with unheard():
            return None if fixed is None or moving is None else register_pair(fixed, moving, pair, config)

    for lag in range(1, NEIGHBOUR_LAG + 1):
        while pairs := to_join(parts_of(count, [*kept, *joining]), frames, lag, tried, _PAIRS_PER_GAP):
            for k in range(0, len(pairs), _BATCH):
                if len(tried) - 2 * len(joining) > _MAX_FAILURES:
                    return JoinedParts(kept, joining, parts_of(count, kept), given_up=True)
                batch = pairs[k : k + _BATCH]
                tried.update(batch)
                joining += [m for m in in_order(measure_pair, batch, threads) if m is not None]
    return JoinedParts(kept, joining, parts_of(count, kept), given_up=False)
