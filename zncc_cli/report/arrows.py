"""Where a transform moves the pixels of a frame, as arrows to draw."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WIDTH = 640.0  # of the drawing, in its own units
_ALONG = 12  # arrows along the longer side
_LONGEST = 1.3  # of the distance between two arrows, at most: they shall not cover each other
_DOT = 2.0  # units below which an arrow is drawn as a dot


@dataclass(frozen=True)
class Arrow:
    """From a pixel to where it is found in the moving image, in the drawing's units; a dot where both are one."""

    x: float
    y: float
    to_x: float
    to_y: float

    @property
    def dot(self) -> bool:
        """It is too short to have a head."""
        return math.hypot(self.to_x - self.x, self.to_y - self.y) < _DOT


@dataclass(frozen=True)
class ArrowChart:
    """Arrows on a frame.

    Attributes:
        width, height: of the drawing. arrows: what is drawn.
        exaggeration: how many times longer the arrows are than the motion is in the frame.
        longest: the longest motion that is drawn, in pixels of the fixed image.
        bar: length of the scale bar in the drawing, which stands for ``bar_pixels`` of the fixed image.
    """

    width: float
    height: float
    arrows: tuple[Arrow, ...]
    exaggeration: float
    longest: float
    bar: float
    bar_pixels: float


@dataclass(frozen=True)
class Motion:
    """The motion of a frame: its mean (x, y) in pixels of the fixed image, and the arrows of all, or of what differs.

    ``rest`` is None where the motion is the same everywhere.
    """

    mean: tuple[float, float]
    all: ArrowChart
    rest: ArrowChart | None


_SAME = 0.005  # pixels: a motion that differs by less from its mean is a shift


def motion(matrix: NDArray[np.float64], shape: tuple[int, int], pixel: float) -> Motion | None:
    """How ``matrix`` (3, 3), fixed to moving in pixels (x, y) of a frame of ``shape`` (H, W), moves that frame.

    ``pixel`` is the side of one of its pixels in pixels of the fixed image. None where it moves it to nowhere.
    """
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        return None
    height, width = shape
    gap = max(height, width) / _ALONG
    columns, rows = max(1, round(width / gap)), max(1, round(height / gap))
    x, y = np.meshgrid((np.arange(columns) + 0.5) * width / columns, (np.arange(rows) + 0.5) * height / rows)
    at = np.stack([x.ravel(), y.ravel()], axis=-1)
    # Drawn coordinates begin at the corner of a pixel, the transform's at its centre.
    homogeneous = np.concatenate([at - 0.5, np.ones((len(at), 1))], axis=1) @ matrix.T
    ahead = homogeneous[:, 2] > 1e-6 * np.abs(homogeneous[:, 2]).max()  # behind a homography's horizon is nothing
    if not ahead.any():
        return None
    at = at[ahead]
    steps = homogeneous[ahead, :2] / homogeneous[ahead, 2:] - (at - 0.5)
    mean = steps.mean(axis=0)
    rest = steps - mean
    differs = float(np.hypot(*rest.T).max()) * pixel >= _SAME
    return Motion(
        (float(mean[0]) * pixel, float(mean[1]) * pixel),
        _chart(at, steps, shape, pixel),
        _chart(at, rest, shape, pixel) if differs else None,
    )


def _chart(at: NDArray[np.float64], steps: NDArray[np.float64], shape: tuple[int, int], pixel: float) -> ArrowChart:
    height, width = shape
    unit = _WIDTH / max(height, width)
    longest = float(np.hypot(*steps.T).max())
    gap = max(height, width) / _ALONG
    exaggeration = _round_below(_LONGEST * gap / longest) if longest > 0 else 1.0
    ends = at + steps * exaggeration
    arrows = tuple(
        Arrow(*(round(float(value) * unit, 1) for value in (*start, *end))) for start, end in zip(at, ends, strict=True)
    )
    bar_pixels = _round_below(max(longest, 1e-9) * pixel)
    bar = round(bar_pixels / pixel * exaggeration * unit, 1)
    return ArrowChart(
        round(width * unit, 1), round(height * unit, 1), arrows, exaggeration, longest * pixel, bar, bar_pixels
    )


def _round_below(value: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not above ``value`` > 0."""
    power = 10.0 ** math.floor(math.log10(value))
    return float(f"{max(step for step in (1, 2, 5) if step * power <= value * (1 + 1e-12)) * power:.3g}")
