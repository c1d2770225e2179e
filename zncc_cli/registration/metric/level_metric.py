"""The loss of one pyramid level, from its local ZNCC, as a function of a transform's parameters.

    loss = 1 - sum(W z) / sum(W e)          e = v_fixed / (v_fixed + eps), the value of z where the images are alike

W: the edge weight of a window, that of the pixel nearest to the edge of the overlap: zero on the edge, one from a pixel
further in. So the loss has no jumps, and a window that reaches beyond the overlap does not count. e: the signal
fraction of a window, the share of its variance that is no noise. With e in the denominator the loss does not fall when
windows enter or leave the overlap.

The loss is descended along the scores of the pair metric (csrc/pair_metric.h), which are its gradient but for how a
step changes the contrast of the windows, with the mean of both images' gradients.

Names: v window variance, z local ZNCC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from zncc_cli.config import Interpolation
from zncc_cli.operators.filters import rectangle
from zncc_cli.operators.pair_metric import CellGrid, MetricWeights, PairSums, Wanted
from zncc_cli.registration.geometry import Extent, overlap_extent
from zncc_cli.registration.metric.local_zncc import RELATIVE_EPS
from zncc_cli.registration.metric.pair_metric import PairMetric
from zncc_cli.registration.metric.windows import full_windows, window_variance
from zncc_cli.registration.pyramid import Level, fill_holes
from zncc_cli.registration.transforms.linear import LinearTransform
from zncc_cli.registration.warp import Sampler, area_scale, in_front, level_scale

# A window counts by half where its variance is this many times that of the noise. Between 1 and 8 the error on noisy
# pairs of the benchmark halves, on clean ones it stays below 0.02 px (docs/method.md, "Weights").
NOISE_WEIGHT = 8.0
# Windows whose variance is this share of the image's own count as flat even where there is no noise at all.
_MIN_RELATIVE_VARIANCE = 1e-6
_BLOCKS_PER_SIDE = 8  # of the overlap
_MIN_BLOCK_SIGNAL = 0.25  # of the mean W e in the block with most: less is mostly noise
_TILED_WINDOWS = 2**19  # of an overlap that are looked at, where it holds more than twice as many
_OVERLAP_ROUNDING = 1e-3  # float32 sums of weights are good to less


@dataclass(frozen=True)
class Similarity:
    """How well two images agree at a transform.

    Attributes:
        zncc: mean local ZNCC in [-1, 1]; every textured window counts alike, noise or not: the number that people know.
        overlap: share of the windows of the smaller image that lie in the overlap, in [0, 1].
        blocks: sum(W z) / sum(W e) of each block of a grid over the overlap, (rows, columns); NaN where a block holds
            little signal.
        tile_step: every which tile of the frame was looked at; 1 for all.
    """

    zncc: float
    overlap: float
    blocks: np.ndarray
    tile_step: int = 1


@dataclass(frozen=True)
class Agreement:
    """How well two images agree at a transform by what their windows hold: empty ground says nothing.

    Attributes:
        zncc: sum(W z) / sum(W e): one where all that the fixed image shows in the overlap is in the moving one, zero
            where it meets empty ground.
        share: of the signal of the whole fixed image in the overlap, in [0, 1].
    """

    zncc: float
    share: float


@dataclass(frozen=True)
class LevelLoss:
    """The loss at (n,) parameters of a transform.

    Attributes:
        value: the loss.
        gradient: (n,), minus the scores in the loss's units.
        curvature: (n, n), the Gauss-Newton approximation of the loss's Hessian; None where it was not computed.
    """

    value: float
    gradient: np.ndarray
    curvature: np.ndarray | None


class LevelMetric:
    """The loss of one level. What does not change from one evaluation to the next is computed once.

    Args:
        fixed, moving: the level's images, of about unit variance.
        shape: (H, W) of the fixed image at full resolution.
        window: side of the ZNCC window, level pixels.
        min_overlap: least share of the smaller image's pixels that must lie in the overlap, in [0, 1]; with less the
            loss is not defined.
        interpolation: of the moving image.
    """

    def __init__(
        self,
        fixed: Level,
        moving: Level,
        shape: tuple[int, int],
        window: int,
        min_overlap: float,
        interpolation: Interpolation,
    ) -> None:
        self._fixed, self._moving, self._window = fixed, moving, window
        self.shape = shape
        sampler = Sampler(fill_holes(moving.image, moving.mask), interpolation, moving.mask)
        eps = _noise_eps(fixed, window), _noise_eps(moving, window)
        plain = RELATIVE_EPS * window**2  # the images have a variance of about one
        weights = MetricWeights(*eps, 1.0, eps[0], plain, plain, plain, kappa=0.0)
        self._metric = PairMetric(fixed.image[0, 0], fixed.mask, sampler, window, weights)
        # Of the fixed and of the moving image alone, whose outermost pixels have no weight.
        counts = _pixel_and_window_counts(fixed.mask, 0, window), _pixel_and_window_counts(moving.mask, 1, window)
        self._pixel_counts, self._window_counts = zip(*counts, strict=True)
        self._min_overlap = min_overlap * (1 - _OVERLAP_ROUNDING)

    def similarity(self, matrix: np.ndarray, *, by_tiles: bool = False) -> Similarity | None:
        """Return how well the images agree at ``matrix`` (3, 3), fixed -> moving; None with too little overlap.

        ``by_tiles``: of a large overlap only some tiles are looked at. They do not tell the overlap to the percent:
        it is not compared with the least one then.
        """
        level_matrix = matrix * level_scale(self.factor)
        if not in_front(level_matrix, self._fixed.shape):
            return None
        extent = overlap_extent(level_matrix, self._fixed.extent, self._moving.extent)
        grid = block_grid(extent, self._fixed.shape, self._window)
        if grid is None:
            return None
        cells, counts = grid
        tile_step = max(1, int(counts.sum()) // _TILED_WINDOWS) if by_tiles else 1
        sums = self._metric.at(level_matrix, Wanted(cells=cells), tile_step=tile_step)
        if tile_step > 1 and sums is not None and sums.totals.window_weight < _TILED_WINDOWS / 2:
            # A hole, or an overlap that is far from a rectangle.
            tile_step, sums = 1, self._metric.at(level_matrix, Wanted(cells=cells))
        if sums is None or sums.cells is None or not (tile_step > 1 or self._overlaps(sums, matrix)):
            return None
        weight, signal, z, _, plain_z = sums.cells
        total = float(weight.sum())
        share = total * tile_step / self._max_overlap(self._window_counts, matrix)
        return Similarity(float(plain_z.sum()) / total, min(1.0, share), block_zncc(z, signal, counts), tile_step)

    def agreement(self, matrix: np.ndarray) -> Agreement | None:
        """Return how well the images agree at ``matrix`` (3, 3), fixed -> moving; None with too little overlap."""
        sums = self._metric.at(matrix * level_scale(self.factor), Wanted())
        if sums is None or not self._overlaps(sums, matrix):
            return None
        return Agreement(sums.totals.zncc / sums.totals.weight, min(1.0, sums.totals.weight / max(self._signal, 1.0)))

    @cached_property
    def _signal(self) -> float:
        """The sum of e over the windows of the fixed image alone."""
        variance = window_variance(self._fixed.image[0, 0], self._window)
        signal = variance / (variance + self._metric.weights.beta)
        return float(_of_full_windows(signal, self._fixed.mask, self._window).sum())

    @cached_property
    def ceiling(self) -> float:
        """The mean local ZNCC that the noise of both images leaves to a perfect agreement, in [0, 1].

        The geometric mean of the shares of both images' window variances that are no noise, each averaged over its
        windows.
        """
        return math.sqrt(_signal_share(self._fixed, self._window) * _signal_share(self._moving, self._window))

    def overlap(self, matrix: np.ndarray) -> float:
        """Return the share of the smaller image's pixels that lie in the overlap at ``matrix`` (3, 3), in [0, 1].

        Pixels outside a mask do not count. A matrix whose horizon crosses the frame gives no overlap.
        """
        sums = self._metric.at(matrix * level_scale(self.factor), Wanted())
        return 0.0 if sums is None else min(1.0, self._overlap(sums, matrix))

    def similarity_by_fold(self, matrix: np.ndarray, side: int) -> tuple[float, float] | None:
        """Return the mean local ZNCC inside the black and inside the white fields of a chessboard on the fixed frame.

        Args:
            matrix: (3, 3), fixed -> moving, full-resolution pixels.
            side: of the fields, level pixels; the first one begins at the first pixel.

        Returns:
            (black, white), NaN for a colour that holds no window; None with too little overlap.
        """
        rows, columns = (-(-n // side) for n in self._fixed.shape)
        cells = CellGrid(0, 0, side, side, rows, columns, inside=True)
        sums = self._metric.at(matrix * level_scale(self.factor), Wanted(cells=cells))
        if sums is None or sums.cells is None or not self._overlaps(sums, matrix):
            return None
        weight, _, _, _, plain_z = sums.cells.numpy()
        black = np.add.outer(np.arange(rows), np.arange(columns)) % 2 == 0
        means = (float(plain_z[colour].sum()) / (float(weight[colour].sum()) or math.nan) for colour in (black, ~black))
        return tuple(means)  # type: ignore[return-value]

    def at(
        self, transform: LinearTransform, parameters: np.ndarray, *, with_curvature: bool = False
    ) -> LevelLoss | None:
        """Return the loss at (n,) parameters of ``transform``; None with too little overlap."""
        matrix = transform.matrix(parameters)
        scale = level_scale(self.factor)
        wanted = Wanted(scores=True, curvature=with_curvature)
        sums = self._metric.at(matrix * scale, wanted, projective=transform.projective)
        if sums is None or sums.scores is None or not self._overlaps(sums, matrix):
            return None
        to_level = scale.reshape(9, 1) * transform.jacobian(parameters)
        value = 1 - sums.totals.zncc / sums.totals.weight
        gradient = -(to_level.T @ sums.scores.sum(dim=1).numpy()) / sums.totals.weight
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return None
        curvature = (
            None if sums.curvature is None else to_level.T @ sums.curvature.numpy() @ to_level / sums.totals.weight
        )
        return LevelLoss(value, gradient, curvature)

    @property
    def factor(self) -> int:
        """Full-resolution pixels per pixel of the level."""
        return self._fixed.factor

    def _overlaps(self, sums: PairSums, matrix: np.ndarray) -> bool:
        """Tell whether the overlap is large enough for the loss to be defined."""
        enough = self._overlap(sums, matrix) >= self._min_overlap
        return enough and sums.totals.window_weight >= 1 and sums.totals.weight > 0

    def _overlap(self, sums: PairSums, matrix: np.ndarray) -> float:
        """Return the share of the smaller image's pixels in the overlap."""
        return sums.totals.edge_weight / self._max_overlap(self._pixel_counts, matrix)

    def _max_overlap(self, counts: tuple[float, ...], matrix: np.ndarray) -> float:
        """Return how much of the smaller image could lie in the overlap at most, in units of the fixed image.

        ``counts``: pixels or windows of the fixed and of the moving image.
        """
        fixed, moving = counts
        return max(1.0, min(fixed, moving / area_scale(matrix, self.shape)))


def block_grid(extent: Extent | None, shape: tuple[int, int], window: int) -> tuple[CellGrid, Tensor] | None:
    """Return the blocks of a grid over an overlap, and how many windows each holds, (rows, columns); None without any.

    Args:
        extent: rows and columns of the overlap, pixels; None without one.
        shape: (H, W) of the frame.
        window: side of the windows, pixels.
    """
    if extent is None:
        return None
    down, across = (min(last, n - 1) - first - window + 2 for (first, last), n in zip(extent, shape, strict=True))
    if min(down, across) < 1:
        return None
    (top, _), (left, _) = extent
    height, width = block_side(down, window), block_side(across, window)
    cells = CellGrid(top, left, height, width, -(-down // height), -(-across // width))
    rows, columns = (
        torch.diff((torch.arange(blocks + 1) * side).clamp_max(count))
        for blocks, side, count in ((cells.rows, height, down), (cells.columns, width, across))
    )
    return cells, torch.outer(rows, columns)


def block_zncc(weighted_z: Tensor, weight: Tensor, counts: Tensor) -> np.ndarray:
    """Return the local ZNCC of each block of a grid, (rows, columns): NaN where a block's windows hold little signal.

    ``weighted_z`` and ``weight`` are the sums of W z and W e over the ``counts`` windows of each block.
    """
    signal = weight / counts
    has_signal = signal > signal.max() * _MIN_BLOCK_SIGNAL
    return np.asarray(torch.where(has_signal, weighted_z / weight, torch.nan).double())


def block_side(count: int, window: int) -> int:
    """Return the side of a block of windows, pixels, where ``count`` windows of side ``window`` lie along an axis.

    There are `_BLOCKS_PER_SIDE` blocks, or fewer: none is smaller than a window, so that neighbours share little.
    """
    return max(window, -(-count // _BLOCKS_PER_SIDE))


def _pixel_and_window_counts(mask: Tensor, border: int, window: int) -> tuple[float, float]:
    """Return how many valid pixels, and windows of them alone, a mask (H, W) bool holds.

    ``border``: how many of the outermost rows and columns of the valid pixels do not count.
    """
    box = rectangle(mask)
    if box is not None:
        sides = [rows.stop - rows.start - 2 * border for rows in box]
        counts = (math.prod(max(side - w + 1, 0) for side in sides) for w in (1, window))
        return tuple(float(count) for count in counts)  # type: ignore[return-value]
    inner = torch.zeros_like(mask)
    middle = slice(border, mask.shape[0] - border), slice(border, mask.shape[1] - border)
    inner[middle] = mask[middle]
    return float(torch.count_nonzero(inner)), float(torch.count_nonzero(full_windows(inner, window)))


def _of_full_windows(values: Tensor, mask: Tensor, window: int) -> Tensor:
    """Return the values (H-w+1, W-w+1) of the windows of ``mask`` (H, W) bool alone."""
    box = rectangle(mask)
    if box is None:
        return values[full_windows(mask, window)]
    rows, columns = (slice(part.start, max(part.stop - window + 1, part.start)) for part in box)
    return values[rows, columns]


def _signal_share(level: Level, window: int) -> float:
    """Return the mean share of the variance of a level's windows that is not noise, in [0, 1]."""
    variance = _of_full_windows(window_variance(level.image[0, 0], window), level.mask, window)
    noise = window**2 * level.noise_sigma**2
    return float((1 - noise / variance.clamp_min(noise + 1e-12)).mean()) if variance.numel() else 0.0


def _noise_eps(level: Level, window: int) -> float:
    """Return the eps with which a window of N pixels counts little where its variance is mostly noise."""
    variance = NOISE_WEIGHT * level.noise_sigma**2
    pixels = level.image.flatten()
    image_variance = float(torch.dot(pixels, pixels)) / max(
        int(torch.count_nonzero(level.mask)), 1
    )  # its mean is about zero
    return window**2 * max(variance, _MIN_RELATIVE_VARIANCE * image_variance, 1e-12)
