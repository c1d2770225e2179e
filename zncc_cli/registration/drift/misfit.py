"""How far frames of a movie lie from where they were put, by a model that can follow more than the one that put them.

What a model cannot follow may be nothing between neighbours, and the frames of each pair agree; it grows with the time
between frames. So does what a scene makes of itself meanwhile, but that has no motion of a frame in common: it makes
the richer model unsure instead.
"""

from __future__ import annotations

import numpy as np

from zncc_cli.config import Model, RegistrationConfig
from zncc_cli.registration.drift.frame_pair import PreparedFrame, measure
from zncc_cli.registration.quality.bounds import MIN_BLOCK_SIGNIFICANCE
from zncc_cli.registration.quality.weigh import CHANCE_DEVIATIONS, RICHER_MODEL, overlap_distance

# Lags grow by this factor: frames still agree where they are off by ten times what is notable.
_FARTHER = 4


def compared(good: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs of frames, of those that are ``good`` (n,) bool, that are compared.

    Two of each lag that is a power of four, so that no frame alone decides.
    """
    out, lag = list[tuple[int, int]](), 1
    while lag < len(good):
        first = np.flatnonzero(good[:-lag] & good[lag:]).tolist()
        out += [(k, k + lag) for k in sorted({first[len(first) // 4], first[3 * len(first) // 4]})] if first else []
        lag *= _FARTHER
    return out


def misfit_config(model: Model, window: int) -> RegistrationConfig:
    """Return the settings by which frames that ``model`` put are made ready for `misfit`."""
    return RegistrationConfig(model=RICHER_MODEL.get(model, Model.HOMOGRAPHY), window=window)


def misfit(fixed: PreparedFrame, moving: PreparedFrame, matrix: np.ndarray, config: RegistrationConfig) -> float:
    """Return the RMS over the overlap by which the moving frame lies elsewhere than ``matrix`` has it, pixels.

    Zero where chance explains it, and where the frames show too little in common to tell.

    Args:
        fixed, moving: the frames, made ready with ``config``.
        matrix: (3, 3), fixed -> moving.
        config: see `misfit_config`.
    """
    found = measure(fixed, moving, (0, 1), config, matrix)
    apart = overlap_distance(found.matrix, matrix, fixed.level, moving.level)
    if (
        found.block_significance < MIN_BLOCK_SIGNIFICANCE
        or apart is None
        or apart < CHANCE_DEVIATIONS * found.expected_error
    ):
        return 0.0
    return apart
