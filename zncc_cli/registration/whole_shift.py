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

_ROUNDING_PX = 1e-6  # of arithmetic: to say that it was rounded tells nobody anything


def with_whole_shift(result: RegistrationResult) -> RegistrationResult:
    """Return a result whose matrix is a shift by whole pixels, where it is one within its own error; a note says so.

    The matrix is fixed -> moving, (x, y) pixels. A result that bends, or has no uncertainty, stays as it is.
    """
    if result.uncertainty is None or result.field is not None:
        return result
    points = corners(result.fixed_shape)
    moved = map_points(result.matrix, points) - points
    shift = np.rint(moved.mean(axis=0))
    distances = np.linalg.norm(moved - shift, axis=-1)
    bounds = np.minimum(_MAX_ERRORS * result.uncertainty.at(points), _MAX_DISTANCE_PX)
    whole = np.eye(3)
    whole[:2, 2] = shift
    if not (distances <= bounds).all() or np.array_equal(result.matrix, whole):
        return result
    x, y = shift.astype(int).tolist()
    note = (
        f"the transform is taken as a shift by whole pixels, ({x}, {y}), so that every value is copied: it is within "
        f"its expected error of that ({distances.max():.1g} px off)"
    )
    notes = (*result.notes, note) if distances.max() > _ROUNDING_PX else result.notes
    return replace(result, matrix=whole, uncertainty=replace(result.uncertainty, matrix=whole), notes=notes)
