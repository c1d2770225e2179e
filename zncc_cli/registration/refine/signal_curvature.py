"""The curvature of a metric as its scores tell it, which noise does not make larger.

The curvature that gradients tell counts those of noise as well: it is made of the squares of the mean of both images'
gradients, and half of the noise's squares stays. Where noise rules it is many times that of the scene: steps are too
short, and the expected error is too small. The noise of two images is not correlated, so that on average the scores
have none of it; how they change with the parameters is the curvature of what both images show.
"""

from __future__ import annotations

import numpy as np

from zncc_cli.registration.optimizer import safe_inverse
from zncc_cli.registration.refine.symmetric_metric import SymmetricMetric
from zncc_cli.registration.transforms.linear import LinearTransform

# Of a parameter, to both sides: filtered texture is wider, and noise leaves less of a shorter one.
_STEP_PX = 0.7
_MIN_SHARE = 0.02  # of the curvature by gradients: with less nothing holds the transform


def inverse_signal_curvature(
    metric: SymmetricMetric, transform: LinearTransform, matrix: np.ndarray, min_condition: float, tile_step: int
) -> np.ndarray | None:
    """Return the inverse (n, n) of the curvature in the parameters at ``matrix`` (3, 3).

    It is that by gradients, over the share that the scores tell on average over the parameters: of a single entry they
    tell little.

    Args:
        metric, transform: of the images, and of the matrix.
        matrix: fixed -> moving, pixels.
        min_condition: of the curvature.
        tile_step: every which tile of the frame counts; 1 for all.

    Returns:
        None where the images do not hold the transform.
    """
    parameters = transform.parameters(matrix)
    linearized = metric.linearized(matrix, transform.projective, True, tile_step)
    if linearized is None:
        return None
    to_matrix = transform.jacobian(parameters)
    inverse = safe_inverse(to_matrix.T @ linearized.curvature @ to_matrix, min_condition)
    columns = list[np.ndarray]()
    for offset in _STEP_PX * np.eye(transform.size):
        sides = [_score(metric, transform, parameters + sign * offset, tile_step) for sign in (-1, 1)]
        if sides[0] is None or sides[1] is None:
            return None
        columns.append((sides[0] - sides[1]) / (2 * _STEP_PX))
    share = 0.0 if inverse is None else float(np.trace(inverse @ np.stack(columns, axis=1))) / transform.size
    return None if inverse is None or share < _MIN_SHARE else inverse / min(share, 1.0)


def _score(
    metric: SymmetricMetric, transform: LinearTransform, parameters: np.ndarray, tile_step: int
) -> np.ndarray | None:
    linearized = metric.linearized(transform.matrix(parameters), transform.projective, False, tile_step)
    return None if linearized is None else transform.jacobian(parameters).T @ linearized.scores.sum(axis=1)
