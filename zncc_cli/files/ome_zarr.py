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

from zncc_cli.errors import ZnccError
from zncc_cli.files.inflation import CHECKSUM, COMPRESSIONS
from zncc_cli.files.lazy import CACHE_BYTES, Cache, LazyArray, Stored
from zncc_cli.files.metadata import Metadata, PixelSize
from zncc_cli.files.pages import among, not_among
from zncc_cli.files.paths import no_room, refusal

_LARGEST_METADATA = 2**24
_LARGEST_CHUNK = 2**28
_LARGEST_INDEX = 2**26
_SHARDS = "sharding_indexed"
_CODECS = COMPRESSIONS | {"shuffle", "delta", "crc32", CHECKSUM, "bytes", "transpose", _SHARDS}
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
        metadata = _metadata(path, name, attributes, image, letters)
        if (
            metadata.pixel_size is None
            and "X" not in _units(image, letters)
            and (_scale(image, letters)[-2:] != 1).any()
        ):
            notes += ("the scale has no unit: the size of a pixel is not known",)
    return Stored(data=data, axes="".join(letters[axis] for axis in kept) + "YX", metadata=metadata, notes=notes)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except ZnccError:
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
    if not folders:
        raise refusal(path, expected="images in numbered folders", found="none", advice="export it again")
    number = series or 0
    if not 0 <= number < len(folders):
        raise not_among(path, "--series", number, len(folders))
    note = f"{among('series', 0, len(folders))} was read; --series chooses"
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
    shards: tuple[int, ...] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of a chunk."""
        return math.prod(self.chunks) * np.dtype(self.kind).itemsize


def _layout(path: Path, array: Path) -> _Layout:
    shards = None
    if (array / "zarr.json").is_file():
        content = _json(array / "zarr.json")
        chunks = content["chunk_grid"]["configuration"]["chunk_shape"]
        kind = str(content["data_type"])
        codecs = [str(codec["name"]) for codec in content["codecs"]]
        if codecs == [_SHARDS]:
            shards, inner = chunks, content["codecs"][0]["configuration"]
            _check_index(inner)
            chunks, codecs = inner["chunk_shape"], [str(codec["name"]) for codec in inner["codecs"]]
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
    return _Layout(
        version=version,
        shape=tuple(int(length) for length in content["shape"]),
        chunks=tuple(map(int, chunks)),
        kind=kind,
        codecs=tuple(codecs),
        shards=shards and tuple(map(int, shards)),
    )


def _check_index(sharding: dict[str, Any]) -> None:
    """What stands where in a shard is to be said in plain numbers at its end, apart from what is compressed."""
    codecs = [str(codec["name"]) for codec in sharding.get("index_codecs", [])]
    if not set(codecs) <= {"bytes", CHECKSUM} or sharding.get("index_location", "end") != "end":
        raise ValueError(f"shards whose index is {sharding.get('index_location', 'end')}, {codecs}")


def _check(path: Path, layout: _Layout, max_bytes: int) -> None:
    unknown = [codec for codec in layout.codecs if codec not in _CODECS or codec == _SHARDS]
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
    limit = min(_LARGEST_CHUNK, max_bytes)
    if size > limit:
        advice = "save it again in smaller chunks"
        raise refusal(path, expected=f"chunks of at most {limit} bytes", found=f"{size} bytes", advice=advice)


def _check_shards(path: Path, layout: _Layout) -> None:
    """A shard has several chunks, which are read one by one, and an index of them that fits into memory."""
    if layout.shards is None:
        return
    pairs = list(zip(layout.shards, layout.chunks, strict=False))
    whole = len(layout.shards) == len(layout.chunks) and all(shard > 0 and not shard % chunk for shard, chunk in pairs)
    count = math.prod(shard // chunk for shard, chunk in pairs) if whole else 0
    if not 1 < count <= _LARGEST_INDEX // 16:
        found = f"shards of {layout.shards} in chunks of {layout.chunks}"
        advice = "save it again without shards"
        raise refusal(path, expected="shards of several whole chunks", found=found, advice=advice)


def _axes(path: Path, image: dict[str, Any], count: int) -> str:
    """A letter for each dimension."""
    axes = image.get("axes") or list("tczyx")[-count:]
    names = [str(axis["name"] if isinstance(axis, dict) else axis) for axis in axes]
    if len(names) != count or [name.lower() for name in names[-2:]] != ["y", "x"]:
        found = f"axes {names} of {count} dimensions"
        raise refusal(path, expected="axes that end in y and x", found=found, advice="export it again")
    letters = [name.upper() if len(name) == 1 and name.isascii() and name.isalpha() else "Q" for name in names[:-2]]
    # One letter stands for one axis, and those of the plane for none before it.
    known = ["Q" if letter in "YXS" or letters.count(letter) > 1 else letter for letter in letters]
    return "".join(known) + "YX"


def _lazy(path: Path, folder: Path, layout: _Layout, kept: list[int], max_bytes: int) -> LazyArray:
    import zarr

    from zncc_cli.files.zarr_store import CheckedStore

    store = CheckedStore(folder, chunk_bytes=layout.nbytes, codecs=layout.codecs)
    array: Any = zarr.open_array(store, mode="r", zarr_format=layout.version)
    if tuple(array.shape) != layout.shape or array.dtype.kind not in "buif":
        raise ValueError(f"shape {array.shape}, dtype {array.dtype}")
    chunks, (height, width) = layout.chunks, layout.shape[-2:]
    row = math.prod(chunks) * math.ceil(width / chunks[-1]) * array.dtype.itemsize
    cache = Cache(min(max(CACHE_BYTES, 2 * row), max_bytes // 4))
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


def _steps(image: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The coordinate transformations of the full resolution."""
    for owner in (_list(image, "datasets")[0], image):
        yield from _list(owner, "coordinateTransformations")


def _scale(image: dict[str, Any], letters: str) -> NDArray[np.float64]:
    scale = np.ones(len(letters))
    for step in _steps(image):
        if step.get("type") == "scale" and len(step.get("scale", ())) == len(letters):
            scale *= np.array(step["scale"], dtype=float)
    return scale


def _units(image: dict[str, Any], letters: str) -> dict[str, str]:
    """The unit of each axis that has one."""
    return {
        letter: _UNITS.get(str(axis["unit"]), str(axis["unit"]))
        for letter, axis in zip(letters, image.get("axes") or [], strict=False)
        if isinstance(axis, dict) and axis.get("unit")
    }


def _metadata(path: Path, name: str, attributes: dict[str, Any], image: dict[str, Any], letters: str) -> Metadata:
    scale, given = _scale(image, letters), _units(image, letters)
    size = {letter: float(scale[letters.index(letter)]) for letter in given}
    properties: dict[str, Any] = {}
    if image.get("name"):
        properties["Name"] = str(image["name"])
    for letter, key in (("Z", "PhysicalSizeZ"), ("T", "TimeIncrement")):
        if letter in given:
            properties |= {key: size[letter], key + "Unit": given[letter]}
    channels = _list(attributes.get("omero") or {}, "channels")
    columns: dict[str, list[Any]] = {}
    if any(channel.get("label") for channel in channels):
        columns["Name"] = [str(channel.get("label", "")) for channel in channels]
    colours = [colour for channel in channels if (colour := _colour(channel.get("color"))) is not None]
    if colours and len(colours) == len(channels):
        columns["Color"] = colours
    if columns:
        properties["Channel"] = columns
    pixel_size = None
    if "X" in given and given["X"] == given.get("Y") and all(0 < size[axis] < math.inf for axis in "XY"):
        pixel_size = PixelSize(x=size["X"], y=size["Y"], unit=given["X"])
    left_out = _left_out(image, channels)
    return Metadata(
        path=path, format=name, pixel_size=pixel_size, flavor="ome", properties=properties, left_out=left_out
    )


def _colour(text: Any) -> int | None:
    """RRGGBB as OME-XML has it: red, green, blue and opacity in a signed number of 32 bits."""
    if not isinstance(text, str) or not re.fullmatch("[0-9A-Fa-f]{6}", text):
        return None
    return int.from_bytes(bytes.fromhex(text + "ff"), "big", signed=True)


def _left_out(image: dict[str, Any], channels: list[dict[str, Any]]) -> tuple[str, ...]:
    names = []
    if any(step.get("type") == "translation" and any(step.get("translation", ())) for step in _steps(image)):
        names.append("the translation of OME-Zarr")
    if any(channel.get("color") and _colour(channel["color"]) is None for channel in channels):
        names.append("colours of channels")
    if any(channel.get("window") for channel in channels):
        names.append("display windows of channels")
    copies = len(_list(image, "datasets")) - 1
    if copies > 0:
        names.append("a smaller copy" if copies == 1 else f"{copies} smaller copies")
    return tuple(names)
