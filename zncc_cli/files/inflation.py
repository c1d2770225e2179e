"""What compressed data claim to inflate to, found before a decoder that knows no bound is let near them."""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable
from typing import Any

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
# The window that an LZMA stream may ask for.
_LZMA_MEMORY = 2**28


def check_inflated(data: bytes, codec: str, limit: int) -> None:
    """Compressed ``data`` must not inflate to more than ``limit`` bytes.

    Raises:
        ValueError: they do, or do not say to how many, or are no such data.
    """
    size = _SIZES[codec](data, limit)
    if size > limit:
        raise ValueError(f"{codec} data of more than {limit} bytes, which is more than a chunk has")


def _by_decoding(decoder: Callable[[], Any]) -> Callable[[bytes, int], int]:
    """Inflate up to the limit, stream after stream, and keep nothing."""

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
    """The content size in the header of the frame; where it is left out, by a decoder that takes a bound."""
    if data[:4] != _ZSTD_MAGIC:
        raise ValueError("no Zstandard data")
    flags = _number(data, "<B", 4)
    single = flags >> 5 & 1
    place = 5 + (1 - single) + (0, 1, 2, 4)[flags & 3]
    kind = flags >> 6
    if kind == 0 and not single:
        return _by_bounded_zstd(data, limit)
    return _number(data, ("<B", "<H", "<I", "<Q")[kind], place) + (256 if kind == 1 else 0)


def _by_bounded_zstd(data: bytes, limit: int) -> int:
    try:
        import imagecodecs
    except ImportError:
        raise ValueError('Zstandard data without their size need pip install "zncc-cli[codecs]"') from None
    try:
        return len(imagecodecs.zstd_decode(data, out=limit))
    except RuntimeError as error:
        raise ValueError(f"damaged data, or more than {limit} bytes ({error})") from None


def _number(data: bytes, kind: str, place: int) -> int:
    if len(data) < place + struct.calcsize(kind):
        raise ValueError("data that were cut off")
    return int(struct.unpack_from(kind, data, place)[0])


_SIZES: dict[str, Callable[[bytes, int], int]] = {
    "zlib": _by_decoding(zlib.decompressobj),
    "gzip": _by_decoding(lambda: zlib.decompressobj(wbits=31)),
    "bz2": _by_decoding(bz2.BZ2Decompressor),
    "lzma": _by_decoding(lambda: lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)),
    "blosc": _blosc,
    "lz4": _lz4,
    "zstd": _zstd,
}

COMPRESSIONS = frozenset(_SIZES)
"""The codecs that are known here, by their names in Zarr."""

CHECKSUM = "crc32c"
"""The codec that puts four bytes after what it is given."""
