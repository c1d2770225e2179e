"""How well both images support the motion that they support least: the aperture problem.

Along the lines of a texture of parallel lines there is noise alone, and the gradients of the two images along that
motion do not correlate. The curvature of a metric does not tell, since noise has a gradient, too.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from zncc_cli.operators.pair_metric import BLOCK
from zncc_cli.registration.metric.matrix_gradient import MatrixGradient
from zncc_cli.registration.metric.torch_pair_metric import gradients, pulled
from zncc_cli.registration.metric.windows import pixel_sums, window_variance
from zncc_cli.registration.refine.symmetric_metric import SymmetricMetric

# Blocks for products of gradients may be smaller than those of scores: this many along the frame's shorter side, of so
# many pixels at least.
_BLOCKS_PER_SIDE, _MIN_BLOCK = 8, 8
_MIN_CURVATURE = 1e-12  # of the largest one: along motions with less there is no gradient at all


def aperture_agreement(
    metric: SymmetricMetric, matrix: np.ndarray, to_matrix: np.ndarray, projective: bool
) -> np.ndarray:
    """Return how well both images' gradients agree along the motion along which they agree least, block by block.

    Args:
        metric: of the images.
        matrix: (3, 3), fixed -> moving, pixels.
        to_matrix: (9, k), the derivatives of the matrix's entries by the model's parameters: the motions compared.
        projective: whether the last row of the matrix may change.

    Returns:
        The mean product of both gradients along that motion in each block of a grid, (rows, columns); NaN where
        nothing counts; empty without overlap.
    """
    maps = metric.local_zncc(matrix)
    if maps is None:
        return np.empty(0)
    z, w = maps
    fixed, window = metric.pair.planes.fixed, metric.pair.window
    pull = torch.from_numpy(matrix)
    warped = metric.pair.sampler.warped(pull, metric.shape)[0][0]
    v = window_variance(warped, window).clamp_min(0) + metric.pair.weights.eps_moving
    weight = pixel_sums(w * z.clamp_min(0).square() / v, window)
    # The product of two gradients is the square of their mean less that of half of their difference.
    mean, half = (
        MatrixGradient.of(pull, *pulled(pull, *gradients(plane)), projective)
        for plane in ((fixed + warped) / 2, (fixed - warped) / 2)
    )
    of_mean, of_half = (to_matrix.T @ part.products(weight).numpy() @ to_matrix for part in (mean, half))
    values, vectors = np.linalg.eigh(of_mean + of_half)
    if not values[-1] > 0:  # no window that counts has a gradient
        return np.empty(0)
    to_unit = vectors / np.sqrt(values.clip(_MIN_CURVATURE * values[-1]))
    weakest = to_unit @ np.linalg.eigh(to_unit.T @ (of_mean - of_half) @ to_unit)[1][:, 0]
    change = (to_matrix @ weakest).reshape(3, 3)
    shared = weight * (mean.along(change).square() - half.along(change).square())
    side = min(BLOCK, max(_MIN_BLOCK, min(metric.shape) // _BLOCKS_PER_SIDE))
    means, weights = (F.avg_pool2d(plane[None, None], side, ceil_mode=True)[0, 0] for plane in (shared, weight))
    return np.asarray(torch.where(weights > 0, means, torch.nan).cpu().double())
