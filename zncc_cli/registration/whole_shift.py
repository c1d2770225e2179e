"""A transform that is a shift by whole pixels within its own expected error, as that shift.

A shift by whole pixels copies every value, and leaves a hole without data as large as it is. The shift that is found
differs from it by thousandths of a pixel, and would interpolate: all values change, and a hole grows by the reach of
the interpolation.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zncc_cli.registration.register import RegistrationResult
from zncc_cli.registration.transforms.matrices import map_points
from zncc_cli.registration.warp import corners

_MAX_ERRORS = 2  # expected errors, at each corner: an error is larger in one of twenty results
_MAX_DISTANCE_PX = 0.05  # at each corner; what is farther off shows, however uncertain the result is

ROUNDING_PX = 1e-6
"""Distance that is arithmetic's: to say that it was rounded tells nobody anything."""


def with_whole_shift(result: RegistrationResult) -> RegistrationResult:
    """Return a result whose matrix is a shift by whole pixels, where it is one within its own error; a note says so.

    The matrix is fixed -> moving, (x, y) pixels. A result that bends, or has no uncertainty, stays as it is.
    """
    if result.uncertainty is None or result.field is not None:
        return result
    points = corners(result.fixed_shape)
    whole = whole_shift(result.matrix, points, result.uncertainty.at(points))
    if whole is None or np.array_equal(result.matrix, whole):
        return result
    distance = shift_distance(result.matrix, whole, points)
    x, y = whole[:2, 2].astype(int).tolist()
    note = (
        f"the transform is taken as a shift by whole pixels, ({x}, {y}), so that every value is copied: it is within "
        f"its expected error of that ({distance:.1g} px off)"
    )
    notes = (*result.notes, note) if distance > ROUNDING_PX else result.notes
    return replace(result, matrix=whole, uncertainty=replace(result.uncertainty, matrix=whole), notes=notes)


def whole_shift(matrix: np.ndarray, points: np.ndarray, expected_errors: np.ndarray | float) -> np.ndarray | None:
    """Return the matrix (3, 3) of the shift by whole pixels that ``matrix`` is within its error, or None.

    Args:
        matrix: (3, 3), maps (x, y) pixels.
        points: (n, 2) corners of the frame, where both are compared.
        expected_errors: of ``matrix``, pixels, at each point or everywhere.
    """
    moved = map_points(matrix, points) - points
    whole = np.eye(3)
    whole[:2, 2] = np.rint(moved.mean(axis=0))
    bounds = np.minimum(_MAX_ERRORS * np.asarray(expected_errors), _MAX_DISTANCE_PX)
    distances = np.linalg.norm(moved - whole[:2, 2], axis=-1)
    return whole if bool((distances <= bounds).all()) else None


def shift_distance(matrix: np.ndarray, whole: np.ndarray, points: np.ndarray) -> float:
    """Return how far two matrices map the same points (n, 2) from each other at most, pixels."""
    return float(np.linalg.norm(map_points(matrix, points) - map_points(whole, points), axis=-1).max())
