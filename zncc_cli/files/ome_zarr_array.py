"""How an array of an OME-Zarr is stored: read from its JSON, and checked before anything is decoded."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zncc_cli.files.inflation import CHECKSUM, COMPRESSIONS
from zncc_cli.files.paths import refusal

_MAX_METADATA_BYTES = 2**24
_MAX_CHUNK_BYTES = 2**28
_MAX_SHARD_INDEX_BYTES = 2**26
_INDEX_ENTRY_BYTES = 16  # offset and length of a chunk, 64 bits each
_SHARDING = "sharding_indexed"
_CODECS = COMPRESSIONS | {"shuffle", "delta", "crc32", CHECKSUM, "bytes", "transpose", _SHARDING}
_ZARR_3_DTYPES = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)")
_ZARR_2_DTYPES = re.compile(r"\|b1|[<>|][ui][1248]|[<>][f][248]")


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; raise `ValueError` where it is too large, damaged or something else."""
    if path.stat().st_size > _MAX_METADATA_BYTES:
        raise ValueError(f"{path.name} has more than {_MAX_METADATA_BYTES} bytes")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is not a JSON object")
    return content


@dataclass(frozen=True, kw_only=True)
class ArrayLayout:
    """How an array is stored.

    version: of Zarr, 2 or 3. shape: of the array. chunks: shape of a chunk (in a shard, of an inner chunk). dtype: in
    the spelling of the version. codecs: names, in the order of encoding. shards: shape of a shard, or None.
    """

    version: int
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str
    codecs: tuple[str, ...]
    shards: tuple[int, ...] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of a decoded chunk."""
        return math.prod(self.chunks) * np.dtype(self.dtype).itemsize


def read_layout(path: Path, array: Path) -> ArrayLayout:
    """Read how the array in the folder ``array`` is stored; ``path``, the OME-Zarr, is named in errors."""
    shards = None
    if (array / "zarr.json").is_file():
        content = read_json(array / "zarr.json")
        chunks = content["chunk_grid"]["configuration"]["chunk_shape"]
        dtype = str(content["data_type"])
        codecs = [str(codec["name"]) for codec in content["codecs"]]
        if codecs == [_SHARDING]:
            shards, inner = chunks, content["codecs"][0]["configuration"]
            _check_shard_index(inner)
            chunks, codecs = inner["chunk_shape"], [str(codec["name"]) for codec in inner["codecs"]]
        is_number = _ZARR_3_DTYPES.fullmatch(dtype)
        version = 3
    elif (array / ".zarray").is_file():
        content = read_json(array / ".zarray")
        chunks, dtype = content["chunks"], str(content["dtype"])
        codecs = [str(codec["id"]) for codec in (content.get("compressor"), *(content.get("filters") or ())) if codec]
        is_number = _ZARR_2_DTYPES.fullmatch(dtype)
        version = 2
    else:
        raise refusal(path, expected=f"an array in {array.name}", found="none", advice="copy the folder again")
    if not is_number:
        raise refusal(path, expected="integers or floats", found=f"dtype {dtype}", advice="convert the image")
    return ArrayLayout(
        version=version,
        shape=tuple(int(length) for length in content["shape"]),
        chunks=tuple(map(int, chunks)),
        dtype=dtype,
        codecs=tuple(codecs),
        shards=shards and tuple(map(int, shards)),
    )


def _check_shard_index(sharding: dict[str, Any]) -> None:
    """Check that the index of a shard, the offsets of its chunks, is at its end and not compressed."""
    codecs = [str(codec["name"]) for codec in sharding.get("index_codecs", [])]
    if not set(codecs) <= {"bytes", CHECKSUM} or sharding.get("index_location", "end") != "end":
        raise ValueError(f"shards whose index is {sharding.get('index_location', 'end')}, {codecs}")


def check_layout(path: Path, layout: ArrayLayout, max_bytes: int) -> None:
    """Raise `InputError` for unknown codecs, impossible shapes, and chunks that do not fit into memory."""
    unknown = [codec for codec in layout.codecs if codec not in _CODECS or codec == _SHARDING]
    if unknown:
        found, advice = f"codec {unknown[0]}", "save it again with blosc or zstd"
        raise refusal(path, expected="a known codec for numbers", found=found, advice=advice)
    chunks, shape = layout.chunks, layout.shape
    if len(chunks) != len(shape) or len(shape) < 2 or min(chunks) < 1 or min(shape) < 1:
        found = f"shape {shape} in chunks of {chunks}"
        raise refusal(path, expected="an array (..., H, W) in chunks", found=found, advice="export it again")
    if sum(codec in COMPRESSIONS for codec in layout.codecs) > 1:
        found, advice = f"codecs {', '.join(layout.codecs)}", "save it again with one of them"
        raise refusal(path, expected="one compression", found=found, advice=advice)
    _check_shards(path, layout)
    size = layout.nbytes
    limit = min(_MAX_CHUNK_BYTES, max_bytes)
    if size > limit:
        advice = "save it again in smaller chunks"
        raise refusal(path, expected=f"chunks of at most {limit} bytes", found=f"{size} bytes", advice=advice)


def _check_shards(path: Path, layout: ArrayLayout) -> None:
    """Check that a shard has several whole chunks, which are read one by one, and that its index fits into memory."""
    if layout.shards is None:
        return
    pairs = list(zip(layout.shards, layout.chunks, strict=False))
    is_whole = len(layout.shards) == len(layout.chunks) and all(
        shard > 0 and shard % chunk == 0 for shard, chunk in pairs
    )
    count = math.prod(shard // chunk for shard, chunk in pairs) if is_whole else 0
    if not 1 < count <= _MAX_SHARD_INDEX_BYTES // _INDEX_ENTRY_BYTES:
        found = f"shards of {layout.shards} in chunks of {layout.chunks}"
        advice = "save it again without shards"
        raise refusal(path, expected="shards of several whole chunks", found=found, advice=advice)
