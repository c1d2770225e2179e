"""The symmetric metric: the local ZNCC of a pair, and its change with the transform by the gradients of both images.

The mean of both images' gradients makes a Gauss-Newton step good to second order: efficient second-order minimisation,
ESM (Benhimane and Malis 2004, doi:10.1109/IROS.2004.1389474). There are two such metrics of a pair:

    local_metric      fine texture: the images smoothed by less than a pixel, small windows that count alike; shading,
                      which changes slowly over the frame, does not matter
    whitened_metric   noise: the images filtered by their Fourier ring correlation (`refine.ring_correlation`), large
                      windows that count by their variance

The scores are not the gradient of the local ZNCC. With f and m the two images, each less its mean and over its standard
deviation in every window, g_f and g_m their gradients, and z the local ZNCC, the scores are

    sum over windows w z (f - m) . (g_f + g_m) / 2

as if no step changed the standard deviations. The gradient of z has a term for them, and under noise that term pulls:
a window grows more alike by moving to where it finds more contrast. Noise that both images have alike cancels from this
sum. A window counts by its z, so that noise, or content of one image alone, counts little. A pixel near the edge of the
overlap lies in few windows, and is given more weight than these alone would give it.

Legend: pull the matrix fixed -> moving; w weights, v N times the variances of windows; z local ZNCC.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.config import Interpolation, RegistrationConfig
from zncc_cli.registration.metric.level_metric import NOISE_WEIGHT, block_zncc, gauss_newton, gradients
from zncc_cli.registration.metric.local_zncc import variance_and_covariance
from zncc_cli.registration.metric.matrix_gradient import MatrixGradient
from zncc_cli.registration.metric.windows import (
    full_windows,
    over_windows,
    pixel_sums,
    window_sums,
    window_variance,
    window_weights,
)
from zncc_cli.registration.pyramid import Level, background, fill_holes, smooth, smoothed_share
from zncc_cli.registration.refine.ring_correlation import REACH, ring_correlation, taper
from zncc_cli.registration.warp import Sampler, applied, coordinates, in_front, inside

_LOCAL_SIGMA = 0.85  # pixels: of the Gaussian that damps a pixel's own noise and its aliasing
_WHITENED_WINDOW = 31  # pixels, at least
_SHADING_SIGMA = 12.0  # pixels: what changes more slowly is shading
# Of the image's variance: keeps the ZNCC of a window without any texture finite. More of it would pull at the
# transform, since a window would agree the better the more contrast it finds.
_FLAT_EPS = 1e-6
# Of all windows that could hold a pixel: a pixel that fewer hold counts less than one inside, which knows its mean from
# more of them.
_MIN_WINDOW_SHARE = 0.6
BLOCK = 32  # pixels; scores of blocks this large are as good as independent
# Blocks for products of gradients may be smaller: this many along the frame's shorter side, of so many pixels at least.
_GRADIENT_BLOCKS, _MIN_GRADIENT_BLOCK = 8, 8
_MIN_CURVATURE = 1e-12  # of the largest one: along motions with less there is no gradient at all


@dataclass(frozen=True, eq=False)
class FixedWindows:
    """The fixed image of a metric, and what its windows hold.

    Attributes:
        image: (H, W), without holes.
        window: side of the windows, pixels.
        weight: of each window, (H-w+1, W-w+1), zero where it is not wholly valid.
        variance, sums: N times the variance of each window of N pixels, and its sum, (H-w+1, W-w+1).
    """

    image: Tensor
    window: int
    weight: Tensor
    variance: Tensor
    sums: Tensor

    @classmethod
    def of(cls, image: Tensor, window: int, weight: Tensor) -> FixedWindows:
        """Return the windows of an image (1, 1, H, W)."""
        plane = image[0, 0]
        return cls(plane, window, weight, window_variance(plane, window), window_sums(plane, window))


class SymmetricMetric:
    """The local ZNCC of a pair at any transform, with its scores and its curvature.

    Args:
        fixed: the windows of the fixed image.
        moving: the moving image, without holes.
        measured: the share of each pixel of fixed (H, W) and of moving that was measured and not filled in; None where
            all was.
    """

    def __init__(
        self, fixed: FixedWindows, moving: Sampler, measured: tuple[Tensor | None, Sampler | None] = (None, None)
    ) -> None:
        self.shape = int(fixed.image.shape[0]), int(fixed.image.shape[1])
        self.moving_shape = moving.shape
        self._fixed, self._sampler = fixed.image, moving
        self._measured = measured
        self._window, self._weight, self._eps = fixed.window, fixed.weight, fixed.window**2 * _FLAT_EPS
        self._v_fixed, self._sum_fixed = fixed.variance, fixed.sums
        self._v_fixed_eps = self._v_fixed.clamp_min(0) + self._eps

    def linearized(self, matrix: np.ndarray, projective: bool, with_curvature: bool) -> Linearized | None:
        """Return the loss at ``matrix`` and its change with the matrix's entries; None without overlap.

        Args:
            matrix: (3, 3), fixed -> moving, pixels.
            projective: whether the last row of the matrix may change.
            with_curvature: whether the curvature is computed.
        """
        sampled = self._sampled(matrix)
        if sampled is None:
            return None
        pull, warped, w = sampled
        z, v = self._zncc_and_variance(warped)
        total, counts = float(w.sum()), w * z.clamp_min(0)
        gx, gy = _pulled(pull, *gradients((self._fixed + warped) / 2))
        curvature = np.zeros((0, 0))
        differences, measured = self._differences(warped, counts, v, w > 0), self._measured_at(pull)
        if measured is not None:
            differences = differences * measured
        if with_curvature:
            share = counts * z / v
            if measured is not None:
                share = share * window_sums(measured, self._window) / self._window**2
            curvature = gauss_newton(pull, warped, gx, gy, share, v, self._window, projective).numpy()
        return Linearized(
            loss=1 - float((w * z).sum()) / total,
            scores=MatrixGradient.of(pull, gx, gy, projective).scores(differences, BLOCK).numpy(),
            curvature=curvature,
        )

    def aperture_agreement(self, matrix: np.ndarray, to_matrix: np.ndarray, projective: bool) -> np.ndarray:
        """Return how well both images' gradients agree along the motion along which they agree least, block by block.

        This is the aperture problem: along the lines of a texture of parallel lines there is noise alone, and the
        gradients of the two images along that motion do not correlate. The curvature does not tell, since noise has a
        gradient, too.

        Args:
            matrix: (3, 3), fixed -> moving, pixels.
            to_matrix: (9, k), the derivatives of the matrix's entries by the model's parameters: the motions compared.
            projective: as in `linearized`.

        Returns:
            The mean product of both gradients along that motion in each block of a grid, (rows, columns); NaN where
            nothing counts; empty without overlap.
        """
        sampled = self._sampled(matrix)
        if sampled is None:
            return np.empty(0)
        pull, warped, w = sampled
        z, v = self._zncc_and_variance(warped)
        weight = pixel_sums(w * z.clamp_min(0).square() / v, self._window)
        # The product of two gradients is the square of their mean less that of half of their difference.
        mean, half = (
            MatrixGradient.of(pull, *_pulled(pull, *gradients(plane)), projective)
            for plane in ((self._fixed + warped) / 2, (self._fixed - warped) / 2)
        )
        of_mean, of_half = (to_matrix.T @ part.products(weight).numpy() @ to_matrix for part in (mean, half))
        values, vectors = np.linalg.eigh(of_mean + of_half)
        if not values[-1] > 0:  # no window that counts has a gradient
            return np.empty(0)
        to_unit = vectors / np.sqrt(values.clip(_MIN_CURVATURE * values[-1]))
        weakest = to_unit @ np.linalg.eigh(to_unit.T @ (of_mean - of_half) @ to_unit)[1][:, 0]
        change = (to_matrix @ weakest).reshape(3, 3)
        shared = weight * (mean.along(change).square() - half.along(change).square())
        side = min(BLOCK, max(_MIN_GRADIENT_BLOCK, min(self.shape) // _GRADIENT_BLOCKS))
        means, weights = (F.avg_pool2d(plane[None, None], side, ceil_mode=True)[0, 0] for plane in (shared, weight))
        return np.asarray(torch.where(weights > 0, means, torch.nan).cpu().double())

    def local_zncc(self, matrix: np.ndarray) -> tuple[Tensor, Tensor] | None:
        """Return local ZNCC and weight of every window at ``matrix`` (3, 3), (H-w+1, W-w+1); None without overlap."""
        sampled = self._sampled(matrix)
        if sampled is None:
            return None
        _, warped, w = sampled
        return self._zncc_and_variance(warped)[0], w

    def blocks(self, matrix: np.ndarray) -> np.ndarray:
        """Return the local ZNCC at ``matrix`` (3, 3) over a grid, see `block_zncc`; empty without overlap."""
        maps = self.local_zncc(matrix)
        return np.empty(0) if maps is None else block_zncc(maps[1], maps[0], None, self._window)

    def among(self, windows: Tensor) -> SymmetricMetric:
        """Return the metric of some windows only, (H-w+1, W-w+1) bool."""
        part = copy.copy(self)
        part._weight = torch.where(windows, self._weight, 0)
        return part

    def _zncc_and_variance(self, warped: Tensor) -> tuple[Tensor, Tensor]:
        """Return of every window the local ZNCC with the warped moving image, and N times the latter's variance."""
        v, covariance = variance_and_covariance(self._fixed, self._v_fixed, warped, self._window)
        v = v.clamp_min(0) + self._eps
        return covariance / (v * self._v_fixed_eps).sqrt(), v

    def _differences(self, warped: Tensor, counts: Tensor, v: Tensor, used: Tensor) -> Tensor:
        """Return by how much each pixel of the fixed image is brighter in the windows that hold it, (H, W).

        Args:
            warped: the moving image on the fixed frame, (H, W).
            counts: w z of each window, (H-w+1, W-w+1).
            v: N times the variance of each window of ``warped``.
            used: which windows have a weight at all, bool.
        """
        n, side = self._window**2, self._window
        by_fixed, by_warped = counts / (self._v_fixed_eps * v).sqrt(), counts / v
        means = (by_warped * window_sums(warped, side) - by_fixed * self._sum_fixed) / n
        differences = (
            self._fixed * pixel_sums(by_fixed, side) - warped * pixel_sums(by_warped, side) + pixel_sums(means, side)
        )
        return differences / (pixel_sums(used.to(warped), side) / n).clamp_min(_MIN_WINDOW_SHARE)

    def _measured_at(self, pull: Tensor) -> Tensor | None:
        """Return the product of both images' measured shares at each pixel, (H, W); None where all was measured."""
        fixed, moving = self._measured
        if moving is None:
            return fixed
        warped = moving.warped(pull, self.shape)[0][0].clamp(0, 1)
        return warped if fixed is None else fixed * warped

    def _sampled(self, matrix: np.ndarray) -> tuple[Tensor, Tensor, Tensor] | None:
        """Return the matrix, the warped moving image (H, W) and the windows' weights; None without overlap."""
        if not in_front(matrix, self.shape):
            return None
        pull = torch.from_numpy(matrix)
        values, edge_weight = self._sampler.warped(pull, self.shape)
        w = self._weight * window_weights(edge_weight, self._window)
        return (pull, values[0], w) if float(w.sum()) > 0 else None


@dataclass(frozen=True)
class Linearized:
    """A `SymmetricMetric` at one matrix, to second order in the matrix's entries.

    Attributes:
        loss: one minus the weighted mean local ZNCC.
        scores: (9, n), of n blocks of `BLOCK` pixels a side, row by row.
        curvature: (9, 9), of all of them; empty where it was not computed.
    """

    loss: float
    scores: np.ndarray
    curvature: np.ndarray


def local_metric(fixed: Level, moving: Level, scale: float, config: RegistrationConfig) -> SymmetricMetric:
    """Return the metric of fine texture.

    Args:
        fixed, moving: of about unit variance.
        scale: moving pixels along the side of a fixed one.
        config: its window is used.
    """
    windows = _local_windows(fixed, *smooth(fixed.image, fixed.mask, _LOCAL_SIGMA), config.window_side)
    sampler = _local_sampler(*smooth(moving.image, moving.mask, _LOCAL_SIGMA * scale))
    return SymmetricMetric(windows, sampler, _measured(fixed, moving, scale))


def _measured(fixed: Level, moving: Level, scale: float) -> tuple[Tensor | None, Sampler | None]:
    """Return the measured shares of both images, smoothed as in `local_metric`: see `SymmetricMetric`."""
    of_fixed, of_moving = smoothed_share(fixed, _LOCAL_SIGMA), smoothed_share(moving, _LOCAL_SIGMA * scale)
    return of_fixed, None if of_moving is None else Sampler(of_moving[None, None], Interpolation.LINEAR)


def local_parts(level: Level, window: int) -> tuple[FixedWindows, Sampler]:
    """Return what `local_metric` makes of a level as the fixed image, and as the moving one.

    For images that take part in many pairs, with images whose pixels have the same size. ``window``: side, pixels.
    """
    smoothed = smooth(level.image, level.mask, _LOCAL_SIGMA)
    return _local_windows(level, *smoothed, window), _local_sampler(*smoothed)


def _local_windows(level: Level, image: Tensor, mask: Tensor, window: int) -> FixedWindows:
    """Return the windows of a level from its smoothed image (1, 1, H, W) with its mask (H, W)."""
    # White noise of variance one is left with the integral of the squared Gaussian.
    noise = level.noise_sigma**2 * min(1.0, 1 / (4 * np.pi * _LOCAL_SIGMA**2))
    variance = window_variance(image[0, 0], window)
    signal_fraction = variance / (variance + window**2 * max(NOISE_WEIGHT * noise, _FLAT_EPS))
    # A gradient reaches a pixel farther.
    weight = torch.where(full_windows(_eroded(mask, 1), window), signal_fraction, 0)
    return FixedWindows.of(fill_holes(image, mask), window, weight)


def _local_sampler(image: Tensor, mask: Tensor) -> Sampler:
    return Sampler(fill_holes(image, mask), Interpolation.CUBIC, _eroded(mask, 1))


def whitened_metric(
    fixed: Level, moving: Level, matrix: np.ndarray, scale: float, config: RegistrationConfig
) -> SymmetricMetric | None:
    """Return the metric of the images filtered by their ring correlation, for transforms near ``matrix``.

    Args:
        fixed, moving, scale, config: as in `local_metric`.
        matrix: (3, 3), fixed -> moving: where the images are compared for the filter.

    Returns:
        None where the images are too small for it, or do not overlap at ``matrix``.
    """
    window = max(config.window_side, _WHITENED_WINDOW)
    if 3 * window > min(*fixed.shape, *moving.shape):
        return None
    pull, push = torch.from_numpy(matrix), torch.from_numpy(np.linalg.inv(matrix))
    # Content of one image alone must not be in its shading either.
    f_mask = fixed.mask & _visible(moving, pull, fixed.shape)
    m_mask = moving.mask & _visible(fixed, push, moving.shape)
    full = full_windows(_eroded(f_mask, REACH), window)
    if not bool(full.any()):
        return None
    f, m = _without_shading(fixed, f_mask, 1.0), _without_shading(moving, m_mask, scale)
    spectrum = ring_correlation(
        f[0, 0], Sampler(m, Interpolation.LINEAR).warped(pull, fixed.shape)[0][0], taper(f_mask)
    )
    f, m = spectrum.filtered(f), spectrum.filtered(m, scale)
    variance = window_variance(f[0, 0], window)
    weight = torch.where(full, variance / variance.mean(), 0)
    windows, sampler = FixedWindows.of(f, window, weight), Sampler(m, Interpolation.CUBIC, _eroded(m_mask, REACH))
    return SymmetricMetric(windows, sampler, _measured(fixed, moving, scale))


def _visible(other: Level, matrix: Tensor, shape: tuple[int, int]) -> Tensor:
    """Tell which pixels of a frame (H, W) ``matrix`` takes between valid pixels of ``other``, (H, W) bool."""
    x, y = coordinates(matrix.to(other.image), shape)
    return inside(None if bool(other.mask.all()) else other.mask, other.shape, x, y)


def _without_shading(level: Level, mask: Tensor, scale: float) -> Tensor:
    """Return the image (1, 1, H, W) less its shading over ``mask`` (H, W), and zero outside it."""
    return torch.where(mask, level.image - background(level.image, mask, _SHADING_SIGMA * scale), 0)


def _eroded(mask: Tensor, reach: int) -> Tensor:
    """Return the pixels of ``mask`` (H, W) with no other pixel, and no edge of the frame, within ``reach``."""
    return over_windows(F.pad(mask, [reach] * 4), 2 * reach + 1, torch.logical_and)


def _pulled(matrix: Tensor, fx: Tensor, fy: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient (fx, fy) of an image on the fixed frame, in moving coordinates: (dT/dx)^-T (fx, fy).

    ``matrix`` is (3, 3) float64 on the CPU.
    """
    if not bool(matrix[2, :2].any()):
        (a, b), (c, d) = torch.linalg.inv(matrix[:2, :2] / matrix[2, 2]).T.tolist()
        return a * fx + b * fy, c * fx + d * fy
    shape = int(fx.shape[0]), int(fx.shape[1])
    pull = matrix.to(fx)
    x, y = coordinates(pull, shape)
    # dT/dx times the depth, which the factor takes out again.
    (a, b, _), (c, d, _), (g, h, _) = pull
    a, b, c, d = a - x * g, b - x * h, c - y * g, d - y * h
    factor = applied(pull[2], shape) / (a * d - b * c)
    return (d * fx - c * fy) * factor, (a * fy - b * fx) * factor
