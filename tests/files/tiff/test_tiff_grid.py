"""A TIFF is written with the pixel size, origin and georeference of the fixed image."""

import pytest

from tests.files.imagej import open_imagej
from tests.files.tiff.tiff_images import MICRON, H, W, hyperstack, image, ome_pixels, tags, written
from zncc_cli.files.image_output import write_image
from zncc_cli.files.metadata import PixelSize, Resolution

FRAMES = {
    "ImageJ": {"flavor": "imagej", "pixel_size": MICRON, "resolution": Resolution(x=(4, 1), y=(2, 1))},
    "ImageJ, escaped": {
        **{"flavor": "imagej", "pixel_size": PixelSize(x=0.25, y=0.5, unit="\\u00B5m")},
        **{"resolution": Resolution(x=(4, 1), y=(2, 1))},
    },
    "OME": {"flavor": "ome", "pixel_size": PixelSize(x=250.0, y=500.0, unit="nm")},
    "cm": {"resolution": Resolution(x=(40000, 1), y=(20000, 1), unit=3)},
    "inch": {"resolution": Resolution(x=(101600, 1), y=(50800, 1), unit=2)},
}


@pytest.mark.parametrize("flavor", ["plain", "imagej", "ome"])
@pytest.mark.parametrize("frame", FRAMES)
def test_pixel_size_is_the_frames_in_the_flavour_of_the_moving_image(tmp_path, frame, flavor):
    like = image("CYX", (2, H, W), flavor=flavor, pixel_size=PixelSize(x=9, y=9, unit="km"))
    path, notes = written(tmp_path, like, frame=image(**FRAMES[frame]))
    assert notes == ()
    metres = {"inch": 0.0254, "cm": 0.01, "µm": 1e-6, "nm": 1e-9, "in": 0.0254}
    if flavor == "imagej":
        opened = open_imagej(path)
        x, y, unit = opened.width, opened.height, opened.unit
    elif flavor == "ome":
        got = ome_pixels(path)
        x, y, unit = float(got.get("PhysicalSizeX")), float(got.get("PhysicalSizeY")), got.get("PhysicalSizeXUnit")
    else:
        got = tags(path)
        (x1, x2), (y1, y2) = got[282], got[283]
        x, y, unit = x2 / x1, y2 / y1, {2: "inch", 3: "cm"}[int(got[296])]
    # Twelve digits are what a rational of 32 bits holds.
    assert (x * metres[unit], y * metres[unit]) == pytest.approx((0.25e-6, 0.5e-6), rel=1e-11)


def test_resolution_of_imagej_is_kept_to_the_digit(tmp_path):
    odd = Resolution(x=(1234567, 891), y=(7654321, 198))
    size = PixelSize(x=891 / 1234567, y=198 / 7654321, unit="µm")
    path, _ = written(tmp_path, image(flavor="imagej", resolution=odd, pixel_size=size))
    assert (tags(path)[282], tags(path)[283]) == (odd.x, odd.y)


@pytest.mark.parametrize("flavor", ["plain", "imagej", "ome"])
def test_frame_without_a_pixel_size_gives_none(tmp_path, flavor):
    like = image("ZYX", (2, H, W), flavor=flavor, pixel_size=MICRON, properties={"spacing": 0.7})
    path, _ = written(tmp_path, like, frame=image())
    assert (tags(path)[282], int(tags(path)[296])) == ((1, 1), 1)
    if flavor == "imagej":
        opened = open_imagej(path)
        assert opened.unit == ""
        # The distance of the slices is the moving image's own, in its own unit.
        assert (opened.depth, opened.properties["zunit"]) == (0.7, "µm")
    if flavor == "ome":
        assert ome_pixels(path).get("PhysicalSizeX") is None


def test_spacing_of_slices_is_converted_to_the_unit_of_the_pixel_size(tmp_path):
    frame = image(flavor="ome", pixel_size=PixelSize(x=250, y=500, unit="nm"))
    path, _ = written(tmp_path, hyperstack(spacing=0.7), frame=frame)
    opened = open_imagej(path)
    assert (opened.unit, opened.width) == ("nm", 250)
    assert opened.depth == pytest.approx(700)


@pytest.mark.parametrize("flavor", ["plain", "ome"])
def test_unit_that_a_flavour_does_not_know_is_left_out_with_a_note(tmp_path, flavor):
    frame = image(flavor="imagej", pixel_size=PixelSize(x=3, y=3, unit="furlong"))
    path, (note,) = written(tmp_path, image(flavor=flavor), frame=frame)
    assert "furlong" in note
    assert int(tags(path)[296]) == 1


def test_origin_of_imagej_is_the_frames_and_moves_with_the_offset(tmp_path):
    frame = image(flavor="imagej", pixel_size=MICRON, properties={"xorigin": 10.0, "yorigin": 20.0})
    like = hyperstack(xorigin=1.0, yorigin=1.0, zorigin=3.0)
    properties = open_imagej(written(tmp_path, like, frame=frame, offset=(-4, 5))[0]).properties
    assert [float(properties[key]) for key in ("xorigin", "yorigin", "zorigin")] == [14, 15, 3]


SCALE = (33550, 12, 3, (10.0, 20.0, 0.0))
TIE = (33922, 12, 6, (0.0, 0.0, 0.0, 500000.0, 4.2e6, 0.0))
MATRIX = (34264, 12, 16, (8.0, -6.0, 0.0, 5e5, -6.0, -8.0, 0.0, 4e6, *(0.0,) * 7, 1.0))


def model_place(path, column, row):
    """Return the point on the Earth of a pixel of the file at ``path``, by the rules of GeoTIFF."""
    got = tags(path)
    if 34264 in got:
        m = got[34264]
        return m[0] * column + m[1] * row + m[3], m[4] * column + m[5] * row + m[7]
    i, j, _, x, y, _ = got[33922]
    return x + (column - i) * got[33550][0], y - (row - j) * got[33550][1]


@pytest.mark.parametrize("place", [(SCALE, TIE), (MATRIX,)], ids=["tiepoint", "transformation"])
@pytest.mark.parametrize("flavor", ["plain", "imagej", "ome"])
def test_georeference_moves_with_the_offset(tmp_path, place, flavor):
    frame = image(georeference=place)
    write_image(tmp_path / "still.tif", frame.data, like=frame)
    path, notes = written(tmp_path, image(flavor=flavor), frame=frame, offset=(-3, 7))
    assert notes == ()
    assert model_place(path, 0, 0) == model_place(tmp_path / "still.tif", -3, 7)
    assert model_place(path, 11, 5) == model_place(tmp_path / "still.tif", 8, 12)


def test_georeference_that_cannot_be_moved_is_left_out(tmp_path):
    frame = image(georeference=(SCALE, (33922, 12, 5, (1.0,) * 5)))
    path, (note,) = written(tmp_path, image(), frame=frame, offset=(1, 0))
    assert "georeference" in note
    assert 33550 not in tags(path)


def test_georeference_of_the_moving_image_is_not_copied(tmp_path):
    like = image(georeference=(SCALE, TIE), tags=(SCALE, (50844, 12, 1, (1.0,)), (315, 2, 4, "Ada")))
    path, _ = written(tmp_path, like, frame=image())
    assert {33550, 33922, 50844}.isdisjoint(tags(path))
    assert tags(path)[315] == "Ada"
