"""Two ways to look at a pair, and how the local ZNCC that is seen changes with the transform.

Fine texture: the images nearly as they are, small windows that count alike; it does not mind what changes slowly over
the frame. Noise: the images filtered by what they share (`zncc_cli.registration.refine.ring_correlation`), large windows that count by
their variance.

The scores are no gradient of the local ZNCC. With f and m both images, each less its mean and over its deviation in
every window, g_f and g_m their gradients, and z the local ZNCC, they are

    sum over windows w z (f - m) . (g_f + g_m) / 2

as if no step changed the deviations: where there is noise, a window becomes more alike by moving to where it finds more
contrast, and would be drawn there. Noise that both images have alike cancels from this sum. A window counts by its z,
so that what only one of the images shows, or noise, counts little; a pixel near the edge of the overlap, which is in
few windows, counts more than these would have it count.
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

_FINE_SIGMA = 0.85  # pixels: what a pixel's own noise and its aliasing are damped by
_WIDE_WINDOW = 31
_SHADING_SIGMA = 12.0  # pixels: what changes more slowly is shading
# Of the image's variance: what keeps a window without any texture finite. More of it would pull at the transform, since
# it makes a window agree the better the more contrast it finds.
_LEAST_EPS = 1e-6
# Of all windows that could hold a pixel: one that fewer hold counts less than one inside. It knows its mean from them.
_LEAST_SHARE = 0.6
BLOCK = 32  # pixels; scores of blocks this large are as good as independent
_BLOCKS, _LEAST_BLOCK = 8, 8  # along the shorter side, and pixels: products of gradients are known to smaller blocks
_SMALLEST = 1e-12  # of the largest own curvature: what is below has no gradient at all


@dataclass(frozen=True, eq=False)
class FixedWindows:
    """An image that others are laid on, with what every look at it needs.

    Attributes:
        image: (H, W), without holes.
        window: side of the windows, pixels.
        weight: of each window, (H-w+1, W-w+1), zero where it is not wholly valid.
        variance, sums: N times the variance of each window, and its sum.
    """

    image: Tensor
    window: int
    weight: Tensor
    variance: Tensor
    sums: Tensor

    @classmethod
    def of(cls, image: Tensor, window: int, weight: Tensor) -> FixedWindows:
        """Return it for an image (1, 1, H, W)."""
        plane = image[0, 0]
        return cls(plane, window, weight, window_variance(plane, window), window_sums(plane, window))


class SymmetricMetric:
    """A pair as it is looked at: what does not change from one transform to the next.

    Args:
        fixed: the image that lies still.
        moving: the other one, without holes.
        measured: what share of the pixels of fixed (H, W) and of moving was measured and not filled in; None for all.
    """

    def __init__(
        self, fixed: FixedWindows, moving: Sampler, measured: tuple[Tensor | None, Sampler | None] = (None, None)
    ) -> None:
        self.shape = int(fixed.image.shape[0]), int(fixed.image.shape[1])
        self.moving_shape = moving.shape
        self._fixed, self._sampler = fixed.image, moving
        self._measured = measured
        self._window, self._weight, self._eps = fixed.window, fixed.weight, fixed.window**2 * _LEAST_EPS
        self._v_fixed, self._sum_fixed = fixed.variance, fixed.sums
        self._v_fixed_held = self._v_fixed.clamp_min(0) + self._eps

    def linearized(self, matrix: np.ndarray, projective: bool, with_curvature: bool) -> Linearized | None:
        """Return the loss at ``matrix`` (3, 3), and how it changes with its entries; None without overlap.

        ``projective``: whether the last row of the matrix may change.
        """
        got = self._at(matrix)
        if got is None:
            return None
        pull, warped, w = got
        z, v = self._compared(warped)
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
        """Return how the images' gradients agree along the motion along which they agree least, block by block.

        Of all that ``to_matrix`` (9, k) lets the entries of ``matrix`` (3, 3) do, it is the motion with the smallest
        correlation of both images' gradients along it: about zero where there is noise alone, as along the lines of a
        texture of parallel lines. Noise has a gradient, too, so that the curvature does not tell.

        ``projective`` as in `linearized`. The mean product of both gradients in each block of a grid, (rows, columns),
        no two pixels' of the same noise; NaN where nothing counts; empty without overlap.
        """
        got = self._at(matrix)
        if got is None:
            return np.empty(0)
        pull, warped, w = got
        z, v = self._compared(warped)
        weight = pixel_sums(w * z.clamp_min(0).square() / v, self._window)
        # Of the product of two gradients, the square of their mean less that of half of their difference.
        mean, half = (
            MatrixGradient.of(pull, *_pulled(pull, *gradients(plane)), projective)
            for plane in ((self._fixed + warped) / 2, (self._fixed - warped) / 2)
        )
        of_mean, of_half = (to_matrix.T @ each.products(weight).numpy() @ to_matrix for each in (mean, half))
        values, vectors = np.linalg.eigh(of_mean + of_half)
        if not values[-1] > 0:  # no window that counts has a gradient
            return np.empty(0)
        to_unit = vectors / np.sqrt(values.clip(_SMALLEST * values[-1]))
        weakest = to_unit @ np.linalg.eigh(to_unit.T @ (of_mean - of_half) @ to_unit)[1][:, 0]
        change = (to_matrix @ weakest).reshape(3, 3)
        shared = weight * (mean.along(change).square() - half.along(change).square())
        side = min(BLOCK, max(_LEAST_BLOCK, min(self.shape) // _BLOCKS))
        means, held = (F.avg_pool2d(plane[None, None], side, ceil_mode=True)[0, 0] for plane in (shared, weight))
        return np.asarray(torch.where(held > 0, means, torch.nan).cpu().double())

    def local_zncc(self, matrix: np.ndarray) -> tuple[Tensor, Tensor] | None:
        """Return local ZNCC and weight of every window at ``matrix`` (3, 3), (H-w+1, W-w+1); None without overlap."""
        got = self._at(matrix)
        if got is None:
            return None
        _, warped, w = got
        return self._compared(warped)[0], w

    def blocks(self, matrix: np.ndarray) -> np.ndarray:
        """Return the local ZNCC at ``matrix`` (3, 3) over a grid, see `block_zncc`; empty without overlap."""
        got = self.local_zncc(matrix)
        return np.empty(0) if got is None else block_zncc(got[1], got[0], None, self._window)

    def among(self, windows: Tensor) -> SymmetricMetric:
        """Return the same look through some of its windows only, (H-w+1, W-w+1) bool."""
        some = copy.copy(self)
        some._weight = torch.where(windows, self._weight, 0)
        return some

    def _compared(self, warped: Tensor) -> tuple[Tensor, Tensor]:
        """Return the local ZNCC with the warped moving image, and N times that one's variance; of every window."""
        v, covariance = variance_and_covariance(self._fixed, self._v_fixed, warped, self._window)
        v = v.clamp_min(0) + self._eps
        return covariance / (v * self._v_fixed_held).sqrt(), v

    def _differences(self, warped: Tensor, counts: Tensor, v: Tensor, held: Tensor) -> Tensor:
        """Return (H, W): by how much each pixel of the fixed image is brighter in the windows that hold it.

        Args:
            counts: what each window counts, (H-w+1, W-w+1).
            v: N times the variance of each window of ``warped`` (H, W).
            held: which windows count at all.
        """
        n, side = self._window**2, self._window
        by_fixed, by_warped = counts / (self._v_fixed_held * v).sqrt(), counts / v
        means = (by_warped * window_sums(warped, side) - by_fixed * self._sum_fixed) / n
        differences = (
            self._fixed * pixel_sums(by_fixed, side) - warped * pixel_sums(by_warped, side) + pixel_sums(means, side)
        )
        return differences / (pixel_sums(held.to(warped), side) / n).clamp_min(_LEAST_SHARE)

    def _measured_at(self, pull: Tensor) -> Tensor | None:
        """Return what share of what is compared at each pixel (H, W) was measured; None for all."""
        fixed, moving = self._measured
        if moving is None:
            return fixed
        there = moving.warped(pull, self.shape)[0][0].clamp(0, 1)
        return there if fixed is None else fixed * there

    def _at(self, matrix: np.ndarray) -> tuple[Tensor, Tensor, Tensor] | None:
        """Return the matrix, the warped moving image (H, W) and the windows' weights; None without overlap."""
        if not in_front(matrix, self.shape):
            return None
        pull = torch.from_numpy(matrix)
        values, depth = self._sampler.warped(pull, self.shape)
        w = self._weight * window_weights(depth, self._window)
        return (pull, values[0], w) if float(w.sum()) > 0 else None


@dataclass(frozen=True)
class Linearized:
    """At one matrix: the loss; the scores (9, n) of n blocks, and the curvature (9, 9), in the matrix's entries.

    The curvature is empty where it was not asked for.
    """

    loss: float
    scores: np.ndarray
    curvature: np.ndarray


def local_metric(fixed: Level, moving: Level, scale: float, config: RegistrationConfig) -> SymmetricMetric:
    """Return the look at fine texture; ``scale`` is how many moving pixels lie along a fixed one."""
    still = _local_windows(fixed, *smooth(fixed.image, fixed.mask, _FINE_SIGMA), config.window_side)
    sampler = _local_sampler(*smooth(moving.image, moving.mask, _FINE_SIGMA * scale))
    return SymmetricMetric(still, sampler, _measured(fixed, moving, scale))


def _measured(fixed: Level, moving: Level, scale: float) -> tuple[Tensor | None, Sampler | None]:
    """Return what share of the pixels of both, smoothed as for fine texture, was measured: see `SymmetricMetric`."""
    of_fixed, of_moving = smoothed_share(fixed, _FINE_SIGMA), smoothed_share(moving, _FINE_SIGMA * scale)
    return of_fixed, None if of_moving is None else Sampler(of_moving[None, None], Interpolation.LINEAR)


def local_parts(level: Level, window: int) -> tuple[FixedWindows, Sampler]:
    """Return what the look at fine texture, by windows of this side, needs of an image as the fixed and the moving one.

    The other image of a pair has pixels of the same size.
    """
    smoothed = smooth(level.image, level.mask, _FINE_SIGMA)
    return _local_windows(level, *smoothed, window), _local_sampler(*smoothed)


def _local_windows(level: Level, image: Tensor, mask: Tensor, window: int) -> FixedWindows:
    """Return it of a level, and of its smoothed image (1, 1, H, W) with its mask (H, W)."""
    # White noise of variance one is left with the integral of the squared Gaussian.
    noise = level.noise_sigma**2 * min(1.0, 1 / (4 * np.pi * _FINE_SIGMA**2))
    variance = window_variance(image[0, 0], window)
    evidence = variance / (variance + window**2 * max(NOISE_WEIGHT * noise, _LEAST_EPS))
    # A gradient looks a pixel farther.
    weight = torch.where(full_windows(_eroded(mask, 1), window), evidence, 0)
    return FixedWindows.of(fill_holes(image, mask), window, weight)


def _local_sampler(image: Tensor, mask: Tensor) -> Sampler:
    return Sampler(fill_holes(image, mask), Interpolation.CUBIC, _eroded(mask, 1))


def whitened_metric(
    fixed: Level, moving: Level, matrix: np.ndarray, scale: float, config: RegistrationConfig
) -> SymmetricMetric | None:
    """Return the look that minds noise, for transforms near ``matrix`` (3, 3), with ``scale`` as in `fine`.

    None where the images are too small for it, or do not overlap at ``matrix``.
    """
    window = max(config.window_side, _WIDE_WINDOW)
    if 3 * window > min(*fixed.shape, *moving.shape):
        return None
    pull, push = torch.from_numpy(matrix), torch.from_numpy(np.linalg.inv(matrix))
    # What only one of them shows must not be in its shading either.
    f_mask = fixed.mask & _seen(moving, pull, fixed.shape)
    m_mask = moving.mask & _seen(fixed, push, moving.shape)
    held = full_windows(_eroded(f_mask, REACH), window)
    if not bool(held.any()):
        return None
    f, m = _without_shading(fixed, f_mask, 1.0), _without_shading(moving, m_mask, scale)
    spectrum = ring_correlation(
        f[0, 0], Sampler(m, Interpolation.LINEAR).warped(pull, fixed.shape)[0][0], taper(f_mask)
    )
    f, m = spectrum.filtered(f), spectrum.filtered(m, scale)
    variance = window_variance(f[0, 0], window)
    weight = torch.where(held, variance / variance.mean(), 0)
    still, sampler = FixedWindows.of(f, window, weight), Sampler(m, Interpolation.CUBIC, _eroded(m_mask, REACH))
    return SymmetricMetric(still, sampler, _measured(fixed, moving, scale))


def _seen(other: Level, matrix: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return which pixels of a frame (H, W) ``matrix`` takes between valid pixels of ``other``, (H, W) bool."""
    x, y = coordinates(matrix.to(other.image), shape)
    return inside(None if bool(other.mask.all()) else other.mask, other.shape, x, y)


def _without_shading(level: Level, mask: Tensor, scale: float) -> Tensor:
    """Return the image (1, 1, H, W) less what changes slowly over ``mask`` (H, W), and zero outside it."""
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
    by = applied(pull[2], shape) / (a * d - b * c)
    return (d * fx - c * fy) * by, (a * fy - b * fx) * by
