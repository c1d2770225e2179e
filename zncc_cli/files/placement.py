"""Where an image lies: on the Earth by GeoTIFF's tags or a world file, or under a microscope by OME's stage position.

With the placements of two images, the place of a fixed pixel says which moving pixel shows it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.metadata import Metadata
from zncc_cli.files.paths import MismatchError, refusal
from zncc_cli.files.tiff.calibration import length_unit, unescaped
from zncc_cli.files.tiff.georeference import TIEPOINTS, TRANSFORMATION
from zncc_cli.files.world_file import read_world_file, world_file_beside
from zncc_cli.registration.transforms.matrices import is_singular
from zncc_cli.text import shown

_PIXEL_SCALE, _KEYS, _DOUBLES, _TEXTS = 33550, 34735, 34736, 34737
# Keys of GeoTIFF: what a pixel is, and the codes of the coordinate reference system.
_RASTER_TYPE, _PIXEL_IS_POINT = 1025, 2
_PROJECTED, _GEODETIC, _USER_DEFINED = 3072, 2048, 32767
_CITATIONS = (1026, 2049, 3073, 4097)  # names for people


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the pixels of an image lie.

    source: the kind of file content that says so, for messages.
    matrix: float64 (3, 3), maps (x, y, 1) of a pixel to coordinates in ``unit``.
    unit: of the coordinates: "m", or "" for that of the coordinate reference system.
    system: the coordinate reference system; None where it is not known.
    notes: sentences on what was taken for granted.
    """

    source: str
    matrix: NDArray[np.float64]
    unit: str = ""
    system: Mapping[int, Any] | None = None
    notes: tuple[str, ...] = ()


def placed_matrix(fixed: Placement, moving: Placement) -> NDArray[np.float64]:
    """Return the matrix (3, 3), fixed -> moving pixels, by which pixels of the same place correspond.

    Raises:
        MismatchError: the two places cannot be compared.
    """
    if fixed.unit != moving.unit:
        raise MismatchError(f"{fixed.source}, as of the fixed image", moving.source)
    if fixed.system is not None and moving.system is not None and not _are_one_system(fixed.system, moving.system):
        raise MismatchError(f"the fixed image's {_system_name(fixed.system)}", _system_name(moving.system))
    # Differences first: coordinates on the Earth have many digits before those that matter here.
    to_moving = np.linalg.inv(moving.matrix[:2, :2])
    matrix = np.eye(3)
    matrix[:2, :2] = to_moving @ fixed.matrix[:2, :2]
    matrix[:2, 2] = to_moving @ (fixed.matrix[:2, 2] - moving.matrix[:2, 2])
    return matrix


def placement(metadata: Metadata, shape: tuple[int, int]) -> Placement:
    """Return where an image of ``shape`` (H, W) lies, by its georeference, its stage position, or its world file.

    Raises:
        InputError: the file does not say so, or what it says cannot be used.
    """
    try:
        found = _of_georeference(metadata) or _of_stage(metadata, shape)
        if found is None or found.system == {}:  # the georeference of a world file names no system
            found = _of_world_file(metadata.path) or found
        if found is None:
            raise MismatchError("a georeference, a stage position with a pixel size (OME), or a world file", "none")
        # Singular or not, coordinates on the Earth have offsets of many digits.
        if not np.isfinite(found.matrix).all() or is_singular(found.matrix * [[1, 1, 0], [1, 1, 0], [0, 0, 1]]):
            raise MismatchError(f"{found.source} that gives each pixel a place of its own", found.matrix.tolist())
    except MismatchError as problem:
        advice = "leave out `init`, or give landmarks"
        raise refusal(metadata.path, expected=problem.expected, found=problem.found, advice=advice) from None
    return found


def _of_georeference(metadata: Metadata) -> Placement | None:
    """Return the place by GeoTIFF's tags, or None without them.

    OGC GeoTIFF 1.1: pixels are areas, counted from their corners, or points, counted from their centres.
    """
    tags = {code: value for code, _, _, value in metadata.georeference}
    if TRANSFORMATION in tags:
        values = _numbers(tags[TRANSFORMATION], 16)
        matrix = np.array([[values[0], values[1], values[3]], [values[4], values[5], values[7]], [0, 0, 1]])
    elif _PIXEL_SCALE in tags and TIEPOINTS in tags:
        (width, height, _), (column, row, _, x, y, _) = _numbers(tags[_PIXEL_SCALE], 3), _numbers(tags[TIEPOINTS], 6)
        matrix = np.array([[width, 0, x - width * column], [0, -height, y + height * row], [0, 0, 1]])
    elif TIEPOINTS in tags:
        raise MismatchError("a georeference with a pixel scale or a transformation", "ground control points only")
    else:
        return None
    keys = _geo_keys(tags)
    if keys.get(_RASTER_TYPE) != _PIXEL_IS_POINT:
        matrix = matrix @ np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    system = {key: value for key, value in keys.items() if key != _RASTER_TYPE and key not in _CITATIONS}
    return Placement("a georeference", matrix, system=system)


def _numbers(value: Any, count: int) -> tuple[float, ...]:
    """Return the first ``count`` numbers of a tag's value, or raise `MismatchError`."""
    values = value[:count] if isinstance(value, tuple) else ()
    if len(values) < count or not all(isinstance(number, int | float) and math.isfinite(number) for number in values):
        raise MismatchError(f"a georeference tag of {count} finite numbers", repr(value))
    return values


def _geo_keys(tags: Mapping[int, Any]) -> dict[int, Any]:
    """Return the keys of the coordinate reference system: each has its value, or its place in one of two tags."""
    directory = tags.get(_KEYS, ())
    if not isinstance(directory, tuple) or not all(isinstance(number, int) for number in directory):
        raise MismatchError("a georeference with a directory of keys", repr(directory))
    keys: dict[int, Any] = {}
    for start in range(4, len(directory) - 3, 4):
        key, source, count, value = directory[start : start + 4]
        stored = tags.get(source) if source in (_DOUBLES, _TEXTS) else None
        # A tag of one number is read as that number.
        values = stored if isinstance(stored, tuple | str) else (stored,)
        keys[key] = value if source == 0 else values[value : value + count]
    return keys


def _system_code(system: Mapping[int, Any]) -> int | None:
    """Return the EPSG code of a coordinate reference system; None where it is defined by its parts, or not at all."""
    code = system.get(_PROJECTED) or system.get(_GEODETIC)
    return code if isinstance(code, int) and code != _USER_DEFINED else None


def _are_one_system(a: Mapping[int, Any], b: Mapping[int, Any]) -> bool:
    codes = _system_code(a), _system_code(b)
    return codes[0] == codes[1] if None not in codes else a == b


def _system_name(system: Mapping[int, Any]) -> str:
    code = _system_code(system)
    if code is not None:
        return f"coordinate reference system EPSG:{code}"
    return "coordinate reference system without an EPSG code" if system else "coordinates without a reference system"


def _of_stage(metadata: Metadata, shape: tuple[int, int]) -> Placement | None:
    """Return the place by OME's stage position, or None without one.

    The position is that of the middle of the frame, and its axes are those of the image: x to the right, y downwards.
    """
    planes = metadata.properties.get("Plane") if metadata.flavor == "ome" else None
    if not isinstance(planes, dict) or not {"PositionX", "PositionY"} <= planes.keys():
        return None
    size = metadata.pixel_size
    unit = None if size is None else length_unit(unescaped(size.unit))
    if size is None or unit is None:
        raise MismatchError("a pixel size in a unit of length beside the stage position", size and size.unit)
    middle, notes = [], []
    for axis in "XY":
        positions = planes[f"Position{axis}"]
        if len(set(positions)) > 1:
            raise MismatchError("one stage position of all planes", f"several (Position{axis})")
        names = planes.get(f"Position{axis}Unit", ())
        name = names[0] if names else "reference frame"
        stage_unit = unit if name == "reference frame" else length_unit(unescaped(name))
        if stage_unit is None:
            raise MismatchError("a stage position in a unit of length", repr(name))
        if name == "reference frame":
            notes.append(f"the stage position has no unit: it is taken to be in {unit.name}")
        middle.append(float(positions[0]) * stage_unit.metres)
    width, height = size.x * unit.metres, size.y * unit.metres
    origin = middle[0] - width * (shape[1] - 1) / 2, middle[1] - height * (shape[0] - 1) / 2
    matrix = np.array([[width, 0, origin[0]], [0, height, origin[1]], [0, 0, 1]])
    return Placement("a stage position", matrix, "m", notes=tuple(dict.fromkeys(notes)))


def _of_world_file(path: Path) -> Placement | None:
    """Return the place by the world file beside an image, or None without one."""
    world_file = world_file_beside(path)
    if world_file is None:
        return None
    note = f"{shown(world_file.name)} names no coordinate reference system: it is taken to be that of the other image"
    return Placement("a world file", read_world_file(world_file), notes=(note,))
