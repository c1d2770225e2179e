"""Parts of TIFF pages: read row by row where a page is one run of bytes, else decoded by segments, strips or tiles.

A part of a page is an array (h, w, C) with C interleaved samples. The decoders are tifffile's.
"""

from __future__ import annotations

import lzma
import math
import os
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import tifffile
from numpy.typing import NDArray

from zncc_cli.files.lazy import Cache, Tile, cache_for, tiles_under
from zncc_cli.files.tiff.codestreams import Size, jpeg2000_size, jpeg_size, lerc_size

# Rows of a part that is narrower than the page are read this many bytes at a time.
_BLOCK_BYTES = 2**22
# Segments of fewer samples are decoded without threads, which would cost more than they gain.
_MIN_SAMPLES_PER_THREAD = 2**14
_WORKERS = min(8, os.cpu_count() or 1)

JPEG = (6, 7, 33007, 34892)
"""Compressions of JPEG, whose YCbCr the decoder turns into RGB."""

_LERC, _LERC_PARAMETERS, _LERC_DEFLATE = 34887, 50674, 1

_CLAIMED_SIZES: dict[int, Callable[[bytes], Size | None]] = {
    **dict.fromkeys(JPEG, jpeg_size),
    **dict.fromkeys((33003, 33004, 33005, 34712), jpeg2000_size),
    _LERC: lerc_size,
}
# Compressions whose decoders refuse data that do not fit into a given array before they take memory for them.
_BOUNDED_DECODERS = (22610, 34933, 34934, 50001, 34927, 50002, 52546)
_WEBP = (50001, 34927)
_DEFLATE = (8, 32946, 50013)
_LZMA = 34925
_ZSTD = (50000, 34926)


@dataclass(frozen=True, eq=False)
class Planes:
    """Pages of the same size and layout.

    keyframe: the page whose tags describe all of them; its file may be closed.
    offsets, counts: for every page, the offset and the number of bytes of each segment; None for a missing page.
    tables: for every page, the JPEG tables that its segments share, or None.
    contiguous: whether every page is one run of uncompressed rows from its first offset on.
    nodata: value of the pixels of strips and tiles that the file leaves out.
    """

    path: Path
    keyframe: tifffile.TiffPage
    offsets: list[NDArray[np.int64] | None]
    counts: list[NDArray[np.int64] | None]
    tables: list[bytes | None]
    contiguous: bool
    cache: Cache
    nodata: float = 0

    @property
    def absent(self) -> tuple[int, int]:
        """How many strips or tiles the file leaves out, and of how many; those of missing pages do not count."""
        counts = [count for count in self.counts if count is not None]
        return sum(int((count == 0).sum()) for count in counts), sum(map(len, counts))

    def read(self, page: int, sample: int, depth: int, rows: range, columns: range) -> NDArray[Any]:
        """Return rows and columns of one plane, (h, w, C): of a page, a separate sample and a depth."""
        key = self.keyframe
        if self.offsets[page] is None:
            return np.zeros((len(rows), len(columns), key.shaped[4]), key.dtype)
        with self.path.open("rb") as file:
            if self.contiguous:
                return self._rows(file, page, sample, depth, rows, columns)
            return self._segments(file, page, sample, depth, rows, columns)

    def _rows(self, file: BinaryIO, page: int, sample: int, depth: int, rows: range, columns: range) -> NDArray[Any]:
        _, depths, height, width, samples = self.keyframe.shaped
        assert self.keyframe.dtype is not None
        offsets = self.offsets[page]
        assert offsets is not None
        stored = np.dtype(self.keyframe.parent.byteorder + self.keyframe.dtype.char)
        line = width * samples * stored.itemsize
        start = int(offsets[0]) + (sample * depths + depth) * height * line
        return read_rows(file, start, (width, samples), stored, rows, columns)

    def _segments(
        self, file: BinaryIO, page: int, sample: int, depth: int, rows: range, columns: range
    ) -> NDArray[Any]:
        key = self.keyframe
        _, depths, height, width, samples = key.shaped
        tiled = key.is_tiled
        segment_height, segment_width = (key.tilelength, key.tilewidth) if tiled else (key.rowsperstrip, width)
        segment_depth = key.tiledepth if tiled else 1
        down, across = math.ceil(height / segment_height), math.ceil(width / segment_width)
        first_row = (sample * math.ceil(depths / segment_depth) + depth // segment_depth) * down
        out: NDArray[Any] = np.empty((len(rows), len(columns), samples), key.dtype)
        lock = threading.Lock()

        def fill(tile: Tile) -> None:
            """Decode a segment and copy its pixels into ``out``."""
            piece = self._segment(file, lock, page, (first_row + tile.row) * across + tile.column)
            out[tile.in_part] = self.nodata if piece is None else piece[depth % segment_depth][tile.in_tile]

        tiles = list(tiles_under(rows, columns, segment_height, segment_width))
        is_small = segment_height * segment_width * samples < _MIN_SAMPLES_PER_THREAD
        if len(tiles) < 4 or is_small or _WORKERS == 1:
            for tile in tiles:
                fill(tile)
        else:
            with ThreadPoolExecutor(_WORKERS) as pool:
                for _ in pool.map(fill, tiles):
                    pass
        return out

    def _segment(self, file: BinaryIO, lock: threading.Lock, page: int, number: int) -> NDArray[Any] | None:
        """Return one decoded strip or tile (depth, h, w, C), or None where the file leaves it out."""
        piece = self.cache.get((page, number))
        if piece is not None:
            return piece
        offsets, counts = self.offsets[page], self.counts[page]
        assert offsets is not None
        assert counts is not None
        count = int(counts[number])
        if not count:
            return None
        with lock:
            file.seek(int(offsets[number]))
            data = file.read(count)
        if len(data) < count:
            raise tifffile.TiffFileError(f"strip or tile {number} was cut off")
        piece = self._decoded(data, number, self.tables[page])
        self.cache.put((page, number), piece)
        return piece

    def _decoded(self, data: bytes, number: int, tables: bytes | None) -> NDArray[Any]:
        """Decode segment ``number``; raise an error first where its data claim more than a segment has."""
        key = self.keyframe
        shape = segment_shape(key)
        assert key.dtype is not None
        compression = int(key.compression)
        if compression in _CLAIMED_SIZES:
            size = _CLAIMED_SIZES[compression](self._codestream(data, compression))
            if size is None or min(size) < 1 or math.prod(size) > math.prod(shape):
                raise tifffile.TiffFileError(f"strip or tile {number} claims the size {size}, not {shape[1:]}")
        elif compression in _BOUNDED_DECODERS:
            return self._decoded_into_array(data, number, shape)
        elif len(data) > 2 * math.prod(shape) * key.dtype.itemsize + 2**16:
            raise tifffile.TiffFileError(f"strip or tile {number} has {len(data)} bytes, more than its pixels")
        _check_inflation(data, compression, math.prod(shape) * key.dtype.itemsize)
        options = {"jpegtables": tables} if compression in JPEG else {}
        piece, _, _ = key.decode(data, number, **options)
        assert isinstance(piece, np.ndarray)
        return piece

    def _codestream(self, data: bytes, compression: int) -> bytes:
        """Return what a segment holds once a further compression of LERC is undone; raise an error beyond its size."""
        further = self.keyframe.tags.get(_LERC_PARAMETERS)
        kind = further.value[1] if further is not None and compression == _LERC and len(further.value) > 1 else 0
        if kind == 0:
            return data
        assert self.keyframe.dtype is not None
        limit = 2 * math.prod(segment_shape(self.keyframe)) * self.keyframe.dtype.itemsize + 2**16
        if kind == _LERC_DEFLATE:
            content = zlib.decompressobj().decompress(data, limit + 1)
        else:
            content = bytes(tifffile.TIFF.DECOMPRESSORS[_ZSTD[0]](data, out=limit + 1))
        if len(content) > limit:
            raise tifffile.TiffFileError("a strip or tile holds more than its pixels")
        return content

    def _decoded_into_array(self, data: bytes, number: int, shape: tuple[int, int, int, int]) -> NDArray[Any]:
        """Decode segment ``number`` into an array of its size; ``shape`` is that of a whole segment."""
        key = self.keyframe
        _, height, width, samples = shape
        across = math.ceil(key.imagewidth / width)
        top, left = number // across % math.ceil(key.imagelength / height) * height, number % across * width
        # Tiles at the edge may end where the image ends.
        edge_size = (min(height, key.imagelength - top), min(width, key.imagewidth - left))
        decode = tifffile.TIFF.DECOMPRESSORS[int(key.compression)]
        # WebP leaves opacity out where all is opaque.
        options = {"hasalpha": True} if int(key.compression) in _WEBP and samples == 4 else {}
        for size in dict.fromkeys([(height, width), edge_size]):
            out: NDArray[Any] = np.empty(size if samples == 1 else (*size, samples), key.dtype)
            try:
                decode(data, out=out, **options)
            except ValueError as error:
                cause = error
            else:
                return out.reshape(1, *size, samples)
        raise cause


def read_rows(
    file: BinaryIO, start: int, line: tuple[int, int], stored: np.dtype[Any], rows: range, columns: range
) -> NDArray[Any]:
    """Read a part (h, w, C), in native byte order, of rows ``line`` (width, samples) that begin at byte ``start``."""
    width, samples = line
    bytes_per_line = width * samples * stored.itemsize
    if len(columns) == width:
        pixels: NDArray[Any] = np.empty((len(rows), width, samples), stored)
        file.seek(start + rows.start * bytes_per_line)
        if file.readinto(pixels.reshape(-1).view(np.uint8)) < pixels.nbytes:  # type: ignore[attr-defined]
            raise tifffile.TiffFileError(f"row {rows.stop - 1} was cut off")
        return pixels.astype(stored.newbyteorder("="), copy=False)
    out: NDArray[Any] = np.empty((len(rows), len(columns), samples), stored.newbyteorder("="))
    # Whole rows are read and cut where a good part of them is needed; else one row at a time, from column to column.
    reads_whole_rows = len(columns) * 4 > width
    step = max(1, _BLOCK_BYTES // max(1, bytes_per_line)) if reads_whole_rows else 1
    skip = 0 if reads_whole_rows else columns.start * samples * stored.itemsize
    for row in range(rows.start, rows.stop, step):
        count = min(step, rows.stop - row)
        length = bytes_per_line * count if reads_whole_rows else len(columns) * samples * stored.itemsize
        file.seek(start + row * bytes_per_line + skip)
        data = file.read(length)
        if len(data) < length:
            raise tifffile.TiffFileError(f"row {row + count - 1} was cut off")
        pixels = np.frombuffer(data, stored).reshape(count, -1, samples)
        out[row - rows.start :][:count] = pixels[:, columns.start : columns.stop] if reads_whole_rows else pixels
    return out


def segment_shape(page: tifffile.TiffPage) -> tuple[int, int, int, int]:
    """Return the shape (depth, height, width, samples) of a whole strip or tile of ``page``."""
    samples = int(page.shaped[4])
    if page.is_tiled:
        return page.tiledepth, page.tilelength, page.tilewidth, samples
    return 1, page.rowsperstrip, page.imagewidth, samples


def segment_cache(page: tifffile.TiffPage, max_bytes: int) -> Cache:
    """Return a cache for rows of strips or tiles of ``page``."""
    assert page.dtype is not None
    shape = segment_shape(page)
    row = math.prod(shape) * math.ceil(page.imagewidth / max(1, shape[2])) * page.dtype.itemsize
    return cache_for(row, max_bytes)


def _check_inflation(data: bytes, compression: int, size: int) -> None:
    """Raise an error where data inflate to more than ``size`` bytes: tifffile's own decoders, used without imagecodecs,
    have no bound."""
    decode = tifffile.TIFF.DECOMPRESSORS.get(compression)
    if not getattr(decode, "__module__", "").endswith("tifffile._imagecodecs"):
        return
    if compression in _DEFLATE:
        inflated = zlib.decompressobj().decompress(data, size + 1)
    elif compression == _LZMA:
        inflated = lzma.LZMADecompressor().decompress(data, size + 1)
    elif compression in _ZSTD:
        raise tifffile.TiffFileError("Zstandard requires the 'imagecodecs' package")
    else:
        return
    if len(inflated) > size:
        raise tifffile.TiffFileError("a strip or tile holds more than its pixels")
