"""A transform of another tool that bends, as a spline of ours: fitted on the pixels of its fixed frame."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.paths import MismatchError
from zncc_cli.files.transforms.bends import GridSpline
from zncc_cli.files.transforms.linear import Linear
from zncc_cli.registration.transforms.spline_field import SplineField
from zncc_cli.registration.transforms.spline_fit import check_frame, fit_within

_TOLERANCE_PX = 0.001  # a fifth of what is allowed for an inverse: the other tool's transform should come out again
_STRIP_PIXELS = 2**18


@dataclasses.dataclass(frozen=True)
class FittedTransform:
    """A transform that bends as our splines do, if at all.

    transform: its ``bend`` is a `SplineField`, or None. error: the largest distance, over the pixels of the fixed
    frame, to the transform that was fitted, pixels; None where none was.
    """

    transform: Linear
    error: float | None


def fitted(transform: Linear) -> FittedTransform:
    """Return a transform with a spline of ours.

    Raises:
        MismatchError: the size of the fixed image is not known, or the transform takes one of its pixels nowhere.
    """
    bend = transform.bend
    if bend is None or isinstance(bend, SplineField):
        return FittedTransform(transform, None)
    if transform.fixed_shape is None:
        raise MismatchError("a transform with the size of its fixed image (zncc convert --fixed)", "one without it")
    shape = transform.fixed_shape
    if isinstance(bend, GridSpline) and (field := bend.as_field(shape)) is not None:
        return FittedTransform(dataclasses.replace(transform, bend=field), None)

    def error(field: SplineField, step: int) -> float:
        with np.errstate(over="ignore"):  # of displacements that are no places
            return max(
                float(np.linalg.norm(field.map_points(pixels) - bend.map_points(pixels), axis=1).max())
                for pixels in _pixels(shape, step)
            )

    try:
        check_frame(shape)
        fit = fit_within(
            lambda points, _: bend.map_points(points), transform.matrix, shape, bend.spacing, error, _TOLERANCE_PX
        )
    except ValueError as problem:
        raise MismatchError("a transform of all of the fixed image", problem) from None
    return FittedTransform(dataclasses.replace(transform, bend=fit.field), fit.error)


def _pixels(shape: tuple[int, int], step: int) -> Iterator[NDArray[np.float64]]:
    """Yield the pixels (N, 2), (x, y), of a frame (H, W), every ``step``-th along each axis, by strips."""
    rows = math.ceil(_STRIP_PIXELS / shape[1]) * step
    for first in range(0, shape[0], rows):
        grid = np.meshgrid(range(0, shape[1], step), range(first, min(first + rows, shape[0]), step))
        yield np.stack(grid, axis=-1).reshape(-1, 2).astype(np.float64)
