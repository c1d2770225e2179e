"""The Cramer-Rao bound of a registration: the smallest RMS error that an unbiased estimator can have.

Robinson and Milanfar 2004, doi:10.1109/TIP.2004.832923. Near the truth T the moving frame shows at T(x + u(x; p)) what
the fixed one shows at x, with u = sum of p_k b_k(x) and b_k the motions of the model. Noise of variance v_f and v_m is
in the frames; a fixed pixel holds det(dT/dx) moving ones, so that per fixed pixel

    v = v_f + v_m / det(dT/dx)
    I = sum over pixels of h h^T / v,   h_k = dF/dx . b_k, less what gain and offset could explain
    bound^2 = mean over points of |dT/dx B C B^T dT/dx^T|,   C = I^-1, B = (b_1 b_2 ...)

The scene F is taken as known, but not its gain and offset, which no tool knows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.registration.pairs.error import is_inside
from zncc_cli.registration.warp import map_points

Array = NDArray[np.float64]


def motions(model: str, x: Array, y: Array) -> Array:
    """Return b_k at x, y (N,) as (2, K, N), the motions of which every small member of the model is made."""
    one, zero = np.ones_like(x), np.zeros_like(x)
    turn, grow = (-y, x), (x, y)
    shifts = [(one, zero), (zero, one)]
    linear = [(x, zero), (y, zero), (zero, x), (zero, y)]
    return np.array(
        {
            "translation": shifts,
            "rigid": [*shifts, turn],
            "similarity": [*shifts, turn, grow],
            "affine": [*shifts, *linear],
            "homography": [*shifts, *linear, (x * x, x * y), (x * y, y * y)],
        }[model]
    ).transpose(1, 0, 2)


def jacobian(matrix: Array, points: Array) -> Array:
    """Return dT/dx of a (3, 3) matrix at points (N, 2): (N, 2, 2)."""
    depth = points @ matrix[2, :2] + matrix[2, 2]
    mapped = map_points(matrix, points)
    return np.asarray((matrix[:2, :2] - mapped[:, :, None] * matrix[2, :2]) / depth[:, None, None])


def bound(
    brightness: Array, gradient: tuple[Array, Array], variance: Array, matrix: Array, model: str, points: Array
) -> float:
    """Return the bound of the RMS error over ``points`` (N, 2) of the fixed frame, in moving pixels.

    Args:
        brightness, gradient: the scene on the fixed frame, (H, W), and d/dx, d/dy of it.
        variance: of the noise of a pixel that shows this brightness, in either frame, (H, W).
        matrix: the truth, fixed -> moving; the moving frame has the fixed one's shape.
        model: what is estimated.
    """
    height, width = brightness.shape
    y, x = (each.ravel() for each in np.mgrid[:height, :width].astype(float))
    inside = is_inside(map_points(matrix, np.column_stack((x, y))), brightness.shape)
    x, y = x[inside], y[inside]
    area = np.linalg.det(jacobian(matrix, np.column_stack((x, y))))
    weight = 1 / np.sqrt(variance.ravel()[inside] * (1 + 1 / area))

    # In coordinates of about one the information can be inverted whatever the frame.
    centre, half = np.array([(width - 1) / 2, (height - 1) / 2]), max(width, height) / 2
    gx, gy = (each.ravel()[inside] * weight for each in gradient)
    motion_x, motion_y = motions(model, (x - centre[0]) / half, (y - centre[1]) / half)
    h = (gx * motion_x + gy * motion_y).T
    gain_and_offset = np.column_stack((weight, weight * brightness.ravel()[inside]))
    h -= gain_and_offset @ np.linalg.lstsq(gain_and_offset, h, rcond=None)[0]
    covariance = np.linalg.inv(h.T @ h)

    basis = motions(model, *((points - centre) / half).T)
    moved = np.einsum("nab,bkn->nak", jacobian(matrix, points), basis)
    return float(np.sqrt(np.einsum("nak,kl,nal->n", moved, covariance, moved).mean()))
