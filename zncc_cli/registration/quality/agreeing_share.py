"""Which share of what both images show in their overlap is alike where a transform puts it.

Walls of a scene at another depth, what moved by itself, and what hides the scene: they agree nowhere near, and so no
figure that asks where parts lie tells of them. Blocks are compared where they are, by the orientation of edges
(`inputs.orientation_map`); those count that both images fill with edges.
"""

from __future__ import annotations

import numpy as np

from zncc_cli.registration.inputs.orientation_map import OrientedPair
from zncc_cli.registration.metric.block_surfaces import BLOCK_PX

# Of the two channels together, which are between -1 and 1: a block with an edge across it has more.
_MIN_CONTENTS = 0.1
# Unrelated blocks agree by more in a tenth of the cases; those of one scene without noise, in nineteen of twenty.
_MIN_ZNCC = 0.3
_MIN_BLOCKS = 20


def agreeing_share(pair: OrientedPair, matrix: np.ndarray) -> float | None:
    """Return the share, in [0, 1]; None where too few blocks show anything in both images.

    Args:
        pair: both images.
        matrix: (3, 3), fixed -> moving, full-resolution pixels.
    """
    blocks = pair.agreement(pair.at_level(matrix), 0, BLOCK_PX)
    zncc = blocks.zncc[blocks.contents >= _MIN_CONTENTS]
    return float((zncc >= _MIN_ZNCC).double().mean()) if len(zncc) >= _MIN_BLOCKS else None
