"""The places of frames that agree best with the motions measured between pairs of them: a robust least-squares problem.

A_k is the matrix from the reference to frame k, M_ij the matrix measured from frame i to frame j. Without errors
A_j = M_ij A_i. The residuals r of a pair are the parameters of A_j^-1 M_ij A_i, lengths in pixels. Gauss-Newton steps
A_k <- A_k E(d_k) change r to r + d_i - d_j to first order (exactly, for translations), so that each step solves the
linear system of a weighted graph Laplacian. Pairs that disagree lose their weight, 1 / (1 + (r / c)^2)^2 with the width
c narrowing from the largest residual to the median (Geman and McClure's function, graduated: Blake and Zisserman 1987;
Zhou, Park and Koltun 2016, doi:10.1007/978-3-319-46475-6_47). In the last rounds they are outliers, and the inliers are
solved by least squares.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from zncc_cli.registration.drift.frame_pair import Measurement
from zncc_cli.registration.transforms.linear import LinearTransform
from zncc_cli.registration.transforms.matrices import invert

_MIN_ERROR_PX = 0.01  # pixels: the error of interpolation; no pair's expected error is taken to be smaller
# A pair is an outlier if its residual is larger than so many times the median, and than so many pixels.
_OUTLIER_RATIO, _MIN_OUTLIER_PX = 6.0, 0.25
# The width c of the weights is halved round by round, down to so many times the median residual.
_WIDTH_FACTOR, _MIN_WIDTH_RATIO = 0.5, 2.0
_FINAL_ROUNDS = 3  # in which a pair is an inlier or an outlier
_SOLVER_TOLERANCE = 1e-8  # of the norm of the weighted residuals
_NOISE_DRAWS = 32  # for the expected error of the path, which they give to an eighth


class PairGraph:
    """The graph whose nodes are frames and whose edges are the pairs between which a motion was measured.

    Attributes:
        count: number of frames, n.
        first, second: (m,) int, the frames of each pair.
        expected_error: (m,), see `Measurement`.
        weights: (m,), inverse variances of the pairs relative to their median, so that they are about one.
    """

    def __init__(self, count: int, measurements: Sequence[Measurement], standardized: bool) -> None:
        self.count = count
        self.first = np.array([m.fixed for m in measurements], dtype=np.int64)
        self.second = np.array([m.moving for m in measurements], dtype=np.int64)
        self._motion = np.array([m.entries for m in measurements]).reshape(-1, 3, 3)
        self._inverted = np.array([m.inverted for m in measurements], dtype=bool)
        self._significance = np.array([m.block_significance for m in measurements])
        self.expected_error = np.array([m.expected_error for m in measurements])
        pair_errors = np.hypot(self.expected_error, _MIN_ERROR_PX)
        self.weights = (np.median(pair_errors) / pair_errors) ** 2 if measurements else np.empty(0)
        # The unit of a residual (each pair's own expected error, or a pixel), and the least median in that unit.
        self._unit = pair_errors if standardized else np.ones(len(pair_errors))
        self._min_median = 1.0 if standardized else _MIN_ERROR_PX

    def along_tree(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the places of the frames along a spanning tree that takes the most significant pairs of a frame first.

        Each connected part has a tree of its own, whose first frame has the identity as its place.

        Returns:
            Matrices (n, 3, 3), first frame of the tree -> frame; and which frames are inverted against it, (n,) bool.
        """
        matrices, inverted = np.tile(np.eye(3), (self.count, 1, 1)), np.zeros(self.count, bool)
        pairs_of: list[list[int]] = [[] for _ in range(self.count)]
        for pair in np.argsort(-self._significance, kind="stable"):
            pairs_of[self.first[pair]].append(pair)
            pairs_of[self.second[pair]].append(pair)
        visited = np.zeros(self.count, bool)
        for root in range(self.count):
            queue = [] if visited[root] else [root]
            visited[root] = True
            for frame in queue:
                for pair in pairs_of[frame]:
                    i, j = self.first[pair], self.second[pair]
                    neighbour = j if frame == i else i
                    if not visited[neighbour]:
                        visited[neighbour] = True
                        motion = self._motion[pair] if frame == i else invert(self._motion[pair])
                        matrices[neighbour] = motion @ matrices[frame]
                        inverted[neighbour] = inverted[frame] ^ self._inverted[pair]
                        queue.append(neighbour)
        return matrices, inverted

    def solve(
        self, matrices: np.ndarray, inverted: np.ndarray, transform: LinearTransform
    ) -> tuple[np.ndarray, np.ndarray]:
        """Change ``matrices`` (n, 3, 3) in place to those that agree best with the pairs.

        Args:
            matrices, inverted: as `along_tree` returns them.
            transform: the model of the motions.

        Returns:
            Which pairs are inliers, (m,) bool, and the residuals of all pairs, (m, number of parameters).
        """
        residuals = self._residuals(matrices, transform)
        norms = np.linalg.norm(residuals, axis=1) / self._unit
        same_contrast = inverted[self.first] ^ inverted[self.second] == self._inverted
        inlier = np.ones(len(norms), bool)
        width = float(norms.max(initial=0))
        final_rounds = 0
        while final_rounds < _FINAL_ROUNDS and len(norms):
            median = max(self._min_median, float(np.median(norms)))
            if width > _MIN_WIDTH_RATIO * median:
                weights = self.weights / (1 + (norms / width) ** 2) ** 2
                width *= _WIDTH_FACTOR
            else:
                final_rounds += 1
                inlier = same_contrast & (norms <= np.maximum(_OUTLIER_RATIO * median, _MIN_OUTLIER_PX / self._unit))
                weights = self.weights * inlier
            steps = self._solve_laplacian(weights, residuals)
            matrices[:] = [matrix @ transform.matrix(step) for matrix, step in zip(matrices, steps, strict=True)]
            residuals = self._residuals(matrices, transform)
            norms = np.linalg.norm(residuals, axis=1) / self._unit
        return inlier, residuals

    def expected_errors(self, inlier: np.ndarray, pair_error: float, size: int, reference: int | None) -> np.ndarray:
        """Return the expected RMS error of each frame's place against the reference, (n,), pixels.

        It has two parts. The errors by which pairs disagree are propagated to the frames by solving for random errors.
        A frame's own noise moves the frame in all of its pairs alike, so that no two pairs disagree by it; each pair
        knows it as a part of `Measurement.expected_error`, which holds the noise of two frames.

        Args:
            inlier: inlier pairs, (m,) bool.
            pair_error: expected RMS error of a pair of weight one, pixels.
            size: number of parameters.
            reference: number of a frame, or None for the mean of all places.
        """
        draws = np.random.default_rng(0).normal(0, 1, (len(inlier), _NOISE_DRAWS * size)) * pair_error / np.sqrt(size)
        weights = np.where(self.weights > 0, self.weights, 1)
        places = self._solve_laplacian(self.weights * inlier, draws / np.sqrt(weights)[:, None])
        places = places - (places.mean(axis=0) if reference is None else places[reference])
        frames = np.concatenate((self.first[inlier], self.second[inlier]))
        squares = np.tile(self.expected_error[inlier] ** 2 / 2, 2)
        own = np.bincount(frames, squares, self.count) / np.maximum(np.bincount(frames, minlength=self.count), 1)
        of_reference = 0 if reference is None else own[reference]
        return np.asarray(np.sqrt((places**2).sum(axis=1) / _NOISE_DRAWS + own + of_reference))

    def _residuals(self, matrices: np.ndarray, transform: LinearTransform) -> np.ndarray:
        """Return the residuals r of all pairs, (m, number of parameters), pixels."""
        remaining = np.linalg.inv(matrices)[self.second] @ self._motion @ matrices[self.first]
        return np.array([transform.parameters(matrix) for matrix in remaining]).reshape(-1, transform.size)

    def _solve_laplacian(self, weights: np.ndarray, residuals: np.ndarray) -> np.ndarray:
        """Return d (n, c) that minimises the sum of weights (m,) times |r + d_first - d_second|^2; r is (m, c).

        The method is conjugate gradients with the diagonal as preconditioner. Each connected part of the graph keeps
        its mean place, weighted by the diagonal.
        """
        first, second = torch.from_numpy(self.first), torch.from_numpy(self.second)
        w = torch.from_numpy(weights.astype(np.float64))[:, None]

        def sums_at_frames(values: Tensor) -> Tensor:
            sums = values.new_zeros((self.count, values.shape[1]))
            return sums.index_add_(0, first, values).index_add_(0, second, values, alpha=-1)

        diagonal = torch.zeros(self.count, 1, dtype=torch.float64).index_add_(0, first, w).index_add_(0, second, w)
        scale = torch.where(diagonal > 0, 1 / diagonal, 0)
        weighted = -w * torch.from_numpy(residuals)
        remainder = sums_at_frames(weighted)
        # Relative to the addends, not to their sum, which may be no more than rounding.
        solution, tolerance = torch.zeros_like(remainder), _SOLVER_TOLERANCE * weighted.norm(dim=0)
        direction = preconditioned = scale * remainder
        power = (remainder * preconditioned).sum(dim=0)
        for _ in range(4 * self.count):
            unsolved = remainder.norm(dim=0) > tolerance
            if not bool(unsolved.any()):
                break
            image = sums_at_frames(w * (direction[first] - direction[second]))
            # A column that is solved stays: its remainder is rounding, and dividing by it would let it grow.
            step = torch.where(unsolved, power / (direction * image).sum(dim=0), 0)
            solution = solution + step * direction
            remainder = remainder - step * image
            preconditioned = scale * remainder
            previous_power, power = power, (remainder * preconditioned).sum(dim=0)
            direction = preconditioned + torch.where(unsolved, power / previous_power, 0) * direction
        return solution.numpy()
