"""Connected parts of a movie, bridges between them, and pairs that could join them."""

from __future__ import annotations

import numpy as np
import pytest

from zncc_cli.registration.drift.parts import bridges, connected, to_join


def graph(seed: int, count: int = 14, pairs: int = 13) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of random pairs, none of them twice: some circles, some bridges, some frames alone."""
    every = np.array([(i, j) for j in range(count) for i in range(j)])
    some = every[np.random.default_rng(seed).choice(len(every), pairs, replace=False)]
    return some[:, 0], some[:, 1]


def reached(frame: int, first: np.ndarray, second: np.ndarray) -> set[int]:
    """Return the frames that pairs connect with ``frame``, itself included."""
    out, before = {frame}, set[int]()
    while out != before:
        before = set(out)
        for i, j in zip(first.tolist(), second.tolist(), strict=True):
            if {i, j} & out:
                out |= {i, j}
    return out


@pytest.mark.parametrize("seed", range(8))
def test_a_part_holds_all_frames_that_pairs_connect(seed: int) -> None:
    first, second = graph(seed)
    labels = connected(14, first, second)
    assert labels.tolist() == [min(reached(frame, first, second)) for frame in range(14)]


@pytest.mark.parametrize("seed", range(8))
def test_without_a_bridge_its_frames_are_not_connected(seed: int) -> None:
    first, second = graph(seed)
    are_bridges = bridges(14, first, second)
    others = [np.arange(len(first)) != k for k in range(len(first))]
    assert are_bridges.tolist() == [
        j not in reached(i, first[rest], second[rest]) for i, j, rest in zip(first, second, others, strict=True)
    ]
    assert 0 < are_bridges.sum() < len(are_bridges)  # both kinds are there


def test_at_most_some_untried_pairs_are_returned_per_two_parts() -> None:
    parts = np.array([0, 1, 0, 1, 0, 5, 0])
    frames = [0, 1, 2, 3, 4, 6]  # frame 5 shows nothing
    assert to_join(parts, frames, 1, set(), 2) == [(0, 1), (1, 2)]
    assert to_join(parts, frames, 1, {(0, 1), (1, 2)}, 2) == [(2, 3), (3, 4)]
    assert to_join(parts, frames, 2, set(), 2) == [(3, 6)]
    assert to_join(np.arange(7), frames, 2, set(), 2) == [(0, 2), (1, 3), (2, 4), (3, 6)]
    assert to_join(np.zeros(7, int), frames, 1, set(), 2) == []
