"""How far a transform that bends may be off, at every pixel of the fixed image: expected_error.tif and trusted.tif."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zncc_cli.files.image_output import STRIP_ROWS, write_strips
from zncc_cli.files.images import Image
from zncc_cli.files.metadata import Metadata
from zncc_cli.registration.nonrigid.error_map import UNCERTAIN_PX, ErrorMap
from zncc_cli.registration.transforms.bending import displacements
from zncc_cli.registration.transforms.spline_field import SplineField


def write_expected_error(
    path: Path, error: ErrorMap | None, field: SplineField, moving_shape: tuple[int, int], grid: Metadata
) -> None:
    """Write the root of the summed variances of both components, moving pixels, float32, on the fixed frame.

    It is NaN where the place lies outside ``moving_shape`` (H, W), and everywhere without an ``error``.

    Raises:
        OutputError: the file cannot be written.
    """
    strips = expected_error_strips(error, field, moving_shape)
    write_strips(path, strips, shape=field.shape, dtype=np.float32, axes="YX", like=None, frame=grid)


def write_trusted(
    path: Path,
    error: ErrorMap | None,
    field: SplineField,
    moving_shape: tuple[int, int],
    grid: Metadata,
    mask: Image | None,
) -> None:
    """Write 255 where no more than `UNCERTAIN_PX` is expected, else 0, uint8, on the fixed frame: a fixed mask.

    ``mask`` is the one that the fixed image had: what it left out is not in.

    Raises:
        OutputError: the file cannot be written.
    """

    def strips() -> Iterator[np.ndarray]:
        first = 0
        for errors in expected_error_strips(error, field, moving_shape):
            trusted = errors <= UNCERTAIN_PX
            if mask is not None:
                trusted &= mask.read((), slice(first, first + len(errors))).is_set()
            first += len(errors)
            yield np.where(trusted, np.uint8(255), np.uint8(0))

    write_strips(path, strips(), shape=field.shape, dtype=np.uint8, axes="YX", like=None, frame=grid)


def expected_error_strips(
    error: ErrorMap | None, field: SplineField, moving_shape: tuple[int, int]
) -> Iterator[np.ndarray]:
    """Yield the rows (h, W) float32 that `write_expected_error` writes, `STRIP_ROWS` at a time."""
    columns = range(field.shape[1])
    for first in range(0, field.shape[0], STRIP_ROWS):
        rows = range(first, min(first + STRIP_ROWS, field.shape[0]))
        if error is None:
            yield np.full((len(rows), len(columns)), np.nan, np.float32)
            continue
        known = np.isfinite(displacements(field, rows, columns, moving_shape)).all(axis=-1)
        yield np.where(known, error.at(rows, columns), np.nan).astype(np.float32)
