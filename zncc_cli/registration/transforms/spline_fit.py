"""A `SplineField` fitted to a transform that is known at points: least squares on a grid of samples, axis by axis.

    minimize  sum over samples |u(x) - given(x)|^2 + ridge |third differences of the coefficients|^2    along each axis

The samples are a grid, so the least squares of the tensor product are those of one axis after the other. The ridge is
far below the rounding of what is written; it holds nodes that no sample determines.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from zncc_cli.registration.transforms.matrices import map_points
from zncc_cli.registration.transforms.spline_field import SplineField, node_count, spline_weights

_Floats = NDArray[np.float64]

TOLERANCE_PX = 0.005
"""A fit whose largest error is above it is done again with half the spacing: below what a registration resolves."""
_MIN_SPACING_PX = 1.0
_MAX_PIXELS = 2**30  # of a frame, all of which are looked at: some minutes
_SOME_PIXELS = 4  # every so many along each axis
_SAMPLES_A_NODE = 2  # along each axis; between them the error is measured
_RIDGE = 1e-12  # of a sample's weight: beside any node that a sample determines to 1e-9 it counts for nothing
_BAND = 3  # diagonals beside the main one
_STRIP_POINTS = 2**18

Mapping = Callable[[_Floats], _Floats]
"""Fixed points (N, 2) to moving points (N, 2), (x, y) pixels; NaN for those that have none."""


@dataclass(frozen=True)
class Fitted:
    """A spline that stands for another transform.

    Attributes:
        field: the spline.
        error: the largest distance to what it stands for, pixels; over which points, the function says that fits it.
    """

    field: SplineField
    error: float


def check_frame(shape: tuple[int, int]) -> None:
    """Raise `ValueError` where a frame (H, W) has too many pixels for a fit."""
    if shape[0] * shape[1] > _MAX_PIXELS:
        raise ValueError(f"a frame of {shape[1]} x {shape[0]} pixels, which are too many to fit a spline on")


def fit_within(
    mapping: Callable[[_Floats, SplineField | None], _Floats],
    matrix: _Floats,
    shape: tuple[int, int],
    spacing: float,
    error_of: Callable[[SplineField, int], float],
    tolerance: float = TOLERANCE_PX,
) -> Fitted:
    """Return the spline with the widest spacing that is a half, a quarter, ... of ``spacing`` and is near enough.

    Args:
        mapping: what is fitted: from points (N, 2) of the frame, and the fit before, if there was one, to (N, 2).
        matrix: (3, 3), that of the result; the spline has the rest.
        shape: (H, W) of the frame.
        spacing: the widest, pixels.
        error_of: the largest error of a fit, pixels, over all pixels, or over every n-th along each axis.
        tolerance: of the error, pixels. With a spacing of less than 2 pixels any error is taken.

    Raises:
        ValueError: some point of the frame is mapped nowhere.
    """
    spacing, field = max(spacing, _MIN_SPACING_PX), None
    while True:
        field = fit_spline(partial(_with_fit, mapping, field), matrix, shape, spacing)
        last = spacing < 2 * _MIN_SPACING_PX
        # Some pixels tell most often that the fit is too wide.
        if last or error_of(field, _SOME_PIXELS) <= tolerance:
            error = error_of(field, 1)
            if last or error <= tolerance:
                return Fitted(field, error)
        spacing /= 2


def _with_fit(
    mapping: Callable[[_Floats, SplineField | None], _Floats], before: SplineField | None, points: _Floats
) -> _Floats:
    return mapping(points, before)


def fit_spline(mapping: Mapping, matrix: _Floats, shape: tuple[int, int], spacing: float) -> SplineField:
    """Return the `SplineField` of a matrix and a spacing that comes nearest to ``mapping``; see `fit_within`."""
    stride = max(1, math.floor(spacing / _SAMPLES_A_NODE))
    down, across = (_Axis(n, spacing, stride) for n in shape)
    sums = np.zeros((down.nodes, len(across.samples), 2))
    rows = max(1, _STRIP_POINTS // len(across.samples))
    for start in range(0, len(down.samples), rows):
        part = slice(start, start + rows)
        grid = np.stack(np.meshgrid(across.samples, down.samples[part]), axis=-1).reshape(-1, 2)
        bend = mapping(grid) - map_points(matrix, grid)
        if not np.isfinite(bend).all():
            raise ValueError("one that takes a point of the frame nowhere")
        down.add(sums, bend.reshape(-1, len(across.samples), 2), part)
    along_y = np.swapaxes(down.solved(sums), 0, 1)
    sums = np.zeros((across.nodes, *along_y.shape[1:]))
    across.add(sums, along_y, slice(None))
    coefficients = np.ascontiguousarray(across.solved(sums).transpose(2, 1, 0))
    return SplineField(np.asarray(matrix, dtype=np.float64), coefficients, spacing, shape)


class _Axis:
    """The least squares along one axis.

    Attributes:
        samples: pixels at which the spline is fitted: every ``stride``-th, and the last.
        nodes: their number.
    """

    def __init__(self, pixels: int, spacing: float, stride: int) -> None:
        self.samples = np.unique(np.append(np.arange(0, pixels, stride), pixels - 1)).astype(np.float64)
        self.nodes = node_count(pixels, spacing)
        self._first, self._weights = spline_weights(self.samples, pixels, spacing)
        bands = np.zeros((_BAND + 1, self.nodes))  # bands[d, j] is entry (j + d, j) of the normal matrix
        for i in range(_BAND + 1):
            for d in range(_BAND + 1 - i):
                np.add.at(bands[d], self._first + i, self._weights[i] * self._weights[i + d])
        third = np.array([-1.0, 3.0, -3.0, 1.0])
        for d in range(_BAND + 1):
            for i in range(_BAND + 1 - d):
                count = self.nodes - _BAND
                bands[d, i : i + count] += _RIDGE * third[i] * third[i + d]
        self._factor = _banded_cholesky(bands)

    def add(self, sums: _Floats, values: _Floats, part: slice) -> None:
        """Add the right-hand side of ``values`` (k, ...), at some of the samples, to ``sums`` (nodes, ...)."""
        weights, shape = self._weights[:, part], (-1, *(1,) * (values.ndim - 1))
        for i in range(_BAND + 1):
            np.add.at(sums, self._first[part] + i, weights[i].reshape(shape) * values)

    def solved(self, sums: _Floats) -> _Floats:
        """Return the coefficients (nodes, ...) of right-hand sides (nodes, ...)."""
        out, factor = sums.copy(), self._factor
        for j in range(self.nodes):
            for d in range(1, min(_BAND, j) + 1):
                out[j] -= factor[d, j - d] * out[j - d]
            out[j] /= factor[0, j]
        for j in reversed(range(self.nodes)):
            for d in range(1, min(_BAND, self.nodes - 1 - j) + 1):
                out[j] -= factor[d, j] * out[j + d]
            out[j] /= factor[0, j]
        return out


def _banded_cholesky(bands: _Floats) -> _Floats:
    """Return the factor L of L L^T, as ``bands`` (4, n), of a positive definite matrix of four diagonals."""
    factor = np.zeros_like(bands)
    for j in range(bands.shape[1]):
        for d in range(min(_BAND, bands.shape[1] - 1 - j) + 1):
            value = bands[d, j]
            for k in range(1, min(_BAND - d, j) + 1):
                value -= factor[k, j - k] * factor[k + d, j - k]
            factor[d, j] = math.sqrt(value) if d == 0 else value / factor[0, j]
    return factor
