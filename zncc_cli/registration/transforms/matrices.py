"""What can be done with a 3x3 matrix, fixed -> moving, (x, y) pixels, without an image: map, compose, invert, name.

A matrix is taken up to a positive factor: the third entry of ``matrix @ (x, y, 1)`` is positive for points in front
of its horizon, and a factor that is positive keeps it so.
"""

from __future__ import annotations

import numpy as np

from zncc_cli.config import Model

# Entries of a linear part that differ by less are the same: over a frame of 10^4 pixels that is 1e-8 pixels.
_SAME = 1e-12
# Matrices are judged singular in units of this many pixels, so that shifts and perspective weigh like the linear part.
_UNIT = 1000.0


def map_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map (..., 2) points (x, y) by a (3, 3) matrix; points on or behind the horizon become NaN."""
    matrix = np.asarray(matrix, dtype=np.float64)
    points = np.asarray(points, dtype=np.float64)
    mapped = points @ matrix[:, :2].T + matrix[:, 2]
    depth = mapped[..., 2:]
    out: np.ndarray = mapped[..., :2] / np.where(depth > 0, depth, np.nan)
    return out


def compose(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the matrix (3, 3) that does ``first``, then ``second``: ``second(first(x))``."""
    return _scaled(np.asarray(second, dtype=np.float64) @ np.asarray(first, dtype=np.float64))


def invert(matrix: np.ndarray) -> np.ndarray:
    """Return the matrix (3, 3), moving -> fixed, that undoes ``matrix``; one without perspective has none either.

    Raises:
        ValueError: it has no inverse, or none in float64.
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
    unit = np.array([_UNIT, _UNIT, 1.0])
    with np.errstate(all="ignore"):
        balanced = np.asarray(matrix, dtype=np.float64) * unit / unit[:, None]
        # Hadamard: the ratio is 1 for orthogonal rows, 0 for dependent ones. NaN, from overflow, is refused too.
        lengths = np.sqrt((balanced**2).sum(axis=1))
        return not abs(np.linalg.det(balanced / np.where(lengths > 0, lengths, 1)[:, None])) > _SAME


def model_of(matrix: np.ndarray) -> Model:
    """Return the simplest model that a (3, 3) matrix belongs to, within the rounding of float64."""
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix[2, :2].any():
        return Model.HOMOGRAPHY
    (a, b), (c, d) = matrix[:2, :2] / matrix[2, 2]
    scale = float(np.hypot(a, c))
    if max(abs(a - d), abs(b + c)) > _SAME * scale:
        return Model.AFFINE
    if abs(scale - 1) > _SAME:
        return Model.SIMILARITY
    return Model.RIGID if a < 0 or abs(c) > _SAME else Model.TRANSLATION


def _scaled(matrix: np.ndarray) -> np.ndarray:
    """Return ``matrix`` with a last entry of 1 where that takes a positive factor; one behind keeps its sign."""
    return np.asarray(matrix / abs(matrix[2, 2])) if matrix[2, 2] != 0 else matrix
