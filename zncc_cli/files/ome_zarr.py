"""OME-Zarr (OME-NGFF 0.4 on Zarr 2, 0.5 on Zarr 3): a folder of chunks, read through the zarr library.

The metadata are read and checked here first: numbers only, known codecs, chunks that fit into memory. An array of
Python objects never reaches the library.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.errors import ZnccError
from zncc_cli.files.image import Image
from zncc_cli.files.lazy import LazyArray, bits_as_uint8, cache_for, native_dtype, tiles_under
from zncc_cli.files.ome_zarr_array import (
    ArrayLayout,
    check_layout,
    read_json,
    read_layout,
)
from zncc_cli.files.ome_zarr_metadata import (
    axes_of,
    list_at,
    metadata_of,
    scale_of,
)
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.pages import no_such_number, numbered
from zncc_cli.files.paths import refusal, too_large_for_memory

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
        multiscales = list_at(attributes, "multiscales")
        if not multiscales:
            raise refusal(path, expected='"multiscales" of an OME-Zarr', found="none", advice=_NAME_ONE_IMAGE)
        image = multiscales[0]
        dataset = list_at(image, "datasets")[0]
        array = folder / str(dataset["path"])
        if not array.resolve().is_relative_to(folder.resolve()):
            raise refusal(path, expected="an array in the folder", found=array, advice="copy the folder again")
        layout = read_layout(path, array)
        check_layout(path, layout, options.max_bytes)
        letters = axes_of(path, image, len(layout.shape))
        leading_axes = [axis for axis, length in enumerate(layout.shape[:-2]) if length > 1]
        data = _lazy_array(path, array, layout, leading_axes, options.max_bytes)
        metadata = metadata_of(path, options.name, attributes, image, letters)
        if metadata.pixel_size is None and (scale_of(image, letters)[-2:] != 1).any():
            notes += ("the scale has no unit of length along x and y: the size of a pixel is not known",)
        levels = tuple(_levels(path, folder, image, layout, leading_axes, options.max_bytes))
    axes = "".join(letters[axis] for axis in leading_axes) + "YX"
    return Image(data=data, axes=axes, metadata=metadata, notes=notes, levels=levels)


def _levels(
    path: Path,
    folder: Path,
    image: dict[str, Any],
    whole: ArrayLayout,
    leading_axes: list[int],
    max_bytes: int,
) -> Iterator[LazyArray]:
    """Yield the smaller copies of an image, from the largest on; one that is unlike it, or damaged, is left out."""
    for dataset in list_at(image, "datasets")[1 : _MAX_LEVELS + 1]:
        with contextlib.suppress(ZnccError, OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError):
            array = folder / str(dataset["path"])
            layout = read_layout(path, array)
            check_layout(path, layout, max_bytes)
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


def _ome_attributes(folder: Path) -> dict[str, Any]:
    """Return the OME attributes of ``folder``, empty where it has none."""
    if (folder / "zarr.json").is_file():
        zarr_attributes = read_json(folder / "zarr.json").get("attributes", {})
        attributes: Any = zarr_attributes.get("ome", zarr_attributes)
    else:
        attributes = read_json(folder / ".zattrs") if (folder / ".zattrs").is_file() else {}
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


def _lazy_array(path: Path, folder: Path, layout: ArrayLayout, leading_axes: list[int], max_bytes: int) -> LazyArray:
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
