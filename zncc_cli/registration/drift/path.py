"""The path of a movie: where each frame lies, from the motions measured between many pairs of them.

With A_k the matrix that takes the reference to frame k, and M_ij the one measured from frame i to frame j, all would be
well if A_j = M_ij A_i. What is left are the parameters r of A_j^-1 M_ij A_i, lengths in pixels. Gauss-Newton steps
A_k <- A_k E(d_k) change r to r + d_i - d_j to first order (exactly, for translations), so that each step is the
solution of a weighted graph Laplacian. Pairs that disagree lose their weight, 1 / (1 + (r / c)^2)^2 with c narrowing
from the largest disagreement to the usual one (Geman and McClure's function, graduated: Blake and Zisserman 1987; Zhou,
Park and Koltun 2016, doi:10.1007/978-3-319-46475-6_47); in the end they are left out, and the rest is solved by least
squares.

A frame is measured against the one before it, the one two before it, and, every 2^(k-1)-th one, the one 2^k before it:
three pairs a frame, and a way of a few pairs between any two, so that errors do not add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zncc_cli.registration.drift.frame_pair import Measurement
from zncc_cli.registration.drift.parts import connected
from zncc_cli.registration.transforms import TransformFamily
from zncc_cli.registration.transforms.matrices import invert

NEAR = 2
"""The farthest lag with which neighbours alone are compared, and one bad frame is still bridged."""

# Pairs whose blocks agree by less say nothing. Of 250 unrelated pairs (noise, textures) none agreed by more than 12; of
# 125 aligned ones, with noise of up to twice the texture's deviation, none by less than 38.
_AGREEMENT = 20.0
_FLOOR = 0.01  # pixels: what interpolation leaves; a deviation below it is not believed
_OUTLIER, _LEAST_OUTLIER = 6.0, 0.25  # times the usual disagreement of pairs, and pixels: more is no noise
# A pair counts by half at about this width, which narrows round by round down to so many times the usual disagreement.
_NARROWER, _WIDTH = 0.5, 2.0
_LAST_ROUNDS = 3  # in which pairs count or do not
_SOLVED = 1e-8  # of what pulls at the frames
_DRAWS = 32  # of noise, for the deviation of the path: known to an eighth


@dataclass(frozen=True, eq=False)
class DriftPath:
    """Where the frames lie.

    Attributes:
        matrices: (n, 3, 3) float64, reference -> frame, (x, y) pixels.
        good: (n,) bool, frames whose place is known from pairs that agree; the others lie between their neighbours.
        expected_error: (n,), expected RMS error of the displacement against the reference, pixels; NaN where not known.
        inverted: (n,) bool, good frames in which bright and dark are exchanged against the reference, or against most
            where none is named or it is not good.
        disagreement: RMS error of a pair, as far as the pairs show it, pixels.
        counts: (m,) bool, which of the pairs count.
        agreed: (m,) bool, of which pairs the frames agree; those that do not count either contradict others.
        parts: (n,) int, the same for frames that hang together by pairs that count; one of a frame's own where more of
            its pairs disagree than agree.
    """

    matrices: np.ndarray
    good: np.ndarray
    expected_error: np.ndarray
    inverted: np.ndarray
    disagreement: float
    counts: np.ndarray
    agreed: np.ndarray
    parts: np.ndarray

    def between(self, i: int, j: int) -> np.ndarray:
        """Return the matrix (3, 3), frame i -> frame j."""
        matrix = self.matrices[j] @ invert(self.matrices[i])
        return np.asarray(matrix / matrix[2, 2])

    @property
    def left_out(self) -> int:
        """How many of the pairs do not count."""
        return int((~self.counts).sum())


def partners(frame: int, farthest: int) -> list[int]:
    """Return the earlier frames that ``frame`` is measured against, up to a lag of ``farthest``."""
    lags = [1, *(2**k for k in range(1, farthest.bit_length()) if frame % 2 ** (k - 1) == 0)]
    return [frame - lag for lag in lags if lag <= min(frame, farthest)]


def last_partner(frame: int, farthest: int) -> int:
    """Return the last frame, if the movie goes on so long, that is measured against ``frame``."""
    lag = 2
    while 2 * lag <= farthest and frame % lag == 0:
        lag *= 2
    return frame + min(lag, farthest)


def solve_path(
    count: int,
    measurements: Sequence[Measurement],
    family: TransformFamily,
    reference: int | None,
    *,
    unequal: bool = False,
) -> DriftPath:
    """Return the path of ``count`` frames.

    Args:
        count: how many.
        measurements: between pairs of them, in any order.
        family: of the motions.
        reference: the frame that the others are put on; ``count`` for an image that is no frame and was measured
            against them, whose place is the last of the path; None for the mean of all places.
        unequal: the pairs are few, or known to very different errors: what they disagree by is compared with the
            deviation of each, rather than with what is usual.
    """
    agreed = np.array(
        [m.block_significance >= _AGREEMENT and np.isfinite(m.expected_error) for m in measurements], dtype=bool
    )
    graph = _Graph(
        count + (reference == count), [m for m, kept in zip(measurements, agreed, strict=True) if kept], unequal
    )
    matrices, inverted = graph.along_tree()
    inlier, residuals = graph.settle(matrices, inverted, family)
    counts = agreed.copy()
    counts[agreed] = inlier
    good, parts = _good(graph, inlier)
    matrices = _between(matrices, good, count, family, reference)
    spread = _spread(graph, inlier, residuals)
    expected_error = np.where(good, graph.noise(inlier, spread, family.size, reference), np.nan)
    if reference is not None and good[reference]:
        expected_error[reference] = 0
    named = reference is not None and good[reference]
    exchanged = inverted[reference] if named else 2 * int(inverted[good].sum()) > int(good.sum())
    return DriftPath(matrices, good, expected_error, good & (inverted != exchanged), spread, counts, agreed, parts)


class _Graph:
    """Frames, and the pairs of them between which a motion was measured."""

    def __init__(self, count: int, measurements: Sequence[Measurement], unequal: bool) -> None:
        self.count = count
        self.first = np.array([m.fixed for m in measurements], dtype=np.int64)
        self.second = np.array([m.moving for m in measurements], dtype=np.int64)
        self._motion = np.array([m.entries for m in measurements]).reshape(-1, 3, 3)
        self._inverted = np.array([m.inverted for m in measurements], dtype=bool)
        self._agreement = np.array([m.block_significance for m in measurements])
        self.expected_error = np.array([m.expected_error for m in measurements])
        held = np.hypot(self.expected_error, _FLOOR)
        # Relative, so that weights of a pair are about one.
        self.trust = (np.median(held) / held) ** 2 if measurements else np.empty(0)
        # The unit in which disagreements are counted (each pair's own deviation, or pixels), and the least that counts.
        self._unit = held if unequal else np.ones(len(held))
        self._floor = 1.0 if unequal else _FLOOR

    def along_tree(self) -> tuple[np.ndarray, np.ndarray]:
        """Return where the frames lie along a tree of the pairs that agree best; each tree has its own first frame.

        Returns:
            Matrices (n, 3, 3), and which frames are inverted against the first one (n,) bool.
        """
        matrices, inverted = np.tile(np.eye(3), (self.count, 1, 1)), np.zeros(self.count, bool)
        ways: list[list[int]] = [[] for _ in range(self.count)]
        for pair in np.argsort(-self._agreement, kind="stable"):
            ways[self.first[pair]].append(pair)
            ways[self.second[pair]].append(pair)
        seen = np.zeros(self.count, bool)
        for root in range(self.count):
            queue = [] if seen[root] else [root]
            seen[root] = True
            for here in queue:
                for pair in ways[here]:
                    i, j = self.first[pair], self.second[pair]
                    there = j if here == i else i
                    if not seen[there]:
                        seen[there] = True
                        motion = self._motion[pair] if here == i else invert(self._motion[pair])
                        matrices[there] = motion @ matrices[here]
                        inverted[there] = inverted[here] ^ self._inverted[pair]
                        queue.append(there)
        return matrices, inverted

    def settle(
        self, matrices: np.ndarray, inverted: np.ndarray, family: TransformFamily
    ) -> tuple[np.ndarray, np.ndarray]:
        """Move ``matrices`` (n, 3, 3), in place, to where they agree best with the pairs; see `along_tree`.

        Returns:
            Which pairs agree (m,) bool, and what is left of each (m, size).
        """
        residuals = self._residuals(matrices, family)
        norms = np.linalg.norm(residuals, axis=1) / self._unit
        alike = inverted[self.first] ^ inverted[self.second] == self._inverted
        inlier = np.ones(len(norms), bool)
        width = float(norms.max(initial=0))
        last = 0
        while last < _LAST_ROUNDS and len(norms):
            usual = max(self._floor, float(np.median(norms)))
            if width > _WIDTH * usual:
                weights = self.trust / (1 + (norms / width) ** 2) ** 2
                width *= _NARROWER
            else:
                last += 1
                inlier = alike & (norms <= np.maximum(_OUTLIER * usual, _LEAST_OUTLIER / self._unit))
                weights = self.trust * inlier
            steps = self._solve(weights, residuals)
            matrices[:] = [matrix @ family.matrix(step) for matrix, step in zip(matrices, steps, strict=True)]
            residuals = self._residuals(matrices, family)
            norms = np.linalg.norm(residuals, axis=1) / self._unit
        return inlier, residuals

    def noise(self, inlier: np.ndarray, spread: float, size: int, reference: int | None) -> np.ndarray:
        """Return the RMS (n,) of what noise makes of each frame's place against the reference.

        A frame's own noise moves it against all others alike: no two pairs disagree by it, but each says how much it is
        (`Measurement.expected_error`, of two frames). What pairs disagree by is added.

        Args:
            inlier: which pairs count, (m,) bool.
            spread: RMS disagreement of a pair of weight one.
            size: number of parameters.
        """
        draws = np.random.default_rng(0).normal(0, 1, (len(inlier), _DRAWS * size)) * spread / np.sqrt(size)
        trust = np.where(self.trust > 0, self.trust, 1)
        places = self._solve(self.trust * inlier, draws / np.sqrt(trust)[:, None])
        places = places - (places.mean(axis=0) if reference is None else places[reference])
        ends = np.concatenate((self.first[inlier], self.second[inlier]))
        squares = np.tile(self.expected_error[inlier] ** 2 / 2, 2)
        own = np.bincount(ends, squares, self.count) / np.maximum(np.bincount(ends, minlength=self.count), 1)
        of_reference = 0 if reference is None else own[reference]
        return np.asarray(np.sqrt((places**2).sum(axis=1) / _DRAWS + own + of_reference))

    def _residuals(self, matrices: np.ndarray, family: TransformFamily) -> np.ndarray:
        left = np.linalg.inv(matrices)[self.second] @ self._motion @ matrices[self.first]
        return np.array([family.parameters(matrix) for matrix in left]).reshape(-1, family.size)

    def _solve(self, weights: np.ndarray, residuals: np.ndarray) -> np.ndarray:
        """Return d (n, c) with the least sum of weights (m,) times |r + d_first - d_second|^2; r is (m, c).

        By conjugate gradients with the diagonal as preconditioner; a part of the graph that is apart keeps its place.
        """
        first, second = torch.from_numpy(self.first), torch.from_numpy(self.second)
        w = torch.from_numpy(weights.astype(np.float64))[:, None]

        def gathered(flow: Tensor) -> Tensor:
            out = flow.new_zeros((self.count, flow.shape[1]))
            return out.index_add_(0, first, flow).index_add_(0, second, flow, alpha=-1)

        diagonal = torch.zeros(self.count, 1, dtype=torch.float64).index_add_(0, first, w).index_add_(0, second, w)
        scale = torch.where(diagonal > 0, 1 / diagonal, 0)
        pull = -w * torch.from_numpy(residuals)
        rest = gathered(pull)
        # Of what is added up, not of the sum: that may be no more than rounding.
        out, enough = torch.zeros_like(rest), _SOLVED * pull.norm(dim=0)
        along = better = scale * rest
        power = (rest * better).sum(dim=0)
        for _ in range(4 * self.count):
            open_still = rest.norm(dim=0) > enough
            if not bool(open_still.any()):
                break
            image = gathered(w * (along[first] - along[second]))
            # A column that is solved stays: what is left of it is rounding, and dividing by it would let it grow.
            step = torch.where(open_still, power / (along * image).sum(dim=0), 0)
            out = out + step * along
            rest = rest - step * image
            better = scale * rest
            before, power = power, (rest * better).sum(dim=0)
            along = better + torch.where(open_still, power / before, 0) * along
        return out.numpy()


def _good(graph: _Graph, inlier: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames (n,) bool that more pairs agree than disagree on and that hang together, and all parts (n,)."""

    def at_ends(which: np.ndarray) -> np.ndarray:
        ends = np.concatenate((graph.first[which], graph.second[which]))
        return np.bincount(ends, minlength=graph.count)

    agreed = (at_ends(inlier) > at_ends(~inlier)) & (at_ends(inlier) > 0)
    held = inlier & agreed[graph.first] & agreed[graph.second]
    parts = connected(graph.count, graph.first[held], graph.second[held])
    sizes = np.bincount(parts[agreed], minlength=1)
    out: np.ndarray = agreed & (parts == sizes.argmax()) & (sizes.max() > 1)
    return out, parts


def _between(
    matrices: np.ndarray, good: np.ndarray, count: int, family: TransformFamily, reference: int | None
) -> np.ndarray:
    """Return the matrices from the reference, those of frames that are not good between those of their neighbours.

    What lies behind the ``count`` frames is no neighbour in time.
    """
    known = np.flatnonzero(good)
    if len(known) == 0:
        return np.tile(np.eye(3), (len(matrices), 1, 1))
    relative = matrices @ invert(matrices[known[0]])
    frames = known[known < count]
    places = family.unwrapped(np.array([family.parameters(relative[k]) for k in frames]))
    everywhere = np.column_stack([np.interp(np.arange(len(matrices)), frames, column) for column in places.T])
    out = np.array([family.matrix(place) for place in everywhere])
    out[known] = relative[known]
    origin = family.matrix(places.mean(axis=0)) if reference is None else out[reference]
    return np.asarray(out @ invert(origin))


def _spread(graph: _Graph, inlier: np.ndarray, residuals: np.ndarray) -> float:
    """Return the RMS by which a pair of weight one differs from the truth, as far as the pairs show it."""
    ends = np.unique(np.concatenate((graph.first[inlier], graph.second[inlier])))
    free = int(inlier.sum()) - (len(ends) - 1)
    if free < 1:
        return float(np.median(graph.expected_error[inlier])) if inlier.any() else 0.0
    return float(np.sqrt((graph.trust[inlier] * (residuals[inlier] ** 2).sum(axis=1)).sum() / free))
