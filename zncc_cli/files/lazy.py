"""Lazy arrays: pixels that stay in their file, compressed, until a part of them is read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from math import ceil, prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

CACHE_BYTES = 2**26
"""Bytes that a cache of decoded pieces may take. A cache takes more where one row of pieces needs more, so that each
piece is decoded about once when rows are read in order."""

ReadPart = Callable[[tuple[int, ...], range, range], NDArray[Any]]
"""(index on the leading axes, rows, columns) -> decoded pixels (h, w) or (h, w, S)."""


class LazyArray:
    """An array (..., H, W) or (..., H, W, S) that is decoded by parts: ``array[leading integers, rows, columns]``.

    Args:
        shape: shape of the whole array.
        dtype: dtype in native byte order.
        plane: dimensions of a plane: 2 for (H, W), 3 for (H, W, S).
        read: function that decodes a part of one plane.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike, plane: int, read: ReadPart) -> None:
        self.shape = shape
        self.dtype: np.dtype[Any] = np.dtype(dtype)
        self._plane = plane
        self._read = read

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array, decoded."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def leading(self) -> tuple[int, ...]:
        """Lengths of the leading axes."""
        return self.shape[: -self._plane]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Decode a part of one plane.

        Raises:
            IndexError: the key is not an integer for each leading axis and then up to two slices of step 1, or an
                integer is out of range.
            InputError: the part is damaged.
        """
        key = key if isinstance(key, tuple) else (key,)
        count = len(self.leading)
        index, parts = key[:count], key[count:]
        is_index = len(index) == count and all(isinstance(i, (int, np.integer)) for i in index)
        if not is_index or len(parts) > 2 or not all(isinstance(part, slice) for part in parts):
            raise IndexError(f"expected {count} integers and up to two slices, found {key}")
        plane = tuple(_from_start(int(i), size) for i, size in zip(index, self.leading, strict=True))
        height, width = self.shape[count : count + 2]
        rows, columns = (*parts, slice(None), slice(None))[:2]
        spans = (range(*rows.indices(height)), range(*columns.indices(width)))
        if any(span.step != 1 for span in spans):
            raise IndexError(f"expected slices of step 1, found {parts}")
        return self._read(plane, *(range(span.start, max(span.start, span.stop)) for span in spans))

    def select(self, index: tuple[int | None, ...]) -> LazyArray:
        """Return the lazy array at ``index``, a position on each leading axis; None keeps the axis."""
        kept_axes = [axis for axis, position in enumerate(index) if position is None]
        shape = (*(self.shape[axis] for axis in kept_axes), *self.shape[len(self.leading) :])

        def read(kept_index: tuple[int, ...], rows: range, columns: range) -> NDArray[Any]:
            kept = iter(kept_index)
            return self._read(tuple(next(kept) if position is None else position for position in index), rows, columns)

        return LazyArray(shape, self.dtype, self._plane, read)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Decode the whole array."""
        if not self.leading:
            whole = self[()]
        else:
            whole = np.empty(self.shape, self.dtype)
            for index in np.ndindex(*self.leading):
                whole[index] = self[index]
        return whole if dtype is None else whole.astype(dtype)


def _from_start(index: int, size: int) -> int:
    """Return ``index``, which may count from the end, counted from 0."""
    if not -size <= index < size:
        raise IndexError(f"expected an index below {size}, found {index}")
    return index % size


class Cache:
    """A cache of decoded pieces of a file, the least recently used dropped beyond ``limit`` bytes; thread-safe."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._pieces: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> NDArray[Any] | None:
        """Return the piece, or None where it is not in the cache."""
        with self._lock:
            if key in self._pieces:
                self._pieces.move_to_end(key)
            return self._pieces.get(key)

    def put(self, key: Hashable, piece: NDArray[Any]) -> None:
        """Keep ``piece``, and drop the least recently used ones beyond the limit."""
        with self._lock:
            if key in self._pieces or piece.nbytes > self._limit:
                return
            self._pieces[key] = piece
            self._size += piece.nbytes
            while self._size > self._limit:
                self._size -= self._pieces.popitem(last=False)[1].nbytes


def cache_for(row_bytes: int, max_bytes: int) -> Cache:
    """Return a cache with room for two rows of pieces, each of ``row_bytes``, within a quarter of ``max_bytes``."""
    return Cache(min(max(CACHE_BYTES, 2 * row_bytes), max_bytes // 4))


class Tile(NamedTuple):
    """A tile of a grid, and the pixels that it shares with a part of the image.

    row, column: position in the grid. in_part, in_tile: slices of rows and columns of the shared pixels, counted from
    the first pixel of the part and of the tile.
    """

    row: int
    column: int
    in_part: tuple[slice, slice]
    in_tile: tuple[slice, slice]


def tiles_under(rows: range, columns: range, height: int, width: int) -> Iterator[Tile]:
    """Yield the tiles, of ``height`` x ``width`` pixels, that the part of ``rows`` and ``columns`` overlaps."""
    across = list(_overlaps(columns, width))
    for row, part_rows, tile_rows in _overlaps(rows, height):
        for column, part_columns, tile_columns in across:
            yield Tile(row, column, (part_rows, part_columns), (tile_rows, tile_columns))


def _overlaps(pixels: range, length: int) -> Iterator[tuple[int, slice, slice]]:
    """Yield (number of the tile, slice in the part, slice in the tile) along one axis."""
    for number in range(pixels.start // length, ceil(pixels.stop / length) if pixels else 0):
        start = number * length
        first, last = max(pixels.start, start), min(pixels.stop, start + length)
        yield number, slice(first - pixels.start, last - pixels.start), slice(first - start, last - start)


def native_dtype(stored: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which pixels of the dtype ``stored`` are read: native byte order, uint8 for bool."""
    return np.dtype(np.uint8) if stored.kind == "b" else stored.newbyteorder("=")


def holds(dtype: np.dtype[Any], value: float) -> bool:
    """Tell whether a dtype, of integers or floats, holds a value."""
    if dtype.kind == "f":
        return not np.isfinite(value) or abs(value) <= float(np.finfo(dtype).max)
    return float(value).is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


def bits_as_uint8(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return bool pixels as uint8, 0 and 255, others as they are."""
    return pixels.astype(np.uint8) * np.uint8(255) if pixels.dtype.kind == "b" else pixels
