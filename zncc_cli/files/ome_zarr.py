"""OME-Zarr (OME-NGFF 0.4 on Zarr 2, 0.5 on Zarr 3): a folder of chunks, read through the zarr library.

The metadata are read and judged here first: numbers only, codecs that are known, chunks that fit into memory. What
decodes into Python objects never reaches the library.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.errors import InputError
from zncc_cli.files.lazy import Cache, LazyArray, Stored
from zncc_cli.files.metadata import Metadata, PixelSize
from zncc_cli.files.paths import no_room, refusal

_LARGEST_METADATA = 2**24
_LARGEST_CHUNK = 2**28
_CACHE = 2**26
_CODECS = frozenset(
    {
        *("blosc", "zlib", "gzip", "zstd", "lz4", "lzma", "bz2", "shuffle", "delta", "crc32", "crc32c"),
        *("bytes", "transpose", "sharding_indexed"),
    }
)
_TYPES_OF_3 = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)")
_TYPES_OF_2 = re.compile(r"\|b1|[<>|][ui][1248]|[<>][f][248]")

# Units of NGFF as OME-XML spells them.
_PREFIXES = {"pico": "p", "nano": "n", "micro": "µ", "milli": "m", "centi": "c", "": "", "kilo": "k"}
_UNITS = {
    **{prefix + "meter": short + "m" for prefix, short in _PREFIXES.items()},
    **{prefix + "second": short + "s" for prefix, short in _PREFIXES.items()},
    **{"angstrom": "Å", "minute": "min", "hour": "h", "day": "d", "inch": "in"},
}
_ADVICE = "name the folder of one image of an OME-Zarr"


def is_zarr(path: Path) -> bool:
    """Whether ``path`` is a folder that is, or should be, an OME-Zarr."""
    with contextlib.suppress(OSError, ValueError):
        named = path.suffix == ".zarr"
        return path.is_dir() and (named or any((path / one).is_file() for one in (".zattrs", "zarr.json")))
    return False


def read_ome_zarr(path: Path, name: str, max_bytes: int, series: int | None) -> Stored:
    """Read the full resolution of the image in the folder ``path``, lazily.

    Raises:
        InputError: no image, an unknown codec, the zarr library is missing, damage, chunks that do not fit.
    """
    with _readable(path):
        folder, attributes, notes = _image_folder(path, series)
        multiscales = _list(attributes, "multiscales")
        if not multiscales:
            raise refusal(path, expected='"multiscales" of an OME-Zarr', found="none", advice=_ADVICE)
        image = multiscales[0]
        dataset = _list(image, "datasets")[0]
        array = folder / str(dataset["path"])
        if not array.resolve().is_relative_to(folder.resolve()):
            raise refusal(path, expected="an array in the folder", found=array, advice="copy the folder again")
        layout = _layout(path, array)
        _check(path, layout, max_bytes)
        letters = _axes(path, image, len(layout.shape))
        kept = [axis for axis, length in enumerate(layout.shape[:-2]) if length > 1]
        data = _lazy(path, array, layout, kept, max_bytes)
        metadata = _metadata(path, name, attributes, image, dataset, letters)
    return Stored(data=data, axes="".join(letters[axis] for axis in kept) + "YX", metadata=metadata, notes=notes)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except MemoryError:
        raise no_room(path) from None
    except ImportError:
        expected, found = "the zarr library, which reads OME-Zarr", "that it is missing"
        advice = 'run: pip install "zncc-cli[zarr]" (Python 3.11 or newer)'
        raise refusal(path, expected=expected, found=found, advice=advice) from None
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError) as error:
        advice = "copy or export it again"
        raise refusal(path, expected="a complete, readable OME-Zarr", found=error, advice=advice) from error


def _list(content: Any, key: str) -> list[Any]:
    value = content.get(key) or []
    if not isinstance(value, list):
        raise ValueError(f'"{key}" is no list')
    return value


def _json(path: Path) -> dict[str, Any]:
    if path.stat().st_size > _LARGEST_METADATA:
        raise ValueError(f"{path.name} has more than {_LARGEST_METADATA} bytes")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} holds no object")
    return content


def _attributes(folder: Path) -> dict[str, Any]:
    """What OME says of ``folder``; empty where it says nothing."""
    if (folder / "zarr.json").is_file():
        attributes = _json(folder / "zarr.json").get("attributes", {})
        found: Any = attributes.get("ome", attributes)
    else:
        found = _json(folder / ".zattrs") if (folder / ".zattrs").is_file() else {}
    if not isinstance(found, dict):
        raise ValueError("its attributes are no object")
    return found


def _image_folder(path: Path, series: int | None) -> tuple[Path, dict[str, Any], tuple[str, ...]]:
    """The folder of the image, what OME says of it, and a note of the choice; bioformats2raw puts several into one."""
    attributes = _attributes(path)
    folders = [path]
    if "multiscales" not in attributes and "bioformats2raw.layout" in attributes:
        numbered = [path / one.name for one in path.iterdir() if one.name.isdecimal() and one.is_dir()]
        folders = sorted(numbered, key=lambda folder: int(folder.name))
    number = series or 0
    if not 0 <= number < len(folders):
        found = f"{len(folders)} series in the folder"
        raise refusal(path, expected=f"series {number}", found=found, advice="choose one of them, from 0")
    note = f"series 0 of {len(folders)} was read; --series chooses"
    folder = folders[number]
    chosen = attributes if folder == path else _attributes(folder)
    return folder, chosen, (note,) if series is None and len(folders) > 1 else ()


@dataclass(frozen=True, kw_only=True)
class _Layout:
    version: int
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    kind: str
    codecs: tuple[str, ...]


def _layout(path: Path, array: Path) -> _Layout:
    if (array / "zarr.json").is_file():
        content = _json(array / "zarr.json")
        chunks = content["chunk_grid"]["configuration"]["chunk_shape"]
        kind = str(content["data_type"])
        codecs = list(_codecs_of_3(content["codecs"]))
        sharding = next((one for one in content["codecs"] if one["name"] == "sharding_indexed"), None)
        if sharding:
            chunks = sharding["configuration"]["chunk_shape"]
        known = _TYPES_OF_3.fullmatch(kind)
        version = 3
    elif (array / ".zarray").is_file():
        content = _json(array / ".zarray")
        chunks, kind = content["chunks"], str(content["dtype"])
        codecs = [str(one["id"]) for one in (content.get("compressor"), *(content.get("filters") or ())) if one]
        known = _TYPES_OF_2.fullmatch(kind)
        version = 2
    else:
        raise refusal(path, expected=f"an array in {array.name}", found="none", advice="copy the folder again")
    if not known:
        raise refusal(path, expected="integers or floats", found=f"dtype {kind}", advice="convert the image")
    shape = tuple(int(length) for length in content["shape"])
    return _Layout(version=version, shape=shape, chunks=tuple(map(int, chunks)), kind=kind, codecs=tuple(codecs))


def _codecs_of_3(codecs: list[dict[str, Any]]) -> Iterator[str]:
    for codec in codecs:
        yield str(codec["name"])
        for inner in ("codecs", "index_codecs"):
            yield from _codecs_of_3(codec.get("configuration", {}).get(inner, []))


def _check(path: Path, layout: _Layout, max_bytes: int) -> None:
    unknown = [codec for codec in layout.codecs if codec not in _CODECS]
    if unknown:
        found, advice = f"codec {unknown[0]}", "save it again with blosc or zstd"
        raise refusal(path, expected="a known codec for numbers", found=found, advice=advice)
    chunks, shape = layout.chunks, layout.shape
    if len(chunks) != len(shape) or len(shape) < 2 or min(chunks) < 1 or min(shape) < 1:
        found = f"shape {shape} in chunks of {chunks}"
        raise refusal(path, expected="an array (..., H, W) in chunks", found=found, advice="export it again")
    size = math.prod(chunks) * np.dtype(layout.kind).itemsize
    limit = min(_LARGEST_CHUNK, max_bytes)
    if size > limit:
        advice = "save it again in smaller chunks"
        raise refusal(path, expected=f"chunks of at most {limit} bytes", found=f"{size} bytes", advice=advice)


def _axes(path: Path, image: dict[str, Any], count: int) -> str:
    """A letter for each dimension."""
    axes = image.get("axes") or list("tczyx")[-count:]
    names = [str(axis["name"] if isinstance(axis, dict) else axis) for axis in axes]
    if len(names) != count or [name.lower() for name in names[-2:]] != ["y", "x"]:
        found = f"axes {names} of {count} dimensions"
        raise refusal(path, expected="axes that end in y and x", found=found, advice="export it again")
    return "".join(name.upper() if len(name) == 1 and name.isalpha() else "Q" for name in names)


def _lazy(path: Path, folder: Path, layout: _Layout, kept: list[int], max_bytes: int) -> LazyArray:
    import zarr

    array: Any = zarr.open_array(str(folder), mode="r", zarr_format=layout.version)
    if tuple(array.shape) != layout.shape or array.dtype.kind not in "buif":
        raise ValueError(f"shape {array.shape}, dtype {array.dtype}")
    chunks, (height, width) = layout.chunks, layout.shape[-2:]
    row = math.prod(chunks) * math.ceil(width / chunks[-1]) * array.dtype.itemsize
    cache = Cache(min(max(_CACHE, 2 * row), max_bytes // 4))
    dtype = np.dtype(np.uint8) if array.dtype.kind == "b" else array.dtype.newbyteorder("=")

    def chunk(place: tuple[int, ...]) -> NDArray[Any]:
        block = cache.get(place)
        if block is None:
            spans = tuple(slice(p * size, (p + 1) * size) for p, size in zip(place, chunks, strict=True))
            block = np.asarray(array[spans])
            cache.put(place, block)
        return block

    def read(index: tuple[int, ...], rows: range, columns: range) -> NDArray[Any]:
        places = dict(zip(kept, index, strict=True))
        whole = [places.get(axis, 0) for axis in range(len(layout.shape) - 2)]
        before = tuple(p // size for p, size in zip(whole, chunks, strict=False))
        inside = tuple(p % size for p, size in zip(whole, chunks, strict=False))
        tall, wide = chunks[-2:]
        out: NDArray[Any] = np.empty((len(rows), len(columns)), array.dtype)
        with _readable(path):
            for r in range(rows.start // tall, math.ceil(rows.stop / tall) if rows else 0):
                for c in range(columns.start // wide, math.ceil(columns.stop / wide) if columns else 0):
                    r0, r1 = max(rows.start, r * tall), min(rows.stop, (r + 1) * tall)
                    c0, c1 = max(columns.start, c * wide), min(columns.stop, (c + 1) * wide)
                    block = chunk((*before, r, c))[inside]
                    part = block[r0 - r * tall : r1 - r * tall, c0 - c * wide : c1 - c * wide]
                    out[r0 - rows.start : r1 - rows.start, c0 - columns.start : c1 - columns.start] = part
        return out.astype(np.uint8) * np.uint8(255) if out.dtype.kind == "b" else out.astype(dtype, copy=False)

    return LazyArray((*(layout.shape[axis] for axis in kept), height, width), dtype, 2, read)


def _metadata(
    path: Path,
    name: str,
    attributes: dict[str, Any],
    image: dict[str, Any],
    dataset: dict[str, Any],
    letters: str,
) -> Metadata:
    scale = np.ones(len(letters))
    for owner in (dataset, image):
        for step in _list(owner, "coordinateTransformations"):
            if step.get("type") == "scale" and len(step.get("scale", ())) == len(letters):
                scale *= np.array(step["scale"], dtype=float)
    axes = image.get("axes") or []
    given = {
        letter: _UNITS.get(str(axis["unit"]), str(axis["unit"]))
        for letter, axis in zip(letters, axes, strict=False)
        if isinstance(axis, dict) and axis.get("unit")
    }
    size = {letter: float(scale[letters.index(letter)]) for letter in given}
    properties: dict[str, Any] = {}
    if image.get("name"):
        properties["Name"] = str(image["name"])
    for letter, key in (("Z", "PhysicalSizeZ"), ("T", "TimeIncrement")):
        if letter in given:
            properties |= {key: size[letter], key + "Unit": given[letter]}
    labels = [str(channel.get("label", "")) for channel in _list(attributes.get("omero", {}), "channels")]
    if any(labels):
        properties["Channel"] = {"Name": labels}
    pixel_size = None
    if "X" in given and given["X"] == given.get("Y") and all(0 < size[axis] < math.inf for axis in "XY"):
        pixel_size = PixelSize(x=size["X"], y=size["Y"], unit=given["X"])
    return Metadata(path=path, format=name, pixel_size=pixel_size, flavor="ome", properties=properties)
