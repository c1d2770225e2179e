"""OME-Zarr, as the zarr library writes it, is read at full resolution with axes, sizes and names."""

import bz2
import gzip
import json
import lzma
import os
import struct
import sys
import tracemalloc
import zlib

import numpy as np
import pytest

from zncc_cli.errors import InputError, OptionError
from zncc_cli.files import images, paths
from zncc_cli.files.image_output import write_image
from zncc_cli.files.images import list_images, read_image
from zncc_cli.files.lazy import LazyArray
from zncc_cli.files.metadata import PixelSize

zarr = pytest.importorskip("zarr")

SHAPE = (2, 3, 4, 60, 70)
CHUNKS = (1, 1, 2, 32, 24)
AXES = [
    {"name": "t", "type": "time", "unit": "second"},
    {"name": "c", "type": "channel"},
    {"name": "z", "type": "space", "unit": "micrometer"},
    {"name": "y", "type": "space", "unit": "micrometer"},
    {"name": "x", "type": "space", "unit": "micrometer"},
]


def pixels(shape=SHAPE, dtype="u2"):
    return np.random.default_rng(0).integers(0, 250, shape).astype(dtype)


def write(folder, data, version=3, axes=AXES, **options):
    """Write an OME-Zarr of two levels: 0.5 on Zarr 3, 0.4 on Zarr 2."""
    group = zarr.open_group(str(folder), mode="w", zarr_format=version)
    chunks = options.pop("chunks", CHUNKS[-data.ndim :])
    for level, values in enumerate((data, data[..., ::2, ::2])):
        array = group.create_array(str(level), shape=values.shape, chunks=chunks, dtype=values.dtype, **options)
        array[...] = values
    scale = [3.0, 1.0, 2.0, 0.5, 0.25][-data.ndim :]
    datasets = [
        {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]} for level in (0, 1)
    ]
    said = {
        "multiscales": [{"name": "cells", "axes": axes[-data.ndim :], "datasets": datasets}],
        "omero": {"channels": [{"label": name} for name in ("DAPI", "GFP", "Cy5")]},
    }
    group.attrs.update({"ome": {"version": "0.5", **said}} if version == 3 else said)
    return folder


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("dtype", ["u1", ">u2", "i4", "f4", "f8"])
def test_ome_zarr(tmp_path, version, dtype):
    data = pixels(dtype=dtype)
    image = read_image(write(tmp_path / "a.zarr", data, version))
    assert image.axes == "TCZYX"
    assert image.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(image.data, data)
    metadata = image.metadata
    assert (metadata.format, metadata.flavor) == ("OME-Zarr", "ome")
    assert metadata.pixel_size == PixelSize(x=0.25, y=0.5, unit="µm")
    assert metadata.properties == {
        "Name": "cells",
        "PhysicalSizeZ": 2.0,
        "PhysicalSizeZUnit": "µm",
        "TimeIncrement": 3.0,
        "TimeIncrementUnit": "s",
        "Channel": {"Name": ["DAPI", "GFP", "Cy5"]},
    }


@pytest.mark.parametrize("version", [2, 3])
def test_parts_equal_the_whole_and_each_chunk_is_decoded_once(tmp_path, monkeypatch, version):
    monkeypatch.setattr(images, "_MAX_EAGER_BYTES", 0)
    data = pixels()
    image = read_image(write(tmp_path / "a.zarr", data, version))
    assert isinstance(image.data, LazyArray)
    decoded = []
    get = zarr.Array.__getitem__
    monkeypatch.setattr(zarr.Array, "__getitem__", lambda self, key: decoded.append(str(key)) or get(self, key))
    for row in range(0, 60, 20):
        part = image.read((1, 2, 3), slice(row, row + 20), slice(5, 70))
        np.testing.assert_array_equal(part.data, data[1, 2, 3, row : row + 20, 5:70])
    assert len(decoded) == len(set(decoded)) == 6
    np.testing.assert_array_equal(np.asarray(image.data), data)


def test_shards_are_read_by_their_inner_chunks(tmp_path):
    data = pixels((96, 96))
    image = read_image(write(tmp_path / "a.zarr", data, chunks=(16, 16), shards=(48, 48)))
    np.testing.assert_array_equal(image.data, data)


def test_one_page_keeps_its_channels(tmp_path):
    image = read_image(write(tmp_path / "a.zarr", pixels()), page=5)
    assert image.axes == "CYX"
    np.testing.assert_array_equal(image.data, pixels()[1, :, 1])


def test_axes_of_length_one_are_left_out(tmp_path):
    image = read_image(write(tmp_path / "a.zarr", pixels((1, 3, 1, 60, 70))))
    assert image.axes == "CYX"


def test_a_folder_without_the_suffix_is_recognised_by_its_content(tmp_path):
    assert read_image(write(tmp_path / "a", pixels())).axes == "TCZYX"
    write(tmp_path / "b.ome.zarr", pixels())
    assert [path.name for path in list_images(tmp_path)] == ["a", "b.ome.zarr"]


def test_several_images_of_bioformats2raw(tmp_path):
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    for number in range(2):
        write(tmp_path / "a.zarr" / str(number), pixels() + np.uint16(number), 2)
    assert read_image(tmp_path / "a.zarr").notes == ("a.zarr: series 0 (of 0 to 1) was read; `series` chooses",)
    np.testing.assert_array_equal(read_image(tmp_path / "a.zarr", series=1).data, pixels() + np.uint16(1))
    with pytest.raises(OptionError, match=r"`series` 2: expected a number from 0 to 1"):
        read_image(tmp_path / "a.zarr", series=2)


def refused(folder, *words):
    with pytest.raises(InputError) as caught:
        read_image(folder)
    message = str(caught.value)
    assert "\n" not in message
    for word in (f"{folder}: expected ", *words):
        assert word in message


def changed(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_refuses_a_folder_without_an_image(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    refused(tmp_path / "a.zarr", "multiscales")


def test_refuses_objects_and_unknown_codecs(tmp_path):
    folder = write(tmp_path / "a.zarr", pixels(), 2)
    header = folder / "0" / ".zarray"
    whole = header.read_text()
    changed(header, lambda content: content.update(dtype="|O", filters=[{"id": "pickle"}]))
    refused(folder, "|O")
    header.write_text(whole)
    changed(header, lambda content: content.update(filters=[{"id": "pickle"}]))
    refused(folder, "codec pickle")
    folder = write(tmp_path / "b.zarr", pixels(), 3)
    changed(folder / "0" / "zarr.json", lambda content: content["codecs"].append({"name": "numcodecs.pickle"}))
    refused(folder, "codec numcodecs.pickle")


def test_refuses_chunks_that_would_fill_the_memory(tmp_path):
    folder = write(tmp_path / "a.zarr", pixels(), 2)
    changed(folder / "0" / ".zarray", lambda content: content.update(chunks=[1, 1, 1, 2**20, 2**20]))
    refused(folder, "chunks of at most", "smaller chunks")


@pytest.mark.parametrize("path", ["../outside", "/etc", "missing"])
def test_refuses_an_array_that_is_not_in_the_folder(tmp_path, path):
    folder = write(tmp_path / "a.zarr", pixels(), 2)
    write(tmp_path / "outside", pixels(), 2)
    changed(folder / ".zattrs", lambda content: content["multiscales"][0]["datasets"][0].update(path=path))
    refused(folder)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"multiscales": 3}', '{"multiscales": [{}]}', "[" * 100_000])
def test_refuses_damaged_metadata(tmp_path, content):
    folder = write(tmp_path / "a.zarr", pixels(), 2)
    (folder / ".zattrs").write_text(content)
    refused(folder)


def test_refuses_a_damaged_chunk(tmp_path):
    folder = write(tmp_path / "a.zarr", pixels(), 2)
    chunk = next(path for path in sorted((folder / "0").rglob("*")) if path.is_file() and path.name[0] != ".")
    chunk.write_bytes(chunk.read_bytes()[:20])
    refused(folder)


def chunk_of(folder):
    return next(path for path in sorted((folder / "0").rglob("*")) if path.is_file() and path.name[0] != ".")


# What the bombs below hold, once inflated: far more than the 2 x 1,536 bytes and 64 KB that a chunk may take.
BOMB = bytes(2**25)


def zstd_without_size(data):
    """Return a frame without the size of its content, as streams write it."""
    content = bytearray(b"\x28\xb5\x2f\xfd\x00\x58")
    for start in range(0, len(data), 2**17):
        block = data[start : start + 2**17]
        # A block of one byte repeated; the last one says that it is.
        content += (len(block) << 3 | 1 << 1 | (start + 2**17 >= len(data))).to_bytes(3, "little") + block[:1]
    return bytes(content)


BOMBS = {
    "zlib": zlib.compress(BOMB),
    "gzip": gzip.compress(BOMB),
    "gzip, many members": gzip.compress(bytes(60_000)) * 20,
    "bz2": bz2.compress(BOMB),
    "lzma": lzma.compress(BOMB),
    "lz4": struct.pack("<I", 2**30) + bytes(100),
    "blosc": struct.pack("<BBBBIII", 2, 1, 0x33, 2, 2**30, 2**16, 100) + bytes(84),
    "zstd": b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", 2**30) + bytes(100),
    "zstd, no size": zstd_without_size(BOMB),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_refuses_a_chunk_that_inflates_to_more_than_its_pixels_and_takes_no_memory(tmp_path, bomb):
    folder = write(tmp_path / "a.zarr", pixels(), 2)
    codec = {"id": bomb.split(",")[0]}
    changed(folder / "0" / ".zarray", lambda content: content.update(compressor=codec))
    for path in (folder / "0").rglob("*"):
        if path.is_file() and path.name[0] != ".":
            path.write_bytes(BOMBS[bomb])
    tracemalloc.start()
    refused(folder, "more than")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**24  # half of it is the window of LZMA


def test_refuses_an_inner_chunk_of_a_shard_that_inflates_to_more_than_its_pixels(tmp_path):
    google_crc32c = pytest.importorskip("google_crc32c", reason="the checksum of the index")
    options = {"chunks": (16, 16), "shards": (48, 48), "compressors": zarr.codecs.GzipCodec(), "filters": None}
    folder = write(tmp_path / "a.zarr", pixels((96, 96)), **options)
    shard = folder / "0" / "c" / "0" / "0"
    bomb = BOMBS["gzip"]
    index = struct.pack("<QQ", 0, len(bomb)) * 9
    shard.write_bytes(bomb + index + struct.pack("<I", google_crc32c.value(index)))
    refused(folder, "to more than 66560 bytes, the limit for one chunk")


@pytest.mark.parametrize("codec", ["zlib", "gzip", "bz2", "lzma", "lz4", "blosc", "zstd"])
def test_every_compression_is_read(tmp_path, codec):
    numcodecs = pytest.importorskip("numcodecs")
    kinds = {
        "zlib": "Zlib",
        "gzip": "GZip",
        "bz2": "BZ2",
        "lzma": "LZMA",
        "lz4": "LZ4",
        "blosc": "Blosc",
        "zstd": "Zstd",
    }
    compressor = getattr(numcodecs, kinds[codec])()
    folder = write(tmp_path / "a.zarr", pixels(), 2, compressors=compressor)
    np.testing.assert_array_equal(read_image(folder).data, pixels())


def test_zstd_without_its_size_is_read(tmp_path):
    pytest.importorskip("imagecodecs")
    folder = write(tmp_path / "a.zarr", np.full((32, 24), 0x0707, "u2"), 2, chunks=(32, 24))
    changed(folder / "0" / ".zarray", lambda content: content.update(compressor={"id": "zstd", "level": 0}))
    chunk_of(folder).write_bytes(zstd_without_size(b"\7" * 1536))
    np.testing.assert_array_equal(read_image(folder).data, np.full((32, 24), 0x0707, "u2"))


def test_refuses_two_compressions_one_in_the_other(tmp_path):
    folder = write(tmp_path / "a.zarr", pixels(), 2)
    twice = {"filters": [{"id": "zlib", "level": 1}], "compressor": {"id": "gzip", "level": 1}}
    changed(folder / "0" / ".zarray", lambda content: content.update(twice))
    refused(folder, "one compression")


def test_refuses_a_chunk_file_that_is_larger_than_its_pixels(tmp_path):
    folder = write(tmp_path / "a.zarr", pixels(), 2)
    with chunk_of(folder).open("wb") as file:
        file.truncate(2**40)  # sparse
    refused(folder, "1099511627776 bytes")


def test_refuses_a_named_pipe_for_a_chunk_without_waiting_for_it(tmp_path):
    folder = write(tmp_path / "a.zarr", pixels(), 2)
    chunk = chunk_of(folder)
    chunk.unlink()
    os.mkfifo(chunk)
    refused(folder, "is not a file")


@pytest.mark.parametrize(
    "sharding",
    [
        {"chunk_shape": [48, 48]},
        {"chunk_shape": [7, 48]},
        {"index_location": "start"},
        {"index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}, {"name": "gzip"}]},
    ],
)
def test_refuses_shards_whose_parts_cannot_be_checked(tmp_path, sharding):
    folder = write(tmp_path / "a.zarr", pixels((96, 96)), chunks=(16, 16), shards=(48, 48))
    changed(folder / "0" / "zarr.json", lambda content: content["codecs"][0]["configuration"].update(sharding))
    refused(folder, "shard")


def test_one_page_of_very_many_takes_no_memory_for_the_others(tmp_path):
    folder = write(tmp_path / "a.zarr", pixels((2, 64, 64)), 2, chunks=(1, 64, 64))
    changed(folder / "0" / ".zarray", lambda content: content.update(shape=[2 * 10**8, 64, 64]))
    tracemalloc.start()
    image = read_image(folder, page=1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(image.data, pixels((2, 64, 64))[1])
    assert peak < 2**24


@pytest.mark.parametrize(
    ("names", "axes"), [("yyx", "QYX"), ("xyx", "QYX"), ("syx", "QYX"), ("ttyx", "QQYX"), ("\xe9yx", "QYX")]
)
def test_axes_that_would_be_taken_for_those_of_the_plane_are_unknown_ones(tmp_path, names, axes):
    shape = (2, 3, 60, 70)[-len(names) :]
    image = read_image(write(tmp_path / "a.zarr", pixels(shape), axes=[{"name": name} for name in names]))
    assert image.axes == axes
    write_image(tmp_path / "b.tif", image.data, like=image)
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif").data, pixels(shape))


def test_colours_of_channels_are_kept(tmp_path):
    folder = write(tmp_path / "a.zarr", pixels(), 2)
    colours = ["FF0000", "00ff00", "0000FF"]
    channels = [{"label": "a", "color": colour} for colour in colours]
    changed(folder / ".zattrs", lambda content: content.update(omero={"channels": channels}))
    image = read_image(folder)
    assert image.metadata.properties["Channel"] == {"Name": ["a"] * 3, "Color": [-16776961, 16711935, 65535]}
    assert write_image(tmp_path / "b.tif", image.data, like=image) == ("left out: a smaller copy",)
    assert read_image(tmp_path / "b.tif").metadata.properties["Channel"]["Color"] == ["-16776961", "16711935", "65535"]


def test_metadata_that_a_tiff_does_not_hold_are_named(tmp_path):
    folder = write(tmp_path / "a.zarr", pixels(), 2)

    def change(content):
        content["omero"]["channels"] = [{"label": "a", "color": "red", "window": {"start": 0}}] * 3
        steps = content["multiscales"][0]["datasets"][0]["coordinateTransformations"]
        steps.append({"type": "translation", "translation": [0, 0, 0, 1.5, 2]})

    changed(folder / ".zattrs", change)
    image = read_image(folder)
    (note,) = write_image(tmp_path / "b.tif", image.data, like=image)
    names = "the translation of OME-Zarr, colours of channels, display windows of channels, a smaller copy"
    assert note == f"left out: {names}"


def test_names_the_extra_that_reads_ome_zarr(tmp_path, monkeypatch):
    folder = write(tmp_path / "a.zarr", pixels())
    monkeypatch.setitem(sys.modules, "zarr", None)
    refused(folder, 'pip install "zncc-cli[zarr]"', "Python 3.11")


def test_a_scale_without_a_unit_gives_no_pixel_size(tmp_path):
    axes = [{"name": axis["name"]} for axis in AXES]
    image = read_image(write(tmp_path / "a.zarr", pixels(), axes=axes))
    assert image.metadata.pixel_size is None
    assert image.notes == ("a.zarr: the scale has no unit of length along x and y: the size of a pixel is not known",)
    assert "PhysicalSizeZ" not in image.metadata.properties
    assert paths.is_zarr(tmp_path / "a.zarr")


def test_units_of_x_and_y_may_differ(tmp_path):
    axes = [{"name": "y", "type": "space", "unit": "micrometer"}, {"name": "x", "type": "space", "unit": "nanometer"}]
    image = read_image(write(tmp_path / "a.zarr", pixels()[0, 0, 0], axes=axes))
    # 0.5 along y, in the unit of x.
    assert image.metadata.pixel_size == PixelSize(x=0.25, y=500, unit="nm")
