"""What another sensor sees of a scene: the same edges, in brightness that no line relates to that of the first one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Random = np.random.Generator

_LOOKS = 4  # of a radar image: the mean of so many exponential intensities at a pixel
_CONTRAST_WAVELENGTH = 0.7  # of the shorter side: how far apart bright and dark change their roles
_BENDS = 1.25  # periods of a sine over the range of grey levels


def _levels(frame: Array) -> Array:
    """Return grey levels from 0 to 1, of which a hundredth at either end are cut off."""
    low, high = np.quantile(frame, (0.01, 0.99))
    return np.clip((frame - low) / (high - low), 0, 1)


def _parabola(frame: Array, _: Random) -> Array:
    """Dark and bright become bright, and what lies between dark."""
    return (2 * _levels(frame) - 1) ** 2


def _sine(frame: Array, random: Random) -> Array:
    """Grey levels go up and down more than once."""
    return np.sin(2 * math.pi * (_BENDS * _levels(frame) + random.uniform()))


def _edges(frame: Array, _: Random) -> Array:
    """Only edges are seen, as ridges."""
    rows, columns = np.gradient(frame)
    return np.sqrt(np.hypot(rows, columns))


def _radar(frame: Array, random: Random) -> Array:
    """The parabola under speckle: noise that multiplies."""
    return (0.2 + _parabola(frame, random)) * random.gamma(_LOOKS, 1 / _LOOKS, frame.shape)


def _patches(frame: Array, random: Random) -> Array:
    """What is bright here is dark there, as different materials are in another band."""
    y, x = (np.arange(n) for n in frame.shape)
    length = _CONTRAST_WAVELENGTH * min(frame.shape)
    phases = random.uniform(0, 2 * math.pi, 2)
    sign = np.sin(2 * math.pi * x / length + phases[0]) + np.sin(2 * math.pi * y / length + phases[1])[:, None]
    return sign * (_levels(frame) - 0.5)


SENSORS: dict[str, Callable[[Array, Random], Array]] = {
    "parabola": _parabola,
    "sine": _sine,
    "edges": _edges,
    "radar": _radar,
    "patches": _patches,
}
"""How each sees a frame (H, W)."""
