"""Metadata of a TIFF are read with its pixels: axes, channels, sizes, descriptions, tags."""

import warnings

import numpy as np
import pytest
import tifffile

from tests.files.tiff.tiff_planes import H, W, assert_same, pixels
from zncc_cli.errors import InputError, OptionError
from zncc_cli.files.images import read_image
from zncc_cli.files.metadata import PixelSize
from zncc_cli.files.tiff import ifd_chain


def test_pages_are_an_axis(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", pixels(5), photometric="minisblack", metadata=None)
    assert_same(read_image(tmp_path / "a.tif"), pixels(5), "IYX")


def test_pages_of_colour_keep_their_samples(tmp_path):
    data = np.stack([pixels(4, dtype="u1")] * 3, axis=-1)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", metadata=None)
    image = read_image(tmp_path / "a.tif")
    assert_same(image, data, "IYXS")
    assert image.metadata.photometric == "rgb"


def test_axes_that_tifffile_wrote_are_kept(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", pixels(2, 3), photometric="minisblack", metadata={"axes": "TCYX"})
    image = read_image(tmp_path / "a.tif")
    assert_same(image, pixels(2, 3), "TCYX")
    assert image.metadata.description == ""
    tifffile.imwrite(tmp_path / "b.tif", pixels(2, 3), photometric="minisblack")
    assert_same(read_image(tmp_path / "b.tif"), pixels(2, 3), "QQYX")


def test_a_stack_that_one_page_describes_is_read_whole(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", pixels(5), photometric="minisblack", truncate=True)
    assert_same(read_image(tmp_path / "a.tif"), pixels(5), "QYX")


@pytest.mark.parametrize("page", range(8))
def test_one_page_of_several_keeps_its_channels(tmp_path, page):
    data = pixels(2, 4, 3)
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, metadata={"axes": "TZCYX"})
    image = read_image(tmp_path / "a.tif", page=page)
    assert_same(image, data.reshape(8, 3, H, W)[page], "CYX")


def test_channels_alone_are_one_page(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", pixels(3), imagej=True, metadata={"axes": "CYX"})
    assert_same(read_image(tmp_path / "a.tif", page=0), pixels(3), "CYX")
    with pytest.raises(OptionError, match=r"`page` 1: expected 0, the only one"):
        read_image(tmp_path / "a.tif", page=1)


@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_samples_that_are_no_colours_are_channels(tmp_path, count, planar):
    data = pixels(count)
    stored = np.moveaxis(data, 0, -1) if planar == "contig" else data
    options = {"photometric": "minisblack", "planarconfig": planar, "extrasamples": ["unspecified"] * (count - 1)}
    tifffile.imwrite(tmp_path / "a.tif", stored, metadata=None, **options)
    image = read_image(tmp_path / "a.tif")
    assert_same(image, data, "CYX")
    assert image.metadata.photometric == "minisblack"
    assert not image.metadata.alpha


def test_colours_with_more_samples_are_channels_with_a_note(tmp_path):
    data = pixels(5, dtype="u1")
    options = {"photometric": "rgb", "planarconfig": "contig", "extrasamples": ["unspecified"] * 2}
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(data, 0, -1), metadata=None, **options)
    image = read_image(tmp_path / "a.tif")
    assert_same(image, data, "CYX")
    assert image.notes == ("a.tif: the 5 samples of a pixel were read as channels",)


def test_the_first_of_several_series_is_read_with_a_note(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(pixels()[:20], metadata=None)
        file.write(pixels(), metadata=None)
    first = read_image(tmp_path / "a.tif")
    assert first.shape == (20, W)
    assert first.notes == ("a.tif: series 0 (of 0 to 1) was read; `series` chooses",)
    second = read_image(tmp_path / "a.tif", series=1)
    assert_same(second, pixels(), "YX")
    assert second.notes == ()


def test_reduced_copies_are_no_further_series(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(pixels(), metadata=None, subifds=1)
        file.write(pixels()[::2, ::2], subfiletype=1, metadata=None)
        file.write(pixels()[:9, :9], subfiletype=1, metadata=None)
    image = read_image(tmp_path / "a.tif")
    assert_same(image, pixels(), "YX")
    assert image.notes == ()


def test_hyperstack_of_imagej(tmp_path):
    data = pixels(3, 2, 4)
    said = {
        "axes": "TZCYX",
        "unit": "um",
        "spacing": 2.5,
        "finterval": 0.5,
        "fps": 2.0,
        "Labels": [f"plane {i}" for i in range(24)],
        "Ranges": tuple(float(i) for i in range(8)),
        "LUTs": [np.full((3, 256), i, "u1") for i in range(4)],
        "Info": "made by a test",
    }
    tifffile.imwrite(tmp_path / "a.tif", data, imagej=True, resolution=(4.0, 2.0), metadata=said)
    image = read_image(tmp_path / "a.tif")
    assert_same(image, data, "TZCYX")
    metadata = image.metadata
    assert metadata.flavor == "imagej"
    assert metadata.pixel_size == PixelSize(x=0.25, y=0.5, unit="um")
    for name in ("spacing", "finterval", "fps", "Labels", "Ranges", "Info"):
        assert metadata.properties[name] == said[name]
    np.testing.assert_array_equal(metadata.properties["LUTs"], said["LUTs"])
    assert not {"axes", "images", "slices", "unit", "ImageJ"} & set(metadata.properties)
    page = read_image(tmp_path / "a.tif", page=5)
    assert page.metadata.properties["Labels"] == ["plane 20", "plane 21", "plane 22", "plane 23"]


def test_ome_tiff(tmp_path):
    data = pixels(2, 3)
    said = {
        "axes": "TCYX",
        "Name": "cells",
        "PhysicalSizeX": 0.1,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.2,
        "PhysicalSizeYUnit": "nm",
        "PhysicalSizeZ": 1.5,
        "PhysicalSizeZUnit": "µm",
        "TimeIncrement": 3.0,
        "TimeIncrementUnit": "s",
        "Channel": {"Name": ["DAPI", "GFP", "Cy5"]},
        "Plane": {"PositionX": [float(i) for i in range(6)]},
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", data, photometric="minisblack", metadata=said)
    image = read_image(tmp_path / "a.ome.tif")
    assert_same(image, data, "TCYX")
    assert image.notes == ()
    assert image.metadata.flavor == "ome"
    assert image.metadata.pixel_size == PixelSize(x=0.1, y=0.2, unit="nm")
    kept = {name: value for name, value in said.items() if name not in ("axes",) and "SizeX" not in name}
    assert image.metadata.properties == {name: value for name, value in kept.items() if "SizeY" not in name}
    page = read_image(tmp_path / "a.ome.tif", page=1)
    assert_same(page, data[1], "CYX")
    assert page.metadata.properties["Plane"] == {"PositionX": [3.0, 4.0, 5.0]}
    assert page.metadata.properties["Channel"] == said["Channel"]


@pytest.mark.parametrize(
    ("said", "size", "note"),
    [
        ({"X": (500, "nm"), "Y": (0.5, "µm")}, PixelSize(x=500, y=500, unit="nm"), None),
        ({"X": (0.5, "µm"), "Y": (1, "mm")}, PixelSize(x=0.5, y=1000, unit="µm"), None),
        ({"X": (0.5, "µm")}, PixelSize(x=0.5, y=0.5, unit="µm"), "PhysicalSizeX alone is given, 0.5 µm"),
        ({"Y": (2, "nm")}, PixelSize(x=2, y=2, unit="nm"), "PhysicalSizeY alone is given, 2 nm"),
        ({"X": (2, "nm"), "Y": (2, "pixel")}, None, "its units are nm along x and pixel along y"),
        ({"X": (-2, "nm"), "Y": (2, "nm")}, None, "the pixel size -2.0 x 2.0 was not used"),
    ],
)
def test_the_pixel_size_of_ome_is_read_in_any_units_or_a_note_says_why_not(tmp_path, said, size, note):
    sizes = {f"PhysicalSize{axis}": value for axis, (value, _) in said.items()}
    units = {f"PhysicalSize{axis}Unit": unit for axis, (_, unit) in said.items()}
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels(), metadata={"axes": "YX", **sizes, **units})
    image = read_image(tmp_path / "a.ome.tif")
    assert image.metadata.pixel_size == size
    assert [note in found for found in image.notes] == [True] * (note is not None)


def part_of_a_data_set(path, data, planes, dimension_order="XYCZT", sizes=(2, 3, 4), file_uuid="here"):
    """Write a part of a data set in several OME-TIFFs of sizes (T, Z, C); ``planes``: (T, Z, C) of each page."""
    t, z, c = sizes
    entries = [
        f'<TiffData FirstT="{t}" FirstZ="{z}" FirstC="{c}" IFD="{ifd}" PlaneCount="1">'
        f'<UUID FileName="{path.name}">urn:uuid:here</UUID></TiffData>'
        for ifd, (t, z, c) in enumerate(planes)
    ]
    further = '<TiffData FirstC="3" IFD="0" PlaneCount="1"><UUID FileName="b.ome.tif">urn:uuid:there</UUID></TiffData>'
    channels = "".join(f'<Channel ID="Channel:0:{i}" SamplesPerPixel="1" Name="ch{i}"/>' for i in range(c))
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'UUID="urn:uuid:{file_uuid}"><Image ID="Image:0" Name="cells"><Pixels ID="Pixels:0" Type="uint16" '
        f'DimensionOrder="{dimension_order}" SizeX="{W}" SizeY="{H}" SizeT="{t}" SizeZ="{z}" SizeC="{c}" '
        'PhysicalSizeX="0.25" PhysicalSizeXUnit="µm" PhysicalSizeY="0.5" PhysicalSizeYUnit="µm" PhysicalSizeZ="2.0">'
        f"{channels}{''.join(entries)}{further}</Pixels></Image></OME>"
    )
    tifffile.imwrite(path, data, photometric="minisblack", description=xml.encode(), metadata=None)


@pytest.mark.parametrize(
    ("planes", "axes", "channels", "words"),
    [
        ([(t, z, 1) for t in range(2) for z in range(3)], "TZYX", ["ch1"], "T 0 to 1, Z 0 to 2, C 1"),
        ([(t, z, 1) for z in range(3) for t in range(2)], "ZTYX", ["ch1"], "T 0 to 1, Z 0 to 2, C 1"),
        ([(1, z, c) for z in range(3) for c in (1, 3)], "ZCYX", ["ch1", "ch3"], "T 1, Z 0 to 2, C 1 3"),
        ([(0, 0, 2)], "YX", ["ch2"], "T 0, Z 0, C 2"),
    ],
)
def test_a_part_of_a_data_set_in_several_files_keeps_its_axes_sizes_and_channels(
    tmp_path, planes, axes, channels, words
):
    data = pixels(len(planes)) if len(planes) > 1 else pixels()
    part_of_a_data_set(tmp_path / "a.ome.tif", data, planes)
    image = read_image(tmp_path / "a.ome.tif")
    lengths = {axis: len({plane["TZC".index(axis)] for plane in planes}) for axis in axes[:-2]}
    assert_same(image, data.reshape(*lengths.values(), H, W), axes)
    assert image.notes == (f"a.ome.tif: a part of a data set in several files: {words}",)
    assert image.metadata.flavor == "ome"
    assert image.metadata.pixel_size == PixelSize(x=0.25, y=0.5, unit="µm")
    assert image.metadata.properties["Channel"]["Name"] == channels
    assert image.metadata.properties["PhysicalSizeZ"] == 2


@pytest.mark.parametrize(
    "planes",
    [[(0, 0, 0), (0, 0, 0)], [(0, 0, 0), (0, 1, 1)], [(0, 0, 9), (0, 0, 1)], [(0, 0, 0)] * 5],
    ids=["twice", "no grid", "beyond the sizes", "beyond the pages"],
)
def test_a_part_that_is_no_grid_of_planes_is_read_as_pages(tmp_path, planes):
    part_of_a_data_set(tmp_path / "a.ome.tif", pixels(2), planes)
    image = read_image(tmp_path / "a.ome.tif")
    assert_same(image, pixels(2), "IYX")
    assert "the OME-XML was not used" in image.notes[0]


def test_series_of_an_ome_tiff_have_their_own_names(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        for name, size in (("one", 0.5), ("two", 2.0)):
            metadata = {"axes": "CYX", "Name": name, "PhysicalSizeX": size, "PhysicalSizeY": size}
            file.write(pixels(3) + np.uint16(size), photometric="minisblack", metadata=metadata)
    image = read_image(tmp_path / "a.ome.tif", series=1)
    assert_same(image, pixels(3) + np.uint16(2), "CYX")
    assert image.metadata.properties["Name"] == "two"
    assert image.metadata.pixel_size == PixelSize(x=2, y=2, unit="µm")


def test_ome_pyramid_is_one_series_at_full_resolution(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as file:
        file.write(pixels(3), photometric="minisblack", metadata={"axes": "CYX"}, subifds=1)
        file.write(pixels(3)[:, ::2, ::2], photometric="minisblack", subfiletype=1)
    image = read_image(tmp_path / "a.ome.tif")
    assert_same(image, pixels(3), "CYX")
    assert image.notes == ()


def test_description_and_further_tags_of_a_plain_tiff(tmp_path):
    tags = [(271, 2, 0, "Maker", True), (34675, 7, 4, b"\1\2\3\4", True), (33432, 2, 0, "nobody", True)]
    options = {"description": "two words", "datetime": "2026:01:02 03:04:05", "extratags": tags, "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", pixels(), software="somebody's", **options)
    metadata = read_image(tmp_path / "a.tif").metadata
    assert metadata.flavor == "plain"
    assert metadata.description == "two words"
    kept = {code: value for code, _, _, value in metadata.tags}
    assert kept == {271: "Maker", 306: "2026:01:02 03:04:05", 33432: "nobody", 34675: b"\1\2\3\4"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (1, 1)),
        ({"compression": "zlib"}, (8, 1)),
        ({"compression": "zlib", "predictor": True}, (8, 2)),
        ({"compression": "zstd", "tile": (16, 16)}, (50000, 1)),
        ({"compression": "lzw", "predictor": True}, (5, 2)),
    ],
)
def test_compression_and_predictor_are_known(tmp_path, options, expected):
    if options.get("compression") in ("zstd", "lzw"):
        pytest.importorskip("imagecodecs")
    tifffile.imwrite(tmp_path / "a.tif", pixels(), **options)
    metadata = read_image(tmp_path / "a.tif").metadata
    assert (metadata.compression, metadata.predictor) == expected


@pytest.mark.parametrize("nodata", [-9999, None])
@pytest.mark.parametrize("compression", [1, 8])
def test_tiles_that_gdal_left_out_hold_the_missing_value_or_zero(tmp_path, nodata, compression):
    data = pixels(dtype="i2")
    tag = [] if nodata is None else [(42113, 2, 0, str(nodata), True)]
    tifffile.imwrite(tmp_path / "a.tif", data, tile=(16, 16), extratags=tag, compression=compression, metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        page = file.pages.first
        counts = (*page.databytecounts[:-1], 0)
        offsets = (*page.dataoffsets[:-1], 0)
        page.tags[325].overwrite(counts)
        page.tags[324].overwrite(offsets)
    image = read_image(tmp_path / "a.tif")
    expected = data.copy()
    expected[32:, 48:] = nodata or 0
    np.testing.assert_array_equal(image.data, expected)
    note = "a.tif: 1 of 12 tiles are left out of the file and were read as 0"
    assert image.notes == ((note,) if nodata is None else ())


def test_a_file_without_any_tile_is_zero(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", pixels(), tile=(16, 16), compression=8, metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        page = file.pages.first
        for code, values in ((325, page.databytecounts), (324, page.dataoffsets)):
            page.tags[code].overwrite((0,) * len(values))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, np.zeros((H, W)))


def test_sparse_tiles_of_gdal_are_zero(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    data = np.kron(np.eye(4, dtype="u2"), np.ones((16, 16), "u2"))
    options = {"driver": "GTiff", "height": 64, "width": 64, "count": 1, "dtype": "uint16"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has no georeference
        tiles = {"tiled": True, "blockxsize": 16, "blockysize": 16, "SPARSE_OK": "TRUE"}
        with rasterio.open(tmp_path / "a.tif", "w", **options, **tiles) as file:
            file.write(data, 1)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, data)


def test_several_planes_have_no_luminance(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", pixels(5), photometric="minisblack")
    image = read_image(tmp_path / "a.tif")
    with pytest.raises(InputError, match="expected one 2D image, found axes QYX"):
        image.luminance()
    np.testing.assert_array_equal(image.read((3,)).luminance(), pixels(5)[3])


@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_the_mask_of_a_geotiff_tells_which_pixels_count(tmp_path, tile):
    inside = pixels() > 100
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(pixels(dtype="u2"), metadata=None, tile=tile)
        file.write(inside, subfiletype=4, photometric="mask", metadata=None, tile=tile)
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.valid(), inside)
    rows, columns = slice(5, 30), slice(8, 40)
    np.testing.assert_array_equal(image.read((), rows, columns).valid(), inside[rows, columns])


def test_the_mask_that_gdal_writes_tells_which_pixels_count(tmp_path):
    rasterio = pytest.importorskip("rasterio")
    inside = pixels() > 100
    options = {"driver": "GTiff", "height": H, "width": W, "count": 3, "dtype": "uint16"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has no georeference
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(tmp_path / "a.tif", "w", **options) as file:
            file.write(pixels(3))
            file.write_mask(inside)
    image = read_image(tmp_path / "a.tif")
    assert image.leading == (3,)
    for channel in range(3):
        np.testing.assert_array_equal(image.read((channel,)).valid(), inside)


@pytest.mark.parametrize(
    "text",
    [
        *("a lamp\n</scn>", "<scn></scn>", "<scn", '<DataObject ObjectType="DPUfsImport"', "[Intensity Mapping]"),
        *(
            "Aperio Image Library v11",
            "<MetaData>",
            "<PerkinElmer-QPI-ImageDescription>",
            "state.config=x",
            "<OME></OME>",
        ),
        *(
            "ImageJ=",
            "ImageJ=1\nimages=9999",
            '{"shape": [2, 3]}',
            '{"shape": "x"}',
            "<iScan",
            "Level=1 <iScan",
            "[Acquisition",
        ),
    ],
)
def test_a_description_that_only_begins_or_ends_like_a_known_one_costs_no_pixels(tmp_path, text):
    data = np.random.default_rng(0).integers(0, 250, (40, 50)).astype("u1")
    for pages in (1, 3):
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            for _ in range(pages):
                file.write(data, description=text, metadata=None)
        image = read_image(tmp_path / "a.tif", page=0)
        assert np.array_equal(image.data, data)


def write_pages(path, pages, tags):
    with tifffile.TiffWriter(path) as file:
        for page, options in zip(pages, tags, strict=True):
            file.write(page, metadata=None, **options)


def test_every_page_has_the_colours_of_its_own_palette(tmp_path):
    rng = np.random.default_rng(0)
    pages = rng.integers(0, 250, (3, 40, 50)).astype("u1")
    palettes = rng.integers(0, 65535, (3, 3, 256)).astype("u2")
    options = [{"photometric": "palette", "colormap": palette} for palette in palettes]
    write_pages(tmp_path / "a.tif", pages, options)
    expected = np.stack([palette.T[page] for palette, page in zip(palettes, pages, strict=True)])
    assert np.array_equal(read_image(tmp_path / "a.tif").data, expected)
    assert np.array_equal(read_image(tmp_path / "a.tif", page=2).data, expected[2])
    labels = read_image(tmp_path / "a.tif", indices=True)
    assert np.array_equal(labels.data, pages)
    assert "palettes of their own" in labels.notes[0]


def test_pages_after_many_long_tags_are_turned_as_well(tmp_path, monkeypatch):
    """A tag of a few bytes stands in the table of the page itself, and costs no reading."""
    monkeypatch.setattr(ifd_chain, "_MAX_READ_BYTES", 5000)
    pages = np.random.default_rng(0).integers(0, 250, (3, 40, 50)).astype("u1")
    own = [[(65000, 7, 4000, bytes([turn]) * 4000, True), (274, 3, 1, turn, True)] for turn in (1, 3, 2)]
    write_pages(tmp_path / "a.tif", pages, [{"extratags": tags} for tags in own])
    assert np.array_equal(read_image(tmp_path / "a.tif").data, [pages[0], pages[1][::-1, ::-1], pages[2][:, ::-1]])
    alike = [{"extratags": [*tags[:1], (274, 3, 1, 1, True)]} for tags in own]
    write_pages(tmp_path / "b.tif", pages, alike)
    assert not any("turned" in note for note in read_image(tmp_path / "b.tif").notes)


def test_every_page_is_turned_as_its_own_tag_says(tmp_path):
    pages = np.random.default_rng(0).integers(0, 250, (3, 40, 50)).astype("u1")
    options = [{"extratags": [(274, 3, 1, turn, True)]} for turn in (1, 3, 2)]
    write_pages(tmp_path / "a.tif", pages, options)
    image = read_image(tmp_path / "a.tif")
    assert np.array_equal(image.data, [pages[0], pages[1][::-1, ::-1], pages[2][:, ::-1]])
    assert "orientation tag of each" in image.notes[0]
    write_pages(tmp_path / "b.tif", pages, [options[0], {"extratags": [(274, 3, 1, 6, True)]}, options[2]])
    with pytest.raises(InputError, match="turned on their side"):
        read_image(tmp_path / "b.tif")
