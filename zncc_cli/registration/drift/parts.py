"""Parts of a movie: frames that hang together by the pairs that were measured, and the pairs that could join two."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

_SEED = 0  # of the numbers that mark circles of pairs: 2^-62 that two of them cancel by chance


def connected(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return a label (n,) of each of ``count`` frames: the least number among those it hangs together with.

    Args:
        count: how many frames.
        first, second: (m,) int, the frames of each pair.
    """
    labels = np.arange(count)
    while True:
        least = np.minimum(labels[first], labels[second])
        after = labels.copy()
        np.minimum.at(after, first, least)
        np.minimum.at(after, second, least)
        after = after[after]
        if (after == labels).all():
            return np.asarray(after)
        labels = after


def bridges(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return which pairs (m,) bool lie on no circle of pairs: nothing else says what they say.

    Every pair outside a spanning tree closes a circle, and marks the tree's pairs along it by a random number, added
    without carry: what no circle crosses is left at zero.

    Args:
        count, first, second: see `connected`; no two frames are a pair twice.
    """
    ways: list[list[int]] = [[] for _ in range(count)]
    for pair, ends in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        for end in ends:
            ways[end].append(pair)
    above = np.full(count, -1)  # the pair by which a frame hangs on the tree
    order, seen = list[int](), np.zeros(count, bool)
    for root in range(count):
        queue = [] if seen[root] else [root]
        seen[root] = True
        for here in queue:
            for pair in ways[here]:
                there = int(first[pair] + second[pair]) - here
                if not seen[there]:
                    seen[there], above[there] = True, pair
                    queue.append(there)
        order += queue
    closing = np.ones(len(first), bool)
    closing[above[above >= 0]] = False
    marks = np.where(closing, np.random.default_rng(_SEED).integers(1, 2**62, len(first)), 0)
    of_frames = np.zeros(count, np.int64)
    np.bitwise_xor.at(of_frames, np.concatenate((first, second)), np.tile(marks, 2))
    for frame in reversed(order):
        pair = above[frame]
        if pair >= 0:
            marks[pair] = of_frames[frame]
            of_frames[first[pair] + second[pair] - frame] ^= of_frames[frame]
    return np.asarray(marks == 0)


def to_join(
    parts: np.ndarray, frames: Sequence[int], lag: int, tried: Collection[tuple[int, int]], most: int
) -> list[tuple[int, int]]:
    """Return pairs of frames, earlier and later, that would each join two parts: of any two at most ``most``.

    Args:
        parts: (n,) int, the part of each frame.
        frames: numbers of those that show something, in their order; others are not counted by ``lag``.
        lag: how far apart the frames are, in ``frames``.
        tried: pairs that are not asked for again.
        most: pairs of any two parts.
    """
    asked: dict[tuple[int, int], int] = {}
    out = []
    for i, j in zip(frames, frames[lag:], strict=False):
        both = min(parts[i], parts[j]), max(parts[i], parts[j])
        if both[0] != both[1] and (i, j) not in tried and asked.get(both, 0) < most:
            asked[both] = asked.get(both, 0) + 1
            out.append((i, j))
    return out
