"""A world file beside an image says where its pixels lie, and what is written on its grid says it as well."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from zncc_cli.files.image_output import write_image
from zncc_cli.files.images import read_image

NORTH_UP = "10\n0\n0\n-10\n500005\n4999995\n"


def image_file(path: Path) -> Path:
    data = np.random.default_rng(0).integers(0, 250, (24, 32)).astype(np.uint8)
    if path.suffix in (".tif", ".tiff"):
        tifffile.imwrite(path, data, metadata=None)
    else:
        iio.imwrite(path, data, plugin="pillow")
    return path


def written_tags(frame: Path, folder: Path, offset: tuple[float, float] = (0, 0)) -> dict[int, object]:
    image = read_image(frame)
    write_image(folder / "out.tif", np.asarray(image.data), like=image, offset=offset)
    with tifffile.TiffFile(folder / "out.tif") as file:
        return {tag.code: tag.value for tag in file.pages.first.tags}


@pytest.mark.parametrize(
    ("image", "beside"),
    [
        ("a.tif", "a.tfw"),
        ("a.tif", "a.tifw"),
        ("a.tif", "a.wld"),
        ("a.tiff", "a.TFW"),
        ("a.tiff", "a.tifw"),
        ("a.png", "a.pgw"),
        ("a.jpeg", "a.jpgw"),
        ("a.jpg", "a.jgw"),
        ("a.bmp", "a.bpw"),
    ],
)
def test_pixels_lie_where_the_world_file_says(tmp_path: Path, image: str, beside: str) -> None:
    path = image_file(tmp_path / image)
    (tmp_path / beside).write_text(NORTH_UP)
    tags = written_tags(path, tmp_path)
    # The centre of the first pixel lies at (500005, 4999995), so its corner half a pixel of 10 up and to the left.
    assert tags[33550] == (10, 10, 0)
    assert tags[33922] == (0, 0, 0, 500000, 5000000, 0)
    assert read_image(path).notes == (f"{image}: lies where {beside} says",)


def test_a_canvas_beyond_the_first_pixel_lies_where_its_own_corner_does(tmp_path: Path) -> None:
    path = image_file(tmp_path / "a.tif")
    (tmp_path / "a.tfw").write_text(NORTH_UP)
    assert written_tags(path, tmp_path, offset=(-3, 2))[33922] == (3, -2, 0, 500000, 5000000, 0)


def test_a_turned_world_file_is_a_transformation(tmp_path: Path) -> None:
    path = image_file(tmp_path / "a.tif")
    (tmp_path / "a.tfw").write_text("3\n4\n4\n-3\n100\n200\n")
    matrix = np.reshape(written_tags(path, tmp_path)[34264], (4, 4))
    np.testing.assert_allclose(matrix[:2, [0, 1]], [[3, 4], [4, -3]])
    # Pixel (0, 0) has its centre at (0.5, 0.5) of a grid that counts from corners.
    np.testing.assert_allclose(matrix[:2, [0, 1, 3]] @ [0.5, 0.5, 1], [100, 200])


def test_rasterio_reads_the_place(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    path = image_file(tmp_path / "a.tif")
    (tmp_path / "a.tfw").write_text(NORTH_UP)
    written_tags(path, tmp_path)
    with rasterio.open(tmp_path / "out.tif") as file:
        assert tuple(file.transform)[:6] == (10, 0, 500000, 0, -10, 5000000)


@pytest.mark.parametrize("content", ["1\n2\n3\n", "1\n0\n2\n0\n5\n5\n", "a\n" * 6])
def test_a_world_file_that_says_nothing_is_not_used_and_a_note_says_so(tmp_path: Path, content: str) -> None:
    path = image_file(tmp_path / "a.tif")
    (tmp_path / "a.tfw").write_text(content)
    image = read_image(path)
    assert image.metadata.georeference == ()
    assert "a.tif: the world file a.tfw was not used" in image.notes[0]


def test_a_georeference_in_the_file_counts_more(tmp_path: Path) -> None:
    place = [(33550, 12, 3, (2.0, 2.0, 0.0), True), (33922, 12, 6, (0.0, 0.0, 0.0, 7.0, 8.0, 0.0), True)]
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((24, 32), np.uint8), metadata=None, extratags=place)
    (tmp_path / "a.tfw").write_text(NORTH_UP)
    image = read_image(tmp_path / "a.tif")
    assert image.notes == ()
    assert image.metadata.georeference[1][3] == (0, 0, 0, 7, 8, 0)
