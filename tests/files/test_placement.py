"""Where files say that they lie, and the matrix from fixed to moving pixels that follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from zncc_cli.errors import InputError
from zncc_cli.files.images import read_image
from zncc_cli.files.paths import MismatchError
from zncc_cli.files.placement import placed_matrix, placement
from zncc_cli.registration.transforms.matrices import map_points

SHAPE = (40, 50)
EAST, NORTH = 500_000.0, 4_200_000.0
AREA, POINT = 1, 2
PLACES = np.array([[0.0, 0.0], [49.0, 0.0], [10.0, 39.0]])


def keys(*, raster: int = AREA, code: int | None = 32633, **further: Any) -> list[tuple[Any, ...]]:
    """Return the tags of a coordinate reference system."""
    entries = [(1025, 0, 1, raster), *(further["entries"] if further else [])]
    if code is not None:
        entries += [(1024, 0, 1, 1), (3072, 0, 1, code)]
    directory = (1, 1, 0, len(entries), *(number for entry in entries for number in entry))
    return [(34735, 3, len(directory), directory, True)]


def scaled(x: float, y: float, size: float, pixel: tuple[float, float] = (0.0, 0.0)) -> list[tuple[Any, ...]]:
    """Return the tags of pixels of one size, north up; the raster position ``pixel`` lies at x, y."""
    return [(33550, 12, 3, (size, size, 0.0), True), (33922, 12, 6, (*pixel, 0.0, x, y, 0.0), True)]


def transformed(*rows: tuple[float, float, float]) -> list[tuple[Any, ...]]:
    """Return the tag of an affine transform, x and y by column, row and 1."""
    (a, b, c), (d, e, f) = rows
    return [(34264, 12, 16, (a, b, 0.0, c, d, e, 0.0, f, *(0.0,) * 7, 1.0), True)]


def tiff(path: Path, tags: list[tuple[Any, ...]], shape: tuple[int, int] = SHAPE) -> Path:
    tifffile.imwrite(path, np.zeros(shape, np.uint8), extratags=tags)
    return path


def matrix_of(fixed: Path, moving: Path) -> np.ndarray:
    images = read_image(fixed), read_image(moving)
    return placed_matrix(*(placement(image.metadata, image.shape) for image in images))


def test_a_pixel_is_taken_to_the_one_of_the_same_place(tmp_path: Path) -> None:
    fixed = tiff(tmp_path / "a.tif", [*scaled(EAST, NORTH, 10), *keys()])
    # 200 m further east, 100 m further south, in pixels of 20 m: the corner of the first is the corner of (20, 10).
    moving = tiff(tmp_path / "b.tif", [*scaled(EAST + 200, NORTH - 100, 20), *keys()])
    corner = np.array([[-0.5, -0.5]])
    np.testing.assert_allclose(map_points(matrix_of(moving, fixed), corner), [[19.5, 9.5]], atol=1e-9)
    np.testing.assert_allclose(matrix_of(fixed, moving) @ matrix_of(moving, fixed), np.eye(3), atol=1e-9)


def test_a_tiepoint_may_be_any_pixel(tmp_path: Path) -> None:
    plain = tiff(tmp_path / "a.tif", [*scaled(EAST, NORTH, 10), *keys()])
    other = tiff(tmp_path / "b.tif", [*scaled(EAST + 70, NORTH - 30, 10, pixel=(7, 3)), *keys()])
    np.testing.assert_allclose(matrix_of(plain, other), np.eye(3), atol=1e-9)


def test_pixels_that_are_points_lie_at_their_centres(tmp_path: Path) -> None:
    area = tiff(tmp_path / "a.tif", [*scaled(EAST, NORTH, 10), *keys(raster=AREA)])
    point = tiff(tmp_path / "b.tif", [*scaled(EAST, NORTH, 10), *keys(raster=POINT)])
    np.testing.assert_allclose(map_points(matrix_of(area, point), PLACES), PLACES + 0.5, atol=1e-9)


def test_a_transformation_turns(tmp_path: Path) -> None:
    turned = tiff(tmp_path / "a.tif", [*transformed((0, 10, EAST), (10, 0, NORTH)), *keys(raster=POINT)])
    straight = tiff(tmp_path / "b.tif", [*transformed((10, 0, EAST), (0, 10, NORTH)), *keys(raster=POINT)])
    np.testing.assert_allclose(map_points(matrix_of(turned, straight), PLACES), PLACES[:, ::-1], atol=1e-9)


def test_millimetres_count_where_coordinates_have_seven_digits(tmp_path: Path) -> None:
    fixed = tiff(tmp_path / "a.tif", [*scaled(EAST, NORTH, 0.001), *keys()])
    moving = tiff(tmp_path / "b.tif", [*scaled(EAST + 0.005, NORTH, 0.001), *keys()])
    # Rounding of coordinates of 4e6 m to float64 is 1e-9 m, a millionth of a pixel.
    np.testing.assert_allclose(map_points(matrix_of(fixed, moving), PLACES), PLACES - [5, 0], atol=2e-6)


def test_systems_are_compared_by_their_codes_and_without_by_their_parts(tmp_path: Path) -> None:
    here = scaled(EAST, NORTH, 10)
    a = tiff(tmp_path / "a.tif", [*here, *keys(entries=[(3076, 0, 1, 9001)])])
    b = tiff(tmp_path / "b.tif", [*here, *keys()])  # its unit is that of the code
    other = tiff(tmp_path / "c.tif", [*here, *keys(code=32634)])
    np.testing.assert_allclose(matrix_of(a, b), np.eye(3), atol=1e-9)
    with pytest.raises(MismatchError) as error:
        matrix_of(a, other)
    assert (error.value.expected[-10:], error.value.found[-10:]) == ("EPSG:32633", "EPSG:32634")

    def own(path: Path, degrees: float) -> Path:
        parts = [(3072, 0, 1, 32767), (3080, 34736, 1, 0)]
        return tiff(path, [*here, *keys(code=None, entries=parts), (34736, 12, 2, (degrees, 0.0), True)])

    np.testing.assert_allclose(matrix_of(own(tmp_path / "d.tif", 9.0), own(tmp_path / "e.tif", 9.0)), np.eye(3))
    with pytest.raises(MismatchError, match="without an EPSG code"):
        matrix_of(own(tmp_path / "f.tif", 9.0), own(tmp_path / "g.tif", 12.0))


def stage(path: Path, x: float, y: float, shape: tuple[int, int] = SHAPE, **metadata: Any) -> Path:
    """Write an OME-TIFF of pixels of 0.5 µm whose stage position is x, y."""
    units = metadata.pop("units", {"PositionXUnit": ["µm"], "PositionYUnit": ["µm"]})
    plane = metadata.pop("plane", {"PositionX": [x], "PositionY": [y], **units})
    size = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}
    pages = len(plane["PositionX"])
    data = np.zeros((pages, *shape) if pages > 1 else shape, np.uint8)
    axes = "TYX" if pages > 1 else "YX"
    content = {"axes": axes, "Plane": plane, **size, **metadata}
    tifffile.imwrite(path, data, ome=True, metadata={k: v for k, v in content.items() if v is not None})
    return path


def test_a_stage_position_is_that_of_the_middle_of_the_frame(tmp_path: Path) -> None:
    fixed = stage(tmp_path / "a.ome.tif", 100.0, 50.0)
    moved = stage(tmp_path / "b.ome.tif", 110.0, 45.0)  # 20 pixels to the right, 10 upwards
    np.testing.assert_allclose(map_points(matrix_of(fixed, moved), PLACES), PLACES - [20, -10], atol=1e-6)
    # 1 µm per pixel, so the frame of the same size shows twice as much around the same middle.
    wide = stage(tmp_path / "c.ome.tif", 0.1, 0.05, PhysicalSizeX=1000.0, PhysicalSizeXUnit="nm", PhysicalSizeY=1000.0,
                 PhysicalSizeYUnit="nm", units={"PositionXUnit": ["mm"], "PositionYUnit": ["mm"]})  # fmt: skip
    np.testing.assert_allclose(map_points(matrix_of(fixed, wide), np.array([28.5, 21.5])), [26.5, 20.5], atol=1e-6)


@pytest.mark.parametrize("units", [{}, {"PositionXUnit": ["reference frame"], "PositionYUnit": ["reference frame"]}])
def test_a_stage_position_without_a_unit_is_in_that_of_the_pixel_size_and_a_note_says_so(
    tmp_path: Path, units: dict[str, list[str]]
) -> None:
    image = read_image(stage(tmp_path / "a.ome.tif", 3.0, 4.0, units=units))
    place = placement(image.metadata, image.shape)
    np.testing.assert_allclose(map_points(place.matrix, np.array([24.5, 19.5])), [3e-6, 4e-6])
    assert place.notes == ("the stage position has no unit: it is taken to be in µm",)


def test_one_page_of_several_has_its_own_stage_position(tmp_path: Path) -> None:
    path = stage(tmp_path / "a.ome.tif", 0, 0, plane={"PositionX": [1.0, 2.0], "PositionY": [0.0, 0.0]})
    page = read_image(path, page=1)
    assert map_points(placement(page.metadata, page.shape).matrix, np.array([24.5, 19.5]))[0] == pytest.approx(2e-6)


def test_a_world_file_counts_from_the_centre_of_the_first_pixel(tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "a.png", np.zeros(SHAPE, np.uint8))
    (tmp_path / "a.pgw").write_text(f"10.0\n0.0\n0.0\n-10.0\n{EAST}\n{NORTH}\n")
    moving = tiff(tmp_path / "b.tif", [])
    (tmp_path / "b.tfw").write_text(f"20\r\n0\r\n0\r\n-20\r\n{EAST - 40}\r\n{NORTH}\r\n")
    np.testing.assert_allclose(
        map_points(matrix_of(tmp_path / "a.png", moving), PLACES), PLACES / 2 + [2, 0], atol=1e-9
    )
    tagged = tiff(tmp_path / "c.tif", [*scaled(EAST - 5, NORTH + 5, 10), *keys()])
    np.testing.assert_allclose(matrix_of(tmp_path / "a.png", tagged), np.eye(3), atol=1e-9)
    image = read_image(tmp_path / "a.png")
    assert "a.pgw names no coordinate reference system" in placement(image.metadata, image.shape).notes[0]


def test_places_of_different_kinds_are_not_compared(tmp_path: Path) -> None:
    earth = tiff(tmp_path / "a.tif", [*scaled(EAST, NORTH, 10), *keys()])
    with pytest.raises(MismatchError) as error:
        matrix_of(earth, stage(tmp_path / "b.ome.tif", 1.0, 2.0))
    assert (error.value.expected, error.value.found) == ("a georeference, as of the fixed image", "a stage position")


TIES = (0.0, 0.0, 0.0, 5.0, 5.0, 0.0, 9.0, 0.0, 0.0, 8.0, 5.0, 0.0)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ([], ("a georeference, a stage position with a pixel size (OME), or a world file", "none")),
        ([(33922, 12, 12, TIES, True)], ("a pixel scale or a transformation", "ground control points only")),
        (
            [(33550, 12, 2, (1.0, 1.0), True), (33922, 12, 6, TIES[:6], True)],
            ("a georeference tag of 3 finite numbers",),
        ),
        ([(34264, 12, 3, (1.0, 0.0, 0.0), True)], ("a georeference tag of 16 finite numbers",)),
        (scaled(EAST, NORTH, 0.0), ("gives each pixel a place of its own",)),
        (scaled(EAST, float("nan"), 1.0), ("a georeference tag of 6 finite numbers", "nan")),
        ([*scaled(EAST, NORTH, 1.0), (34735, 12, 4, (1.5, 1.0, 0.0, 1.0), True)], ("a directory of keys",)),
    ],
)
def test_a_file_that_does_not_say_where_it_lies_is_refused(
    tmp_path: Path, tags: list[tuple[Any, ...]], words: tuple[str, ...]
) -> None:
    image = read_image(tiff(tmp_path / "a.tif", tags))
    with pytest.raises(InputError) as error:
        placement(image.metadata, image.shape)
    for word in (str(tmp_path / "a.tif"), *words):
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"PhysicalSizeX": None, "PhysicalSizeY": None}, ("a pixel size in a unit of length", "None")),
        ({"PhysicalSizeXUnit": "pixel", "PhysicalSizeYUnit": "pixel"}, ("a pixel size in a unit of length", "pixel")),
        ({"units": {"PositionXUnit": ["furlong"]}}, ("a stage position in a unit of length", "furlong")),
        (
            {"plane": {"PositionX": [1.0, 2.0], "PositionY": [0.0, 0.0]}},
            ("one stage position of all planes", "several"),
        ),
    ],
)
def test_a_stage_position_that_places_nothing_is_refused(
    tmp_path: Path, changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    image = read_image(stage(tmp_path / "a.ome.tif", 1.0, 2.0, **changes))
    with pytest.raises(InputError) as error:
        placement(image.metadata, image.shape)
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("1\n0\n0\n-1\n5\n", ("a.tfw", "6 numbers for a world file", "found 5")),
        ("1\n0\n0\n-1\n5\nnorth\n", ("a.tfw", "a finite number", "'north'")),
        ("1\n0\n2\n0\n5\n5\n", ("gives each pixel a place of its own",)),
    ],
)
def test_a_world_file_that_places_nothing_is_refused(tmp_path: Path, content: str, words: tuple[str, ...]) -> None:
    image = read_image(tiff(tmp_path / "a.tif", []))
    (tmp_path / "a.tfw").write_text(content)
    with pytest.raises(InputError) as error:
        placement(image.metadata, image.shape)
    for word in words:
        assert word in str(error.value)
