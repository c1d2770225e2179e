"""OME-Zarr, as the zarr library writes it, is read at full resolution with axes, sizes and names."""

import json
import sys

import numpy as np
import pytest

from zncc_cli.errors import InputError
from zncc_cli.files import images, ome_zarr
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
    """An OME-Zarr of two levels: 0.5 on Zarr 3, 0.4 on Zarr 2."""
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
    monkeypatch.setattr(images, "_SMALL", 0)
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


def test_a_folder_with_another_name_is_told_by_its_content(tmp_path):
    assert read_image(write(tmp_path / "a", pixels())).axes == "TCZYX"
    write(tmp_path / "b.ome.zarr", pixels())
    assert [path.name for path in list_images(tmp_path)] == ["a", "b.ome.zarr"]


def test_several_images_of_bioformats2raw(tmp_path):
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    for number in range(2):
        write(tmp_path / "a.zarr" / str(number), pixels() + np.uint16(number), 2)
    assert read_image(tmp_path / "a.zarr").notes == ("a.zarr: series 0 of 2 was read; --series chooses",)
    np.testing.assert_array_equal(read_image(tmp_path / "a.zarr", series=1).data, pixels() + np.uint16(1))
    with pytest.raises(InputError, match="2 series"):
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


def test_names_the_extra_that_reads_it(tmp_path, monkeypatch):
    folder = write(tmp_path / "a.zarr", pixels())
    monkeypatch.setitem(sys.modules, "zarr", None)
    refused(folder, 'pip install "zncc-cli[zarr]"', "Python 3.11")


def test_nothing_is_known_of_a_unit_that_is_not_given(tmp_path):
    axes = [{"name": axis["name"]} for axis in AXES]
    image = read_image(write(tmp_path / "a.zarr", pixels(), axes=axes))
    assert image.metadata.pixel_size is None
    assert "PhysicalSizeZ" not in image.metadata.properties
    assert ome_zarr.is_zarr(tmp_path / "a.zarr")
