"""Two ways to look at a pair, and how the local ZNCC that is seen changes with the transform.

Fine texture: the images nearly as they are, small windows that count alike; it does not mind what changes slowly over
the frame. Noise: the images filtered by what they share (`zncc_cli.registration.spectrum`), large windows that count by
their variance.

The scores are no gradient: gradient images are interpolated as the image itself is, so that noise pulls nowhere
(`zncc_cli.registration.refinement`).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.config import RegistrationConfig
from zncc_cli.operators.local_zncc import local_zncc_sum
from zncc_cli.registration.objective import NOISE_WEIGHT, gauss_newton, gradients, noise_sigma
from zncc_cli.registration.pyramid import Level, fill_holes, smooth
from zncc_cli.registration.spectrum import REACH, ring_correlation, taper
from zncc_cli.registration.warp import (
    Interpolation,
    Sampler,
    coordinates,
    depth_inside,
    in_front,
    inside,
    matrix_scores,
)
from zncc_cli.registration.zncc import full_windows, over_windows, window_variance, window_weights

_FINE_SIGMA = 0.7  # pixels: what a pixel's own noise and its aliasing are damped by
_WIDE_WINDOW = 31
_SHADING_SIGMA = 12.0  # pixels: what changes more slowly is shading
# Of the image's variance: what keeps a window without any texture finite. More of it would pull at the transform, since
# it makes a window agree the better the more contrast it finds.
_LEAST_EPS = 1e-6
_BLOCK = 32  # pixels; scores of blocks this large are as good as independent


class Look:
    """A pair as it is looked at: what does not change from one transform to the next.

    Args:
        fixed, moving: (1, 1, H, W), without holes.
        moving_mask: (H, W) bool, valid pixels.
        window: side of the windows, pixels.
        weight: of each window of fixed, (H-w+1, W-w+1), zero where it is not wholly valid.
    """

    def __init__(self, fixed: Tensor, moving: Tensor, moving_mask: Tensor, window: int, weight: Tensor) -> None:
        self.shape = int(fixed.shape[-2]), int(fixed.shape[-1])
        self._fixed, self._moving_mask = fixed[0, 0], None if bool(moving_mask.all()) else moving_mask
        self.moving_shape = int(moving.shape[-2]), int(moving.shape[-1])
        self._window, self._weight, self._eps = window, weight, window**2 * _LEAST_EPS
        self._of_fixed = gradients(self._fixed)
        self._sample = Sampler(moving, Interpolation.CUBIC)
        self._sample_gradient = Sampler(torch.cat(gradients(moving), dim=1), Interpolation.LINEAR)

    def linearized(self, matrix: np.ndarray, with_curvature: bool) -> Linearized | None:
        """Return the loss at ``matrix`` (3, 3), and how it changes with its entries; None without overlap."""
        got = self._at(matrix)
        if got is None:
            return None
        pull, x, y, w = got
        total = float(w.sum())
        w.requires_grad_()
        warped = self._sample(x, y)[0, 0].requires_grad_()
        agreeing = local_zncc_sum(self._fixed, warped, self._window, self._eps, w)
        to_pixels, z = torch.autograd.grad(agreeing, (warped, w))
        gx, gy = (
            (mine + other) / 2
            for mine, other in zip(self._sample_gradient(x, y)[0], _pulled(pull, x, y, *self._of_fixed), strict=True)
        )
        curvature = np.zeros((0, 0))
        if with_curvature:
            v = window_variance(warped.detach(), self._window) + self._eps
            share = w.detach() * z.clamp_min(0) / v
            h9 = gauss_newton(pull, x, y, warped.detach(), gx, gy, share, v, self._window)
            curvature = h9.cpu().double().numpy()
        return Linearized(
            loss=1 - float(agreeing.detach()) / total,
            scores=matrix_scores(pull, x, y, gx * to_pixels, gy * to_pixels, _BLOCK).cpu().double().numpy(),
            curvature=curvature,
        )

    def agreement(self, matrix: np.ndarray) -> tuple[Tensor, Tensor] | None:
        """Return local ZNCC and weight of every window at ``matrix`` (3, 3), (H-w+1, W-w+1); None without overlap."""
        got = self._at(matrix)
        if got is None:
            return None
        _, x, y, w = got
        w.requires_grad_()
        agreeing = local_zncc_sum(self._fixed, self._sample(x, y)[0, 0], self._window, self._eps, w)
        (z,) = torch.autograd.grad(agreeing, w)
        return z, w.detach()

    def among(self, windows: Tensor) -> Look:
        """Return the same look through some of its windows only, (H-w+1, W-w+1) bool."""
        some = copy.copy(self)
        some._weight = torch.where(windows, self._weight, 0)
        return some

    def _at(self, matrix: np.ndarray) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
        """Return the matrix, its coordinates x, y (H, W), and the windows' weights; None without overlap."""
        if not in_front(matrix, self.shape):
            return None
        pull = torch.from_numpy(matrix).to(self._fixed.device, self._fixed.dtype)
        x, y = coordinates(pull, self.shape)
        w = self._weight * window_weights(depth_inside(self._moving_mask, self.moving_shape, x, y), self._window)
        return (pull, x, y, w) if float(w.sum()) > 0 else None


@dataclass(frozen=True)
class Linearized:
    """At one matrix: the loss; the scores (9, n) of n blocks, and the curvature (9, 9), in the matrix's entries.

    The curvature is empty where it was not asked for.
    """

    loss: float
    scores: np.ndarray
    curvature: np.ndarray


def fine(fixed: Level, moving: Level, scale: float, config: RegistrationConfig) -> Look:
    """Return the look at fine texture; ``scale`` is how many moving pixels lie along a fixed one."""
    f, f_mask = smooth(fixed.image, fixed.mask, _FINE_SIGMA)
    m, m_mask = smooth(moving.image, moving.mask, _FINE_SIGMA * scale)
    # White noise of variance one is left with the integral of the squared Gaussian.
    noise = noise_sigma(fixed.image, fixed.mask) ** 2 * min(1.0, 1 / (4 * np.pi * _FINE_SIGMA**2))
    variance = window_variance(f[0, 0], config.window)
    evidence = variance / (variance + config.window**2 * max(NOISE_WEIGHT * noise, _LEAST_EPS))
    # A gradient looks a pixel farther.
    weight = torch.where(full_windows(_eroded(f_mask, 1), config.window), evidence, 0)
    return Look(fill_holes(f, f_mask), fill_holes(m, m_mask), _eroded(m_mask, 1), config.window, weight)


def wide(fixed: Level, moving: Level, matrix: np.ndarray, scale: float, config: RegistrationConfig) -> Look | None:
    """Return the look that minds noise, for transforms near ``matrix`` (3, 3), with ``scale`` as in `fine`.

    None where the images are too small for it, or do not overlap at ``matrix``.
    """
    window = max(config.window, _WIDE_WINDOW)
    if 3 * window > min(*fixed.shape, *moving.shape):
        return None
    pull = torch.from_numpy(matrix).to(fixed.image.device, fixed.image.dtype)
    push = torch.from_numpy(np.linalg.inv(matrix)).to(pull)
    x, y = coordinates(pull, fixed.shape)
    # What only one of them shows must not be in its shading either.
    f_mask = fixed.mask & _seen(moving, x, y)
    m_mask = moving.mask & _seen(fixed, *coordinates(push, moving.shape))
    held = full_windows(_eroded(f_mask, REACH), window)
    if not bool(held.any()):
        return None
    f, m = _without_shading(fixed, f_mask, 1.0), _without_shading(moving, m_mask, scale)
    spectrum = ring_correlation(f[0, 0], Sampler(m, Interpolation.LINEAR)(x, y)[0, 0], taper(f_mask))
    f, m = spectrum.filtered(f), spectrum.filtered(m, scale)
    variance = window_variance(f[0, 0], window)
    weight = torch.where(held, variance / variance.mean(), 0)
    return Look(f, m, _eroded(m_mask, REACH), window, weight)


def _seen(other: Level, x: Tensor, y: Tensor) -> Tensor:
    """Return where the coordinates (H, W) lie between valid pixels of ``other``, (H, W) bool."""
    return inside(None if bool(other.mask.all()) else other.mask, other.shape, x, y)


def _without_shading(level: Level, mask: Tensor, scale: float) -> Tensor:
    """Return the image (1, 1, H, W) less what changes slowly over ``mask`` (H, W), and zero outside it."""
    slow, _ = smooth(level.image, mask, _SHADING_SIGMA * scale, enough=0.0)
    return torch.where(mask, level.image - slow, 0)


def _eroded(mask: Tensor, reach: int) -> Tensor:
    """Return the pixels of ``mask`` (H, W) with no other pixel, and no edge of the frame, within ``reach``."""
    return over_windows(F.pad(mask, [reach] * 4), 2 * reach + 1, torch.logical_and)


def _pulled(matrix: Tensor, x: Tensor, y: Tensor, fx: Tensor, fy: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient (fx, fy) of an image on the fixed frame, in moving coordinates: (dT/dx)^-T (fx, fy)."""
    (a, b, _), (c, d, _), (g, h, one) = matrix
    if bool(g) or bool(h):
        # dT/dx times the depth, which the same factor below takes out again
        a, b, c, d = a - x * g, b - x * h, c - y * g, d - y * h
        columns = torch.arange(x.shape[1], dtype=x.dtype, device=x.device)
        rows = torch.arange(x.shape[0], dtype=x.dtype, device=x.device)[:, None]
        depth = g * columns + (h * rows + one)
    else:
        depth = one
    by = depth / (a * d - b * c)
    return (d * fx - c * fy) * by, (a * fy - b * fx) * by
