"""Map points by 3x3 matrices, fixed -> moving, (x, y) pixels; compose and invert matrices, and name their model.

Matrices that differ by a positive factor are the same transform: the third entry of ``matrix @ (x, y, 1)`` is positive
for points in front of the horizon, and stays positive.
"""

from __future__ import annotations

import numpy as np

from zncc_cli.config import Model

# Entries of a linear part that differ by less are the same: over a frame of 10^4 pixels that is 1e-8 pixels.
_ENTRY_ROUNDING = 1e-12
# Singularity is judged in units of this many pixels, so that shifts and perspective weigh like the linear part.
_UNIT_PX = 1000.0


def map_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the points (..., 2), (x, y), mapped by a (3, 3) matrix; NaN for points on or behind the horizon."""
    matrix = np.asarray(matrix, dtype=np.float64)
    points = np.asarray(points, dtype=np.float64)
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    depth = mapped[..., 2:]
    out: np.ndarray = mapped[..., :2] / np.where(depth > 0, depth, np.nan)
    return out


def compose(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the matrix (3, 3) that maps by ``first``, then by ``second``: ``second(first(x))``."""
    return _scaled(np.asarray(second, dtype=np.float64) @ np.asarray(first, dtype=np.float64))


def invert(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse (3, 3), moving -> fixed, of ``matrix``. Without perspective its last row is exactly (0, 0, 1).

    Raises:
        ValueError: the matrix has no inverse, or none in float64.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    if is_singular(matrix):
        raise ValueError("the matrix is singular")
    if matrix[2, :2].any():
        return _scaled(np.linalg.inv(matrix))
    linear = np.linalg.inv(matrix[:2, :2] / matrix[2, 2])
    inverse = np.eye(3)
    inverse[:2, :2], inverse[:2, 2] = linear, -linear @ (matrix[:2, 2] / matrix[2, 2])
    return inverse


def is_singular(matrix: np.ndarray) -> bool:
    """Tell whether a (3, 3) matrix maps the plane onto a line or a point, or so nearly that float64 cannot tell."""
    unit = np.array([_UNIT_PX, _UNIT_PX, 1.0])
    with np.errstate(all="ignore"):
        balanced = np.asarray(matrix, dtype=np.float64) * unit / unit[:, None]
        # Hadamard: the ratio is 1 for orthogonal rows, 0 for dependent ones. NaN, from overflow, is refused too.
        lengths = np.sqrt((balanced**2).sum(axis=1))
        return not abs(np.linalg.det(balanced / np.where(lengths > 0, lengths, 1)[:, None])) > _ENTRY_ROUNDING


def is_mirrored(matrix: np.ndarray) -> bool:
    """Tell whether a (3, 3) matrix maps the part of the plane before its horizon to a mirror image."""
    with np.errstate(over="ignore"):
        return bool(np.linalg.det(matrix) < 0)


def mirror(width: int) -> np.ndarray:
    """Return the matrix (3, 3) that reverses the columns of an image: x -> ``width`` - 1 - x."""
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])


def model_of(matrix: np.ndarray) -> Model:
    """Return the simplest model that a (3, 3) matrix belongs to, within the rounding of float64; mirrored, affine."""
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix[2, :2].any():
        return Model.HOMOGRAPHY
    (a, b), (c, d) = matrix[:2, :2] / matrix[2, 2]
    scale = float(np.hypot(a, c))
    if max(abs(a - d), abs(b + c)) > _ENTRY_ROUNDING * scale:
        return Model.AFFINE
    if abs(scale - 1) > _ENTRY_ROUNDING:
        return Model.SIMILARITY
    return Model.RIGID if a < 0 or abs(c) > _ENTRY_ROUNDING else Model.TRANSLATION


def _scaled(matrix: np.ndarray) -> np.ndarray:
    """Return ``matrix`` over the absolute value of its last entry: 1 or -1 there, and the horizon stays in place."""
    return np.asarray(matrix / abs(matrix[2, 2])) if matrix[2, 2] != 0 else matrix
