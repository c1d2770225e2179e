"""Regions of ImageJ, written and read by roifile: points are mapped in both directions, and all else is kept."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zncc_cli.errors import InputError
from zncc_cli.files.transforms import imagej_regions
from zncc_cli.files.transforms.imagej_regions import mapped_selections

roifile: Any = pytest.importorskip("roifile", reason="roifile writes the regions: pip install roifile")

TURN = np.array([[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]])


def turned(points: np.ndarray) -> np.ndarray:
    """Turns and shifts centres of pixels; left of -1000 there is no place."""
    return np.asarray(np.where(points[:, :1] < -1000, np.nan, points @ TURN.T + [30, 5]))


def back(points: np.ndarray) -> np.ndarray:
    return np.asarray((points - [30, 5]) @ TURN)


def stretched(points: np.ndarray) -> np.ndarray:
    return np.asarray(points * [2, -1.5] + [3.25, 100])


def bent(points: np.ndarray) -> np.ndarray:
    return np.asarray(points + np.column_stack([0.02 * points[:, 1] ** 2, 0 * points[:, 0]]))


def roi(kind: str, points: Any = None, **rest: Any) -> Any:
    """A selection with a name, colours, a position, a group and a property."""
    if points is not None:
        made = roifile.ImagejRoi.frompoints(np.asarray(points, dtype=np.float32))
    else:
        made = roifile.ImagejRoi()
        made.top, made.left, made.bottom, made.right = 10, 20, 40, 80
    made.roitype = roifile.ROI_TYPE[kind]
    made.name, made.props, made.group, made.position = "cell 7 µ", "class: tumour\n", 3, 2
    made.stroke_color, made.fill_color, made.stroke_width = b"\xff\x10\x20\x30", b"\x80\x01\x02\x03", 4
    for name, value in rest.items():
        setattr(made, name, value)
    return made


def mapped(folder: Path, made: Any, mapping: Any = turned) -> Any:
    path = folder / "a.roi"
    path.write_bytes(made.tobytes())
    assert imagej_regions.recognizes(path)
    _, content = mapped_selections(path, mapping, "far left")
    result = roifile.ImagejRoi.frombytes(content)
    for name in ("name", "props", "group", "position", "stroke_color", "fill_color", "stroke_width"):
        assert getattr(result, name) == getattr(made, name), name
    return result


SHAPE = [[3.5, 2.25], [40.0, 8.0], [21.5, 30.0]]
# Coordinates are stored as float32: of a hundred pixels, within 1e-5.
TOLERANCE = 1e-4


@pytest.mark.parametrize("kind", ["POLYGON", "FREEHAND", "TRACED", "POLYLINE", "FREELINE", "ANGLE", "POINT"])
def test_lists_of_points_are_mapped_and_come_back(kind: str, tmp_path: Path) -> None:
    corner = 0.5 if kind in ("POLYGON", "FREEHAND", "TRACED") else 0.0
    result = mapped(tmp_path, roi(kind, SHAPE))
    assert result.roitype == roifile.ROI_TYPE[kind]
    want = turned(np.array(SHAPE) - corner) + corner
    np.testing.assert_allclose(result.coordinates(), want, atol=TOLERANCE)
    assert result.left <= want[:, 0].min() < want[:, 0].max() <= result.right
    np.testing.assert_allclose(mapped(tmp_path, result, back).coordinates(), SHAPE, atol=TOLERANCE)


def test_whole_pixels_get_fractions_and_counters_of_points_stay(tmp_path: Path) -> None:
    made = roi("POINT", [[4, 5], [9, 7]])
    made.subpixel_coordinates, made.options = None, roifile.ROI_OPTIONS.NONE
    made.counters, made.counter_positions = np.array([1, 2], np.uint8), np.array([3, 4], np.uint32)
    result = mapped(tmp_path, made)
    np.testing.assert_allclose(result.coordinates(), turned(np.array([[4.0, 5], [9, 7]])), atol=TOLERANCE)
    assert (result.counters.tolist(), result.counter_positions.tolist()) == ([1, 2], [3, 4])


def test_a_line_keeps_its_arrow(tmp_path: Path) -> None:
    made = roi("LINE", x1=1.5, y1=2.0, x2=30.0, y2=8.0, subtype=roifile.ROI_SUBTYPE.ARROW, arrow_head_size=9)
    result = mapped(tmp_path, made)
    want = turned(np.array([[1.5, 2], [30, 8]]))
    np.testing.assert_allclose([[result.x1, result.y1], [result.x2, result.y2]], want, atol=TOLERANCE)
    assert (result.subtype, result.arrow_head_size) == (roifile.ROI_SUBTYPE.ARROW, 9)


def test_a_rectangle_stays_one_where_it_is_not_turned(tmp_path: Path) -> None:
    for kind in ("RECT", "OVAL"):
        result = mapped(tmp_path, roi(kind, rounded_rect_arc_size=5), stretched)
        assert result.roitype == roifile.ROI_TYPE[kind]
        assert result.subpixelrect
        # x: 2 (20 - 0.5) + 3.25 + 0.5; y is mirrored, so that the lower side is the upper one: -1.5 (40 - 0.5) + 100.5.
        place = [result.xd, result.yd, result.widthd, result.heightd]
        np.testing.assert_allclose(place, [42.75, 41.25, 120, 45], atol=TOLERANCE)
        assert result.rounded_rect_arc_size == 5
        again = mapped(tmp_path, result, lambda points: (points - [3.25, 100]) / [2, -1.5])
        np.testing.assert_allclose([again.xd, again.yd, again.widthd, again.heightd], [20, 10, 60, 30], atol=TOLERANCE)


def test_what_is_turned_becomes_a_polygon(tmp_path: Path) -> None:
    rectangle = mapped(tmp_path, roi("RECT", rounded_rect_arc_size=5))
    assert (rectangle.roitype, rectangle.rounded_rect_arc_size) == (roifile.ROI_TYPE.POLYGON, 0)
    corners = np.array([[20, 10], [80, 10], [80, 40], [20, 40]]) - 0.5
    np.testing.assert_allclose(rectangle.coordinates(), turned(corners) + 0.5, atol=TOLERANCE)
    oval = mapped(tmp_path, roi("OVAL"))
    assert oval.roitype == roifile.ROI_TYPE.POLYGON
    from_centre = (back(oval.coordinates() - 0.5) + 0.5 - [50, 25]) / [30, 15]
    np.testing.assert_allclose(np.hypot(*from_centre.T), 1, atol=1e-5)
    rotated = mapped(tmp_path, roi("FREEHAND", SHAPE, subtype=roifile.ROI_SUBTYPE.ROTATED_RECT, x1=1.0))
    assert rotated.subtype == roifile.ROI_SUBTYPE.UNDEFINED


def test_the_sides_of_a_rectangle_bend(tmp_path: Path) -> None:
    """Its left side, x 19.5, is a parabola then; a straight one between corners would be off by 0.02 15^2 px."""
    points = mapped(tmp_path, roi("RECT"), bent).coordinates() - 0.5
    left = points[np.abs(points[:, 0] - 0.02 * points[:, 1] ** 2 - 19.5) < TOLERANCE]
    assert len(left) > 10


def test_holes_stay_holes(tmp_path: Path) -> None:
    path = [0, 0, 0, 1, 40, 0, 1, 40, 40, 4, 0, 10, 10, 2, 12, 10, 20, 20, 3, 1, 2, 3, 4, 10, 10, 4]
    made = roi("RECT", multi_coordinates=np.array(path, np.float32), shape_roi_size=len(path))
    result = mapped(tmp_path, made)
    marks = [0, 3, 6, 9, 10, 13, 18, 25]
    assert result.multi_coordinates[marks].tolist() == [0, 1, 1, 4, 0, 2, 3, 4]
    places = [k for k in range(len(path)) if k not in marks]
    want = turned(np.array(path, dtype=float)[places].reshape(-1, 2) - 0.5) + 0.5
    np.testing.assert_allclose(result.multi_coordinates[places].reshape(-1, 2), want, atol=TOLERANCE)


def test_text_moves_and_keeps_its_size(tmp_path: Path) -> None:
    result = mapped(tmp_path, roi("RECT", subtype=roifile.ROI_SUBTYPE.TEXT, text="Kern", text_name="Serif"))
    assert (result.text, result.text_name) == ("Kern", "Serif")
    assert (result.right - result.left, result.bottom - result.top) == (60, 30)
    x, y = (turned(np.array([[19.5, 9.5]])) + 0.5)[0]
    assert abs(result.left - x) <= 0.5
    assert abs(result.top - y) <= 0.5


def archive(content: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, selection in content.items():
            made.writestr(zipfile.ZipInfo(name, (2020, 5, 4, 3, 2, 2)), selection)
    return file.getvalue()


def test_a_zip_keeps_names_and_order_and_is_the_same_again(tmp_path: Path) -> None:
    path = tmp_path / "RoiSet.zip"
    path.write_bytes(archive({"b.roi": roi("POLYGON", SHAPE).tobytes(), "a.roi": roi("OVAL").tobytes()}))
    count, content = mapped_selections(path, turned, "far left")
    assert count > 30
    with zipfile.ZipFile(io.BytesIO(content)) as result:
        assert result.namelist() == ["b.roi", "a.roi"]
        assert result.infolist()[0].date_time == (2020, 5, 4, 3, 2, 2)
    assert mapped_selections(path, turned, "far left") == (count, content)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"Iout", ("a.roi", "too short")),
        (roi("POLYGON", SHAPE).tobytes()[:70], ("a.roi",)),
        (roi("POLYGON", [[-2000.0, 1], [1, 2], [3, 3]]).tobytes(), ("[-2000.0, 1.0]", "far left")),
        (roi("RECT", multi_coordinates=np.array([7.0], "f4"), shape_roi_size=1).tobytes(), ("damaged path",)),
        (roi("RECT", multi_coordinates=np.array([1.0, 2], "f4"), shape_roi_size=2).tobytes(), ("damaged path",)),
        (archive({"x.txt": b"1"}), ("no .roi",)),
        (archive({"x.roi": b"1234"}), ("other content in x.roi",)),
        (b"PK\x03\x04" + bytes(60), ("zip",)),
    ],
)
def test_what_cannot_be_mapped_is_refused_in_one_line(content: bytes, words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "a.roi").write_bytes(content)
    with pytest.raises(InputError) as error:
        mapped_selections(tmp_path / "a.roi", turned, "far left")
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_cut_off_and_changed_selections_end_with_an_error_or_a_result(tmp_path: Path) -> None:
    """Every byte of each kind is cut off or replaced; nothing but `InputError` is raised."""
    random, path = np.random.default_rng(5), tmp_path / "a.roi"
    for made in (roi("POLYGON", SHAPE), roi("OVAL"), roi("RECT", subtype=roifile.ROI_SUBTYPE.TEXT, text="a")):
        whole = made.tobytes()
        for place in range(0, len(whole), 3):
            changed = bytearray(whole)
            changed[place] = random.integers(256)
            for content in (whole[:place], bytes(changed)):
                path.write_bytes(content)
                try:
                    mapped_selections(path, turned, "far left")
                except InputError:
                    continue
