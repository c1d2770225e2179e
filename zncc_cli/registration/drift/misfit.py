"""The misfit of a movie's model: how far a richer model moves frames from where the path has them.

A motion that the model cannot follow may be too small to see between neighbours, so that the frames of each pair agree;
it grows with the time between frames. A scene that changes on its own also differs more with time, but not by a motion
that the whole frame shares: it makes the expected error of the richer model large instead.
"""

from __future__ import annotations

import numpy as np

from zncc_cli.config import Model, RegistrationConfig
from zncc_cli.registration.drift.frame_pair import PreparedFrame, measure
from zncc_cli.registration.quality.bounds import MIN_BLOCK_SIGNIFICANCE
from zncc_cli.registration.quality.compute_evidence import CHANCE_DEVIATIONS, RICHER_MODEL, overlap_distance

# Lags grow by this factor. Frames still agree if they are wrong by ten times `MAX_MODEL_MISFIT_PX`.
_LAG_FACTOR = 4


def compared_pairs(good: np.ndarray) -> list[tuple[int, int]]:
    """Return the pairs of ``good`` frames, (n,) bool, that are compared: two of each lag 1, 4, 16, ...

    There are two of each lag so that no frame alone decides.
    """
    pairs, lag = list[tuple[int, int]](), 1
    while lag < len(good):
        first = np.flatnonzero(good[:-lag] & good[lag:]).tolist()
        pairs += [(k, k + lag) for k in sorted({first[len(first) // 4], first[3 * len(first) // 4]})] if first else []
        lag *= _LAG_FACTOR
    return pairs


def misfit_config(model: Model, window: int) -> RegistrationConfig:
    """Return the settings with which frames that ``model`` aligned are prepared for `misfit`."""
    return RegistrationConfig(model=RICHER_MODEL.get(model, Model.HOMOGRAPHY), window=window)


def misfit(fixed: PreparedFrame, moving: PreparedFrame, matrix: np.ndarray, config: RegistrationConfig) -> float:
    """Return the RMS distance over the overlap between ``matrix`` and the motion measured by a richer model, pixels.

    Zero if chance explains it, or if the frames have too little in common to tell.

    Args:
        fixed, moving: the frames, prepared with ``config``.
        matrix: (3, 3), fixed -> moving, of the path.
        config: settings of `misfit_config`.
    """
    richer = measure(fixed, moving, (0, 1), config, matrix)
    distance = overlap_distance(richer.matrix, matrix, fixed.level, moving.level)
    if distance is None or richer.block_significance < MIN_BLOCK_SIGNIFICANCE:
        return 0.0
    return 0.0 if distance < CHANCE_DEVIATIONS * richer.expected_error else distance
