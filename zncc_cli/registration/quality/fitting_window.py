"""The side of the windows where the user asked for none.

A verdict rests on blocks of the overlap that are as good as independent, each at least a window wide (`block_zncc`). A
small or narrow image holds too few windows of the usual side, whatever it shows; smaller windows are noisier, but
enough of them fit.
"""

from __future__ import annotations

import math

from zncc_cli.config import DEFAULT_WINDOW, SMALLEST_WINDOW
from zncc_cli.registration.metric.level_metric import block_side
from zncc_cli.registration.quality.bounds import MIN_BLOCKS


def fitting_window(shape: tuple[int, int], largest: int = DEFAULT_WINDOW) -> int:
    """Return the largest side up to ``largest``, pixels, of windows of which a frame (H, W) holds enough to judge by.

    Two of them fit side by side; where no window is small enough for that, the smallest one is returned.
    """
    for window in range(largest, SMALLEST_WINDOW, -1):
        counts = [n - window + 1 for n in shape]
        if 2 * window <= min(shape) and math.prod(-(-n // block_side(n, window)) for n in counts) >= MIN_BLOCKS:
            return window
    return SMALLEST_WINDOW
