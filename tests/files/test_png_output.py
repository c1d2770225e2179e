"""PNG images as they are written for --format png: every program reads the values that were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from zncc_cli.config import ImageFormat
from zncc_cli.errors import OptionError
from zncc_cli.files.image_output import write_image
from zncc_cli.files.images import read_image
from zncc_cli.files.output_formats import check_output

H, W = 1030, 53  # three strips


@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("samples", [(), (2,), (3,), (4,)])
def test_values_come_back(tmp_path: Path, dtype: str, samples: tuple[int, ...]) -> None:
    data = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (H, W, *samples)).astype(dtype)
    assert write_image(tmp_path / "a.png", data) == ()
    assert np.array_equal(read_image(tmp_path / "a.png").data, data)
    if dtype == "u1":
        assert np.array_equal(np.asarray(PillowImage.open(tmp_path / "a.png")), data)


def test_resolution_profile_description_and_palette_are_kept(tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 200, (H, W)).astype("u1")
    colours = np.random.default_rng(1).integers(0, 256, (3, 256)).astype("u2") * np.uint16(257)
    options = {"resolution": (40000, 20000), "resolutionunit": "CENTIMETER", "description": "a lämp".encode()}
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="palette", colormap=colours, metadata=None, **options)
    image = read_image(tmp_path / "a.tif", indices=True)
    write_image(tmp_path / "b.png", np.asarray(image.data), like=image)
    again = read_image(tmp_path / "b.png", indices=True)
    assert np.array_equal(again.data, data)
    assert again.metadata.palette is not None
    assert image.metadata.palette is not None
    assert np.array_equal(again.metadata.palette.colours, image.metadata.palette.colours)
    assert again.metadata.description == "a lämp"
    with PillowImage.open(tmp_path / "b.png") as picture:
        assert picture.info["dpi"] == pytest.approx((101600, 50800))


@pytest.mark.parametrize(
    ("dtype", "shape", "axes", "found"),
    [("f4", (9, 9), "YX", "1 x float32"), ("u1", (2, 9, 9), "TYX", "axes TYX"), ("i2", (9, 9), "YX", "1 x int16")],
)
def test_what_png_cannot_hold_is_refused_before_any_work(
    dtype: str, shape: tuple[int, ...], axes: str, found: str
) -> None:
    with pytest.raises(OptionError, match=f"found .*{found}; use tiff"):
        check_output(ImageFormat.PNG, np.dtype(dtype), shape, axes)


def test_a_number_beyond_the_palette_is_a_colour_of_it(tmp_path: Path) -> None:
    """The value of missing pixels, say; programs refuse a PNG in which a pixel has no colour."""
    data = np.random.default_rng(0).integers(0, 4, (H, W)).astype("u1")
    picture = PillowImage.fromarray(data, "P")
    picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", indices=True)
    data[0] = 200
    write_image(tmp_path / "b.png", data, like=image)
    with PillowImage.open(tmp_path / "b.png") as again:
        assert np.array_equal(np.asarray(again), data)
        assert len(again.getpalette() or ()) == 3 * 256
