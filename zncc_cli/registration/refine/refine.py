"""The last fraction of a pixel, on the images themselves, and how sure it is.

A loss that is minimised by its own gradient is drawn to where interpolation smooths the noise: off by tenths of a
pixel on noisy images, whatever its form. Here the step is taken from gradient images that are interpolated as the image
itself is. Noise and its gradient are uncorrelated in a symmetric interpolation, so that noise pulls nowhere:

    0 = score(p) = sum over pixels of dL/dwarped . (g_fixed + g_warped) / 2 . dT/dp

with L the weighted sum of the local ZNCC; solved by Gauss-Newton steps with the mean of both images' gradients
(Benhimane and Malis 2004, doi:10.1109/IROS.2004.1389474). The scores of blocks, which would all be zero if there were
no noise, say how far p may be off: the sandwich covariance H^-1 V H^-1 (White 1982, doi:10.2307/1912526).

The pair is looked at for its fine texture first (`zncc_cli.registration.refine.symmetric_metric`). Where that is not sure of its result,
the other look is followed too, and the two results are averaged by how sure they are.

Legend: p parameters of the model, T its transform fixed -> moving, H curvature, V covariance of the score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from zncc_cli.config import Model, RegistrationConfig
from zncc_cli.registration.geometry import frame_extent, overlap_points, point_jacobian
from zncc_cli.registration.optimizer import Ending, safe_inverse, updated_inverse
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.refine.symmetric_metric import SymmetricMetric, local_metric, whitened_metric
from zncc_cli.registration.transforms import TRANSFORMS, TransformFamily
from zncc_cli.registration.warp import area_scale, corners, map_points

_ROUNDING = 5e-5  # pixels: shorter steps come from the rounding of float32, and identical images stay where they are
_LEAST_CONDITION = 1e-6  # of the curvature: below it interpolation alone holds a parameter
_MAX_STEP = 2.0  # pixels, of any parameter
_NEAR = 0.1  # pixels: after a step shorter than this the curvature is learned from the scores
# Pixels: a deviation of fine texture that needs no second look. No pair of the benchmark that had it was off by 0.004.
_SURE = 0.002
# A result counts by this power of its deviation, inversely. Two would be right if the errors of the two looks were not
# related; they are, so that the surer one counts for more.
_TRUST = 4
# Iterations from a pixel or two away: no right result of the benchmark took more than 17, and what takes longer
# wanders, on images that take long. Who asks for very many has more: a third of them.
_ENOUGH, _ONE_OF = 20, 3
_ROUNDS, _FAR = 2, 0.25  # where a corner moved by more pixels than this, the spectrum is measured a second time
_FARTHEST = 0.1  # of the frame's diagonal: a corner that moved by more has lost its way
_GRID = 9  # points along each side of the frame, where the deviation is taken


@dataclass(frozen=True)
class Refined:
    """A transform and how sure it is.

    Attributes:
        matrix: (3, 3) float64, fixed -> moving.
        expected_error: expected RMS error of the displacement over the overlap, pixels; infinite where nothing is known.
        influences: by how much each block of the frame, `BLOCK` pixels a side, moved the parameters, (n, blocks)
            (`zncc_cli.registration.quality.uncertainty`); without blocks where nothing is known.
        loss: one minus the weighted mean local ZNCC.
        ending, iterations: why and when the iteration ended.
        evaluations: how often the pair was looked at, iterations that led elsewhere among them.
    """

    matrix: np.ndarray
    expected_error: float
    influences: np.ndarray
    loss: float
    ending: Ending
    iterations: int
    evaluations: int


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
    frame, farthest = corners(fixed.shape), _FARTHEST * math.hypot(*fixed.shape)

    def motion(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.abs(map_points(a, frame) - map_points(b, frame)).max())

    def solved(look: SymmetricMetric, matrix: np.ndarray) -> Refined:
        found = solve(look, family, matrix, config)
        lost = motion(found.matrix, start) > farthest
        return _nowhere(family, start, found.loss, Ending.OUT_OF_DOMAIN, found.iterations) if lost else found

    texture = local_metric(fixed, moving, scale, config)
    by_texture, in_noise = [solved(texture, start)], list[Refined]()
    if by_texture[0].expected_error > _SURE:
        matrix = by_texture[0].matrix if by_texture[0].expected_error < _FAR else start
        for _ in range(_ROUNDS):
            look = whitened_metric(fixed, moving, matrix, scale, config)
            if look is None:
                break
            in_noise.append(solved(look, matrix))
            before, matrix = matrix, in_noise[-1].matrix
            if not motion(matrix, before) > _FAR:
                break
        if motion(matrix, by_texture[0].matrix) > _FAR:
            by_texture.append(solved(texture, matrix))
    surest = [min(reversed(one), key=lambda got: got.expected_error) for one in (in_noise, by_texture) if one]
    best = min(surest, key=lambda got: got.expected_error)
    matrix, influences = best.matrix, best.influences
    if 0 < best.expected_error < math.inf:
        known = [got for got in surest if got.expected_error < math.inf]
        weights = np.array([(best.expected_error / got.expected_error) ** _TRUST for got in known])
        matrix = family.matrix(np.average([family.parameters(got.matrix) for got in known], axis=0, weights=weights))
        # The blocks of both looks are the same pixels: what both make of them is averaged likewise.
        influences = np.average([got.influences for got in known], axis=0, weights=weights)
    evaluations = sum(got.evaluations for got in by_texture + in_noise)
    return replace(best, matrix=matrix, influences=influences, evaluations=evaluations)


def _nowhere(family: TransformFamily, start: np.ndarray, loss: float, ending: Ending, iterations: int) -> Refined:
    """Return that there is nothing to hold on to."""
    return Refined(start, math.inf, np.zeros((family.size, 0)), loss, ending, iterations, iterations)


def unrefined(start: np.ndarray, model: Model, shape: tuple[int, int]) -> Refined:
    """Return the start (3, 3) itself, as far as ``model`` can be it, of a fixed frame (H, W): nothing is better."""
    family = TRANSFORMS[model](model, shape)
    return _nowhere(family, family.matrix(family.parameters(start)), math.nan, Ending.NOTHING_BETTER, 0)


def solve(look: SymmetricMetric, family: TransformFamily, start: np.ndarray, config: RegistrationConfig) -> Refined:
    """Follow the score to zero from ``start`` (3, 3): far from it by Gauss-Newton steps, near it by quasi-Newton ones.

    Of ``config`` the tolerance is used, and most iterations: 20 of them, or a third where that is more.
    """
    matrix, loss, ending, iteration = start, math.nan, Ending.MAX_ITERATIONS, 0
    inverse, step, before = None, np.zeros(family.size), np.zeros(family.size)
    most = min(config.max_iterations, max(_ENOUGH, config.max_iterations // _ONE_OF))
    for iteration in range(1, most + 1):
        near = iteration > 1 and float(np.linalg.norm(step)) < _NEAR
        at = look.linearized(matrix, family.projective, with_curvature=not near)
        if at is None:
            return _nowhere(family, start, math.nan, Ending.OUT_OF_DOMAIN, iteration)
        loss, p = at.loss, family.parameters(matrix)
        to_matrix = family.jacobian(p)
        blocks = to_matrix.T @ at.scores
        score = blocks.sum(axis=1)
        if near:
            inverse = updated_inverse(inverse, step, before - score)
        else:
            inverse = safe_inverse(to_matrix.T @ at.curvature @ to_matrix, _LEAST_CONDITION)
        if inverse is None:
            return _nowhere(family, start, loss, Ending.UNDETERMINED, iteration)
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
    influences = inverse @ blocks
    by_block = to_matrix @ influences
    expected_error = _expected_error(look, matrix, by_block @ by_block.T)
    return Refined(matrix, expected_error, influences, loss, ending, iteration, iteration)


def _expected_error(metric: SymmetricMetric, matrix: np.ndarray, covariance: np.ndarray) -> float:
    """Return the RMS over the overlap of the displacement's standard deviation, pixels.

    ``covariance`` is that of the entries of ``matrix``, row-major, (9, 9).
    """
    points = overlap_points(matrix, frame_extent(metric.shape), frame_extent(metric.moving_shape), _GRID)
    if not len(points):
        return math.inf
    jacobian = point_jacobian(matrix, points)
    return float(np.sqrt(np.einsum("nai,ij,naj->an", jacobian, covariance, jacobian).sum(axis=0).mean()))
