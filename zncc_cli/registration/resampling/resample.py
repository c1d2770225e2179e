"""A moving image on any rows and columns of the fixed plane, piece by piece, in bounded memory.

Every pixel is computed from its own fixed coordinates and from the moving pixels around it, by sums whose terms and
order are fixed (`interpolators`). So neither the piece it is in nor the rows and columns that were asked for change it
by a bit, and pieces have no seams.
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
from zncc_cli.registration.warp import EDGE, applied, coordinates

# A part of the moving image, by its rows and columns, which may be none: pixels (h, w) or (h, w, S), valid (h, w) bool.
Read = Callable[[slice, slice], tuple[np.ndarray, np.ndarray]]

_Piece = tuple[np.ndarray, np.ndarray]  # values (h, w[, S]) and (h, w) bool

_MOST_PIXELS = 2**20  # of a piece: 8 MB in float64, of which there are about ten
_MOST_READ = 2**22  # moving pixels that a piece is made from
_SLACK = 1.0  # pixels: more than what a planned region may be off by, and than the half pixel around the frame


def array_reader(pixels: np.ndarray, valid: np.ndarray) -> Read:
    """Return what reads parts of an image in memory, (H, W) or (H, W, S), and of its bool mask (H, W)."""
    return lambda rows, columns: (pixels[rows, columns], valid[rows, columns])


def resample(
    read: Read,
    moving_shape: tuple[int, int],
    matrix: np.ndarray,
    rows: range,
    columns: range,
    interpolation: Interpolation,
    *,
    edge: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the moving image's values at the fixed pixels of ``rows`` and ``columns``, and which of them are defined.

    Args:
        read: parts of the moving image; of each piece, only the region that it needs.
        moving_shape: (H, W) of the moving image.
        matrix: (3, 3), fixed -> moving; points on or behind the horizon are undefined.
        rows, columns: of the fixed plane, of step 1; they may lie outside the fixed frame.
        interpolation: NEAREST takes the pixel (floor(u + 1/2), floor(v + 1/2)), where that is valid. The others are
            defined between valid pixels. A shift by whole pixels copies pixels, whatever the interpolation.
        edge: give pixels beyond the moving frame the value at the frame's nearest point, if that is defined.

    Returns:
        The values (h, w) or (h, w, S), float64, or in the pixels' own dtype where they are copied: by NEAREST, and by
        shifts by whole pixels. Undefined ones hold zero. And which are defined, (h, w) bool.
    """
    view = _View(read, moving_shape, _normalised(matrix), interpolation, edge)
    whole, values = _Part(rows, columns), None
    valid = np.zeros(whole.shape, dtype=bool)
    for part in view.pieces(whole):
        if part == whole:
            return view.piece(part)
        some, held = view.piece(part)
        if values is None:
            values = np.zeros((*whole.shape, *some.shape[2:]), some.dtype)
        values[part.within(whole)] = some
        valid[part.within(whole)] = held
    if values is None:
        nothing, _ = read(slice(0, 0), slice(0, 0))
        values = np.zeros((*whole.shape, *nothing.shape[2:]), nothing.dtype if view.copies else np.float64)
    return values, valid


@dataclass(frozen=True)
class _Part:
    """Some rows and columns of a plane."""

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


class _View:
    """The moving image as it is seen from the fixed plane."""

    def __init__(
        self, read: Read, shape: tuple[int, int], matrix: np.ndarray, interpolation: Interpolation, edge: bool
    ) -> None:
        self._read, self._shape, self._matrix, self._edge = read, shape, matrix, edge
        self._pull = torch.from_numpy(matrix)
        # Where pixels are met exactly, the nearest one is the value.
        self.copies = copies(matrix, interpolation)
        self._way = None if self.copies else INTERPOLATORS[interpolation]
        before, after, margin = (
            (0, 1, 0) if self._way is None else (self._way.before, self._way.after, self._way.margin)
        )
        self._reach = before + 1 + margin, after + 1 + margin
        seen = half_planes(matrix, shape, _SLACK)
        self._seen = seen[-1:] if edge else seen

    def pieces(self, part: _Part) -> Iterator[_Part]:
        """Yield the pieces of ``part`` that something is to be read for, small enough, and so is what they need."""
        needed = self._needed(part) if part.size else None
        if needed is None:
            return
        if part.size > 1 and (part.size > _MOST_PIXELS or needed.size > _MOST_READ):
            for half in part.halves():
                yield from self.pieces(half)
        else:
            yield part

    def piece(self, part: _Part) -> _Piece:
        """Return values and validity of one of the `pieces`."""
        needed = self._needed(part)
        assert needed is not None, "pieces are those that need something"
        pixels, valid = self._window(needed)
        if self._way is None:
            copied = self._shifted if _is_whole_shift(self._matrix) else self._nearest
            return copied(part, needed, pixels, valid)
        planes = pixels if pixels.ndim == 3 else pixels[..., None]
        values, held = self._between(self._way, part, needed, planes, valid)
        return (values if pixels.ndim == 3 else values[..., 0]), held

    def _needed(self, part: _Part) -> _Part | None:
        """Return the rows and columns of moving pixels, mirrored beyond the frame, that a part needs; None if none."""
        polygon = clip(rectangle_corners(part.rows, part.columns), self._seen)
        if len(polygon) == 0:
            return None
        mapped = np.column_stack([polygon, np.ones(len(polygon))]) @ self._matrix.T
        with np.errstate(over="ignore"):  # on the horizon: far away, and then on the frame
            points = mapped[:, :2] / np.maximum(mapped[:, 2:], np.finfo(np.float64).tiny)
        last = np.array([self._shape[1] - 1, self._shape[0] - 1])
        low, high = (np.clip(ends, 0, last) for ends in (points.min(axis=0), points.max(axis=0)))
        (left, top), (right, bottom) = np.floor(low).astype(int), np.floor(high).astype(int)
        before, after = self._reach
        return _Part(range(top - before, bottom + after + 1), range(left - before, right + after + 1))

    def _window(self, needed: _Part) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = _mirrored(needed.rows, self._shape[0]), _mirrored(needed.columns, self._shape[1])
        top, left = rows.min(), columns.min()
        pixels, valid = self._read(slice(int(top), int(rows.max()) + 1), slice(int(left), int(columns.max()) + 1))
        return _taken(pixels, rows - top, columns - left), _taken(valid, rows - top, columns - left)

    def _front(self, part: _Part) -> Tensor:
        """Return which pixels (H, W) lie before the horizon, or () true where all of them do."""
        if (rectangle_corners(part.rows, part.columns) @ self._matrix[2, :2] + self._matrix[2, 2] > 0).all():
            return torch.ones((), dtype=torch.bool)
        return applied(self._pull[2], part.shape, part.at) > 0

    def _points(self, part: _Part, front: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return x, y of each pixel, moved into the moving frame, and whether they were inside; half up for copies."""
        x, y = coordinates(self._pull, part.shape, part.at)
        if self.copies:
            x, y = (x + 0.5).floor(), (y + 0.5).floor()
        right, bottom = self._shape[1] - 1, self._shape[0] - 1
        inside = front & (x >= -EDGE) & (x <= right + EDGE) & (y >= -EDGE) & (y <= bottom + EDGE)
        x, y = (torch.where(front, axis, 0).clamp(0, last) for axis, last in ((x, right), (y, bottom)))
        return x, y, inside

    def _shifted(self, part: _Part, needed: _Part, pixels: np.ndarray, valid: np.ndarray) -> _Piece:
        at = part.at + self._matrix[:2, 2]  # as floats: whole, and however large
        column, row = (np.arange(count) + first for count, first in zip(part.shape[::-1], at, strict=True))
        x, y = (np.clip(place, 0, n - 1).astype(int) for place, n in zip((column, row), self._shape[::-1], strict=True))
        values, held = (_taken(array, y - needed.at[1], x - needed.at[0]) for array in (pixels, valid))
        inside = (y == row)[:, None] & (x == column)
        held = held if self._edge else held & inside
        return _defined(values, held), held

    def _nearest(self, part: _Part, needed: _Part, pixels: np.ndarray, valid: np.ndarray) -> _Piece:
        front = self._front(part)
        x, y, inside = self._points(part, front)
        # What is not wanted must not reach outside the memory.
        column = (x.long() - needed.at[0]).clamp_(0, pixels.shape[1] - 1).numpy()
        row = (y.long() - needed.at[1]).clamp_(0, pixels.shape[0] - 1).numpy()
        held = (front if self._edge else inside).numpy() & valid[row, column]
        return _defined(pixels[row, column], held), held

    def _between(self, way: Interpolator, part: _Part, needed: _Part, pixels: np.ndarray, valid: np.ndarray) -> _Piece:
        knots, whole = way.knots(pixels, valid), bool(valid.all())
        at, front = (needed.at[0] + way.margin, needed.at[1] + way.margin), self._front(part)
        native = has_warp(knots)
        if native:
            values, inside = way.on_frame(knots, at, self._pull, part.shape, part.at, self._shape)
            inside &= front
        if self._edge or not native or not whole:
            x, y, near = self._points(part, front)
            if not native:
                values, inside = way.at_points(knots, at, x, y), near
        held = inside
        if self._edge:
            held = front.expand(part.shape)
            beyond = held & ~inside
            values[:, beyond] = way.at_points(knots, at, x[beyond], y[beyond])
        if not whole:
            held = held & between_valid(torch.from_numpy(valid), needed.at, x, y, EDGE)
        return _defined(values.permute(1, 2, 0).numpy(), held.numpy()), held.numpy()


def copies(matrix: np.ndarray, interpolation: Interpolation) -> bool:
    """Tell whether `resample` copies pixels, in their own dtype, and interpolates none."""
    return interpolation is Interpolation.NEAREST or _is_whole_shift(_normalised(matrix))


def _normalised(matrix: np.ndarray) -> np.ndarray:
    """Return a float64 matrix whose last row is (0, 0, 1) if it can be, so that all of the plane is in front."""
    matrix = np.array(matrix, dtype=np.float64)
    return matrix if matrix[2, :2].any() else matrix / matrix[2, 2]


def _is_whole_shift(matrix: np.ndarray) -> bool:
    """Tell whether the matrix is a shift by whole pixels and nothing else."""
    return np.array_equal(matrix[:, :2], np.eye(3)[:, :2]) and np.array_equal(matrix[:, 2], np.rint(matrix[:, 2]))


def _defined(values: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Return ``values``, zero where they are not ``held``."""
    there = held if values.ndim == 2 else held[..., None]
    return values if held.all() else np.where(there, values, values.dtype.type(0))


def _mirrored(places: range, count: int) -> np.ndarray:
    """Return places on an axis of ``count`` pixels that is mirrored at its first and its last pixel."""
    period = max(2 * (count - 1), 1)
    folded = np.arange(places.start, places.stop) % period
    return np.minimum(folded, period - folded) if count > 1 else np.zeros_like(folded)


def _taken(pixels: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return pixels (h, w[, S]) of these rows and columns, without a copy where they are all that there are."""
    for axis, places in enumerate((rows, columns)):
        if not np.array_equal(places, np.arange(pixels.shape[axis])):
            pixels = np.take(pixels, places, axis=axis)
    return pixels
