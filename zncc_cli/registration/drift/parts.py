"""Connected parts of a movie's graph (frames are nodes, measured pairs are edges), and pairs that join two parts."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

_SEED = 0  # of the numbers that mark cycles; the chance that two of them cancel is 2^-62


def connected(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the part of each frame, (n,) int: the least number of the frames that pairs connect it with.

    Args:
        count: number of frames, n.
        first, second: (m,) int, the frames of each pair.
    """
    labels = np.arange(count)
    while True:
        smaller = np.minimum(labels[first], labels[second])
        updated = labels.copy()
        np.minimum.at(updated, first, smaller)
        np.minimum.at(updated, second, smaller)
        updated = updated[updated]
        if (updated == labels).all():
            return np.asarray(updated)
        labels = updated


def bridges(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return which pairs are bridges, (m,) bool: they lie on no cycle of pairs, so that no other pairs confirm them.

    Each pair outside a spanning tree closes a cycle. It marks the tree's pairs along the cycle with a random number,
    added by exclusive or. Pairs on no cycle keep a mark of zero.

    Args:
        count, first, second: see `connected`; no two frames are a pair twice.
    """
    pairs_of: list[list[int]] = [[] for _ in range(count)]
    for pair, frames in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        for frame in frames:
            pairs_of[frame].append(pair)
    parent_pair = np.full(count, -1)  # the pair that connects a frame with its parent in the tree
    order, visited = list[int](), np.zeros(count, bool)
    for root in range(count):
        queue = [] if visited[root] else [root]
        visited[root] = True
        for frame in queue:
            for pair in pairs_of[frame]:
                neighbour = int(first[pair] + second[pair]) - frame
                if not visited[neighbour]:
                    visited[neighbour], parent_pair[neighbour] = True, pair
                    queue.append(neighbour)
        order += queue
    outside_tree = np.ones(len(first), bool)
    outside_tree[parent_pair[parent_pair >= 0]] = False
    marks = np.where(outside_tree, np.random.default_rng(_SEED).integers(1, 2**62, len(first)), 0)
    frame_marks = np.zeros(count, np.int64)
    np.bitwise_xor.at(frame_marks, np.concatenate((first, second)), np.tile(marks, 2))
    for frame in reversed(order):
        pair = parent_pair[frame]
        if pair >= 0:
            marks[pair] = frame_marks[frame]
            frame_marks[first[pair] + second[pair] - frame] ^= frame_marks[frame]
    return np.asarray(marks == 0)


def to_join(
    parts: np.ndarray, frames: Sequence[int], lag: int, tried: Collection[tuple[int, int]], max_pairs: int
) -> list[tuple[int, int]]:
    """Return pairs of frames, earlier and later, each of which would join two parts.

    Args:
        parts: (n,) int, the part of each frame.
        frames: numbers of the frames that are searched, ascending.
        lag: how many places apart in ``frames`` the two frames of a pair are.
        tried: pairs that are not returned again.
        max_pairs: most pairs that are returned for the same two parts.
    """
    counts: dict[tuple[int, int], int] = {}
    pairs = []
    for i, j in zip(frames, frames[lag:], strict=False):
        joined = min(parts[i], parts[j]), max(parts[i], parts[j])
        if joined[0] != joined[1] and (i, j) not in tried and counts.get(joined, 0) < max_pairs:
            counts[joined] = counts.get(joined, 0) + 1
            pairs.append((i, j))
    return pairs
