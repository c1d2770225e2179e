"""HDF5: one data set of a file, read through h5py, by parts. ``file.h5:/group/name`` chooses it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from zncc_cli.errors import InputError
from zncc_cli.files.array_image import array_image, calibration, kept_open, library_errors
from zncc_cli.files.dataset_path import split_dataset
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.paths import refusal
from zncc_cli.text import one_line

_LETTERS = "ABCDEFGHIJKLMNOPQRTUVWZ"  # one for each axis; HDF5 has 32 at most
_KNOWN_AXES, _SIZED_AXES = "TCZ", "ZYX"
_MAX_LISTED = 8
_MAX_VISITED = 10_000
_MAX_LINKS = 100  # on the way to a data set
_MAX_CHUNK_BYTES = 2**28


def read_hdf5(path: Path, options: ReadOptions) -> Image:
    """Read the data set that ``path`` names, or the only one of at least two dimensions; its last axes are y and x.

    Raises:
        InputError: there is no such data set, or several and none is named; it is no array of numbers, in another
            file, or damaged.
    """
    import h5py

    file_path, name = split_dataset(path)
    with library_errors(path, options.name), ExitStack() as stack:
        file = stack.enter_context(h5py.File(file_path, "r"))
        if name and _leaves_file(file, name):
            raise _in_other_files(path)
        data: Any = file.get(name) if name else _only_one(path, file)
        if not isinstance(data, h5py.Dataset) or data.ndim < 2 or data.dtype.kind not in "buif":
            found = "none" if data is None else f"{data!r}"
            advice = f"name one of: {', '.join(_names(file))}"
            raise refusal(path, expected="a data set of numbers, (..., H, W)", found=found, advice=one_line(advice))
        if data.external or data.is_virtual:
            raise _in_other_files(path)
        chunk = int(np.prod(data.chunks, dtype=np.int64)) * data.dtype.itemsize if data.chunks else 0
        if chunk > min(_MAX_CHUNK_BYTES, options.max_bytes):
            advice = "save it again in smaller chunks"
            raise refusal(path, expected=f"chunks of at most {_MAX_CHUNK_BYTES} bytes", found=chunk, advice=advice)
        has_colours = data.ndim > 2 and data.shape[-1] in (3, 4) and data.dtype.itemsize <= 2
        leading = data.ndim - 2 - has_colours
        axes = _LETTERS[:leading] + "YX" + "S" * has_colours
        names = _labels(data)[:leading]
        fields = _calibration(data, names)
        image = kept_open(array_image(path, options, data, axes, fields), stack)
        return _with_letters(image, [name for name, length in zip(names, data.shape, strict=False) if length > 1])


def _in_other_files(path: Path) -> InputError:
    advice = "copy it into one file"
    return refusal(path, expected="a data set in the file itself", found="data in other files", advice=advice)


def _leaves_file(file: Any, name: str) -> bool:
    """Tell whether a link on the way to ``name`` leads into another file, without opening that; or links go round."""
    import h5py

    group, rest = "/", _parts(name)
    for _ in range(_MAX_LINKS):
        if not rest:
            return False
        place = group + rest.pop(0)
        link = file.get(place, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            return True
        if isinstance(link, h5py.SoftLink):
            rest = _parts(link.path) + rest
            group = "/" if link.path.startswith("/") else group
        else:
            group = f"{place}/"
    return True


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]


def _labels(data: Any) -> list[str]:
    """Return T, C or Z for the axes of a data set that are labelled so, Q, unknown, for the others."""
    labels = [str(dimension.label).upper() for dimension in data.dims]
    return [label if label in _KNOWN_AXES and labels.count(label) == 1 else "Q" for label in labels]


def _with_letters(image: Image, names: list[str]) -> Image:
    """Return the image with these letters for its leading axes, all of which are longer than one."""
    return replace(image, axes="".join(names) + image.axes[len(image.leading) :])


def _calibration(data: Any, names: list[str]) -> dict[str, Any]:
    """Return the size of a pixel by the attribute ``element_size_um`` (z, y, x), as ilastik and others write it."""
    sizes = np.ravel(data.attrs.get("element_size_um", ()))
    if sizes.size != len(_SIZED_AXES) or sizes.dtype.kind not in "iuf":
        return {}
    z, y, x = map(float, sizes)
    return calibration(x, y, "µm", z if "Z" in names or len(names) == 1 else None)


def _only_one(path: Path, file: Any) -> Any:
    """Return the data set of a file that has one of at least two dimensions."""
    names = _names(file)
    if len(names) != 1:
        found = f"{len(names)} data sets" if names else "none"
        advice = f"name one: {path}:{names[0]}" if names else "name another file"
        advice += f"; there are {', '.join(names[:_MAX_LISTED])}" if names else ""
        raise refusal(path, expected="one data set (..., H, W)", found=found, advice=one_line(advice))
    return file[names[0]]


def _names(file: Any) -> list[str]:
    """Return the names of data sets of numbers with at least two dimensions."""
    import h5py

    names: list[str] = []
    visited = 0

    def visit(name: str, item: Any) -> bool | None:
        nonlocal visited
        visited += 1
        if isinstance(item, h5py.Dataset) and item.ndim >= 2 and item.dtype.kind in "buif" and min(item.shape) > 0:
            names.append(f"/{name}")
        return True if visited > _MAX_VISITED else None

    file.visititems(visit)
    return names
