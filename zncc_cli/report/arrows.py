"""The motion of a frame by a transform, as arrows to draw."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from zncc_cli.registration.transforms.spline_field import SplineField

_DRAWING_SIDE = 640.0  # the longer side of the drawing, in its own units
_ARROWS_PER_SIDE = 12  # along the longer side
_MAX_LENGTH = 1.3  # of an arrow, in distances between two arrows, so that they do not cover each other
_MIN_LENGTH = 2.0  # drawing units; a shorter arrow is drawn as a dot
_MIN_DIFFERENCE_PX = 0.005  # pixels: a motion that differs by less from its mean is a shift


class Arrow(NamedTuple):
    """An arrow from a pixel of the fixed image to the same point of the scene in the moving image, in drawing units."""

    x: float
    y: float
    to_x: float
    to_y: float

    @property
    def svg(self) -> str:
        """It as an element of SVG: a line with a head, or a dot where it is too short for one."""
        if math.hypot(self.to_x - self.x, self.to_y - self.y) < _MIN_LENGTH:
            return f'<circle class="dot" cx="{self.x}" cy="{self.y}" r="2"/>'
        return (
            f'<line class="arrow" x1="{self.x}" y1="{self.y}" x2="{self.to_x}" y2="{self.to_y}" '
            'marker-end="url(#head)"/>'
        )


@dataclass(frozen=True)
class ArrowChart:
    """Arrows on a frame.

    Attributes:
        width, height: size of the drawing, in its own units.
        arrows: the arrows.
        exaggeration: length of an arrow over the length of the motion at the drawing's scale.
        longest: the longest motion that is drawn, in pixels of the fixed image.
        bar: length of the scale bar, in drawing units.
        bar_pixels: the motion that the scale bar stands for, in pixels of the fixed image.
    """

    width: float
    height: float
    arrows: tuple[Arrow, ...]
    exaggeration: float
    longest: float
    bar: float
    bar_pixels: float

    @property
    def svg(self) -> Markup:
        """The arrows as elements of SVG: made of numbers alone, and not by the template, which escapes each of them."""
        return Markup("\n".join(arrow.svg for arrow in self.arrows))


@dataclass(frozen=True)
class Motion:
    """The motion of a frame.

    Attributes:
        mean: mean of the motion, (x, y) in pixels of the fixed image.
        full: arrows of the motion.
        without_mean: arrows of the motion minus its mean; None if the motion is the same everywhere.
    """

    mean: tuple[float, float]
    full: ArrowChart
    without_mean: ArrowChart | None


def motion(
    matrix: NDArray[np.float64], shape: tuple[int, int], pixel: float, field: SplineField | None = None
) -> Motion | None:
    """Return how a transform moves a frame; None if no point of the frame has a finite image.

    Args:
        matrix: (3, 3), fixed -> moving, in pixels (x, y) of the frame.
        shape: (H, W) of the frame.
        pixel: side of a pixel of the frame, in pixels of the fixed image.
        field: the transform where it bends, in pixels of the images; its matrix is ``matrix`` then.
    """
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        return None
    height, width = shape
    gap = max(height, width) / _ARROWS_PER_SIDE
    columns, rows = max(1, round(width / gap)), max(1, round(height / gap))
    x, y = np.meshgrid((np.arange(columns) + 0.5) * width / columns, (np.arange(rows) + 0.5) * height / rows)
    points = np.stack([x.ravel(), y.ravel()], axis=-1)
    # Drawn coordinates begin at the corner of a pixel, the transform's at its centre.
    homogeneous = np.concatenate([points - 0.5, np.ones((len(points), 1))], axis=1) @ matrix.T
    in_front = homogeneous[:, 2] > 1e-6 * np.abs(homogeneous[:, 2]).max()  # of a homography's horizon
    if not in_front.any():
        return None
    points = points[in_front]
    steps = homogeneous[in_front, :2] / homogeneous[in_front, 2:] - (points - 0.5)
    if field is not None:
        steps += field.bend(*(points * pixel - 0.5).T) / pixel
    mean = steps.mean(axis=0)
    differences = steps - mean
    differs = float(np.hypot(*differences.T).max()) * pixel >= _MIN_DIFFERENCE_PX
    return Motion(
        (float(mean[0]) * pixel, float(mean[1]) * pixel),
        arrow_chart(points, steps, shape, pixel),
        arrow_chart(points, differences, shape, pixel) if differs else None,
    )


def arrow_chart(
    points: NDArray[np.float64],
    steps: NDArray[np.float64],
    shape: tuple[int, int],
    pixel: float,
    per_side: float = _ARROWS_PER_SIDE,
) -> ArrowChart:
    """Return arrows on a frame (H, W).

    Args:
        points: (n, 2), (x, y) in pixels of the frame, from the corner of its first pixel.
        steps: (n, 2), the motion at these points, in the same pixels.
        shape: (H, W).
        pixel: side of a pixel of the frame, in pixels of the fixed image.
        per_side: how many arrows there are along the longer side, so that they do not cover each other.
    """
    height, width = shape
    unit = _DRAWING_SIDE / max(height, width)
    longest = float(np.hypot(*steps.T).max())
    gap = max(height, width) / per_side
    exaggeration = round_below(_MAX_LENGTH * gap / longest) if longest > 0 else 1.0
    ends = points + steps * exaggeration
    arrows = tuple(Arrow(*ends_of_one) for ends_of_one in np.round(np.hstack((points, ends)) * unit, 1).tolist())
    bar_pixels = round_below(max(longest, 1e-9) * pixel)
    bar = round(bar_pixels / pixel * exaggeration * unit, 1)
    return ArrowChart(
        round(width * unit, 1), round(height * unit, 1), arrows, exaggeration, longest * pixel, bar, bar_pixels
    )


def round_below(value: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is not above ``value`` > 0."""
    power = 10.0 ** math.floor(math.log10(value))
    return float(f"{max(step for step in (1, 2, 5) if step * power <= value * (1 + 1e-12)) * power:.3g}")
