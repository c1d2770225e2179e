"""The last fraction of a pixel, on the images themselves, and its expected error.

A loss that is minimised along its own gradient is drawn to where interpolation smooths the noise: off by tenths of a
pixel on noisy images, whatever its form. Here the step is taken from gradient images that are interpolated as the image
itself is. Noise and its gradient are uncorrelated in a symmetric interpolation, so that noise does not pull:

    0 = score(p) = sum over pixels of dL/dwarped . (g_fixed + g_warped) / 2 . dT/dp

with L the weighted sum of the local ZNCC; solved by Gauss-Newton steps with the mean of both images' gradients (ESM;
Benhimane and Malis 2004, doi:10.1109/IROS.2004.1389474). The scores of blocks, which would all be zero if there were
no noise, tell the error of p: the sandwich covariance H^-1 V H^-1 (White 1982, doi:10.2307/1912526).

The local metric, of fine texture, comes first (`refine.symmetric_metric`). Where the expected error of its result is
not small, the whitened metric is solved, too, and the two results are averaged by their expected errors.

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
from zncc_cli.registration.refine.signal_curvature import inverse_signal_curvature
from zncc_cli.registration.refine.symmetric_metric import SymmetricMetric, local_metric, whitened_metric
from zncc_cli.registration.transforms.linear import LinearTransform
from zncc_cli.registration.warp import area_scale, corners, map_points

_ROUNDING_PX = 5e-5  # shorter steps come from the rounding of float32; without them identical images stay in place
_MIN_CONDITION = 1e-6  # of the curvature: below it interpolation alone determines a parameter
_MAX_STEP_PX = 2.0  # of any parameter
_QUASI_NEWTON_STEP_PX = 0.1  # after a step shorter than this the curvature is learned from the scores
# Up to this expected error the local metric is enough. No pair of the benchmark that came to it was off by 0.004.
_MAX_LOCAL_ERROR_PX = 0.002
# From this expected error on noise rules, and the curvature is learned from the scores alone (`signal_curvature`); and
# the steps that this takes at most.
_NOISY_ERROR_PX, _NOISY_STEPS = 0.05, 6
# A result counts by this power of its expected error, inversely. Two would be right if the errors of the two metrics
# were not related; they are, so that the one with the smaller error counts for more.
_WEIGHT_POWER = 4
# Iterations from a pixel or two away: no right result of the benchmark took more than 17, and what takes longer
# wanders, on images that take long. A setting of very many iterations allows more: a third of them.
_ITERATIONS, _ITERATION_DIVISOR = 20, 3
_HASTY_ITERATIONS = 8  # where the images hardly agree, and a refinement is not likely to lead to a result
# The images are whitened a second time where a corner moved by more than this since the first.
_MAX_WHITENINGS, _WHITENING_REACH_PX = 2, 0.25
_TILED_PIXELS = 2**19  # of a frame that are looked at at first, where it has more than twice as many
# A next step that is expected to be shorter than this share of the tolerance, or of the expected error, is not taken:
# a fifth of the error, added to it in squares, makes it a fiftieth larger.
_NEXT_STEP_TOLERANCE_SHARE, _NEXT_STEP_ERROR_SHARE = 0.1, 0.2
_LOST_SHARE = 0.1  # of the frame's diagonal: a solution with a corner farther from the start is lost
_GRID = 9  # points along each side of the frame, over which the expected error is averaged


@dataclass(frozen=True)
class Refined:
    """A transform and how well it is known.

    Attributes:
        matrix: (3, 3) float64, fixed -> moving.
        expected_error: expected RMS error of the displacement over the overlap, pixels; infinite where it is not known.
        influences: by how much each block of the frame, `BLOCK` pixels a side, moved the parameters, (n, blocks)
            (`zncc_cli.registration.quality.uncertainty`); without blocks where the error is not known.
        loss: one minus the weighted mean local ZNCC.
        ending, iterations: why and when the iteration ended.
        evaluations: how often a metric was linearized, over all solutions that were tried.
        tile_step: every which tile of the frame it rests on; 1 for all.
        contraction: length of the last step over that of a short one before it; infinite where there was none.
        inverse: (n, n), the inverse of the curvature by all tiles, as the tiles looked at tell it; None for none.
    """

    matrix: np.ndarray
    expected_error: float
    influences: np.ndarray
    loss: float
    ending: Ending
    iterations: int
    evaluations: int
    tile_step: int = 1
    contraction: float = math.inf
    inverse: np.ndarray | None = None

    @property
    def error_of_all(self) -> float:
        """The expected error of a result by all tiles of the frame, pixels."""
        return self.expected_error / math.sqrt(self.tile_step)


def refine(
    fixed: Level, moving: Level, start: np.ndarray, config: RegistrationConfig, *, thorough: bool = True
) -> Refined:
    """Return the best transform of ``config.model`` near ``start``, which is off by a pixel or two at most.

    Args:
        fixed, moving: the finest levels, of about unit variance.
        start: (3, 3), fixed -> moving, pixels.
        config: model, window, tolerance and largest number of iterations are used.
        thorough: whether noise is looked through, and more of a large frame looked at, where that is more precise; else
            the local metric alone is solved, in a few iterations, on some tiles of a large frame.

    Returns:
        The transform; the start itself, of infinite expected error, where the images do not determine one.
    """
    if not thorough:
        config = replace(config, max_iterations=min(config.max_iterations, _HASTY_ITERATIONS))
    transform = LinearTransform(config.model, fixed.shape)
    scale = math.sqrt(area_scale(start, fixed.shape))  # moving pixels per fixed pixel
    frame, lost_distance = corners(fixed.shape), _LOST_SHARE * math.hypot(*fixed.shape)
    pixels = math.prod(fixed.shape)
    first_step = pixels // _TILED_PIXELS if pixels > 2 * _TILED_PIXELS else 1

    def motion(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.abs(map_points(a, frame) - map_points(b, frame)).max())

    def solved(
        metric: SymmetricMetric, matrix: np.ndarray, tile_step: int = first_step, by_fewer: Refined | None = None
    ) -> Refined:
        result = solve(metric, transform, matrix, config, tile_step, by_fewer)
        if thorough and _NOISY_ERROR_PX <= result.expected_error < math.inf:
            result = _solved_under_noise(metric, transform, result, config, tile_step)
        if motion(result.matrix, start) > lost_distance:
            result = _failed(transform, start, result.loss, Ending.OUT_OF_DOMAIN, result.iterations)
        return replace(result, tile_step=tile_step)

    def completed(metric: SymmetricMetric, matrix: np.ndarray, result: Refined) -> Refined:
        tile_step = _tile_step(result, config.tolerance)
        if tile_step == result.tile_step:
            return result
        if result.ending is not Ending.CONVERGED:  # it may have left the place
            return solved(metric, matrix, tile_step)
        return solved(metric, result.matrix, tile_step, result)

    local = local_metric(fixed, moving, scale, config)
    by_local, by_whitened = [solved(local, start)], list[Refined]()
    if not thorough:
        return by_local[0]
    # A large frame is whitened at the cost of all else: only where half of the error is more than the tolerance.
    max_error = _MAX_LOCAL_ERROR_PX if first_step == 1 else max(_MAX_LOCAL_ERROR_PX, 2 * config.tolerance)
    if by_local[0].error_of_all > max_error:
        matrix = by_local[0].matrix if by_local[0].expected_error < _WHITENING_REACH_PX else start
        for _ in range(_MAX_WHITENINGS):
            whitened = whitened_metric(fixed, moving, matrix, scale, config)
            if whitened is None:
                break
            by_whitened.append(completed(whitened, matrix, solved(whitened, matrix)))
            previous, matrix = matrix, by_whitened[-1].matrix
            if not motion(matrix, previous) > _WHITENING_REACH_PX:
                break
        if motion(matrix, by_local[0].matrix) > _WHITENING_REACH_PX:
            by_local.append(completed(local, matrix, solved(local, matrix)))
    if not any(result.expected_error < math.inf for result in by_whitened):
        by_local.append(completed(local, start, by_local[-1]))
    # The result of each metric: of several with the same expected error, the last.
    results = [min(reversed(tried), key=_error_of) for tried in (by_whitened, by_local) if tried]
    best = min(results, key=_error_of)
    matrix, influences = best.matrix, best.influences
    if 0 < best.expected_error < math.inf:
        results = [result for result in results if result.expected_error < math.inf]
        weights = np.array([(best.expected_error / result.expected_error) ** _WEIGHT_POWER for result in results])
        parameters = [transform.parameters(result.matrix) for result in results]
        matrix = transform.matrix(np.average(parameters, axis=0, weights=weights))
        # The blocks of both metrics are the same pixels: their influences are averaged likewise.
        influences = np.average([result.influences for result in results], axis=0, weights=weights)
    evaluations = sum({id(result): result.evaluations for result in by_local + by_whitened}.values())
    return replace(best, matrix=matrix, influences=influences, evaluations=evaluations)


def _tile_step(result: Refined, tolerance: float) -> int:
    """Return every which tile of a large frame a result must rest on.

    The error of a mean over a k-th of the frame is about sqrt(k) times that over all. The tiles that are left out would
    lower the expected error by less than the ``tolerance``, pixels. Where some tiles led to no result, all may.
    """
    error = result.error_of_all
    if result.ending is not Ending.CONVERGED or math.isinf(error):
        return 1
    return min(result.tile_step, int((1 + tolerance / error) ** 2)) if error > 0 else result.tile_step


def _error_of(result: Refined) -> float:
    return result.expected_error


def _failed(transform: LinearTransform, start: np.ndarray, loss: float, ending: Ending, iterations: int) -> Refined:
    """Return the start as a result of infinite expected error."""
    return Refined(start, math.inf, np.zeros((transform.size, 0)), loss, ending, iterations, iterations)


def unrefined(start: np.ndarray, model: Model, shape: tuple[int, int]) -> Refined:
    """Return the member of ``model`` nearest to the start (3, 3) as the result, where no refinement was better.

    ``shape``: (H, W) of the fixed frame.
    """
    transform = LinearTransform(model, shape)
    return _failed(transform, transform.matrix(transform.parameters(start)), math.nan, Ending.NOTHING_BETTER, 0)


def solve(
    metric: SymmetricMetric,
    transform: LinearTransform,
    start: np.ndarray,
    config: RegistrationConfig,
    tile_step: int = 1,
    by_fewer: Refined | None = None,
) -> Refined:
    """Return the matrix of ``transform`` near ``start`` at which the score of ``metric`` is zero.

    Far from it the steps are Gauss-Newton ones, near it quasi-Newton ones.

    Args:
        start: (3, 3), fixed -> moving, pixels.
        config: its tolerance is used, and its largest number of iterations: 20 of them, or a third where that is more.
        tile_step: only every which tile of the frame counts; 1 for all.
        by_fewer: the result by fewer tiles, where that is the start: its curvature and its contraction are known.
    """
    matrix, loss, ending, iteration = start, math.nan, Ending.MAX_ITERATIONS, 0
    inverse, step, previous_score = None, np.zeros(transform.size), np.zeros(transform.size)
    contraction, known = (math.inf, None) if by_fewer is None else (by_fewer.contraction, by_fewer.inverse)
    previous_length = expected_error = math.inf
    max_iterations = min(config.max_iterations, max(_ITERATIONS, config.max_iterations // _ITERATION_DIVISOR))
    for iteration in range(1, max_iterations + 1):
        near = iteration > 1 and float(np.linalg.norm(step)) < _QUASI_NEWTON_STEP_PX
        linearized = metric.linearized(matrix, transform.projective, not near and known is None, tile_step)
        if linearized is None:
            return _failed(transform, start, math.nan, Ending.OUT_OF_DOMAIN, iteration)
        loss, p = linearized.loss, transform.parameters(matrix)
        to_matrix = transform.jacobian(p)
        score = to_matrix.T @ linearized.scores.sum(axis=1)
        if near:
            inverse = updated_inverse(inverse, step, previous_score - score)
        elif known is not None:
            inverse, known = known * tile_step, None
        else:
            inverse = safe_inverse(to_matrix.T @ linearized.curvature @ to_matrix, _MIN_CONDITION)
        if inverse is None:
            return _failed(transform, start, loss, Ending.UNDETERMINED, iteration)
        step, previous_score = inverse @ score, score
        length, influences = float(np.linalg.norm(step)), inverse @ to_matrix.T @ linearized.scores
        covariance = to_matrix @ (influences @ influences.T) @ to_matrix.T
        if length < _ROUNDING_PX:
            expected_error = _expected_error(metric, matrix, covariance)
            ending = Ending.CONVERGED
            break
        step = step * min(1.0, _MAX_STEP_PX / max(length, _MAX_STEP_PX))
        matrix = transform.matrix(p + step)
        expected_error = _expected_error(metric, matrix, covariance)
        if iteration > 1:
            contraction = length / previous_length if near else math.inf
        previous_length = min(length, _MAX_STEP_PX)
        # Near the end steps shrink by about one factor: the next one would be so long.
        expected = length * contraction if length < _QUASI_NEWTON_STEP_PX else math.inf
        enough = max(_NEXT_STEP_TOLERANCE_SHARE * config.tolerance, _NEXT_STEP_ERROR_SHARE * expected_error)
        if length < config.tolerance or expected < enough:
            ending = Ending.CONVERGED
            break
    return Refined(
        matrix,
        expected_error,
        influences,
        loss,
        ending,
        iteration,
        iteration,
        contraction=contraction,
        inverse=None if inverse is None else inverse / tile_step,
    )


def _solved_under_noise(
    metric: SymmetricMetric, transform: LinearTransform, result: Refined, config: RegistrationConfig, tile_step: int
) -> Refined:
    """Return the result that the scores alone lead to from ``result``, of infinite expected error where they do not."""
    matrix, evaluations, ending = result.matrix, result.evaluations, Ending.MAX_ITERATIONS
    inverse = inverse_signal_curvature(metric, transform, matrix, _MIN_CONDITION, tile_step)
    influences, expected_error = np.zeros((transform.size, 0)), math.inf
    for _ in range(_NOISY_STEPS):
        linearized = metric.linearized(matrix, transform.projective, False, tile_step)
        if inverse is None or linearized is None:
            break
        evaluations, p = evaluations + 1, transform.parameters(matrix)
        to_matrix = transform.jacobian(p)
        influences = inverse @ to_matrix.T @ linearized.scores
        covariance = to_matrix @ (influences @ influences.T) @ to_matrix.T
        expected_error = _expected_error(metric, matrix, covariance)
        step = influences.sum(axis=1)
        length = float(np.linalg.norm(step))
        if length < max(config.tolerance, _NEXT_STEP_ERROR_SHARE * expected_error):
            ending = result.ending  # what did not settle by more steps is not believed here
            break
        matrix = transform.matrix(p + step * min(1.0, _MAX_STEP_PX / length))
    if math.isinf(expected_error):
        ending = Ending.UNDETERMINED if result.ending is Ending.CONVERGED else result.ending
        return replace(
            _failed(transform, result.matrix, result.loss, ending, result.iterations), evaluations=evaluations
        )
    return replace(
        result,
        matrix=matrix,
        influences=influences,
        expected_error=expected_error,
        ending=ending,
        evaluations=evaluations + 2 * transform.size,
    )


def _expected_error(metric: SymmetricMetric, matrix: np.ndarray, covariance: np.ndarray) -> float:
    """Return the RMS over the overlap of the displacement's standard deviation, pixels.

    ``covariance`` is that of the entries of ``matrix``, row-major, (9, 9).
    """
    points = overlap_points(matrix, frame_extent(metric.shape), frame_extent(metric.moving_shape), _GRID)
    if not len(points):
        return math.inf
    jacobian = point_jacobian(matrix, points)
    return float(np.sqrt(np.einsum("nai,ij,naj->an", jacobian, covariance, jacobian).sum(axis=0).mean()))
