"""A TIFF is written with the samples of the moving image, on the grid of the fixed image."""

import subprocess
import sys
import tracemalloc
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage

from tests.files.imagej import open_imagej
from zncc_cli.errors import InputError, OutputError
from zncc_cli.files.image_output import write_image, write_strips
from zncc_cli.files.images import Image, read_image
from zncc_cli.files.metadata import Metadata, PixelSize, Resolution
from zncc_cli.files.tiff import write as tiff_write
from zncc_cli.files.tiff.layout import STRIP_ROWS

# More rows than a strip has, so that a plane is written in two.
H, W = STRIP_ROWS + 88, 60

MICRON = PixelSize(x=0.25, y=0.5, unit="µm")
OME = "{http://www.openmicroscopy.org/Schemas/OME/2016-06}"


def pixels(*shape, dtype="u2", seed=0):
    values = np.random.default_rng(seed).integers(0, 100, shape)
    return values.astype(dtype)


def image(axes="YX", shape=(H, W), dtype="u2", **metadata):
    return Image(pixels(*shape, dtype=dtype), axes, Metadata(path=Path("a.tif"), format="TIFF", **metadata))


def hyperstack(axes="TZCYX", shape=(3, 2, 2, H, W), dtype="u2", **properties):
    stored = Resolution(x=(4, 1), y=(2, 1))
    return image(axes, shape, dtype, flavor="imagej", pixel_size=MICRON, resolution=stored, properties=properties)


def written(folder, like, **options):
    """Write the pixels of ``like``; return the file and the notes."""
    notes = write_image(folder / "b.tif", like.data, like=like, **options)
    return folder / "b.tif", notes


def tags(path):
    with tifffile.TiffFile(path) as file:
        return {tag.code: tag.value for tag in file.pages.first.tags}


def ome_pixels(path):
    return ElementTree.fromstring(tags(path)[270]).find(f"{OME}Image/{OME}Pixels")


# The axes


@pytest.mark.parametrize(("axes", "shape"), [("IYX", (5, H, W)), ("YX", (H, W)), ("YXS", (H, W, 3))])
def test_leading_axis_of_a_plain_file_is_its_pages(tmp_path, axes, shape):
    like = image(axes, shape, "u1", photometric="rgb" if axes.endswith("S") else "minisblack", description="of a lamp")
    path, notes = written(tmp_path, like)
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == (5 if axes == "IYX" else 1)
        assert file.series[0].axes == axes
        np.testing.assert_array_equal(file.asarray(), like.data)
    assert tags(path)[270] == "of a lamp"
    assert notes == ()


@pytest.mark.parametrize("axes", ["ZCYX", "TZYX", "CZYX", "QIYX"])
def test_further_axes_of_a_plain_file_keep_their_letters_and_its_description_comes_first(tmp_path, axes):
    path, _ = written(tmp_path, image(axes, (2, 3, H, W), description="of a lamp"))
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == axes
        assert file.series[0].shape == (2, 3, H, W)
        assert file.pages.first.description == "of a lamp"


def test_bands_are_samples_of_one_page(tmp_path):
    like = image("CYX", (5, H, W), bands=True)
    path, _ = written(tmp_path, like)
    with tifffile.TiffFile(path) as file:
        (page,) = file.pages
        assert (page.samplesperpixel, page.planarconfig) == (5, tifffile.PLANARCONFIG.SEPARATE)
        np.testing.assert_array_equal(page.asarray(), like.data)


def test_imagej_hyperstack_is_written_as_one_with_its_metadata(tmp_path):
    luts = [np.stack([np.arange(256, dtype=np.uint8) * (i == c) for i in range(3)]) for c in range(2)]
    said = {
        **{"spacing": 0.7, "finterval": 2.5, "fps": 4.0, "mode": "composite", "min": 3.0, "max": 99.0, "loop": False},
        **{"Labels": [f"plane {i}" for i in range(12)], "Ranges": (0.0, 90.0, 5.0, 80.0), "LUTs": luts},
        **{"Info": "Bahnhofstraße\nλ = 488 nm", "Properties": {"operator": "Å"}},
    }
    like = hyperstack(**said)
    path, notes = written(tmp_path, like)
    assert notes == ()
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == "TZCYX"
        got = file.imagej_metadata
        for key in ("spacing", "finterval", "fps", "mode", "min", "max", "loop", "Labels", "Ranges", "Info"):
            assert got[key] == said[key]
        assert got["Properties"] == said["Properties"]
        np.testing.assert_array_equal(got["LUTs"], luts)
    opened = open_imagej(path)
    np.testing.assert_array_equal(opened.planes, like.data)
    assert (opened.width, opened.height, opened.depth, opened.unit) == (0.25, 0.5, 0.7, "µm")


@pytest.mark.parametrize(
    ("axes", "shape", "dtype"),
    [
        ("ZYXS", (4, H, W, 3), "u1"),
        *[(axes, (2, H, W)[-len(axes) :], dtype) for axes in ("YX", "CYX") for dtype in ("u1", "u2", "i2", "f4")],
    ],
)
def test_imagej_holds_8_and_16_bits_and_float_and_rgb_of_8_bits(tmp_path, axes, shape, dtype):
    like = hyperstack(axes, shape, dtype)
    path, notes = written(tmp_path, like)
    assert notes == ()
    np.testing.assert_array_equal(open_imagej(path).planes.squeeze(), like.data)


@pytest.mark.parametrize("dtype", ["u4", "i4", "f2", "f8", "i1", "u8"])
def test_what_imagej_cannot_hold_becomes_a_plain_file_and_a_note(tmp_path, dtype):
    like = hyperstack(dtype=dtype, spacing=2.0)
    path, (note,) = written(tmp_path, like)
    assert "a plain TIFF was written" in note
    with tifffile.TiffFile(path) as file:
        assert not file.is_imagej
        assert file.series[0].axes == "TZCYX"
        np.testing.assert_array_equal(file.asarray(), like.data)
    assert tags(path)[282] == (40000, 1)  # 0.25 µm are 40,000 pixels a centimetre
    assert tags(path)[296] == tifffile.RESUNIT.CENTIMETER


def test_labels_of_other_planes_are_left_out(tmp_path):
    path, (note,) = written(tmp_path, hyperstack("CYX", (2, H, W), Labels=["of", "three", "planes"]))
    assert "Labels" in note
    with tifffile.TiffFile(path) as file:
        assert "Labels" not in file.imagej_metadata


def test_lone_surrogates_are_written_as_question_marks(tmp_path):
    path, _ = written(tmp_path, hyperstack("CYX", (2, H, W), Info="a\ud800", Labels=["\udfff", "b"], tunit="\ud800"))
    with tifffile.TiffFile(path) as file:
        assert file.imagej_metadata["Info"] == "a?"
        assert file.imagej_metadata["Labels"] == ["?", "b"]


def test_description_of_imagej_names_no_other_file_and_keeps_to_its_lines(tmp_path):
    path, _ = written(tmp_path, hyperstack(name="/etc/passwd", tunit="s\nname=/etc/passwd"))
    assert "name" not in open_imagej(path).properties


def test_ome_tiff_is_written_as_one_with_channels_times_and_planes(tmp_path):
    planes = {"DeltaT": [0.5 * i for i in range(12)], "PositionZ": [1.0] * 12, "PositionX": [7.0] * 12}
    said = {
        **{"Name": "cells <1>", "PhysicalSizeZ": 2.0, "PhysicalSizeZUnit": "nm", "TimeIncrement": 3.0},
        **{"TimeIncrementUnit": "min", "Channel": {"Name": ["DAPI", "GFP"], "Color": [255, 65535]}, "Plane": planes},
    }
    like = image("TZCYX", (3, 2, 2, H, W), flavor="ome", pixel_size=MICRON, properties=said)
    path, (note,) = written(tmp_path, like)
    assert "PositionX" in note  # the stage's place is that of the old grid
    with tifffile.TiffFile(path) as file:
        assert file.series[0].kind == "ome"
        assert file.series[0].axes == "TZCYX"
        np.testing.assert_array_equal(file.asarray(), like.data)
    got = ome_pixels(path)
    assert (got.get("PhysicalSizeX"), got.get("PhysicalSizeXUnit"), got.get("PhysicalSizeY")) == ("0.25", "µm", "0.5")
    assert (got.get("PhysicalSizeZ"), got.get("PhysicalSizeZUnit"), got.get("TimeIncrement")) == ("2.0", "nm", "3.0")
    assert [channel.get("Name") for channel in got.iter(f"{OME}Channel")] == ["DAPI", "GFP"]
    assert [plane.get("DeltaT") for plane in got.iter(f"{OME}Plane")] == [str(0.5 * i) for i in range(12)]


@pytest.mark.parametrize(
    ("broken", "value"),
    [("MapAnnotation", "no map"), ("Name", "half a letter \ud800"), ("Name", "a bell \a"), ("Instrument", {"ID": 1})],
)
def test_description_that_ome_cannot_hold_loses_no_pixels(tmp_path, broken, value):
    said = {"Channel": {"Name": ["one"]}, broken: value, "PhysicalSizeZ": 2.0}
    like = image("CYX", (2, H, W), flavor="ome", pixel_size=MICRON, properties=said)
    path, notes = written(tmp_path, like)
    assert broken in " ".join(notes)
    assert ome_pixels(path).get("PhysicalSizeX") == "0.25"


@pytest.mark.parametrize("dtype", ["f2", "u8"])
def test_what_ome_cannot_hold_becomes_a_plain_file_and_a_note(tmp_path, dtype):
    like = image("CYX", (2, H, W), dtype, flavor="ome", pixel_size=MICRON)
    path, (note,) = written(tmp_path, like)
    assert "a plain TIFF was written" in note
    assert tifffile.imread(path).dtype == dtype


@pytest.mark.parametrize("description", ["ImageJ=1.0\nimages=99", '{"shape": [9, 9]}', "<OME></OME>", "SCIFIO=1"])
def test_description_by_which_a_plain_file_would_be_taken_for_another_is_left_out(tmp_path, description):
    path, _ = written(tmp_path, image("IYX", (2, H, W), description=description))
    assert tifffile.imread(path).shape == (2, H, W)
    assert 270 not in tags(path)


# The grid

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


# Further tags


def test_tags_are_copied_and_those_that_cannot_be_written_are_named(tmp_path):
    statistics = '<GDALMetadata><Item name="STATISTICS_MEAN" sample="0">3</Item><Item name="A">B</Item></GDALMetadata>'
    bad = ((65000, 2, 3, 7), (65001, 99, 1, 1), (65002, 12, 3, (1.0,)))
    fine = ((306, 2, 20, "2020:02:02 20:20:20"), (42112, 2, 0, statistics), (34675, 7, 4, b"icc!"))
    path, (note,) = written(tmp_path, image(tags=(*fine, *bad, (257, 4, 1, 9), (305, 2, 3, "GIMP"))))
    got = tags(path)
    assert got[306] == "2020:02:02 20:20:20"
    assert got[34675] == b"icc!"
    assert got[42112] == '<GDALMetadata><Item name="A">B</Item></GDALMetadata>'  # the statistics are others now
    assert note == "left out: tag 65000, tag 65001, tag 65002"
    assert got[257] == H
    assert got[305] == "zncc-cli"


# Compression

KEPT = [
    *[(c, p, dtype) for c in (5, 8, 32946, 34925, 50000) for p in (1, 2) for dtype in ("u1", "u2", "i4", "f4")],
    *[(c, 1, dtype) for c in (1, 32773) for dtype in ("u1", "u2", "i4", "f4")],
    *[(34887, 1, dtype) for dtype in ("u1", "u2", "i4")],
]


@pytest.mark.parametrize(("compression", "predictor", "dtype"), KEPT)
def test_lossless_compression_is_kept_with_its_predictor(tmp_path, compression, predictor, dtype):
    pytest.importorskip("imagecodecs")
    for axes, shape in (("IYX", (2, H, W)), ("YXS", (H, W, 3))):
        like = image(axes, shape, dtype, compression=compression, predictor=predictor)
        path, notes = written(tmp_path, like)
        assert notes == ()
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            assert page.compression == compression
            has_predictor = compression not in (1, 32773, 34887)
            # Floats hardly compress without one, and get it in any case.
            assert page.predictor == (3 if dtype == "f4" and has_predictor else 2 if predictor == 2 else 1)
            np.testing.assert_array_equal(file.asarray(), like.data)


@pytest.mark.parametrize("compression", [7, 33007, 34712, 50001, 50002, 4, 12345])
def test_lossy_compression_becomes_deflate_and_a_note(tmp_path, compression):
    like = image(compression=compression)
    path, (note,) = written(tmp_path, like)
    assert "deflate was used" in note
    assert tags(path)[259] == tifffile.COMPRESSION.ADOBE_DEFLATE
    assert tags(path)[317] == 2
    np.testing.assert_array_equal(tifffile.imread(path), like.data)


def test_floats_of_imagej_have_no_predictor_which_it_cannot_read(tmp_path):
    path, _ = written(tmp_path, image(dtype="f4", flavor="imagej", compression=8))
    assert tags(path).get(317, 1) == 1


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_of_compressed_pixels_becomes_a_compressed_tiff(tmp_path, suffix):
    PillowImage.fromarray(np.add.outer(np.arange(H), np.arange(W)).astype("u1")).save(tmp_path / f"a{suffix}")
    path, notes = written(tmp_path, read_image(tmp_path / f"a{suffix}"))
    assert notes == ()
    assert (tags(path)[259], tags(path)[317]) == (8, 2)
    assert path.stat().st_size < H * W / 4


@pytest.mark.parametrize(("compression", "dtype"), [(34887, "f4"), (34887, "u8"), (34887, "f2")])
def test_pixels_that_a_codec_does_not_keep_become_deflate_and_a_note(tmp_path, compression, dtype):
    like = image(dtype=dtype, compression=compression)
    if dtype != "u8":
        like.data[3, 4] = np.nan
    path, (note,) = written(tmp_path, like)
    assert "deflate was used" in note
    np.testing.assert_array_equal(tifffile.imread(path), like.data)


def test_missing_codec_becomes_deflate_and_a_note(tmp_path):
    program = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from tests.files.tiff.test_tiff_writing import *\n"
        "for predictor in (1, 2):\n"
        f"    path, notes = written(Path({str(tmp_path)!r}), image(compression=5, predictor=predictor))\n"
        "    print(notes, tags(path)[259], (tifffile.imread(path) == image().data).all())\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for line in run.stdout.splitlines():
        assert line.startswith("('the compression LZW needs pip install")
        assert line.endswith("8 True") or line.endswith("ADOBE_DEFLATE True")


# Strips, size, and what can go wrong


def test_writing_keeps_few_strips_in_memory(tmp_path):
    shape = (4, 4096, 2048)
    strip = np.zeros((STRIP_ROWS, 2048), np.uint16)
    for compression in (1, 8):
        like = image(compression=compression)
        tracemalloc.start()
        write_strips(
            tmp_path / "b.tif",
            (strip + np.uint16(i) for i in range(32)),
            shape=shape,
            dtype="u2",
            axes="IYX",
            like=like.metadata,
            frame=None,
        )
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        # A strip is 2 MiB, the image 64: the strip, its bytes, and the next one.
        assert peak < 4 * strip.nbytes
        got = tifffile.imread(tmp_path / "b.tif")
        np.testing.assert_array_equal(got[:, ::STRIP_ROWS, 0].ravel(), np.arange(32))


@pytest.mark.parametrize("flavor", ["plain", "imagej", "ome"])
def test_uncompressed_file_can_be_mapped(tmp_path, flavor):
    like = image("TCYX", (3, 2, H, W), flavor=flavor)
    mapped = tifffile.memmap(written(tmp_path, like)[0], mode="r")
    np.testing.assert_array_equal(mapped, like.data)


@pytest.mark.parametrize("flavor", ["plain", "ome"])
@pytest.mark.parametrize("compression", [1, 8])
def test_file_that_may_pass_4_gb_is_a_bigtiff(tmp_path, monkeypatch, flavor, compression):
    like = image("CYX", (3, H, W), flavor=flavor, compression=compression)
    monkeypatch.setattr(tiff_write, "_MAX_CLASSIC_TIFF_BYTES", like.data.nbytes)
    path, _ = written(tmp_path, like)
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff
        np.testing.assert_array_equal(file.asarray(), like.data)


@pytest.mark.parametrize("compression", [1, 8])
def test_imagej_file_beyond_4_gb_is_one_page_with_the_planes_behind_it(tmp_path, monkeypatch, compression):
    """ImageJ itself writes such files: it does not open BigTIFF."""
    like = hyperstack()
    like = Image(like.data, like.axes, Metadata(**{**vars(like.metadata), "compression": compression}))
    monkeypatch.setattr(tiff_write, "_MAX_CLASSIC_TIFF_BYTES", like.data.nbytes)
    path, notes = written(tmp_path, like)
    assert "beyond 4 GB" in " ".join(notes)
    np.testing.assert_array_equal(open_imagej(path).planes, like.data)
    np.testing.assert_array_equal(tifffile.imread(path), like.data)


@pytest.mark.parametrize("flavor", ["plain", "imagej", "ome"])
@pytest.mark.parametrize("compression", [1, 8])
def test_two_writes_give_the_same_bytes(tmp_path, flavor, compression):
    like = image("CYX", (3, H, W), flavor=flavor, compression=compression, pixel_size=MICRON)
    first = written(tmp_path, like)[0].read_bytes()
    assert written(tmp_path, like)[0].read_bytes() == first


@pytest.mark.parametrize("compression", [1, 8])
def test_strips_that_fail_leave_nothing_behind(tmp_path, compression):
    def failing():
        yield np.zeros((STRIP_ROWS, W), np.uint16)
        raise InputError("a.tif: the second strip is damaged")

    like = image(compression=compression)
    options = {"shape": (H, W), "dtype": "u2", "axes": "YX", "like": like.metadata, "frame": None}
    with pytest.raises(InputError, match="the second strip"):
        write_strips(tmp_path / "b.tif", failing(), **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("axes", ["YX", "CYX"])
@pytest.mark.parametrize("compression", [1, 8])
def test_full_disk_leaves_nothing_behind_wherever_it_is_full(tmp_path, axes, compression):
    from tests.files.test_images import room

    like = image(axes, (2, H, W)[-len(axes) :], compression=compression, flavor="ome")
    size = written(tmp_path, like)[0].stat().st_size
    (tmp_path / "b.tif").unlink()
    for space in (7, size // 3, size - 1000, size - 1):
        with room(space), pytest.raises(OutputError, match=r"b\.tif: cannot be written"):
            written(tmp_path, like)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["f4", "u1"])
def test_results_that_are_like_no_image_are_compressed(tmp_path, dtype):
    """Maps of floats by a predictor for floats; but not beside an image of ImageJ, which reads none."""
    data = np.add.outer(np.linspace(0, 9, 300), np.linspace(0, 7, 400)).astype(dtype)
    write_image(tmp_path / "a.tif", data)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert int(file.pages.first.compression) == 8
        assert int(file.pages.first.predictor) == (3 if dtype == "f4" else 1)
        assert np.array_equal(file.asarray(), data)
    assert (tmp_path / "a.tif").stat().st_size < data.nbytes / 2
    tifffile.imwrite(tmp_path / "f.tif", data, imagej=True)
    write_image(tmp_path / "b.tif", data, frame=read_image(tmp_path / "f.tif"))
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert int(file.pages.first.compression) == 1
