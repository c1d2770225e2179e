"""Checks that compressed chunks do not inflate to more than they may, before a decoder without a bound gets them."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable
from typing import Any

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# The memory that an LZMA stream may ask for, for its dictionary.
_LZMA_MEMORY_BYTES = 2**28


def check_inflated(data: bytes, codec: str, limit: int) -> None:
    """Check that ``data``, compressed by ``codec``, inflate to at most ``limit`` bytes.

    Raises:
        ValueError: they inflate to more, or their size cannot be found, or they are not data of this codec.
    """
    size = _SIZES[codec](data, limit)
    if size > limit:
        raise ValueError(f"{codec} data that inflate to more than {limit} bytes, the limit for one chunk")


def _by_decoding(decoder: Callable[[], Any]) -> Callable[[bytes, int], int]:
    """Return a function that counts the inflated bytes, stream after stream, up to the limit; nothing is kept."""

    def size(data: bytes, limit: int) -> int:
        total = 0
        while data and total <= limit:
            stream = decoder()
            try:
                total += len(stream.decompress(data, limit + 1 - total))
            except (zlib.error, lzma.LZMAError, OSError) as error:
                raise ValueError(f"damaged data ({error})") from None
            if not stream.eof:
                break
            data = stream.unused_data
        return total

    return size


def _blosc(data: bytes, limit: int) -> int:
    return _number(data, "<I", 4)


def _lz4(data: bytes, limit: int) -> int:
    return _number(data, "<I", 0)


def _zstd(data: bytes, limit: int) -> int:
    """Return the content size in the header of the frame; where it is left out, that found by a bounded decoder."""
    if data[:4] != _ZSTD_MAGIC:
        raise ValueError("no Zstandard data")
    flags = _number(data, "<B", 4)
    single = flags >> 5 & 1
    offset = 5 + (1 - single) + (0, 1, 2, 4)[flags & 3]
    kind = flags >> 6
    if kind == 0 and not single:
        return _by_bounded_zstd(data, limit)
    return _number(data, ("<B", "<H", "<I", "<Q")[kind], offset) + (256 if kind == 1 else 0)


def _by_bounded_zstd(data: bytes, limit: int) -> int:
    try:
        import imagecodecs
    except ImportError:
        raise ValueError('Zstandard data without their size need pip install "zncc-cli[codecs]"') from None
    try:
        return len(imagecodecs.zstd_decode(data, out=limit))
    except RuntimeError as error:
        raise ValueError(f"damaged data, or more than {limit} bytes ({error})") from None


def _number(data: bytes, kind: str, offset: int) -> int:
    if len(data) < offset + struct.calcsize(kind):
        raise ValueError("data that were cut off")
    return int(struct.unpack_from(kind, data, offset)[0])


_SIZES: dict[str, Callable[[bytes, int], int]] = {
    "zlib": _by_decoding(zlib.decompressobj),
    "gzip": _by_decoding(lambda: zlib.decompressobj(wbits=31)),
    "bz2": _by_decoding(bz2.BZ2Decompressor),
    "lzma": _by_decoding(lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY_BYTES)),
    "blosc": _blosc,
    "lz4": _lz4,
    "zstd": _zstd,
}

COMPRESSIONS = frozenset(_SIZES)
"""The names, in Zarr, of the compressions that can be checked."""

CHECKSUM = "crc32c"
"""The name, in Zarr, of the codec that appends four bytes of checksum."""
