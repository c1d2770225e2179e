"""Regions in GeoJSON, as QuPath exports annotations and cells, with all their points mapped and all else kept.

QuPath counts from the corner of the first pixel, whose centre is (0.5, 0.5) there, and (0, 0) here. Straight lines
between points stay straight lines: a region that bends is as
fine as its points are.

https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
https://www.rfc-editor.org/rfc/rfc7946
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.errors import InputError
from zncc_cli.files.paths import MismatchError, refusal, regular_file_size, unreadable
from zncc_cli.files.transforms.transform_json import parse_json
from zncc_cli.text import one_line, shown

EXPECTED = "GeoJSON with regions in pixels of the image"
MAX_BYTES = 2**26  # some hundred thousand cells; ten times that in memory
_ADVICE = "check the file"
_CORNER_TO_CENTRE_PX = 0.5
_MAX_COORDINATE_PX = 1e300
# How deep the lists of a geometry's points are nested.
_DEPTHS = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}
_COLLECTION = "GeometryCollection"
_GEOMETRIES = ("geometry", "nucleusGeometry")  # of a feature; QuPath's cells have both

_Mapping = Callable[[NDArray[np.float64]], NDArray[np.float64]]
_Position = list[Any]


def recognizes(path: Path) -> bool:
    """Tell whether a file begins as JSON does; no table of points does."""
    regular_file_size(path, expected=EXPECTED)
    try:
        with path.open("rb") as file:
            return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")
    except OSError as error:
        raise unreadable(path, error) from error


def mapped_regions(path: Path, mapping: _Mapping, nowhere: str) -> tuple[int, bytes]:
    """Return the number of points of all regions of a file, and its content with these mapped.

    Bounding boxes (``bbox``), which the standard leaves optional, are left out.

    Args:
        path: GeoJSON: features, a feature, or a geometry.
        mapping: (N, 2) float64 -> (N, 2); NaN for a point that has no place in the other image.
        nowhere: where such points are, in words.

    Raises:
        InputError: the file is no such GeoJSON, or a point has no place in the other image.
    """
    size = regular_file_size(path, expected=EXPECTED)
    if size > MAX_BYTES:
        raise refusal(path, expected=f"{EXPECTED}, of {MAX_BYTES} bytes at most", found=f"{size} bytes", advice=_ADVICE)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        value = parse_json(content, EXPECTED)
        positions = list(_positions(value))
    except MismatchError as problem:
        raise refusal(path, expected=problem.expected, found=problem.found, advice=_ADVICE) from None
    if not positions:
        raise refusal(path, expected=EXPECTED, found="no points", advice=_ADVICE)
    points = np.array([position[:2] for position in positions], dtype=np.float64) - _CORNER_TO_CENTRE_PX
    with np.errstate(over="ignore", invalid="ignore"):
        mapped = mapping(points) + _CORNER_TO_CENTRE_PX
    lost = np.flatnonzero(~np.isfinite(mapped).all(axis=1))
    if lost.size:
        raise lost_point(path, positions[lost[0]][:2], nowhere)
    for position, place in zip(positions, mapped.tolist(), strict=True):
        position[:2] = place
    return len(positions), (json.dumps(value, allow_nan=False) + "\n").encode()


def lost_point(path: Path, point: object, nowhere: str) -> InputError:
    """Return the error of a point of a region that has no place in the other image."""
    return InputError(
        f"{shown(path)}: expected points that have a place in the other image, found {point}, {nowhere}; leave its "
        "region out"
    )


def _positions(value: Any) -> Iterator[_Position]:
    """Yield the lists [x, y] of all points, to be changed in place; raise `MismatchError` for anything else."""
    if isinstance(value, dict):
        if "crs" in value:
            raise MismatchError("points in pixels of the image", "a coordinate reference system of the Earth")
        features = value.get("features") if value.get("type") == "FeatureCollection" else [value]
    else:
        features = value
    if not isinstance(features, list):
        raise MismatchError('"features": a list', one_line(repr(features)))
    for number, feature in enumerate(features, start=1):
        if not isinstance(feature, dict):
            raise MismatchError(f"an object for feature {number}", one_line(repr(feature)))
        feature.pop("bbox", None)
        geometries = [feature]
        if feature.get("type") == "Feature":
            geometries = [feature[key] for key in _GEOMETRIES if feature.get(key) is not None]
        for geometry in geometries:
            yield from _of_geometry(geometry, number)
    if isinstance(value, dict):
        value.pop("bbox", None)


def _of_geometry(geometry: Any, number: int, *, inner: bool = False) -> Iterator[_Position]:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind == _COLLECTION and not inner and isinstance(geometry.get("geometries"), list):
        for part in geometry["geometries"]:
            yield from _of_geometry(part, number, inner=True)
        return
    if kind not in _DEPTHS:
        raise MismatchError(f"a geometry of GeoJSON in feature {number}", one_line(repr(kind or geometry)))
    geometry.pop("bbox", None)
    geometry.pop("isEllipse", None)  # by which QuPath would draw the ellipse that fills the bounds of its points
    level = [geometry.get("coordinates")]
    for _ in range(_DEPTHS[kind]):
        if not all(isinstance(part, list) for part in level):
            break
        level = [item for part in level for item in part]
    for position in level:
        if not _is_position(position):
            raise MismatchError(f"[x, y] in pixels in feature {number}", one_line(repr(position)))
        yield position


def _is_position(value: Any) -> bool:
    is_list = isinstance(value, list) and 2 <= len(value) <= 3
    return is_list and all(type(number) in (int, float) and abs(number) < _MAX_COORDINATE_PX for number in value)
