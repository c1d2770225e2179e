"""The transform that most blocks of an image find for themselves, in a reach of some tens of pixels.

A descent follows the mean agreement of all windows, and ends where that is a little better than around it: in images
of two sensors some pixels beside the place. Here each block is slid over the other image (`metric.block_surfaces`), and
of the blocks that decide for a shift those are taken that one transform explains: first the best of many affine
transforms through three blocks, drawn at random (RANSAC; Fischler and Bolles 1981, doi:10.1145/358669.358692) and
ranked by their truncated squared distances (MSAC; Torr and Zisserman 2000, doi:10.1006/cviu.1999.0832), then least
squares of the model over the blocks near it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from zncc_cli.config import Model
from zncc_cli.registration.inputs.orientation_map import OrientedPair
from zncc_cli.registration.metric.block_surfaces import BLOCK_PX
from zncc_cli.registration.transforms.landmarks import least_squares
from zncc_cli.registration.warp import in_front, level_scale, map_points

_Points = NDArray[np.float64]

# Largest shifts along an axis, and how far a block may lie from where the transform puts it, pixels of the level, in
# turn: a block that is turned or scaled is a little off everywhere.
_ROUNDS = ((32, 5.0), (14, 3.5), (14, 3.5))
_BLOCKS_ACROSS = 20  # about, of the frame
DRAWS = 1000
"""How many places are compared at a start: with a fifth of the blocks right, 8 draws in a thousand are."""
_SEED = 0
_MIN_BLOCKS = 6  # that one transform explains: twice as many as determine it
_REFITS = 5
_MIN_AREA_PX2 = 256.0  # of the triangle of three blocks: a smaller one is nearly a line


def block_fit(pair: OrientedPair, start: np.ndarray, model: Model, *, quick: bool = False) -> np.ndarray | None:
    """Return the matrix (3, 3) of ``model``, fixed -> moving, that the blocks near ``start`` find; None for none.

    Args:
        pair: both images.
        start: (3, 3), full-resolution pixels.
        model: of the matrix.
        quick: the first round alone, of the largest reach: it tells to some pixels of the level.
    """
    shape = pair.fixed.mask.shape[0], pair.fixed.mask.shape[1]
    step = max(BLOCK_PX // 2, int(math.sqrt(math.prod(shape)) / _BLOCKS_ACROSS))
    matrix, rounds = pair.at_level(start), _ROUNDS[:1] if quick else _ROUNDS
    for reach, tolerance in rounds:
        found = pair.shifts(matrix, reach, step)
        places = found.centres.double().cpu().numpy()
        targets = map_points(matrix, places + found.shifts.double().cpu().numpy())
        fit = _consistent(places, targets, tolerance, model)
        if fit is not None and in_front(fit, shape):
            matrix = fit
        elif reach == rounds[-1][0]:
            return None  # else the overlap may hold too few blocks with so much around them
    return np.asarray(matrix * level_scale(1 / pair.factor))


def _consistent(places: _Points, targets: _Points, tolerance: float, model: Model) -> _Points | None:
    """Return the matrix of the most blocks that lie within ``tolerance`` of it; None where there are too few.

    ``places``, ``targets``: (N, 2), where blocks lie in the fixed image, and where in the moving one.
    """
    near = explained_by_best(places, targets, tolerance)
    for _ in range(_REFITS):
        if near.sum() < _MIN_BLOCKS:
            return None
        matrix = least_squares(places[near], targets[near], model)
        if matrix is None:
            return None
        before, near = near, np.linalg.norm(map_points(matrix, places) - targets, axis=1) <= tolerance
        if np.array_equal(before, near):
            break
    return matrix


def explained_by_best(places: _Points, targets: _Points, tolerance: float) -> NDArray[np.bool_]:
    """Return which blocks (N,) the best of many affine transforms through three of them explains."""
    nothing = np.zeros(len(places), bool)
    if len(places) < _MIN_BLOCKS:
        return nothing
    rows = np.column_stack([places, np.ones(len(places))])
    drawn = np.random.default_rng(_SEED).integers(len(places), size=(DRAWS, 3))
    corners_drawn = rows[drawn]
    drawn = drawn[np.abs(np.linalg.det(corners_drawn)) > 2 * _MIN_AREA_PX2]
    if not len(drawn):
        return nothing
    solved = np.linalg.solve(rows[drawn], targets[drawn])
    squares = np.square(rows @ solved - targets).sum(axis=-1)
    best = np.minimum(squares, tolerance**2).sum(axis=1).argmin()
    return np.asarray(squares[best] <= tolerance**2)
