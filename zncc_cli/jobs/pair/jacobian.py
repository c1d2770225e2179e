"""jacobian.tif: how a transform that bends changes areas; one where it keeps them, zero or less where it folds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zncc_cli.files.image_output import STRIP_ROWS, write_strips
from zncc_cli.files.metadata import Metadata
from zncc_cli.registration.resampling.canvas import Frame
from zncc_cli.registration.transforms.matrices import is_mirrored
from zncc_cli.registration.transforms.spline_field import SplineField


def write_jacobian(
    path: Path, field: SplineField, moving_shape: tuple[int, int], canvas: Frame, grid: Metadata
) -> None:
    """Write the determinant of d(moving) / d(fixed) at every pixel of the canvas, float32.

    Of a transform that mirrors it has the other sign, so that it is zero or less where the transform folds. It is NaN
    beyond the fixed frame, and where the place lies outside ``moving_shape`` (H, W).

    Raises:
        OutputError: the file cannot be written.
    """
    strips = _determinants(field, moving_shape, canvas)
    write_strips(
        path, strips, shape=canvas.shape, dtype=np.float32, axes="YX", like=None, frame=grid, offset=canvas.offset
    )


def _determinants(field: SplineField, moving_shape: tuple[int, int], canvas: Frame) -> Iterator[np.ndarray]:
    columns, sign = canvas.columns, -1.0 if is_mirrored(field.matrix) else 1.0
    for first in range(0, canvas.height, STRIP_ROWS):
        rows = canvas.rows[first : first + STRIP_ROWS]
        x, y = field.coordinates(rows, columns)
        fixed_x, fixed_y = np.asarray(columns), np.asarray(rows)[:, None]
        known = (fixed_x >= 0) & (fixed_x < field.shape[1]) & (fixed_y >= 0) & (fixed_y < field.shape[0])
        known &= (x >= 0) & (x <= moving_shape[1] - 1) & (y >= 0) & (y <= moving_shape[0] - 1)
        yield np.where(known, sign * np.linalg.det(field.jacobians(rows, columns)), np.nan).astype(np.float32)
