"""Regions in GeoJSON: all of their points are mapped, and all else is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zncc_cli.errors import InputError
from zncc_cli.files.transforms.regions import mapped_regions, recognizes


def doubled(points: np.ndarray) -> np.ndarray:
    """Maps centres of pixels; a point left of zero has no place."""
    return np.where(points[:, :1] < 0, np.nan, 2 * points)


def mapped(folder: Path, value: Any) -> tuple[int, Any]:
    path = folder / "r.geojson"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    count, content = mapped_regions(path, doubled, "left of zero")
    return count, json.loads(content)


def feature(kind: str, coordinates: Any, **rest: Any) -> dict[str, Any]:
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, **rest}


# The corner of a pixel lies half a pixel before its centre: 2 (1.5 - 0.5) + 0.5 = 2.5.
RING, MOVED = [[1.5, 0.5], [3.5, 0.5], [3.5, 4.5], [1.5, 0.5]], [[2.5, 0.5], [6.5, 0.5], [6.5, 8.5], [2.5, 0.5]]


@pytest.mark.parametrize(
    ("kind", "coordinates", "want"),
    [
        ("Point", RING[0], MOVED[0]),
        ("MultiPoint", RING, MOVED),
        ("LineString", RING, MOVED),
        ("MultiLineString", [RING, RING[:2]], [MOVED, MOVED[:2]]),
        ("Polygon", [RING], [MOVED]),
        ("MultiPolygon", [[RING], [RING, RING]], [[MOVED], [MOVED, MOVED]]),
    ],
)
def test_points_of_every_kind_are_mapped(kind: str, coordinates: Any, want: Any, tmp_path: Path) -> None:
    kept = {"id": "a", "properties": {"classification": {"name": "Tumor"}}}
    _, result = mapped(tmp_path, {"type": "FeatureCollection", "features": [feature(kind, coordinates, **kept)]})
    assert result == {"type": "FeatureCollection", "features": [feature(kind, want, **kept)]}


def test_a_cell_has_its_nucleus_mapped(tmp_path: Path) -> None:
    cell = feature("Polygon", [RING], nucleusGeometry={"type": "Polygon", "coordinates": [RING]}, bbox=[1, 2, 3, 4])
    count, (result,) = mapped(tmp_path, [cell])  # QuPath writes bare lists, too
    assert count == 8
    assert result["nucleusGeometry"]["coordinates"] == result["geometry"]["coordinates"] == [MOVED]
    assert "bbox" not in result  # it would not be true any more


def test_an_ellipse_becomes_the_polygon_of_its_points(tmp_path: Path) -> None:
    """QuPath would draw the ellipse in its bounds again, which another transform turns."""
    ellipse = {"type": "Polygon", "isEllipse": True, "coordinates": [RING]}
    _, result = mapped(tmp_path, {"type": "Feature", "geometry": ellipse})
    assert result["geometry"] == {"type": "Polygon", "coordinates": [MOVED]}


def test_a_collection_and_a_bare_geometry_are_mapped(tmp_path: Path) -> None:
    point = {"type": "Point", "coordinates": [1.5, 0.5, 7]}
    _, result = mapped(tmp_path, {"type": "GeometryCollection", "geometries": [point]})
    assert result["geometries"] == [{"type": "Point", "coordinates": [2.5, 0.5, 7]}]
    assert mapped(tmp_path, point)[1]["coordinates"] == [2.5, 0.5, 7]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{", ("no valid JSON",)),
        ("[]", ("no points",)),
        ([feature("Circle", [1, 2])], ("feature 1", "Circle")),
        ([feature("Point", [1, 2]), feature("Polygon", [[1, 2]])], ("feature 2", "[x, y]")),
        ([feature("Point", ["1", 2])], ("feature 1", "[x, y]")),
        ([feature("Point", [-3.5, 2])], ("[-3.5, 2]", "left of zero")),
        ('[{"type": "Point", "coordinates": [NaN, 1]}]', ("feature 1", "nan")),
        ({"type": "FeatureCollection", "crs": {}, "features": []}, ("the Earth",)),
        ({"type": "FeatureCollection", "features": 3}, ("features",)),
        ([7], ("feature 1",)),
    ],
)
def test_what_has_no_places_is_refused(value: Any, words: tuple[str, ...], tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        mapped(tmp_path, value)
    for word in ("r.geojson", *words):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("text", "is_json"), [(' \n{"a": 1}', True), ("[1]", True), ("x,y\n1,2", False), ("1 2", False)]
)
def test_tables_are_no_regions(text: str, is_json: bool, tmp_path: Path) -> None:
    (tmp_path / "p").write_text(text)
    assert recognizes(tmp_path / "p") == is_json
