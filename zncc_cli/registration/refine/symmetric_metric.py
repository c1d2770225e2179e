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

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.config import Interpolation, RegistrationConfig
from zncc_cli.operators.pair_metric import MetricWeights, Wanted
from zncc_cli.registration.geometry import frame_extent, overlap_extent
from zncc_cli.registration.metric.level_metric import NOISE_WEIGHT, block_grid, block_zncc
from zncc_cli.registration.metric.local_zncc import RELATIVE_EPS
from zncc_cli.registration.metric.pair_metric import PairMetric
from zncc_cli.registration.metric.windows import full_windows, over_windows, window_variance
from zncc_cli.registration.pyramid import Level, background, fill_holes, smooth, smoothed_share
from zncc_cli.registration.refine.ring_correlation import REACH, ring_correlation, taper
from zncc_cli.registration.warp import Sampler, coordinates, inside

_LOCAL_SIGMA = 0.85  # pixels: of the Gaussian that damps a pixel's own noise and its aliasing
_WHITENED_WINDOW = 31  # pixels, at least
_SHADING_SIGMA = 12.0  # pixels: what changes more slowly is shading
# Of the image's variance: keeps the ZNCC of a window without any texture finite. More of it would pull at the
# transform, since a window would agree the better the more contrast it finds.
_FLAT_EPS = 1e-6


class SymmetricMetric:
    """The local ZNCC of a pair at any transform, with its scores and its curvature.

    Args:
        metric: of the pair.
    """

    def __init__(self, metric: PairMetric) -> None:
        self.pair = metric
        self.shape, self.moving_shape = metric.shape, metric.moving_shape

    def linearized(
        self, matrix: np.ndarray, projective: bool, with_curvature: bool, tile_step: int = 1
    ) -> Linearized | None:
        """Return the loss at ``matrix`` and its change with the matrix's entries; None without overlap.

        Args:
            matrix: (3, 3), fixed -> moving, pixels.
            projective: whether the last row of the matrix may change.
            with_curvature: whether the curvature is computed.
            tile_step: only every which tile of the frame counts; 1 for all.
        """
        wanted = Wanted(scores=True, curvature=with_curvature)
        sums = self.pair.at(matrix, wanted, projective=projective, tile_step=tile_step)
        if sums is None or sums.scores is None or not sums.totals.weight > 0:
            return None
        curvature = np.zeros((0, 0)) if sums.curvature is None else sums.curvature.numpy()
        return Linearized(1 - sums.totals.weighted_zncc / sums.totals.weight, sums.scores.numpy(), curvature)

    def local_zncc(self, matrix: np.ndarray) -> tuple[Tensor, Tensor] | None:
        """Return local ZNCC and weight of every window at ``matrix`` (3, 3), (H-w+1, W-w+1); None without overlap."""
        sums = self.pair.at(matrix, Wanted(maps=True))
        if sums is None or sums.z is None or sums.w is None or not sums.totals.weight > 0:
            return None
        return sums.z, sums.w

    def blocks(self, matrix: np.ndarray) -> np.ndarray:
        """Return the local ZNCC at ``matrix`` (3, 3) over a grid, see `block_zncc`; empty without overlap."""
        extent = overlap_extent(matrix, frame_extent(self.shape), frame_extent(self.moving_shape))
        grid = block_grid(extent, self.shape, self.pair.window)
        if grid is None:
            return np.empty(0)
        cells, counts = grid
        sums = self.pair.at(matrix, Wanted(cells=cells))
        if sums is None or sums.cells is None or not sums.totals.weight > 0:
            return np.empty(0)
        return block_zncc(sums.cells[3], sums.cells[1], counts)

    def among(self, windows: Tensor) -> SymmetricMetric:
        """Return the metric of some windows only, (H-w+1, W-w+1) bool."""
        return SymmetricMetric(self.pair.among(windows))


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
    parts = local_fixed(fixed), local_moving(moving, scale)
    measured = smoothed_share(fixed, _LOCAL_SIGMA), smoothed_share(moving, _LOCAL_SIGMA * scale)
    return joined(*parts, config.window_side, measured)


@dataclass(frozen=True, eq=False)
class FixedImage:
    """The fixed image of a local metric.

    Attributes:
        image: (H, W), smoothed, without holes.
        mask: (H, W) bool, pixels whose gradient is valid.
        noise: variance of its noise.
    """

    image: Tensor
    mask: Tensor
    noise: float


def local_fixed(level: Level) -> FixedImage:
    """Return what `local_metric` makes of a level as the fixed image."""
    image, mask = smooth(level.image, level.mask, _LOCAL_SIGMA)
    # White noise of variance one is left with the integral of the squared Gaussian.
    noise = level.noise_sigma**2 * min(1.0, 1 / (4 * np.pi * _LOCAL_SIGMA**2))
    # A gradient reaches a pixel farther.
    return FixedImage(fill_holes(image, mask)[0, 0], _eroded(mask, 1), noise)


def local_moving(level: Level, scale: float = 1.0) -> Sampler:
    """Return what `local_metric` makes of a level as the moving image; ``scale`` as there."""
    image, mask = smooth(level.image, level.mask, _LOCAL_SIGMA * scale)
    return Sampler(fill_holes(image, mask), Interpolation.CUBIC, _eroded(mask, 1))


def joined(
    fixed: FixedImage, moving: Sampler, window: int, measured: tuple[Tensor | None, Tensor | None] = (None, None)
) -> SymmetricMetric:
    """Return the local metric of two images.

    Args:
        fixed, moving: of `local_fixed` and `local_moving`.
        window: side, pixels.
        measured: the share of each pixel of both images that was measured, smoothed likewise; None where all was.
    """
    n = window**2
    flat = n * _FLAT_EPS
    signal = n * max(NOISE_WEIGHT * fixed.noise, _FLAT_EPS)
    weights = MetricWeights(flat, flat, 1.0, signal, flat, flat, n * RELATIVE_EPS)
    return SymmetricMetric(PairMetric(fixed.image, fixed.mask, moving, window, weights, _shares(*measured)))


def _shares(fixed: Tensor | None, moving: Tensor | None) -> tuple[Tensor | None, Sampler | None]:
    return fixed, None if moving is None else Sampler(moving[None, None], Interpolation.LINEAR)


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
    n = window**2
    variance = window_variance(f[0, 0], window)[full].mean()
    flat = n * _FLAT_EPS
    weights = MetricWeights(flat, flat, 0.0, float(variance), flat, flat, n * RELATIVE_EPS)
    sampler = Sampler(m, Interpolation.CUBIC, _eroded(m_mask, REACH))
    measured = smoothed_share(fixed, _LOCAL_SIGMA), smoothed_share(moving, _LOCAL_SIGMA * scale)
    return SymmetricMetric(PairMetric(f[0, 0], _eroded(f_mask, REACH), sampler, window, weights, _shares(*measured)))


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
