"""The loss of one pyramid level, from its local ZNCC, as a function of a transform's parameters.

    loss = 1 - sum(w z) / sum(w e)          e = v_fixed / (v_fixed + eps), the value of z where the images are alike

w: the edge weight of a window, that of the pixel nearest to the edge of the overlap: zero on the edge, one from a pixel
further in. So the loss has no jumps, and a window that reaches beyond the overlap does not count. e: the signal
fraction of a window, the share of its variance that is no noise. With e in the denominator the loss does not fall when
windows enter or leave the overlap.

Names: v window variance, z local ZNCC.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.config import Interpolation
from zncc_cli.operators.local_zncc import local_zncc_sum
from zncc_cli.registration.geometry import black_fields, chessboard_fields
from zncc_cli.registration.metric.local_zncc import (
    RELATIVE_EPS,
    correlation,
    variance_and_covariance,
)
from zncc_cli.registration.metric.matrix_gradient import MatrixGradient
from zncc_cli.registration.metric.windows import (
    full_windows,
    pixel_sums,
    window_sums,
    window_variance,
    window_weights,
)
from zncc_cli.registration.pyramid import Level, fill_holes
from zncc_cli.registration.transforms.linear import LinearTransform
from zncc_cli.registration.warp import Sampler, area_scale, in_front, level_matrix, level_scale

# A window counts by half where its variance is this many times that of the noise. Between 1 and 8 the error on noisy
# pairs of the benchmark halves, on clean ones it stays below 0.02 px (docs/method.md, "Weights").
NOISE_WEIGHT = 8.0
# Windows whose variance is this share of the image's own count as flat even where there is no noise at all.
_MIN_RELATIVE_VARIANCE = 1e-6
_BLOCKS_PER_SIDE = 8  # of the overlap
_MIN_BLOCK_SIGNAL = 0.25  # of the sum of w e in the block with most: less is mostly noise
_OVERLAP_ROUNDING = 1e-3  # float32 sums of weights are good to less


@dataclass(frozen=True)
class Similarity:
    """How well two images agree at a transform.

    Attributes:
        zncc: mean local ZNCC in [-1, 1]; every textured window counts alike, noise or not: the number that people know.
        overlap: share of the windows of the smaller image that lie in the overlap, in [0, 1].
        blocks: sum(w z) / sum(w e) of each block of a grid over the overlap, (rows, columns); NaN where a block holds
            little signal.
    """

    zncc: float
    overlap: float
    blocks: np.ndarray


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
        self._sampler = Sampler(fill_holes(moving.image, moving.mask), interpolation, moving.mask)
        self._v_fixed = window_variance(fixed.image[0, 0], window)
        self._eps = _noise_eps(fixed, window), _noise_eps(moving, window)
        self._signal_fraction = self._v_fixed / (self._v_fixed + self._eps[0])
        # The images have a variance of about one.
        self._plain_eps = RELATIVE_EPS * window**2, RELATIVE_EPS * window**2
        self._fixed_windows = full_windows(fixed.mask, window)
        edge_weight = self._sampler.own_edge_weight
        # Of the fixed and of the moving image alone.
        self._window_counts = float(self._fixed_windows.sum()), float(window_weights(edge_weight, window).sum())
        self._pixel_counts = float(fixed.mask.sum()), float(edge_weight.sum())
        self._min_overlap = min_overlap * (1 - _OVERLAP_ROUNDING)

    def similarity(self, matrix: np.ndarray) -> Similarity | None:
        """Return how well the images agree at ``matrix`` (3, 3), fixed -> moving; None with too little overlap."""
        maps = self._zncc_maps(matrix, (self._plain_eps, self._eps))
        if maps is None:
            return None
        w, plain_z, z = maps
        total = float(w.sum())
        return Similarity(
            zncc=float((w * plain_z).sum()) / total,
            overlap=min(1.0, total / self._max_overlap(self._window_counts, matrix)),
            blocks=block_zncc(w, z, self._signal_fraction, self._window),
        )

    def overlap(self, matrix: np.ndarray) -> float:
        """Return the share of the smaller image's pixels that lie in the overlap at ``matrix`` (3, 3), in [0, 1].

        Pixels outside a mask do not count. A matrix whose horizon crosses the frame gives no overlap.
        """
        if not in_front(matrix, self.shape):
            return 0.0
        with torch.no_grad():
            edge_weight = self._sampled(level_matrix(torch.from_numpy(matrix), self._fixed.factor))[2]
        return min(1.0, self._overlap(edge_weight, matrix))

    def similarity_by_fold(self, matrix: np.ndarray, side: int) -> tuple[float, float] | None:
        """Return the mean local ZNCC inside the black and inside the white fields of a chessboard on the fixed frame.

        Args:
            matrix: (3, 3), fixed -> moving, full-resolution pixels.
            side: of the fields, level pixels; the first one begins at the first pixel.

        Returns:
            (black, white), NaN for a colour that holds no window; None with too little overlap.
        """
        maps = self._zncc_maps(matrix, (self._plain_eps,))
        if maps is None:
            return None
        w, z = maps
        rows, columns = (chessboard_fields(n, side, self._window, device=w.device) for n in w.shape)
        inside, black = (rows >= 0)[:, None] & (columns >= 0), black_fields(rows, columns)
        weights = (torch.where(inside & colour, w, 0) for colour in (black, ~black))
        return tuple(float((weight * z).sum()) / float(weight.sum() or torch.nan) for weight in weights)  # type: ignore[return-value]

    def _zncc_maps(self, matrix: np.ndarray, eps: tuple[tuple[float, float], ...]) -> tuple[Tensor, ...] | None:
        """Return the weight of every window, and its local ZNCC with each (fixed, moving) of ``eps``.

        None with too little overlap.
        """
        if not in_front(matrix, self.shape):
            return None
        with torch.no_grad():
            overlap = self._warped(torch.from_numpy(np.ascontiguousarray(matrix, dtype=np.float64)))
            if overlap is None:
                return None
            warped, w = overlap
            v, covariance = variance_and_covariance(self._fixed.image[0, 0], self._v_fixed, warped, self._window)
            return w, *(correlation(covariance, self._v_fixed, v, each) for each in eps)

    def loss_and_gradient(self, transform: LinearTransform, parameters: np.ndarray) -> tuple[float, np.ndarray] | None:
        """Return the loss and its gradient (n,) at (n,) parameters of ``transform``; None with too little overlap."""
        matrix = torch.from_numpy(transform.matrix(parameters)).requires_grad_()
        if not in_front(matrix.detach().numpy(), self.shape):
            return None
        overlap = self._warped(matrix)
        if overlap is None:
            return None
        warped, w = overlap
        zncc_sum = local_zncc_sum(self._fixed.image[0, 0], warped, self._window, self._eps, w)
        loss = 1 - zncc_sum / (w * self._signal_fraction).sum()
        (by_matrix,) = torch.autograd.grad(loss, matrix)
        value, gradient = float(loss.detach()), by_matrix.numpy().ravel() @ transform.jacobian(parameters)
        return (value, gradient) if np.isfinite(value) and np.isfinite(gradient).all() else None

    def curvature(self, transform: LinearTransform, parameters: np.ndarray) -> np.ndarray:
        """Return the Gauss-Newton approximation (n, n) of the loss's Hessian at the (n,) parameters of ``transform``.

        It assumes that the images agree there, which is enough for BFGS to start from.
        """
        factor, shape = self._fixed.factor, self._fixed.shape
        pull = level_matrix(torch.from_numpy(transform.matrix(parameters)), factor)
        warped, w, _ = self._sampled(pull)
        share = w / (self._v_fixed + self._eps[0]) / (w * self._signal_fraction).sum()
        gx, gy = self._gradients.warped(pull, shape)[0]
        v = window_variance(warped, self._window)
        h9 = gauss_newton(pull, warped, gx, gy, share, v, self._window, transform.projective).numpy()
        to_level = level_scale(factor).reshape(9, 1) * transform.jacobian(parameters)
        return np.asarray(to_level.T @ h9 @ to_level)

    @cached_property
    def _gradients(self) -> Sampler:
        return Sampler(torch.cat(gradients(self._moving.image), dim=1), Interpolation.LINEAR)

    @property
    def factor(self) -> int:
        """Full-resolution pixels per pixel of the level."""
        return self._fixed.factor

    def _warped(self, matrix: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return the warped moving image and the weight of every window; None with too little overlap.

        ``matrix``: (3, 3), full-resolution pixels.
        """
        warped, w, edge_weight = self._sampled(level_matrix(matrix, self._fixed.factor))
        enough = self._overlap(edge_weight.detach(), matrix.detach().numpy()) >= self._min_overlap
        return (warped, w) if enough and float(w.detach().sum()) >= 1 else None

    def _sampled(self, pull: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the warped moving image, the weights of the windows and the edge weights of the pixels.

        ``pull``: (3, 3), fixed -> moving, level pixels.
        """
        values, edge_weight = self._sampler.warped(pull, self._fixed.shape)
        w = torch.where(self._fixed_windows, window_weights(edge_weight, self._window), 0)
        return values[0], w, edge_weight

    def _overlap(self, edge_weight: Tensor, matrix: np.ndarray) -> float:
        """Return the share of the smaller image's pixels in the overlap, from their edge weights (H, W)."""
        return float((edge_weight * self._fixed.mask).sum()) / self._max_overlap(self._pixel_counts, matrix)

    def _max_overlap(self, counts: tuple[float, float], matrix: np.ndarray) -> float:
        """Return how much of the smaller image could lie in the overlap at most, in units of the fixed image.

        ``counts``: pixels or windows of the fixed and of the moving image.
        """
        fixed, moving = counts
        return max(1.0, min(fixed, moving / area_scale(matrix, self.shape)))


def block_zncc(w: Tensor, z: Tensor, signal_fraction: Tensor | None, window: int) -> np.ndarray:
    """Return the local ZNCC of each block of a grid over the overlap, sum(w z) / sum(w e).

    Args:
        w, z: weight and local ZNCC of every window, (H-w+1, W-w+1).
        signal_fraction: e of every window, likewise; None for ones.
        window: its side, pixels.

    Returns:
        (rows, columns); NaN where a block holds little signal.
    """
    z, weight = _cropped_to_overlap(w, w * z, w if signal_fraction is None else w * signal_fraction)
    side = [block_side(n, window) for n in z.shape]
    sums, weights = (F.avg_pool2d(plane[None, None], side, ceil_mode=True)[0, 0] for plane in (z, weight))
    has_signal = weights > weights.max() * _MIN_BLOCK_SIGNAL
    return np.asarray(torch.where(has_signal, sums / weights, torch.nan).cpu().double())


def block_side(count: int, window: int) -> int:
    """Return the side of a block of windows, pixels, where ``count`` windows of side ``window`` lie along an axis.

    There are `_BLOCKS_PER_SIDE` blocks, or fewer: none is smaller than a window, so that neighbours share little.
    """
    return max(window, -(-count // _BLOCKS_PER_SIDE))


def gradients(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return d/dx and d/dy of ``image`` (..., H, W) by central differences, per pixel."""
    y, x = torch.gradient(image, dim=(-2, -1))
    return x, y


def gauss_newton(
    matrix: Tensor, image: Tensor, gx: Tensor, gy: Tensor, share: Tensor, v: Tensor, window: int, projective: bool
) -> Tensor:
    """Return the Gauss-Newton approximation (9, 9) of the Hessian of -sum(w z) in the entries of ``matrix``.

    Moving a window's pixels by d changes its z by -1/2 sum (g . d)^2 / v, with g the gradient less what a change of
    the window's mean and of its contrast explains. For these two, d is taken at the window's centre.

    Args:
        matrix: (3, 3) float64 on the CPU, fixed -> moving.
        image, gx, gy: the warped moving image and its gradient in moving coordinates, (H, W).
        share: w z / v of each window, (H-w+1, W-w+1), not negative.
        v: N times the variance of each window of ``image``.
        window: its side.
        projective: whether the last row of the matrix may change; else its entries of the result are zero.
    """
    all_pixels = MatrixGradient.of(matrix, gx, gy, projective).products(pixel_sums(share, window))
    S_m, S_x, S_y = (window_sums(plane, window) for plane in (image, gx, gy))
    cov_x, cov_y = (window_sums(g * image, window) - S * S_m / window**2 for g, S in ((gx, S_x), (gy, S_y)))
    centre = window // 2
    by_mean = MatrixGradient.of(matrix, S_x, S_y, projective, centre).products(share / window**2)
    by_contrast = MatrixGradient.of(matrix, cov_x, cov_y, projective, centre).products(
        share / v.clamp_min(RELATIVE_EPS * window**2)
    )
    return all_pixels - by_mean - by_contrast


def _cropped_to_overlap(w: Tensor, *maps: Tensor) -> list[Tensor]:
    """Return ``maps`` cropped to the rows and columns in which any window has a weight ``w``."""
    rows, columns = torch.nonzero((w > 0).any(dim=1)), torch.nonzero((w > 0).any(dim=0))
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    return [plane[box] for plane in maps]


def _noise_eps(level: Level, window: int) -> float:
    """Return the eps with which a window of N pixels counts little where its variance is mostly noise."""
    variance = NOISE_WEIGHT * level.noise_sigma**2
    image_variance = float(level.image.square().sum() / level.mask.sum().clamp_min(1))  # its mean is about zero
    return window**2 * max(variance, _MIN_RELATIVE_VARIANCE * image_variance, 1e-12)
