"""Files of landmarks: what each format holds, in pixels from the centre of the first one; and what is refused."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.files.landmarks.roi_files import POLYGON, roi, roi_zip
from zncc_cli.errors import InputError
from zncc_cli.files.landmarks.read import read_pairs, read_points, recognizes

FIXED = np.array([[10.5, 20.25], [100.0, 30.5], [40.75, 90.0]])
MOVING = np.array([[12.0, 18.5], [103.25, 29.0], [41.0, 93.5]])


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def geojson(points: np.ndarray, names: list[str] | None = None) -> str:
    """Return what QuPath exports: a feature for each point, in pixels from the corner of the first one."""
    features = [
        {
            "type": "Feature",
            "id": f"00000000-0000-0000-0000-{number:012}",
            "geometry": {"type": "Point", "coordinates": (point + 0.5).tolist()},
            "properties": {"objectType": "annotation"} | ({"name": names[number]} if names else {}),
        }
        for number, point in enumerate(points)
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


def multi_point(points: np.ndarray) -> str:
    """Return what QuPath exports of one annotation with many points: a list of features."""
    geometry = {"type": "MultiPoint", "coordinates": (points + 0.5).tolist()}
    return json.dumps([{"type": "Feature", "geometry": geometry, "properties": {}}])


def single_points(points: np.ndarray) -> bytes:
    return roi_zip({f"{number:04}.roi": roi(point[None]) for number, point in enumerate(points)})


def table(points: np.ndarray) -> str:
    return "x,y\n" + "".join(f"{x},{y}\n" for x, y in points)


def napari(points: np.ndarray) -> str:
    return "index,axis-0,axis-1\n" + "".join(f"{number}.0,{y},{x}\n" for number, (x, y) in enumerate(points))


PAIRS = list(zip(FIXED.tolist(), MOVING.tolist(), strict=True))
PAIR_FILES = {
    "own": "fixed_x,fixed_y,moving_x,moving_y\n" + "".join(f"{f[0]},{f[1]},{m[0]},{m[1]}\n" for f, m in PAIRS),
    "own, other order, tabs": "id\tmoving_x\tmoving_y\tFixed_X\tFixed_Y\r\n"
    + "".join(f"a\t{m[0]}\t{m[1]}\t{f[0]}\t{f[1]}\r\n" for f, m in PAIRS),
    "BigWarp 2D": "".join(f'"Pt-{k}","true","{m[0]}","{m[1]}","{f[0]}","{f[1]}"\n' for k, (f, m) in enumerate(PAIRS))
    + '"Pt-3","false","Infinity","Infinity","4.0","5.0"\n',
    "BigWarp 3D": "".join(
        f'"Pt-{k}","true","{m[0]}","{m[1]}","0.0","{f[0]}","{f[1]}","7.5"\n' for k, (f, m) in enumerate(PAIRS)
    ),
    "BigWarp 2D with numbers": "".join(
        f'"Pt-{k}","true","0","{m[0]}","{m[1]}","{f[0]}","{f[1]}"\n' for k, (f, m) in enumerate(PAIRS)
    ),
}


@pytest.mark.parametrize("kind", PAIR_FILES)
def test_a_table_of_pairs_is_read(tmp_path: Path, kind: str) -> None:
    pairs = read_pairs(write(tmp_path / "landmarks.csv", PAIR_FILES[kind]))
    np.testing.assert_array_equal(pairs.fixed, FIXED)
    np.testing.assert_array_equal(pairs.moving, MOVING)
    assert pairs.calibrated == kind.startswith("BigWarp")


POINT_FILES: dict[str, Any] = {
    "table": table,
    "napari": napari,
    "roi": roi,
    "zip": single_points,
    "zip of one selection": lambda points: roi_zip({"points.roi": roi(points)}),
    "GeoJSON": geojson,
    "GeoJSON MultiPoint": multi_point,
}


@pytest.mark.parametrize("kind", POINT_FILES)
def test_the_points_of_two_files_are_paired_in_their_order(tmp_path: Path, kind: str) -> None:
    fixed = write(tmp_path / "fixed", POINT_FILES[kind](FIXED))
    moving = write(tmp_path / "moving", POINT_FILES[kind](MOVING))
    pairs = read_points(fixed, moving)
    np.testing.assert_array_equal(pairs.fixed, FIXED)  # quarters of a pixel: exact in float32 as well
    np.testing.assert_array_equal(pairs.moving, MOVING)
    assert not pairs.calibrated


def test_the_two_files_may_be_of_different_kinds(tmp_path: Path) -> None:
    pairs = read_points(write(tmp_path / "a.roi", roi(FIXED)), write(tmp_path / "b.geojson", geojson(MOVING)))
    np.testing.assert_array_equal(np.hstack([pairs.fixed, pairs.moving]), np.hstack([FIXED, MOVING]))


def test_imagej_selections_in_whole_pixels_are_read(tmp_path: Path) -> None:
    for offset in ([0, 0], [-20, 0], [42_000, 35_000]):  # beyond 32767: unsigned; a little beyond the frame: signed
        whole = np.array([[3, 700], [40_000, 8], [1023, 511]]) // [2, 1] + offset
        file = write(tmp_path / "a.roi", roi(whole, sub_pixel=False))
        np.testing.assert_array_equal(read_points(file, file).fixed, whole)
    old = write(tmp_path / "b.roi", roi(FIXED, version=221))  # before there were floats, whatever the option says
    np.testing.assert_array_equal(read_points(old, old).fixed, np.floor(FIXED))


@pytest.mark.parametrize("kind", ["GeoJSON", "zip", "table"])
def test_points_with_the_same_names_are_paired_by_name(tmp_path: Path, kind: str) -> None:
    names = ["eye", "nose", "ear"]

    def named(points: np.ndarray, order: list[int]) -> bytes | str:
        chosen, points = [names[k] for k in order], points[order]
        if kind == "GeoJSON":
            return geojson(points, chosen)
        if kind == "zip":
            return roi_zip({f"{name}.roi": roi(point[None]) for name, point in zip(chosen, points, strict=True)})
        return "name,x,y\n" + "".join(f"{n},{x},{y}\n" for n, (x, y) in zip(chosen, points, strict=True))

    fixed, moving = write(tmp_path / "a", named(FIXED, [0, 1, 2])), write(tmp_path / "b", named(MOVING, [2, 0, 1]))
    pairs = read_points(fixed, moving)
    np.testing.assert_array_equal(pairs.fixed, FIXED)
    np.testing.assert_array_equal(pairs.moving, MOVING)


@pytest.mark.parametrize("moving_names", [["a", "b", "d"], ["a", "a", "b"]])
def test_points_with_other_names_are_paired_in_their_order(tmp_path: Path, moving_names: list[str]) -> None:
    fixed = write(tmp_path / "a", geojson(FIXED, ["c", "b", "a"]))
    moving = write(tmp_path / "b", geojson(MOVING, moving_names))
    np.testing.assert_array_equal(read_points(fixed, moving).moving, MOVING)


HEADER = "fixed_x,fixed_y,moving_x,moving_y\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (HEADER, ("at least one landmark", "none")),
        (HEADER + "1,2,3,nan\n", ("a finite number", "landmark 1", "'nan'")),
        (HEADER + "1,2,3,4\n1,2,3\n", ("4 fields for landmark 2", "found 3")),
        (HEADER + "1,2,3,4\n" * 10_001, ("at most 10000 landmarks",)),
        ("1,2,3,4\n5,6,7,8\n", ("a header fixed_x,fixed_y,moving_x,moving_y", "a first line of numbers")),
        ('"Pt-0","false","1","2","3","4"\n', ("at least one landmark", "none")),
        ('"Pt-0","true","1","2","3","Infinity"\n', ("a finite number", "'Infinity'")),
        (table(FIXED), ("landmarks of both images", "the points of one image", "FIXED,MOVING")),
        (roi(FIXED), ("landmarks of both images", "the points of one image", "FIXED,MOVING")),
        ("hello\n", ("expected landmarks", 'text that begins with "hello')),
        (HEADER.encode() + b"\xff\xfe,1,2,3\n", ("expected landmarks",)),
    ],
)
def test_a_file_without_pairs_is_refused(tmp_path: Path, content: bytes | str, words: tuple[str, ...]) -> None:
    path = write(tmp_path / "landmarks.csv", content)
    with pytest.raises(InputError) as error:
        read_pairs(path)
    assert str(error.value).startswith(f"{path}: expected ")
    for word in words:
        assert word in str(error.value)


def claiming(content: bytes, count: int) -> bytes:
    """Return a .roi with another number of points in its header: 32 bits beyond 16."""
    if count < 2**16:
        return content[:16] + count.to_bytes(2, "big") + content[18:]
    return content[:16] + bytes(2) + count.to_bytes(4, "big") + content[22:]


def bomb() -> bytes:
    """Return a .zip of a kilobyte whose one entry inflates to 64 MB of zeros."""
    return roi_zip({"a.roi": roi(FIXED) + bytes(2**26)})


def encrypted() -> bytes:
    content = bytearray(single_points(FIXED))
    for magic, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.find(magic) + flags] |= 1
    return bytes(content)


def many_entries() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(10_001):
            archive.writestr(f"{number:x}.roi", b"")
    return file.getvalue()


def feature(geometry: object) -> str:
    return json.dumps({"type": "Feature", "geometry": geometry, "properties": None})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (roi(FIXED, kind=POLYGON), ("a point selection of ImageJ", "a polygon selection")),
        (roi(FIXED)[:70], ("100 bytes for 3 points", "70 bytes")),
        (roi(FIXED)[:40], ("64 bytes at least", "40 bytes")),
        (claiming(roi(FIXED), 9000), ("bytes for 9000 points",)),
        (claiming(roi(FIXED), 2**31 - 1), ("1 to 10000 points", "2147483647")),
        (claiming(roi(FIXED), 0), ("1 to 10000 points", "found 0")),
        (roi_zip({"a.txt": b"a"}), ("a .zip of point selections", "no .roi in it")),
        (roi_zip({"a.roi": b"hello"}), ("point selections of ImageJ", "other content in a.roi")),
        (roi_zip({"a.roi": roi(FIXED)})[:-30], ("a .zip of point selections",)),
        (roi_zip({"a.roi": roi(FIXED)}, zipfile.ZIP_LZMA)[:-40], ("a .zip of point selections",)),
        (encrypted(), ("a .zip of point selections", "encrypted")),
        (bomb(), ("1048576 bytes at most",)),
        (many_entries(), ("at most 10000 selections", "10001")),
        (feature({"type": "Polygon", "coordinates": []}), ("Point or MultiPoint", "a Polygon")),
        (feature({"type": "Point", "coordinates": ["1", 2]}), ("[x, y] in pixels",)),
        (feature({"type": "Point", "coordinates": [float("nan"), 2]}), ("[x, y] in pixels",)),
        (feature({"type": "MultiPoint", "coordinates": 3}), ("[x, y] in pixels",)),
        (feature(None), ("Point or MultiPoint",)),
        ('{"type": "FeatureCollection", "features": []}', ("at least one landmark", "none")),
        ('{"type": "FeatureCollection", "features": [3]}', ("Point or MultiPoint",)),
        ('{"type": "FeatureCollection", "crs": {}, "features": []}', ("pixels of the image", "of the Earth")),
        ("[" * 100_000, ("expected landmarks",)),
        ("x,y\n1,2\n", ("as many points as in the file of the fixed image", "1, not 3")),
        (PAIR_FILES["own"], ("the points of one image", "pairs of both", "name this file alone")),
        ("x,y\n1,1e999\n", ("a finite number",)),
    ],
)
def test_a_file_without_points_is_refused(tmp_path: Path, content: bytes | str, words: tuple[str, ...]) -> None:
    fixed, moving = write(tmp_path / "fixed.csv", table(FIXED)), write(tmp_path / "moving", content)
    with pytest.raises(InputError) as error:
        read_points(fixed, moving)
    assert str(error.value).startswith(f"{moving}: expected ")
    for word in words:
        assert word in str(error.value)


def test_a_point_at_no_number_is_refused(tmp_path: Path) -> None:
    content = bytearray(roi(FIXED))
    content[64 + 12 : 64 + 16] = np.array([np.nan], ">f4").tobytes()
    path = write(tmp_path / "a.roi", bytes(content))
    with pytest.raises(InputError, match=r"finite coordinates.*nan.*of landmark 1"):
        read_points(path, path)


@pytest.mark.parametrize(
    "content",
    [
        b"1,0,5\n0,1,2\n0,0,1\n",
        b"[[1,0,5],[0,1,2],[0,0,1]]",
        b'{"format": "zncc-transform"}',
        b"Transformation\nAFFINE\n",
        b"#Insight Transform File V1.0\n",
        b"%YAML:1.0\n",
        b"\x93NUMPY",
        b"",
        b"\xff\xfe",
    ],
)
def test_transforms_are_no_landmarks(content: bytes) -> None:
    assert not recognizes(content)
