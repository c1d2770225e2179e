"""Whether parts of a scene move by another transform than the one that was found.

The walls of a building, or what stands before it: each moves by a homography of its own, and a fit to one of them finds
all that it asks for. Of the blocks that lie elsewhere, each for itself, the transform is drawn that explains most, as
for `search.block_fit`.
"""

from __future__ import annotations

import math

import numpy as np

from zncc_cli.registration.inputs.orientation_map import OrientedPair
from zncc_cli.registration.metric.block_surfaces import BLOCK_PX
from zncc_cli.registration.quality.block_consensus import significance
from zncc_cli.registration.quality.bounds import MIN_CONSENSUS
from zncc_cli.registration.search.block_fit import DRAWS, explained_by_best
from zncc_cli.registration.warp import map_points

_REACH_PX, _TOLERANCE_PX = 32, 5.0  # of the level, as in the first round of `block_fit`
_DRAWN_THROUGH = 3  # blocks


def second_motion(pair: OrientedPair, matrix: np.ndarray) -> float:
    """Return how many blocks another transform explains, over how many ``matrix`` does; 0 for what chance brings about.

    Args:
        pair: both images.
        matrix: (3, 3), fixed -> moving, full-resolution pixels.
    """
    level = pair.at_level(matrix)
    found = pair.shifts(level, _REACH_PX, BLOCK_PX)
    places, shifts = (each.double().cpu().numpy() for each in (found.centres, found.shifts))
    others = np.linalg.norm(shifts, axis=1) > _TOLERANCE_PX
    count = int(others.sum())
    explained = int(explained_by_best(places[others], map_points(level, places + shifts)[others], _TOLERANCE_PX).sum())
    chance = math.pi * _TOLERANCE_PX**2 / (2 * _REACH_PX + 1) ** 2
    surprise = significance(explained - _DRAWN_THROUGH, count - _DRAWN_THROUGH, chance) - math.log10(DRAWS)
    return explained / max(1, len(others) - count) if surprise >= MIN_CONSENSUS else 0.0
