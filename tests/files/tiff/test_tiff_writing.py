"""A TIFF is written with the samples of the moving image, on the grid of the fixed image."""

import tracemalloc

import numpy as np
import pytest
import tifffile

from tests.files.image_cases import room
from tests.files.imagej import open_imagej
from tests.files.tiff.tiff_images import MICRON, OME, H, W, hyperstack, image, ome_pixels, tags, written
from zncc_cli.errors import InputError, OutputError
from zncc_cli.files.image_output import write_strips
from zncc_cli.files.images import Image
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.tiff import write as tiff_write
from zncc_cli.files.tiff.layout import STRIP_ROWS

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
    like = image(axes, (2, H, W)[-len(axes) :], compression=compression, flavor="ome")
    size = written(tmp_path, like)[0].stat().st_size
    (tmp_path / "b.tif").unlink()
    for space in (7, size // 3, size - 1000, size - 1):
        with room(space), pytest.raises(OutputError, match=r"b\.tif: cannot be written"):
            written(tmp_path, like)
        assert list(tmp_path.iterdir()) == []
