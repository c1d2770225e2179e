"""World files: six numbers beside an image that say where on the Earth its pixels lie."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zncc_cli.errors import InputError
from zncc_cli.files.image import Image
from zncc_cli.files.metadata import Tag
from zncc_cli.files.paths import MismatchError, read_small_file, refusal
from zncc_cli.files.tiff.georeference import TRANSFORMATION
from zncc_cli.files.transforms.linear import parse_numbers
from zncc_cli.registration.transforms.matrices import is_singular
from zncc_cli.text import shown

_SUFFIXES = {".tif": ".tfw", ".tiff": ".tfw", ".png": ".pgw", ".jpg": ".jgw", ".jpeg": ".jgw"}
_FURTHER = {".tif": (".tiffw",), ".tiff": (".tifw",), ".jpg": (".jpegw",), ".jpeg": (".jpgw",)}
_PIXEL_SCALE, _TIEPOINTS, _KEYS = 33550, 33922, 34735
_SHORT, _DOUBLE = 3, 12  # TIFF's data types
_PIXEL_IS_AREA = (1, 1, 0, 1, 1025, 0, 1, 1)  # a directory of one key: pixels are areas, counted from their corners


def world_file_beside(path: Path) -> Path | None:
    """Return the world file of an image: .tfw, .pgw, .jgw and so on, .tifw, .pngw and so on, or .wld; None without."""
    suffix = path.suffix.lower()
    if len(suffix) < 3:
        return None
    names = [_SUFFIXES.get(suffix, f".{suffix[1]}{suffix[-1]}w"), f"{suffix}w", *_FURTHER.get(suffix, ()), ".wld"]
    beside = [path.with_suffix(spelt) for name in names for spelt in (name, name.upper())]
    return next((candidate for candidate in beside if candidate.is_file()), None)


def read_world_file(path: Path) -> NDArray[np.float64]:
    """Return the matrix (3, 3) that takes (column, row, 1) of a pixel's centre to its place.

    Six numbers, each on a line: A, D, B, E, C, F of x = A column + B row + C and y = D column + E row + F. Columns and
    rows count from the centre of the first pixel.

    Raises:
        InputError: the file does not hold six finite numbers.
    """
    advice = "check the file, or remove it"
    content = read_small_file(path, expected="a world file", advice=advice)
    try:
        a, d, b, e, c, f = parse_numbers(_words(content), 6, "a world file")
    except MismatchError as problem:
        raise refusal(path, expected=problem.expected, found=problem.found, advice=advice) from None
    return np.array([[a, b, c], [d, e, f], [0, 0, 1]])


def _words(content: bytes) -> list[str]:
    """Return the first six words of a world file, commas of decimals as points; programs ignore what follows."""
    words = content.decode("utf-8-sig", errors="replace").split()
    return [word.replace(",", ".") if word.count(",") == 1 and "." not in word else word for word in words[:6]]


def with_world_file(image: Image) -> Image:
    """Return the image with the georeference of the world file beside it, and a note; or as it is, without one.

    A georeference in the file itself counts more. A world file that cannot be read is not used, and a note says so.
    """
    metadata = image.metadata
    world_file = None if metadata.georeference else world_file_beside(metadata.path)
    if world_file is None:
        return image
    name = shown(world_file.name)
    try:
        matrix = read_world_file(world_file)
        if is_singular(matrix * [[1, 1, 0], [1, 1, 0], [0, 0, 1]]):
            found, advice = matrix.tolist(), "check the file, or remove it"
            raise refusal(world_file, expected="a place of its own for each pixel", found=found, advice=advice)
    except InputError as error:
        return dataclasses.replace(image, notes=(*image.notes, f"the world file {name} was not used: {error}"))
    if any("orientation tag" in note for note in image.notes):
        note = f"the world file {name} was not used: the orientation tag turns the image"
        return dataclasses.replace(image, notes=(*image.notes, note))
    metadata = dataclasses.replace(metadata, georeference=_georeference(matrix))
    return dataclasses.replace(image, metadata=metadata, notes=(*image.notes, f"lies where {name} says"))


def _georeference(matrix: NDArray[np.float64]) -> tuple[Tag, ...]:
    """Return the GeoTIFF tags of a world file's matrix, from the corner of the first pixel instead of its centre."""
    (a, b, c), (d, e, f) = matrix[:2].tolist()
    x, y = c - (a + b) / 2, f - (d + e) / 2
    if b == d == 0 and a > 0 > e:
        place: tuple[Tag, ...] = (
            (_PIXEL_SCALE, _DOUBLE, 3, (a, -e, 0.0)),
            (_TIEPOINTS, _DOUBLE, 6, (0.0, 0.0, 0.0, x, y, 0.0)),
        )
    else:
        values = (a, b, 0.0, x, d, e, 0.0, y, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
        place = ((TRANSFORMATION, _DOUBLE, 16, values),)
    return (*place, (_KEYS, _SHORT, 8, _PIXEL_IS_AREA))
