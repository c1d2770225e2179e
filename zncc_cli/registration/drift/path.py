"""The path of a movie: the place of each frame, from the motions measured between many pairs of frames.

A frame is measured against the one before it, the one two before it, and, every 2^(k-1)-th frame, the one 2^k before
it: three pairs a frame, and a chain of a few pairs between any two frames, so that errors do not add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zncc_cli.registration.drift.frame_pair import Measurement
from zncc_cli.registration.drift.pair_graph import PairGraph
from zncc_cli.registration.drift.parts import connected
from zncc_cli.registration.transforms.linear import LinearTransform
from zncc_cli.registration.transforms.matrices import invert

NEIGHBOUR_LAG = 2
"""The largest lag between frames that count as neighbours. It bridges one bad frame."""

# Block significance; a pair with less says nothing. Of 250 unrelated pairs (noise, textures) none had more than 12; of
# 125 aligned ones, with noise of up to twice the texture's standard deviation, none had less than 38.
_MIN_SIGNIFICANCE = 20.0


@dataclass(frozen=True, eq=False)
class DriftPath:
    """The places of the frames of a movie.

    Attributes:
        matrices: (n, 3, 3) float64, reference -> frame, (x, y) pixels.
        good: (n,) bool, frames whose place is known from inlier pairs; the others are put between their neighbours.
        expected_error: (n,), expected RMS error of the displacement against the reference, pixels; NaN for frames that
            are not good.
        inverted: (n,) bool, good frames whose contrast is inverted against the reference; against most frames if there
            is no reference frame or it is not good.
        pair_error: expected RMS error of a pair, as the disagreement of the pairs shows it, pixels.
        inlier: (m,) bool, pairs that agree with the path.
        significant: (m,) bool, pairs whose two frames agree with each other; those that are no inliers contradict
            others.
        parts: (n,) int, the connected part of each frame, by inlier pairs; a frame is a part of its own if more of its
            pairs are outliers than inliers.
    """

    matrices: np.ndarray
    good: np.ndarray
    expected_error: np.ndarray
    inverted: np.ndarray
    pair_error: float
    inlier: np.ndarray
    significant: np.ndarray
    parts: np.ndarray

    def between(self, i: int, j: int) -> np.ndarray:
        """Return the matrix (3, 3), frame i -> frame j."""
        matrix = self.matrices[j] @ invert(self.matrices[i])
        return np.asarray(matrix / matrix[2, 2])

    @property
    def outliers(self) -> int:
        """Number of pairs that are no inliers."""
        return int((~self.inlier).sum())


def partners(frame: int, max_lag: int) -> list[int]:
    """Return the earlier frames that ``frame`` is measured against, up to a lag of ``max_lag``."""
    lags = [1, *(2**k for k in range(1, max_lag.bit_length()) if frame % 2 ** (k - 1) == 0)]
    return [frame - lag for lag in lags if lag <= min(frame, max_lag)]


def last_partner(frame: int, max_lag: int) -> int:
    """Return the last frame that is measured against ``frame``, in a movie that is long enough."""
    lag = 2
    while 2 * lag <= max_lag and frame % lag == 0:
        lag *= 2
    return frame + min(lag, max_lag)


def solve_path(
    count: int,
    measurements: Sequence[Measurement],
    transform: LinearTransform,
    reference: int | None,
    *,
    standardized: bool = False,
) -> DriftPath:
    """Return the path that agrees best with the measured motions.

    Args:
        count: number of frames.
        measurements: motions between pairs of frames, in any order.
        transform: the model of the motions.
        reference: number of the frame that the others are aligned to; ``count`` for an image that is no frame and was
            measured against them, whose place is the last of the path; None for the mean of all places.
        standardized: compare each pair's residual with its own expected error, rather than with the median residual.
            For pairs that are few, or whose expected errors differ widely.
    """
    significant = np.array(
        [m.block_significance >= _MIN_SIGNIFICANCE and np.isfinite(m.expected_error) for m in measurements], dtype=bool
    )
    graph = PairGraph(
        count + (reference == count),
        [m for m, is_significant in zip(measurements, significant, strict=True) if is_significant],
        standardized,
    )
    matrices, inverted = graph.along_tree()
    graph_inlier, residuals = graph.solve(matrices, inverted, transform)
    inlier = significant.copy()
    inlier[significant] = graph_inlier
    good, parts = _good_frames(graph, graph_inlier)
    matrices = _places(matrices, good, count, transform, reference)
    pair_error = _pair_error(graph, graph_inlier, residuals)
    expected_error = np.where(good, graph.expected_errors(graph_inlier, pair_error, transform.size, reference), np.nan)
    has_reference = reference is not None and good[reference]
    if has_reference:
        expected_error[reference] = 0
    reference_inverted = inverted[reference] if has_reference else 2 * int(inverted[good].sum()) > int(good.sum())
    inverted = good & (inverted != reference_inverted)
    return DriftPath(matrices, good, expected_error, inverted, pair_error, inlier, significant, parts)


def _good_frames(graph: PairGraph, inlier: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the good frames, (n,) bool, and the connected part of each frame, (n,) int.

    Good frames have more inlier than outlier pairs and belong to the largest part, of two frames at least.
    """

    def pairs_per_frame(selected: np.ndarray) -> np.ndarray:
        frames = np.concatenate((graph.first[selected], graph.second[selected]))
        return np.bincount(frames, minlength=graph.count)

    consistent = (pairs_per_frame(inlier) > pairs_per_frame(~inlier)) & (pairs_per_frame(inlier) > 0)
    connecting = inlier & consistent[graph.first] & consistent[graph.second]
    parts = connected(graph.count, graph.first[connecting], graph.second[connecting])
    sizes = np.bincount(parts[consistent], minlength=1)
    good: np.ndarray = consistent & (parts == sizes.argmax()) & (sizes.max() > 1)
    return good, parts


def _places(
    matrices: np.ndarray, good: np.ndarray, count: int, transform: LinearTransform, reference: int | None
) -> np.ndarray:
    """Return the matrices reference -> frame, (n, 3, 3); frames that are not good lie between their neighbours.

    Their parameters are interpolated in time. An image behind the ``count`` frames is no neighbour in time.
    """
    known = np.flatnonzero(good)
    if len(known) == 0:
        return np.tile(np.eye(3), (len(matrices), 1, 1))
    relative = matrices @ invert(matrices[known[0]])
    frames = known[known < count]
    parameters = transform.unwrapped(np.array([transform.parameters(relative[k]) for k in frames]))
    interpolated = np.column_stack([np.interp(np.arange(len(matrices)), frames, column) for column in parameters.T])
    places = np.array([transform.matrix(row) for row in interpolated])
    places[known] = relative[known]
    origin = transform.matrix(parameters.mean(axis=0)) if reference is None else places[reference]
    return np.asarray(places @ invert(origin))


def _pair_error(graph: PairGraph, inlier: np.ndarray, residuals: np.ndarray) -> float:
    """Return the expected RMS error of a pair of weight one, from the residuals of the inliers, pixels.

    Without redundant pairs it is the median of what the pairs themselves expect.
    """
    frames = np.unique(np.concatenate((graph.first[inlier], graph.second[inlier])))
    degrees_of_freedom = int(inlier.sum()) - (len(frames) - 1)
    if degrees_of_freedom < 1:
        return float(np.median(graph.expected_error[inlier])) if inlier.any() else 0.0
    squares = graph.weights[inlier] * (residuals[inlier] ** 2).sum(axis=1)
    return float(np.sqrt(squares.sum() / degrees_of_freedom))
