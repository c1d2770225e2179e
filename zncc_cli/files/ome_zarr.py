"""OME-Zarr (OME-NGFF 0.4 on Zarr 2, 0.5 on Zarr 3): a folder of chunks, read through the zarr library.

The metadata are read and checked here first: numbers only, known codecs, chunks that fit into memory. An array of
Python objects never reaches the library.
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
from zncc_cli.files.image import Image
from zncc_cli.files.inflation import CHECKSUM, COMPRESSIONS
from zncc_cli.files.lazy import LazyArray, bits_as_uint8, cache_for, native_dtype, tiles_under
from zncc_cli.files.metadata import Metadata, PixelSize
from zncc_cli.files.ngff import ome_unit
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.pages import no_such_number, numbered
from zncc_cli.files.paths import refusal, too_large_for_memory
from zncc_cli.files.tiff.calibration import length_unit

_MAX_METADATA_BYTES = 2**24
_MAX_CHUNK_BYTES = 2**28
_MAX_SHARD_INDEX_BYTES = 2**26
_INDEX_ENTRY_BYTES = 16  # offset and length of a chunk, 64 bits each
_SHARDING = "sharding_indexed"
_CODECS = COMPRESSIONS | {"shuffle", "delta", "crc32", CHECKSUM, "bytes", "transpose", _SHARDING}
_ZARR_3_DTYPES = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)")
_ZARR_2_DTYPES = re.compile(r"\|b1|[<>|][ui][1248]|[<>][f][248]")

_MAX_LEVELS = 32
_NAME_ONE_IMAGE = "name the folder of one image of an OME-Zarr"


def read_ome_zarr(path: Path, options: ReadOptions) -> Image:
    """Read the full resolution of the image in the folder ``path``, lazily.

    Raises:
        InputError: there is no image, its codec is unknown, it is damaged, its chunks do not fit into memory, or the
            zarr library is missing.
        OptionError: there is no such series.
    """
    with _input_errors(path):
        folder, attributes, notes = _image_folder(path, options.series)
        multiscales = _list_at(attributes, "multiscales")
        if not multiscales:
            raise refusal(path, expected='"multiscales" of an OME-Zarr', found="none", advice=_NAME_ONE_IMAGE)
        image = multiscales[0]
        dataset = _list_at(image, "datasets")[0]
        array = folder / str(dataset["path"])
        if not array.resolve().is_relative_to(folder.resolve()):
            raise refusal(path, expected="an array in the folder", found=array, advice="copy the folder again")
        layout = _read_layout(path, array)
        _check_layout(path, layout, options.max_bytes)
        letters = _axes(path, image, len(layout.shape))
        leading_axes = [axis for axis, length in enumerate(layout.shape[:-2]) if length > 1]
        data = _lazy_array(path, array, layout, leading_axes, options.max_bytes)
        metadata = _metadata(path, options.name, attributes, image, letters)
        if metadata.pixel_size is None and (_scale(image, letters)[-2:] != 1).any():
            notes += ("the scale has no unit of length along x and y: the size of a pixel is not known",)
        levels = tuple(_levels(path, folder, image, layout, leading_axes, options.max_bytes))
    axes = "".join(letters[axis] for axis in leading_axes) + "YX"
    return Image(data=data, axes=axes, metadata=metadata, notes=notes, levels=levels)


def _levels(
    path: Path,
    folder: Path,
    image: dict[str, Any],
    whole: _Layout,
    leading_axes: list[int],
    max_bytes: int,
) -> Iterator[LazyArray]:
    """Yield the smaller copies of an image, from the largest on; one that is unlike it, or damaged, is left out."""
    for dataset in _list_at(image, "datasets")[1 : _MAX_LEVELS + 1]:
        with contextlib.suppress(ZnccError, OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError):
            array = folder / str(dataset["path"])
            layout = _read_layout(path, array)
            _check_layout(path, layout, max_bytes)
            is_inside = array.resolve().is_relative_to(folder.resolve())
            if is_inside and layout.dtype == whole.dtype and layout.shape[:-2] == whole.shape[:-2]:
                yield _lazy_array(path, array, layout, leading_axes, max_bytes)


@contextlib.contextmanager
def _input_errors(path: Path) -> Iterator[None]:
    """Turn what reading a damaged Zarr raises into an `InputError`."""
    try:
        yield
    except ZnccError:
        raise
    except MemoryError:
        raise too_large_for_memory(path) from None
    except ImportError:
        expected, found = "the zarr library, which reads OME-Zarr", "that it is missing"
        advice = 'run: pip install "zncc-cli[zarr]" (Python 3.11 or newer)'
        raise refusal(path, expected=expected, found=found, advice=advice) from None
    except (OSError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError) as error:
        advice = "copy or export it again"
        raise refusal(path, expected="a complete, readable OME-Zarr", found=error, advice=advice) from error


def _list_at(content: Any, key: str) -> list[Any]:
    """Return the list at ``key``, empty where there is none; raise `ValueError` where it is something else."""
    value = content.get(key) or []
    if not isinstance(value, list):
        raise ValueError(f'"{key}" is not a list')
    return value


def _read_json(path: Path) -> dict[str, Any]:
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


def _ome_attributes(folder: Path) -> dict[str, Any]:
    """Return the OME attributes of ``folder``, empty where it has none."""
    if (folder / "zarr.json").is_file():
        zarr_attributes = _read_json(folder / "zarr.json").get("attributes", {})
        attributes: Any = zarr_attributes.get("ome", zarr_attributes)
    else:
        attributes = _read_json(folder / ".zattrs") if (folder / ".zattrs").is_file() else {}
    if not isinstance(attributes, dict):
        raise ValueError("its attributes are not a JSON object")
    return attributes


def _image_folder(path: Path, series: int | None) -> tuple[Path, dict[str, Any], tuple[str, ...]]:
    """Return (folder of the image, its OME attributes, notes of the choice); bioformats2raw stores several images."""
    attributes = _ome_attributes(path)
    folders = [path]
    if "multiscales" not in attributes and "bioformats2raw.layout" in attributes:
        images = [child for child in path.iterdir() if child.name.isdecimal() and child.is_dir()]
        folders = sorted(images, key=lambda folder: int(folder.name))
    if not folders:
        raise refusal(path, expected="images in numbered folders", found="none", advice="export it again")
    number = series or 0
    if not 0 <= number < len(folders):
        raise no_such_number(path, "series", number, len(folders))
    note = f"{numbered('series', 0, len(folders))} was read; `series` chooses"
    folder = folders[number]
    image_attributes = attributes if folder == path else _ome_attributes(folder)
    return folder, image_attributes, (note,) if series is None and len(folders) > 1 else ()


@dataclass(frozen=True, kw_only=True)
class _Layout:
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


def _read_layout(path: Path, array: Path) -> _Layout:
    """Read how the array in the folder ``array`` is stored; ``path``, the OME-Zarr, is named in errors."""
    shards = None
    if (array / "zarr.json").is_file():
        content = _read_json(array / "zarr.json")
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
        content = _read_json(array / ".zarray")
        chunks, dtype = content["chunks"], str(content["dtype"])
        codecs = [str(codec["id"]) for codec in (content.get("compressor"), *(content.get("filters") or ())) if codec]
        is_number = _ZARR_2_DTYPES.fullmatch(dtype)
        version = 2
    else:
        raise refusal(path, expected=f"an array in {array.name}", found="none", advice="copy the folder again")
    if not is_number:
        raise refusal(path, expected="integers or floats", found=f"dtype {dtype}", advice="convert the image")
    return _Layout(
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


def _check_layout(path: Path, layout: _Layout, max_bytes: int) -> None:
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


def _check_shards(path: Path, layout: _Layout) -> None:
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


def _axes(path: Path, image: dict[str, Any], count: int) -> str:
    """Return a letter for each of ``count`` dimensions, "Q" for those whose name has no letter of its own."""
    axes = image.get("axes") or list("tczyx")[-count:]
    names = [str(axis["name"] if isinstance(axis, dict) else axis) for axis in axes]
    if len(names) != count or [name.lower() for name in names[-2:]] != ["y", "x"]:
        found = f"axes {names} of {count} dimensions"
        raise refusal(path, expected="axes that end in y and x", found=found, advice="export it again")
    letters = [name.upper() if len(name) == 1 and name.isascii() and name.isalpha() else "Q" for name in names[:-2]]
    # No two axes have the same letter, and no leading axis one of the plane's.
    leading = ["Q" if letter in "YXS" or letters.count(letter) > 1 else letter for letter in letters]
    return "".join(leading) + "YX"


def _lazy_array(path: Path, folder: Path, layout: _Layout, leading_axes: list[int], max_bytes: int) -> LazyArray:
    """Return the array in ``folder`` of axes ``leading_axes``, y and x; the other axes have length one."""
    import zarr

    from zncc_cli.files.zarr_store import CheckedStore

    store = CheckedStore(folder, chunk_bytes=layout.nbytes, codecs=layout.codecs)
    array: Any = zarr.open_array(store, mode="r", zarr_format=layout.version)
    if tuple(array.shape) != layout.shape or array.dtype.kind not in "buif":
        raise ValueError(f"shape {array.shape}, dtype {array.dtype}")
    chunks, (height, width) = layout.chunks, layout.shape[-2:]
    row = math.prod(chunks) * math.ceil(width / chunks[-1]) * array.dtype.itemsize
    cache = cache_for(row, max_bytes)
    dtype = native_dtype(array.dtype)

    def chunk_at(position: tuple[int, ...]) -> NDArray[Any]:
        """Decode a chunk; ``position`` counts chunks along each axis."""
        chunk = cache.get(position)
        if chunk is None:
            spans = tuple(slice(p * size, (p + 1) * size) for p, size in zip(position, chunks, strict=True))
            chunk = np.asarray(array[spans])
            cache.put(position, chunk)
        return chunk

    def read(index: tuple[int, ...], rows: range, columns: range) -> NDArray[Any]:
        positions = dict(zip(leading_axes, index, strict=True))
        plane = [positions.get(axis, 0) for axis in range(len(layout.shape) - 2)]
        chunk_index = tuple(p // size for p, size in zip(plane, chunks, strict=False))
        inside = tuple(p % size for p, size in zip(plane, chunks, strict=False))
        with _input_errors(path):
            out: NDArray[Any] = np.empty((len(rows), len(columns)), array.dtype)
            for tile in tiles_under(rows, columns, *chunks[-2:]):
                out[tile.in_part] = chunk_at((*chunk_index, tile.row, tile.column))[inside][tile.in_tile]
        return bits_as_uint8(out).astype(dtype, copy=False)

    return LazyArray((*(layout.shape[axis] for axis in leading_axes), height, width), dtype, 2, read)


def _transformations(image: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the coordinate transformations of the full resolution."""
    for owner in (_list_at(image, "datasets")[0], image):
        yield from _list_at(owner, "coordinateTransformations")


def _scale(image: dict[str, Any], letters: str) -> NDArray[np.float64]:
    """Return the step of the grid along each axis, 1 where the file has none."""
    scale = np.ones(len(letters))
    for transformation in _transformations(image):
        if transformation.get("type") == "scale" and len(transformation.get("scale", ())) == len(letters):
            scale *= np.array(transformation["scale"], dtype=float)
    return scale


def _units(image: dict[str, Any], letters: str) -> dict[str, str]:
    """Return the unit of each axis that has one, as OME-XML spells it."""
    return {
        letter: ome_unit(str(axis["unit"]))
        for letter, axis in zip(letters, image.get("axes") or [], strict=False)
        if isinstance(axis, dict) and axis.get("unit")
    }


def _metadata(path: Path, name: str, attributes: dict[str, Any], image: dict[str, Any], letters: str) -> Metadata:
    """Return the metadata in the keys of OME-XML: pixel size, slices, times, names and colours of channels."""
    scale, units = _scale(image, letters), _units(image, letters)
    size = {letter: float(scale[letters.index(letter)]) for letter in units}
    properties: dict[str, Any] = {}
    if image.get("name"):
        properties["Name"] = str(image["name"])
    for letter, key in (("Z", "PhysicalSizeZ"), ("T", "TimeIncrement")):
        if letter in units:
            properties |= {key: size[letter], key + "Unit": units[letter]}
    channels = _list_at(attributes.get("omero") or {}, "channels")
    columns: dict[str, list[Any]] = {}
    if any(channel.get("label") for channel in channels):
        columns["Name"] = [str(channel.get("label", "")) for channel in channels]
    colours = [colour for channel in channels if (colour := _colour(channel.get("color"))) is not None]
    if colours and len(colours) == len(channels):
        columns["Color"] = colours
    if columns:
        properties["Channel"] = columns
    pixel_size = _pixel_size(size, units)
    left_out = _left_out(image, channels)
    return Metadata(
        path=path, format=name, pixel_size=pixel_size, flavor="ome", properties=properties, left_out=left_out
    )


def _pixel_size(size: dict[str, float], units: dict[str, str]) -> PixelSize | None:
    """Return the size of a pixel, in the unit of x; None where x or y has none, or their units cannot be compared."""
    if not {"X", "Y"} <= units.keys() or not all(0 < size[axis] < math.inf for axis in "XY"):
        return None
    x_unit, y_unit = (length_unit(units[axis]) for axis in "XY")
    if units["X"] == units["Y"]:
        return PixelSize(x=size["X"], y=size["Y"], unit=units["X"])
    if x_unit is None or y_unit is None:
        return None
    return PixelSize(x=size["X"], y=float(f"{size['Y'] * y_unit.metres / x_unit.metres:.12g}"), unit=units["X"])


def _colour(text: Any) -> int | None:
    """Return the colour RRGGBB as OME-XML stores it: red, green, blue, opacity in a signed 32-bit number; or None."""
    if not isinstance(text, str) or not re.fullmatch("[0-9A-Fa-f]{6}", text):
        return None
    return int.from_bytes(bytes.fromhex(text + "ff"), "big", signed=True)


def _left_out(image: dict[str, Any], channels: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the names of what a TIFF written from this image will not hold."""
    names = []
    if any(t.get("type") == "translation" and any(t.get("translation", ())) for t in _transformations(image)):
        names.append("the translation of OME-Zarr")
    if any(channel.get("color") and _colour(channel["color"]) is None for channel in channels):
        names.append("colours of channels")
    if any(channel.get("window") for channel in channels):
        names.append("display windows of channels")
    copies = len(_list_at(image, "datasets")) - 1
    if copies > 0:
        names.append("a smaller copy" if copies == 1 else f"{copies} smaller copies")
    return tuple(names)
