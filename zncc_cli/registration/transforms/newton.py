"""Newton's method for the points that a transform of the plane takes to given ones.

A step that does not come nearer is halved. Points that do not arrive are looked for again, from that one of many starts
which the transform takes nearest to them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float64]

MappedWithSlopes = Callable[[_Floats], tuple[_Floats, _Floats]]
"""Points (N, 2) to where they are taken, (N, 2), and to the Jacobians there, (N, 2, 2)."""

_MAX_STEPS = 40  # about five are needed
_ARRIVED_PX = 1e-9  # and as much again for coordinates of 10^4 pixels, whose sums are rounded to about 1e-11
_MIN_DETERMINANT = 1e-12  # of a Jacobian, that a step is made by
_SEARCH_POINTS = 2**12  # that are compared with all starts at a time


def solve_for_points(
    mapped: MappedWithSlopes, wanted: _Floats, start: _Floats, starts: _Floats
) -> tuple[_Floats, NDArray[np.bool_]]:
    """Return the points (N, 2) that are taken to ``wanted`` (N, 2), and which of them were found, (N,) bool.

    Args:
        mapped: the transform.
        wanted: where the points are taken; those that are not finite are not found.
        start: (N, 2), where to begin for each; one that is not finite is no start.
        starts: (K, 2), where to begin if that does not lead there.

    Returns:
        Points that were not found are where the method ended.
    """
    found, arrived = _descend(mapped, wanted, start)
    lost = np.flatnonzero(~arrived & np.isfinite(wanted).all(axis=1))
    if not lost.size:
        return found, arrived
    images = mapped(starts)[0]
    usable = np.isfinite(images).all(axis=1)
    starts, images = starts[usable], images[usable]
    for first in range(0, lost.size if len(starts) else 0, _SEARCH_POINTS):
        some = lost[first : first + _SEARCH_POINTS]
        squares = ((wanted[some, None] - images) ** 2).sum(axis=-1)
        again, there = _descend(mapped, wanted[some], starts[squares.argmin(axis=1)])
        found[some[there]], arrived[some[there]] = again[there], True
    return found, arrived


def _descend(mapped: MappedWithSlopes, wanted: _Floats, start: _Floats) -> tuple[_Floats, NDArray[np.bool_]]:
    """Do `solve_for_points` from one start for each point."""
    found, arrived = np.array(start), np.zeros(len(wanted), dtype=np.bool_)
    active = np.flatnonzero(np.isfinite(start).all(axis=1) & np.isfinite(wanted).all(axis=1))
    places, share = found[active], np.ones(len(active))
    images, slopes = mapped(places)
    misses = images - wanted[active]
    for _ in range(_MAX_STEPS):
        length = np.linalg.norm(misses, axis=1)
        there = length <= _ARRIVED_PX * (1 + np.abs(wanted[active]).max(axis=1) / 1e4)
        found[active], arrived[active] = places, there
        go = ~there & np.isfinite(length) & (np.abs(_determinants(slopes)) > _MIN_DETERMINANT)
        active, places, share, length = active[go], places[go], share[go], length[go]
        misses, slopes = misses[go], slopes[go]
        if not active.size:
            break
        tried = places - share[:, None] * _solved(slopes, misses)
        images, new_slopes = mapped(tried)
        new_misses = images - wanted[active]
        nearer = np.linalg.norm(new_misses, axis=1) < length  # not for NaN
        places = np.where(nearer[:, None], tried, places)
        misses = np.where(nearer[:, None], new_misses, misses)
        slopes = np.where(nearer[:, None, None], new_slopes, slopes)
        share = np.where(nearer, np.minimum(2 * share, 1.0), share / 2)
    return found, arrived


def _determinants(matrices: _Floats) -> _Floats:
    return np.asarray(matrices[:, 0, 0] * matrices[:, 1, 1] - matrices[:, 0, 1] * matrices[:, 1, 0])


def _solved(matrices: _Floats, right: _Floats) -> _Floats:
    """Return the solutions (N, 2) of 2 x 2 systems (N, 2, 2), which are faster by Cramer's rule than by LAPACK."""
    (a, b), (c, d) = np.moveaxis(matrices, 0, -1)
    u, v = right.T
    return np.asarray(np.column_stack((d * u - b * v, a * v - c * u)) / _determinants(matrices)[:, None])
