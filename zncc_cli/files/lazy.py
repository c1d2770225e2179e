"""Pixels that stay in their file until they are asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from zncc_cli.files.metadata import Metadata

CACHE_BYTES = 2**26
"""What decoded pieces may take, unless one row of them takes more: then each is decoded about once when rows are read
in order."""

ReadPart = Callable[[tuple[int, ...], range, range], NDArray[Any]]
"""(index of the leading axes, rows, columns) -> pixels (h, w) or (h, w, S), decoded."""


class LazyArray:
    """An array (..., H, W) or (..., H, W, S) of which ``[leading integers, rows, columns]`` decodes that part alone.

    Args:
        shape: of the whole.
        dtype: in native byte order.
        plane: 2 for planes (H, W), 3 for (H, W, S).
        read: decodes a part of one plane.
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
        """Bytes of the whole, decoded."""
        return prod(self.shape) * self.dtype.itemsize

    @property
    def leading(self) -> tuple[int, ...]:
        """Shape of the leading axes."""
        return self.shape[: -self._plane]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        """Decode a part of one plane.

        Raises:
            IndexError: not an integer for each leading axis and then slices of step 1, or out of range.
            InputError: the part is damaged.
        """
        key = key if isinstance(key, tuple) else (key,)
        count = len(self.leading)
        index, parts = key[:count], key[count:]
        places = len(index) == count and all(isinstance(i, (int, np.integer)) for i in index)
        if not places or len(parts) > 2 or not all(isinstance(part, slice) for part in parts):
            raise IndexError(f"expected {count} integers and up to two slices, found {key}")
        whole = tuple(_place(int(i), size) for i, size in zip(index, self.leading, strict=True))
        height, width = self.shape[count : count + 2]
        rows, columns = (*parts, slice(None), slice(None))[:2]
        spans = (range(*rows.indices(height)), range(*columns.indices(width)))
        if any(span.step != 1 for span in spans):
            raise IndexError(f"expected slices of step 1, found {parts}")
        return self._read(whole, *(range(span.start, max(span.start, span.stop)) for span in spans))

    def select(self, index: tuple[int | None, ...]) -> LazyArray:
        """The part at ``index`` of the leading axes, lazy again; None keeps an axis."""
        kept = [axis for axis, place in enumerate(index) if place is None]
        shape = (*(self.shape[axis] for axis in kept), *self.shape[len(self.leading) :])

        def read(places: tuple[int, ...], rows: range, columns: range) -> NDArray[Any]:
            rest = iter(places)
            return self._read(tuple(next(rest) if place is None else place for place in index), rows, columns)

        return LazyArray(shape, self.dtype, self._plane, read)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """Decode the whole."""
        if not self.leading:
            whole = self[()]
        else:
            whole = np.empty(self.shape, self.dtype)
            for index in np.ndindex(*self.leading):
                whole[index] = self[index]
        return whole if dtype is None else whole.astype(dtype)


def _place(index: int, size: int) -> int:
    if not -size <= index < size:
        raise IndexError(f"expected an index below {size}, found {index}")
    return index % size


@dataclass(frozen=True, kw_only=True, eq=False)
class Stored:
    """What a reader hands over: pixels, in memory or not, their axes (see `images.Image`), what is known of them."""

    data: NDArray[Any] | LazyArray
    axes: str
    metadata: Metadata
    notes: tuple[str, ...] = ()


class Cache:
    """Decoded pieces of a file, the last used ones up to ``limit`` bytes; may be used by several threads."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._pieces: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> NDArray[Any] | None:
        """The piece, if it is still here."""
        with self._lock:
            if key in self._pieces:
                self._pieces.move_to_end(key)
            return self._pieces.get(key)

    def put(self, key: Hashable, piece: NDArray[Any]) -> None:
        """Keep ``piece`` and forget the oldest ones."""
        with self._lock:
            if key in self._pieces or piece.nbytes > self._limit:
                return
            self._pieces[key] = piece
            self._size += piece.nbytes
            while self._size > self._limit:
                self._size -= self._pieces.popitem(last=False)[1].nbytes
