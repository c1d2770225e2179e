"""The files of a Zarr array, judged before the zarr library takes memory for them.

Imported where an OME-Zarr is read: the zarr library need not be there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zarr.abc.store import SuffixByteRequest
from zarr.storage import LocalStore

from zncc_cli.files.inflation import CHECKSUM, COMPRESSIONS, check_inflated

# Bytes of metadata, or of the index of a shard.
_LARGEST_OTHER = 2**26
_METADATA = ("zarr.json", ".zarray", ".zattrs", ".zgroup", ".zmetadata")


class CheckedStore(LocalStore):  # type: ignore[misc]  # without zarr it is Any
    """A folder of which no file is read that no chunk can fill, or that inflates to more than a chunk.

    Args:
        folder: of the array.
        chunk_bytes: of a chunk, decoded; in a shard, of an inner one.
        codecs: that chunks are encoded with, one compression among them at most.
    """

    def __init__(self, folder: Path, *, chunk_bytes: int, codecs: tuple[str, ...]) -> None:
        super().__init__(folder, read_only=True)
        # What compresses badly grows a little, and a filter may keep differences in a wider type.
        self._most = 2 * chunk_bytes + 2**16
        self._compression = next((codec for codec in codecs if codec in COMPRESSIONS), None)
        self._trailer = 4 if codecs[-1:] == (CHECKSUM,) else 0

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Read as `LocalStore` does.

        Raises:
            ValueError: no file, or too large.
        """
        self._check_file(key, byte_range)
        return self._checked(key, byte_range, await super().get(key, prototype, byte_range))

    def get_sync(self, key: str, *, prototype: Any = None, byte_range: Any = None) -> Any:
        """See `get`."""
        self._check_file(key, byte_range)
        return self._checked(key, byte_range, super().get_sync(key, prototype=prototype, byte_range=byte_range))

    def _check_file(self, key: str, byte_range: Any) -> None:
        path = self.root / key
        if not path.exists():
            return
        if not path.is_file():
            raise ValueError(f"{key} is no file")
        if byte_range is None:
            size = path.stat().st_size
        else:
            size = byte_range.suffix if _is_index(byte_range) else byte_range.end - byte_range.start
        if size > (self._most if _is_chunk(key, byte_range) else _LARGEST_OTHER):
            raise ValueError(f"{key} has {size} bytes, more than its pixels")

    def _checked(self, key: str, byte_range: Any, content: Any) -> Any:
        if content is not None and self._compression and _is_chunk(key, byte_range):
            data = content.to_bytes()
            check_inflated(data[: len(data) - self._trailer], self._compression, self._most)
        return content


def _is_index(byte_range: Any) -> bool:
    """Whether the end of a shard is asked for."""
    return isinstance(byte_range, SuffixByteRequest)


def _is_chunk(key: str, byte_range: Any) -> bool:
    return not _is_index(byte_range) and Path(key).name not in _METADATA
