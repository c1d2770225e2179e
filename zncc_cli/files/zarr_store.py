"""A store of zarr that checks the size of each file, compressed and inflated, before zarr takes memory for it.

Imported only when an OME-Zarr is read, because the zarr library is optional.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zarr.abc.store import SuffixByteRequest
from zarr.storage import LocalStore

from zncc_cli.files.inflation import CHECKSUM, COMPRESSIONS, check_inflated

# Of a file of metadata, and of the index of a shard.
_MAX_METADATA_BYTES = 2**26
_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")


class CheckedStore(LocalStore):  # type: ignore[misc]  # without zarr it is Any
    """The folder of an array, of which no file is read that is larger than a chunk can be, or inflates to more.

    Args:
        folder: folder of the array.
        chunk_bytes: bytes of a decoded chunk; in a shard, of an inner chunk.
        codecs: names of the codecs of chunks, at most one compression among them.
    """

    def __init__(self, folder: Path, *, chunk_bytes: int, codecs: tuple[str, ...]) -> None:
        super().__init__(folder, read_only=True)
        # Random data grow a little when they are compressed, and a filter may store differences in a wider type.
        self._max_chunk_bytes = 2 * chunk_bytes + 2**16
        self._compression = next((codec for codec in codecs if codec in COMPRESSIONS), None)
        self._checksum_bytes = 4 if codecs[-1:] == (CHECKSUM,) else 0

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Read a file, or a range of it, as `LocalStore` does.

        Raises:
            ValueError: the key is not a file, or the file is too large, compressed or inflated.
        """
        self._check_file(key, byte_range)
        return self._check_content(key, byte_range, await super().get(key, prototype, byte_range))

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        """Read a file like `get`, synchronously."""
        self._check_file(key, byte_range)
        return self._check_content(key, byte_range, super().get_sync(key, prototype=prototype, byte_range=byte_range))

    def _check_file(self, key: str, byte_range: Any) -> None:
        path = self.root / key
        if not path.exists():
            return
        if not path.is_file():
            raise ValueError(f"{key} is not a file")
        if byte_range is None:
            size = path.stat().st_size
        else:
            size = byte_range.suffix if _is_index(byte_range) else byte_range.end - byte_range.start
        if size > (self._max_chunk_bytes if _is_chunk(key, byte_range) else _MAX_METADATA_BYTES):
            raise ValueError(f"{key} has {size} bytes, more than its pixels")

    def _check_content(self, key: str, byte_range: Any, content: Any) -> Any:
        if content is not None and self._compression and _is_chunk(key, byte_range):
            data = content.to_bytes()
            check_inflated(data[: len(data) - self._checksum_bytes], self._compression, self._max_chunk_bytes)
        return content


def _is_index(byte_range: Any) -> bool:
    """Tell whether the range is the end of a shard, its index."""
    return isinstance(byte_range, SuffixByteRequest)


def _is_chunk(key: str, byte_range: Any) -> bool:
    """Tell whether a file, or a range of it, is a chunk; else it is metadata or an index."""
    return not _is_index(byte_range) and Path(key).name not in _METADATA
