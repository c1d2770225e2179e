"""The last fraction of a pixel, on the images themselves, and how sure it is.

A loss that is minimised by its own gradient is drawn to where interpolation smooths the noise: off by tenths of a
pixel on noisy images, whatever its form. Here the step is taken from gradient images that are interpolated as the image
itself is. Noise and its gradient are uncorrelated in a symmetric interpolation, so that noise pulls nowhere:

    0 = score(p) = sum over pixels of dL/dwarped . (g_fixed + g_warped) / 2 . dT/dp

with L the weighted sum of the local ZNCC; solved by Gauss-Newton steps with the mean of both images' gradients
(Benhimane and Malis 2004, doi:10.1109/IROS.2004.1389474). The scores of blocks, which would all be zero if there were
no noise, say how far p may be off: the sandwich covariance H^-1 V H^-1 (White 1982, doi:10.2307/1912526).

Two ways of looking at the pair are followed, and the one that is surer of its result is taken. Fine texture: the images
nearly as they are, small windows that count alike; it does not mind what changes slowly over the frame. Noise: the
images filtered by what they share (`zncc_cli.registration.spectrum`), large windows that count by their variance.

Legend: p parameters of the model, T its transform fixed -> moving, H curvature, V covariance of the score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.config import RegistrationConfig
from zncc_cli.operators.local_zncc import local_zncc_sum
from zncc_cli.registration.matrix_gradient import MatrixGradient
from zncc_cli.registration.objective import NOISE_WEIGHT, gauss_newton, gradients
from zncc_cli.registration.optimizer import Ending, safe_inverse, updated_inverse
from zncc_cli.registration.pyramid import Level, background, fill_holes, smooth
from zncc_cli.registration.spectrum import REACH, ring_correlation, taper
from zncc_cli.registration.transforms import TRANSFORMS, TransformFamily
from zncc_cli.registration.warp import (
    Interpolation,
    Sampler,
    applied,
    area_scale,
    coordinates,
    corners,
    in_front,
    inside,
    map_points,
)
from zncc_cli.registration.zncc import full_windows, over_windows, window_variance, window_weights

_FINE_SIGMA = 0.7  # pixels: what a pixel's own noise and its aliasing are damped by
_WIDE_WINDOW = 31
_SHADING_SIGMA = 12.0  # pixels: what changes more slowly is shading
# Of the image's variance: what keeps a window without any texture finite. More of it would pull at the transform, since
# it makes a window agree the better the more contrast it finds.
_LEAST_EPS = 1e-6
_ROUNDING = 5e-5  # pixels: shorter steps come from the rounding of float32, and identical images stay where they are
_LEAST_CONDITION = 1e-6  # of the curvature: below it interpolation alone holds a parameter
_MAX_STEP = 2.0  # pixels, of any parameter
_NEAR = 0.1  # pixels: after a step shorter than this the curvature is learned from the scores
_ROUNDS, _FAR = 2, 0.25  # where a corner moved by more pixels than this, the spectrum is measured a second time
_FARTHEST = 0.1  # of the frame's diagonal: a corner that moved by more has lost its way
_BLOCK = 32  # pixels; scores of blocks this large are as good as independent
_GRID = 9  # points along each side of the frame, where the deviation is taken


@dataclass(frozen=True)
class Refined:
    """A transform and how sure it is.

    Attributes:
        matrix: (3, 3) float64, fixed -> moving.
        deviation: expected RMS error of the displacement over the overlap, pixels; infinite where nothing is known.
        loss: one minus the weighted mean local ZNCC.
        ending, iterations: why and when the iteration ended.
    """

    matrix: np.ndarray
    deviation: float
    loss: float
    ending: Ending
    iterations: int


def refine(fixed: Level, moving: Level, start: np.ndarray, config: RegistrationConfig) -> Refined:
    """Return the best transform of ``config.model`` near ``start``, which is off by a pixel or two at most.

    Args:
        fixed, moving: the finest levels, of about unit variance.
        start: (3, 3), fixed -> moving.
        config: model, window, tolerance and most iterations are used.

    Returns:
        The transform; with nothing to hold on to the start itself, of infinite deviation.
    """
    family = TRANSFORMS[config.model](config.model, fixed.shape)
    scale = math.sqrt(area_scale(start, fixed.shape))  # moving pixels per fixed pixel
    frame = corners(fixed.shape)

    def motion(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.abs(map_points(a, frame) - map_points(b, frame)).max())

    matrix, found = start, list[Refined]()
    for _ in range(_ROUNDS):
        look = _wide(fixed, moving, matrix, scale, config)
        if look is None:
            break
        found.append(_solve(look, family, matrix, config))
        before, matrix = matrix, found[-1].matrix
        if not motion(matrix, before) > _FAR:
            break
    found.append(_solve(_fine(fixed, moving, scale, config), family, matrix, config))
    farthest = _FARTHEST * math.hypot(*fixed.shape)
    near = [refined for refined in reversed(found) if motion(refined.matrix, start) <= farthest]
    nothing = Refined(start, math.inf, math.nan, Ending.OUT_OF_DOMAIN, 0)
    return min(near, key=lambda refined: refined.deviation, default=nothing)


# Two ways to look at a pair -------------------------------------------------------------------------------------------


def _fine(fixed: Level, moving: Level, scale: float, config: RegistrationConfig) -> _Look:
    f, f_mask = smooth(fixed.image, fixed.mask, _FINE_SIGMA)
    m, m_mask = smooth(moving.image, moving.mask, _FINE_SIGMA * scale)
    # White noise of variance one is left with the integral of the squared Gaussian.
    noise = fixed.noise_sigma**2 * min(1.0, 1 / (4 * np.pi * _FINE_SIGMA**2))
    variance = window_variance(f[0, 0], config.window)
    evidence = variance / (variance + config.window**2 * max(NOISE_WEIGHT * noise, _LEAST_EPS))
    # A gradient looks a pixel farther.
    weight = torch.where(full_windows(_eroded(f_mask, 1), config.window), evidence, 0)
    return _Look(fill_holes(f, f_mask), fill_holes(m, m_mask), _eroded(m_mask, 1), config.window, weight)


def _wide(fixed: Level, moving: Level, matrix: np.ndarray, scale: float, config: RegistrationConfig) -> _Look | None:
    """Return None where the images are too small for it, or do not overlap at ``matrix``."""
    window = max(config.window, _WIDE_WINDOW)
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
    return _Look(f, m, _eroded(m_mask, REACH), window, weight)


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


# Solving --------------------------------------------------------------------------------------------------------------


class _Look:
    """A pair as it is looked at: what does not change from one transform to the next.

    Args:
        fixed, moving: (1, 1, H, W), without holes.
        moving_mask: (H, W) bool, valid pixels.
        window: side of the windows, pixels.
        weight: of each window of fixed, (H-w+1, W-w+1), zero where it is not wholly valid.
    """

    def __init__(self, fixed: Tensor, moving: Tensor, moving_mask: Tensor, window: int, weight: Tensor) -> None:
        self.shape = int(fixed.shape[-2]), int(fixed.shape[-1])
        self._fixed = fixed[0, 0]
        self.moving_shape = int(moving.shape[-2]), int(moving.shape[-1])
        self._window, self._weight, self._eps = window, weight, window**2 * _LEAST_EPS
        self._of_fixed = gradients(self._fixed)
        self._sampler = Sampler(moving, Interpolation.CUBIC, moving_mask)
        self._gradients = Sampler(torch.cat(gradients(moving), dim=1), Interpolation.LINEAR)

    def linearized(self, matrix: np.ndarray, projective: bool, with_curvature: bool) -> _Linearized | None:
        """Return the loss at ``matrix`` (3, 3), and how it changes with its entries; None without overlap.

        ``projective``: whether the last row of the matrix may change.
        """
        if not in_front(matrix, self.shape):
            return None
        pull = torch.from_numpy(matrix)
        values, depth = self._sampler.warped(pull, self.shape)
        w = self._weight * window_weights(depth, self._window)
        total = float(w.sum())
        if not total > 0:
            return None
        w.requires_grad_()
        warped = values[0].requires_grad_()
        agreeing = local_zncc_sum(self._fixed, warped, self._window, self._eps, w)
        to_pixels, z = torch.autograd.grad(agreeing, (warped, w))
        gx, gy = (
            (mine + other) / 2
            for mine, other in zip(
                self._gradients.warped(pull, self.shape)[0], _pulled(pull, *self._of_fixed), strict=True
            )
        )
        curvature = np.zeros((0, 0))
        if with_curvature:
            v = window_variance(warped.detach(), self._window) + self._eps
            share = w.detach() * z.clamp_min(0) / v
            curvature = gauss_newton(pull, warped.detach(), gx, gy, share, v, self._window, projective).numpy()
        return _Linearized(
            loss=1 - float(agreeing.detach()) / total,
            scores=MatrixGradient.of(pull, gx, gy, projective).scores(to_pixels, _BLOCK).numpy(),
            curvature=curvature,
        )


@dataclass(frozen=True)
class _Linearized:
    """At one matrix: the loss; the scores (9, n) of n blocks, and the curvature (9, 9), in the matrix's entries.

    The curvature is empty where it was not asked for.
    """

    loss: float
    scores: np.ndarray
    curvature: np.ndarray


def _solve(look: _Look, family: TransformFamily, start: np.ndarray, config: RegistrationConfig) -> Refined:
    """Follow the score to zero: far from it by Gauss-Newton steps, near it by quasi-Newton ones."""
    matrix, loss, ending, iteration = start, math.nan, Ending.MAX_ITERATIONS, 0
    inverse, step, before = None, np.zeros(family.size), np.zeros(family.size)
    for iteration in range(1, config.max_iterations + 1):
        near = iteration > 1 and float(np.linalg.norm(step)) < _NEAR
        at = look.linearized(matrix, family.projective, with_curvature=not near)
        if at is None:
            return Refined(start, math.inf, math.nan, Ending.OUT_OF_DOMAIN, iteration)
        loss, p = at.loss, family.parameters(matrix)
        to_matrix = family.jacobian(p)
        blocks = to_matrix.T @ at.scores
        score = blocks.sum(axis=1)
        if near:
            inverse = updated_inverse(inverse, step, before - score)
        else:
            inverse = safe_inverse(to_matrix.T @ at.curvature @ to_matrix, _LEAST_CONDITION)
        if inverse is None:
            return Refined(start, math.inf, loss, Ending.UNDETERMINED, iteration)
        step, before = inverse @ score, score
        length = float(np.linalg.norm(step))
        if length < _ROUNDING:
            ending = Ending.CONVERGED
            break
        step = step * min(1.0, _MAX_STEP / max(length, _MAX_STEP))
        matrix = family.matrix(p + step)
        if length < config.tolerance:
            ending = Ending.CONVERGED
            break
    by_block = to_matrix @ inverse @ blocks
    return Refined(matrix, _deviation(look, matrix, by_block @ by_block.T), loss, ending, iteration)


def _deviation(look: _Look, matrix: np.ndarray, covariance: np.ndarray) -> float:
    """Return the RMS over the overlap of the displacement's standard deviation, pixels.

    ``covariance`` is that of the entries of ``matrix``, row-major, (9, 9).
    """
    y, x = np.meshgrid(*(np.linspace(0, n - 1, _GRID) for n in look.shape), indexing="ij")
    points = np.column_stack((x.ravel(), y.ravel(), np.ones(x.size)))
    u, v = map_points(matrix, points[:, :2]).T
    height, width = look.moving_shape
    held = (u >= 0) & (u <= width - 1) & (v >= 0) & (v <= height - 1)
    if not held.any():
        return math.inf
    points, u, v = points[held], u[held, None], v[held, None]
    by_depth, none = points / (points @ matrix[2])[:, None], np.zeros_like(points)
    jacobian = np.stack((np.hstack((by_depth, none, -u * by_depth)), np.hstack((none, by_depth, -v * by_depth))))
    return float(np.sqrt(np.einsum("ani,ij,anj->an", jacobian, covariance, jacobian).sum(axis=0).mean()))


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
