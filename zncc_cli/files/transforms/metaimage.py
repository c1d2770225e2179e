"""A displacement field as ITK, SimpleITK, ANTs and 3D Slicer read it: a MetaImage of vectors, .mha.

Each pixel of the FIXED image holds moving less fixed coordinates (dx, dy), float64: `DisplacementFieldTransform` adds
them to points of the fixed image's physical space, which are our pixels where spacing is 1 and the origin 0. Between
pixels ITK interpolates linearly; beyond the image its displacement is zero.

https://itk.org/Wiki/ITK/MetaIO/Documentation
https://itk.org/Doxygen/html/classitk_1_1DisplacementFieldTransform.html
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from zncc_cli.files.output_folder import atomic_write
from zncc_cli.files.paths import MismatchError, regular_file_size
from zncc_cli.files.transforms.bends import DisplacementImage
from zncc_cli.files.transforms.linear import Linear, exact_text, parse_length, parse_numbers
from zncc_cli.files.transforms.side_files import whole_strips

MAGIC = b"ObjectType"

_EXPECTED = "a MetaImage of 2D displacements, 2 channels of MET_FLOAT or MET_DOUBLE, not compressed, in one file"
_TYPES = {"MET_FLOAT": "f4", "MET_DOUBLE": "f8"}
_FIXED_KEYS = {"ObjectType": "Image", "NDims": "2", "ElementNumberOfChannels": "2", "ElementDataFile": "LOCAL"}
# The geometry in which physical points are pixels. A missing key is taken to have its value here.
_PIXEL_GEOMETRY = {"TransformMatrix": [1.0, 0.0, 0.0, 1.0], "Offset": [0.0, 0.0], "ElementSpacing": [1.0, 1.0]}
_MAX_HEADER_BYTES = 2**16


def parse(head: bytes, path: Path) -> Linear:
    """Read the file at ``path``, whose first bytes are ``head``; its size is checked before memory is taken."""
    keys, start = _header(head)
    for key, expected in _FIXED_KEYS.items():
        if keys.get(key) != expected:
            raise MismatchError(_EXPECTED, f"{key} = {keys.get(key)}")
    for key, values in _PIXEL_GEOMETRY.items():
        if key in keys and parse_numbers(keys[key].split(), len(values), key) != values:
            raise MismatchError(f"an image in pixels, {key} = {exact_text(values)}", keys[key])
    big = keys.get("BinaryDataByteOrderMSB", keys.get("ElementByteOrderMSB", "False")).lower() == "true"
    if keys.get("ElementType") not in _TYPES or keys.get("CompressedData", "False").lower() != "false":
        raise MismatchError(_EXPECTED, f"{keys.get('ElementType')}, CompressedData = {keys.get('CompressedData')}")
    sizes = [parse_length(text) for text in keys.get("DimSize", "").split()]
    if len(sizes) != 2:
        raise MismatchError("DimSize = W H", keys.get("DimSize", "none"))
    (width, height), dtype = sizes, np.dtype((">" if big else "<") + _TYPES[keys["ElementType"]])
    found = regular_file_size(path, expected=_EXPECTED) - start
    if found != height * width * 2 * dtype.itemsize:
        raise MismatchError(f"{height * width * 2 * dtype.itemsize} bytes of displacements", found)
    displacements = np.fromfile(path, dtype, offset=start).reshape(height, width, 2).astype(np.float64)
    if not np.isfinite(displacements).all():
        raise MismatchError("finite displacements", "others")
    image = DisplacementImage(displacements)
    return Linear(image.nearest_matrix(), fixed_shape=(height, width), bend=image)


def _header(head: bytes) -> tuple[Mapping[str, str], int]:
    """Return the keys before the pixels, and where those begin."""
    keys: dict[str, str] = {}
    place = 0
    while "ElementDataFile" not in keys:
        end = head.find(b"\n", place, _MAX_HEADER_BYTES)
        key, equals, value = head[place:end].decode("latin-1").partition("=")
        if end < 0 or not equals:
            raise MismatchError(_EXPECTED, "a header that does not end")
        keys[key.strip()] = value.strip()
        place = end + 1
    return keys, place


def write(transform: Linear, path: Path) -> None:
    """Write the displacements of the fixed frame.

    Raises:
        OutputError: the horizon crosses the frame, or the file cannot be written.
    """
    assert transform.fixed_shape is not None
    height, width = transform.fixed_shape
    header = {
        "ObjectType": "Image",
        "NDims": "2",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "False",
        "TransformMatrix": "1 0 0 1",
        "Offset": "0 0",
        "CenterOfRotation": "0 0",
        "ElementSpacing": "1 1",
        "DimSize": f"{width} {height}",
        "ElementNumberOfChannels": "2",
        "ElementType": "MET_DOUBLE",
        "ElementDataFile": "LOCAL",
    }
    with atomic_write(path) as file:
        file.write("".join(f"{key} = {value}\n" for key, value in header.items()).encode())
        for strip in whole_strips(path, transform.transform, transform.fixed_shape):
            file.write(strip.astype("<f8").tobytes())
