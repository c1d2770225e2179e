"""Points in GeoJSON, as QuPath exports them: features of Point or MultiPoint in pixels of the image.

QuPath counts from the corner of the first pixel, whose centre is (0.5, 0.5) there, and (0, 0) here.

https://qupath.readthedocs.io/en/stable/docs/advanced/exporting_annotations.html
https://www.rfc-editor.org/rfc/rfc7946
"""

from __future__ import annotations

from typing import Any

from zncc_cli.files.landmarks.landmarks import Points, as_points
from zncc_cli.files.paths import MismatchError
from zncc_cli.files.transforms.transform_json import parse_json

_EXPECTED = "GeoJSON features of Point or MultiPoint"
_CORNER_TO_CENTRE_PX = 0.5


def recognizes(content: bytes) -> bool:
    """Tell whether the content is a JSON object of one of GeoJSON's types, or a list of objects, as QuPath's."""
    if content.lstrip()[:1] not in (b"{", b"["):
        return False
    try:
        value = parse_json(content, _EXPECTED)
    except MismatchError:
        return False
    if isinstance(value, list):
        return bool(value) and isinstance(value[0], dict)
    return isinstance(value, dict) and isinstance(value.get("type"), str) and "format" not in value


def parse(content: bytes) -> Points:
    """Read the points of all features, in their order; names are those of features with one point each."""
    value = parse_json(content, _EXPECTED)
    if isinstance(value, dict) and "crs" in value:
        raise MismatchError("points in pixels of the image", "a coordinate reference system of the Earth")
    features = value.get("features") if isinstance(value, dict) and value["type"] == "FeatureCollection" else value
    positions: list[list[float]] = []
    names: list[str | None] = []
    for feature in features if isinstance(features, list) else [features]:
        if not isinstance(feature, dict):
            raise MismatchError(_EXPECTED, repr(feature))
        geometry = feature.get("geometry") if feature.get("type") == "Feature" else feature
        found = _positions(geometry)
        positions += found
        names += [_name(feature)] if len(found) == 1 else [None] * len(found)
    points = as_points(positions) - _CORNER_TO_CENTRE_PX
    known = tuple(name for name in names if name is not None)
    return Points(points, known if len(known) == len(points) else None)


def _positions(geometry: Any) -> list[list[float]]:
    """Return the points of a geometry, [x, y] each; a third coordinate is left out."""
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in ("Point", "MultiPoint"):
        raise MismatchError(_EXPECTED, f"a {kind}" if isinstance(kind, str) else repr(geometry))
    coordinates = geometry.get("coordinates")
    positions = [coordinates] if kind == "Point" else coordinates
    if not isinstance(positions, list) or not all(map(_is_position, positions)):
        raise MismatchError(f'"coordinates" of a {kind}: [x, y] in pixels', repr(coordinates))
    return [[float(position[0]), float(position[1])] for position in positions]


def _is_position(value: Any) -> bool:
    is_list = isinstance(value, list) and 2 <= len(value) <= 3
    return is_list and all(type(number) in (int, float) and abs(number) < 1e300 for number in value)


def _name(feature: dict[str, Any]) -> str | None:
    properties = feature.get("properties")
    name = properties.get("name") if isinstance(properties, dict) else None
    return name if isinstance(name, str) and name else None
