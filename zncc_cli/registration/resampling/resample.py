"""Resample a moving image on any rows and columns of the fixed plane, tile by tile, in bounded memory.

Every pixel is computed from its own fixed coordinates and from the moving pixels around it, by sums whose terms and
order are fixed (`interpolators`). So a pixel is the same to the bit whatever tile it lies in and whatever else is
resampled with it, and tiles have no seams.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zncc_cli.config import Interpolation
from zncc_cli.operators.warp import Place, has_warp
from zncc_cli.registration.geometry import clip, half_planes, rectangle_corners
from zncc_cli.registration.resampling.interpolators import INTERPOLATORS, Interpolator, between_valid
from zncc_cli.registration.transforms.bending import Transform, matrix_of
from zncc_cli.registration.transforms.spline_field import SplineField
from zncc_cli.registration.warp import EDGE, applied, coordinates

# Reads a part of the moving image, by its rows and columns, which may be none: pixels (h, w) or (h, w, S), and which
# are valid, (h, w) bool.
Read = Callable[[slice, slice], tuple[np.ndarray, np.ndarray]]

_Values = tuple[np.ndarray, np.ndarray]  # (h, w[, S]), and which are defined, (h, w) bool

_MAX_TILE_PIXELS = 2**20  # 8 MB in float64, of which there are about ten
_MAX_READ_PIXELS = 2**22  # of the moving image, for a tile
_SLACK = 1.0  # pixels: more than the rounding of a planned region, and than the half pixel around the frame


def array_reader(pixels: np.ndarray, valid: np.ndarray) -> Read:
    """Return a function that reads parts of an image in memory, (H, W) or (H, W, S), and of its bool mask (H, W)."""
    return lambda rows, columns: (pixels[rows, columns], valid[rows, columns])


def resample(
    read: Read,
    moving_shape: tuple[int, int],
    transform: Transform,
    rows: range,
    columns: range,
    interpolation: Interpolation,
    *,
    edge: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the moving image's values at the fixed pixels of ``rows`` and ``columns``, and which of them are defined.

    Args:
        read: a part of the moving image; called for each tile with the region that it needs.
        moving_shape: (H, W) of the moving image.
        transform: a matrix (3, 3) or a field, fixed -> moving; points on or behind the horizon are undefined.
        rows, columns: of the fixed plane, of step 1; they may lie outside the fixed frame.
        interpolation: NEAREST takes the pixel (floor(u + 1/2), floor(v + 1/2)), where that is valid. The others are
            defined between valid pixels. A shift by whole pixels copies pixels, whatever the interpolation.
        edge: give pixels beyond the moving frame the value at the frame's nearest point, if that is defined.

    Returns:
        The values (h, w) or (h, w, S), float64, or in the pixels' own dtype where they are copied: by NEAREST, and by
        shifts by whole pixels. Undefined ones hold zero. And which are defined, (h, w) bool.
    """
    moving = _MovingImage(read, moving_shape, transform, interpolation, edge)
    whole, values = _Part(rows, columns), None
    valid = np.zeros(whole.shape, dtype=bool)
    for tile in moving.tiles(whole):
        if tile == whole:
            return moving.sampled(tile)
        tile_values, tile_valid = moving.sampled(tile)
        if values is None:
            values = np.zeros((*whole.shape, *tile_values.shape[2:]), tile_values.dtype)
        values[tile.within(whole)] = tile_values
        valid[tile.within(whole)] = tile_valid
    if values is None:
        empty, _ = read(slice(0, 0), slice(0, 0))
        values = np.zeros((*whole.shape, *empty.shape[2:]), empty.dtype if moving.copies else np.float64)
    return values, valid


@dataclass(frozen=True)
class _Part:
    """A rectangle of a plane, by its rows and columns."""

    rows: range
    columns: range

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), len(self.columns)

    @property
    def size(self) -> int:
        return len(self.rows) * len(self.columns)

    @property
    def at(self) -> Place:
        return self.columns.start, self.rows.start

    def within(self, whole: _Part) -> tuple[slice, slice]:
        (left, top), (height, width) = whole.at, self.shape
        row, column = self.rows.start - top, self.columns.start - left
        return slice(row, row + height), slice(column, column + width)

    def halves(self) -> tuple[_Part, _Part]:
        if len(self.rows) >= len(self.columns):
            half = len(self.rows) // 2
            return _Part(self.rows[:half], self.columns), _Part(self.rows[half:], self.columns)
        half = len(self.columns) // 2
        return _Part(self.rows, self.columns[:half]), _Part(self.rows, self.columns[half:])


class _MovingImage:
    """The moving image under a transform, from which parts of the fixed plane are sampled."""

    def __init__(
        self, read: Read, shape: tuple[int, int], transform: Transform, interpolation: Interpolation, edge: bool
    ) -> None:
        self._read, self._shape, self._edge = read, shape, edge
        self._matrix = matrix = _normalised(matrix_of(transform))
        self._field = transform if isinstance(transform, SplineField) else None
        self._pull = torch.from_numpy(matrix)
        # Where points lie on pixels exactly, the nearest pixel is the value.
        self.copies = copies(transform, interpolation)
        self._interpolator = interpolator = None if self.copies else INTERPOLATORS[interpolation]
        before, after, margin = (
            (0, 1, 0) if interpolator is None else (interpolator.before, interpolator.after, interpolator.margin)
        )
        self._reach = before + 1 + margin, after + 1 + margin
        bend = 0.0 if self._field is None else float(np.abs(self._field.coefficients).max())
        planes = half_planes(matrix, shape, _SLACK + bend)
        self._half_planes = planes[-1:] if edge else planes  # with ``edge`` all before the horizon is defined

    def tiles(self, part: _Part) -> Iterator[_Part]:
        """Yield tiles of ``part`` that are small enough and need few moving pixels; none for those that need none."""
        needed = self._needed(part) if part.size else None
        if needed is None:
            return
        if part.size > 1 and (part.size > _MAX_TILE_PIXELS or needed.size > _MAX_READ_PIXELS):
            for half in part.halves():
                yield from self.tiles(half)
        else:
            yield part

    def sampled(self, tile: _Part) -> _Values:
        """Return the values of one of the `tiles`, and which are defined."""
        needed = self._needed(tile)
        assert needed is not None, "a tile needs moving pixels"
        pixels, valid = self._read_mirrored(needed)
        if self._interpolator is None:
            whole_shift = self._field is None and _is_whole_shift(self._matrix)
            copied = self._shifted if whole_shift else self._nearest
            return copied(tile, needed, pixels, valid)
        planes = pixels if pixels.ndim == 3 else pixels[..., None]
        values, defined = self._interpolated(self._interpolator, tile, needed, planes, valid)
        return (values if pixels.ndim == 3 else values[..., 0]), defined

    def _needed(self, part: _Part) -> _Part | None:
        """Return the moving pixels that a part needs, of the image mirrored beyond its frame; None if it needs none."""
        polygon = clip(rectangle_corners(part.rows, part.columns), self._half_planes)
        if len(polygon) == 0:
            return None
        mapped = np.column_stack([polygon, np.ones(len(polygon))]) @ self._matrix.T
        with np.errstate(over="ignore"):  # on the horizon: far away, and then on the frame
            points = mapped[:, :2] / np.maximum(mapped[:, 2:], np.finfo(np.float64).tiny)
        last = np.array([self._shape[1] - 1, self._shape[0] - 1])
        low, high = points.min(axis=0), points.max(axis=0)
        if self._field is not None:
            least, largest = self._field.bend_range(part.rows, part.columns)
            low, high = low + least, high + largest
        low, high = (np.clip(ends, 0, last) for ends in (low, high))
        (left, top), (right, bottom) = np.floor(low).astype(int), np.floor(high).astype(int)
        before, after = self._reach
        return _Part(range(top - before, bottom + after + 1), range(left - before, right + after + 1))

    def _read_mirrored(self, needed: _Part) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels and validity of a part of the moving image, which is mirrored beyond its frame."""
        rows, columns = _mirrored(needed.rows, self._shape[0]), _mirrored(needed.columns, self._shape[1])
        top, left = rows.min(), columns.min()
        pixels, valid = self._read(slice(int(top), int(rows.max()) + 1), slice(int(left), int(columns.max()) + 1))
        return _taken(pixels, rows - top, columns - left), _taken(valid, rows - top, columns - left)

    def _front(self, part: _Part) -> Tensor:
        """Tell which pixels of a part lie before the horizon, (H, W) bool; () true where all of them do."""
        if (rectangle_corners(part.rows, part.columns) @ self._matrix[2, :2] + self._matrix[2, 2] > 0).all():
            return torch.ones((), dtype=torch.bool)
        return applied(self._pull[2], part.shape, part.at) > 0

    def _points(self, part: _Part, front: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return x, y of each pixel of a part, clamped to the moving frame, and whether it lay inside; (H, W) each.

        For copies, x and y are rounded half up.
        """
        x, y = self._coordinates(part)
        if self.copies:
            x, y = (x + 0.5).floor(), (y + 0.5).floor()
        right, bottom = self._shape[1] - 1, self._shape[0] - 1
        inside = front & (x >= -EDGE) & (x <= right + EDGE) & (y >= -EDGE) & (y <= bottom + EDGE)
        x, y = (torch.where(front, axis, 0).clamp(0, last) for axis, last in ((x, right), (y, bottom)))
        return x, y, inside

    def _coordinates(self, part: _Part) -> tuple[Tensor, Tensor]:
        """Return the moving x, y of each pixel of a part, (H, W) each; behind the horizon they may be NaN."""
        if self._field is None:
            return coordinates(self._pull, part.shape, part.at)
        x, y = self._field.coordinates(part.rows, part.columns)
        return torch.from_numpy(x), torch.from_numpy(y)

    def _shifted(self, part: _Part, needed: _Part, pixels: np.ndarray, valid: np.ndarray) -> _Values:
        """Return the pixels of a part at a shift by whole pixels, and which are defined."""
        first = part.at + self._matrix[:2, 2]  # floats: whole numbers, however large
        column, row = (np.arange(count) + start for count, start in zip(part.shape[::-1], first, strict=True))
        x, y = (np.clip(place, 0, n - 1).astype(int) for place, n in zip((column, row), self._shape[::-1], strict=True))
        values, defined = (_taken(array, y - needed.at[1], x - needed.at[0]) for array in (pixels, valid))
        inside = (y == row)[:, None] & (x == column)
        defined = defined if self._edge else defined & inside
        return _zero_undefined(values, defined), defined

    def _nearest(self, part: _Part, needed: _Part, pixels: np.ndarray, valid: np.ndarray) -> _Values:
        """Return the nearest moving pixel of each pixel of a part, and which are defined."""
        front = self._front(part)
        x, y, inside = self._points(part, front)
        # Undefined points must not read outside the memory.
        column = (x.long() - needed.at[0]).clamp_(0, pixels.shape[1] - 1).numpy()
        row = (y.long() - needed.at[1]).clamp_(0, pixels.shape[0] - 1).numpy()
        defined = (front if self._edge else inside).numpy() & valid[row, column]
        return _zero_undefined(pixels[row, column], defined), defined

    def _interpolated(
        self, interpolator: Interpolator, part: _Part, needed: _Part, pixels: np.ndarray, valid: np.ndarray
    ) -> _Values:
        """Return the interpolated values (h, w, S) of a part, and which are defined."""
        knots, whole = interpolator.knots(pixels, valid), bool(valid.all())
        margin, front = interpolator.margin, self._front(part)
        at = needed.at[0] + margin, needed.at[1] + margin
        native = self._field is None and has_warp(knots)  # the native kernels take matrices
        if native:
            values, inside = interpolator.at_pixels(knots, at, self._pull, part.shape, part.at, self._shape)
            inside &= front
        if self._edge or not native or not whole:
            x, y, points_inside = self._points(part, front)
            if not native:
                values, inside = interpolator.at_points(knots, at, x, y), points_inside
        defined = inside
        if self._edge:
            defined = front.expand(part.shape)
            beyond = defined & ~inside
            values[:, beyond] = interpolator.at_points(knots, at, x[beyond], y[beyond])
        if not whole:
            defined = defined & between_valid(torch.from_numpy(valid), needed.at, x, y, EDGE)
        return _zero_undefined(values.permute(1, 2, 0).numpy(), defined.numpy()), defined.numpy()


def copies(transform: Transform, interpolation: Interpolation) -> bool:
    """Tell whether `resample` copies pixels in their own dtype instead of interpolating them."""
    if interpolation is Interpolation.NEAREST:
        return True
    return not isinstance(transform, SplineField) and _is_whole_shift(_normalised(transform))


def _normalised(matrix: np.ndarray) -> np.ndarray:
    """Return a float64 matrix whose last row, without perspective, is (0, 0, 1): all of the plane is in front then."""
    matrix = np.array(matrix, dtype=np.float64)
    return matrix if matrix[2, :2].any() else matrix / matrix[2, 2]


def _is_whole_shift(matrix: np.ndarray) -> bool:
    """Tell whether the matrix is a shift by whole pixels and nothing else."""
    return np.array_equal(matrix[:, :2], np.eye(3)[:, :2]) and np.array_equal(matrix[:, 2], np.rint(matrix[:, 2]))


def _zero_undefined(values: np.ndarray, defined: np.ndarray) -> np.ndarray:
    """Return ``values`` (h, w[, S]) with zero where they are not ``defined`` (h, w) bool."""
    mask = defined if values.ndim == 2 else defined[..., None]
    return values if defined.all() else np.where(mask, values, values.dtype.type(0))


def _mirrored(places: range, count: int) -> np.ndarray:
    """Return the pixels at ``places`` of an axis of ``count`` pixels, mirrored at its first and its last one."""
    period = max(2 * (count - 1), 1)
    folded = np.arange(places.start, places.stop) % period
    return np.minimum(folded, period - folded) if count > 1 else np.zeros_like(folded)


def _taken(pixels: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the pixels (h, w[, S]) of some rows and columns; without a copy where these are all rows and columns."""
    for axis, places in enumerate((rows, columns)):
        if not np.array_equal(places, np.arange(pixels.shape[axis])):
            pixels = np.take(pixels, places, axis=axis)
    return pixels
