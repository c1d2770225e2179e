"""The field of a frame of a movie against its reference: measured from the field before, or composed of two."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from zncc_cli.registration.nonrigid.error_map import ErrorMap
from zncc_cli.registration.nonrigid.node_grid import NodeGrid
from zncc_cli.registration.transforms.spline_field import SplineField
from zncc_cli.registration.transforms.spline_fit import fit_spline

_CHECKED_STEP_PX = 4  # of the pixels at which the error of a fit is measured


@dataclass(frozen=True, eq=False)
class FrameField:
    """A field, reference -> frame, and its expected error.

    Attributes:
        field: pixels.
        error: None where it is not known.
        fit_error: the largest distance between ``field`` and the composition that it stands for, pixels; zero where it
            was measured.
    """

    field: SplineField
    error: ErrorMap | None
    fit_error: float = 0.0


def no_motion(shape: tuple[int, int], spacing: float) -> FrameField:
    """Return the field of the reference itself, a frame (H, W): no displacement, and no error."""
    coefficients = NodeGrid(shape, spacing).zeros(torch.device("cpu")).numpy()
    ends = [np.array([0, n - 1], dtype=np.intp) for n in shape]
    everywhere = np.ones((2, 2), dtype=bool)
    error = ErrorMap(ends[0], ends[1], np.zeros((2, 2)), everywhere, everywhere, ~everywhere)
    return FrameField(SplineField(np.eye(3), coefficients, spacing, shape), error)


def with_spacing(field: SplineField, spacing: float) -> SplineField:
    """Return the same transform on nodes of a spacing that is a half, a quarter, ... of the field's own."""
    while field.spacing > spacing:
        grid = NodeGrid(field.shape, field.spacing / 2)
        field = replace(
            field,
            spacing=grid.spacing,
            coefficients=grid.refined(torch.from_numpy(field.coefficients)).numpy(),
        )
    return field


def after(first: FrameField, second: FrameField) -> FrameField:
    """Return the field that maps by ``first``, then by ``second``, fitted on the nodes of ``first``.

    The deviations of both add up, as what a smooth field leaves out is alike from step to step.
    """
    spacing, shape = first.field.spacing, first.field.shape
    matrix = second.field.matrix @ first.field.matrix

    def mapping(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return second.field.continued(first.field.map_points(points))[0]

    field = fit_spline(mapping, matrix / matrix[2, 2], shape, spacing)
    lines = (np.arange(0, n, _CHECKED_STEP_PX) for n in reversed(shape))
    points = np.stack(np.meshgrid(*lines), axis=-1).reshape(-1, 2).astype(np.float64)
    middle = first.field.map_points(points)
    inside = ((middle >= 0) & (middle <= np.array(second.field.shape[::-1]) - 1)).all(axis=1)
    apart = np.linalg.norm(field.map_points(points[inside]) - mapping(points[inside]), axis=1)
    return FrameField(field, _summed(first, second), float(apart.max(initial=0.0)))


def _summed(first: FrameField, second: FrameField) -> ErrorMap | None:
    """Return the expected error of a composition on the points of the second map; None where one is not known."""
    if first.error is None or second.error is None:
        return None
    rows, columns = second.error.rows, second.error.columns
    points = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2).astype(np.float64)
    own, *seen = first.error.near(points)
    further, *seen_then = second.error.near(first.field.map_points(points))
    shape = len(rows), len(columns)
    # Overlap and texture in both, and what does not agree in either.
    both = [a & b for a, b in zip(seen[:2], seen_then[:2], strict=True)]
    maps = [each.reshape(shape) for each in (*both, seen[2] | seen_then[2])]
    return ErrorMap(rows, columns, (own + further).reshape(shape), *maps)
