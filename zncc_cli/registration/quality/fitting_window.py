"""The side of the windows where nobody asked for one.

A verdict rests on blocks of the overlap that are as good as independent, each a window wide at least
(`objective.block_zncc`). In a small or narrow image windows of the usual side are too few, whatever they show; smaller
ones are noisier, and enough.
"""

from __future__ import annotations

import math

from zncc_cli.config import DEFAULT_WINDOW, SMALLEST_WINDOW
from zncc_cli.registration.metric.level_metric import block_side
from zncc_cli.registration.quality.verdict import LEAST_BLOCKS


def fitting_window(shape: tuple[int, int], most: int = DEFAULT_WINDOW) -> int:
    """Return the largest side up to ``most``, pixels, of windows of which a frame (H, W) holds enough to judge by.

    And of which two lie side by side; where none does, the smallest side there is.
    """
    for window in range(most, SMALLEST_WINDOW, -1):
        counts = [n - window + 1 for n in shape]
        if 2 * window <= min(shape) and math.prod(-(-n // block_side(n, window)) for n in counts) >= LEAST_BLOCKS:
            return window
    return SMALLEST_WINDOW
