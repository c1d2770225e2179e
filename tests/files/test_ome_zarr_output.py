"""What is written as OME-Zarr is read by zarr and by other tools of OME-Zarr, with its axes, sizes and channels."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from zncc_cli.config import ImageFormat
from zncc_cli.errors import OptionError, OutputError
from zncc_cli.files import ome_zarr_output
from zncc_cli.files.image_output import write_image, write_strips
from zncc_cli.files.images import Image, read_image
from zncc_cli.files.metadata import PixelSize
from zncc_cli.files.output_formats import check_output

zarr = pytest.importorskip("zarr", reason="zarr reads OME-Zarr")
H, W = 37, 53
SIZE = {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}


def pixels(*leading: int, dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4000, (*leading, H, W)).astype(dtype)


def image_of(path: Path, data: np.ndarray, **metadata: Any) -> Image:
    tifffile.imwrite(path, data, ome=True, photometric="minisblack", metadata=metadata)
    return read_image(path)


def ome_of(folder: Path) -> dict[str, Any]:
    attributes: dict[str, Any] = json.loads((folder / "zarr.json").read_text())["attributes"]["ome"]
    return attributes


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", "u8", "f2", "f4", "f8"])
def test_pixels_of_every_dtype_come_back(tmp_path: Path, dtype: str) -> None:
    data = (pixels(dtype="i4") - 2000 * (dtype[0] != "u")).astype(dtype)
    assert write_image(tmp_path / "a.ome.zarr", data) == ()
    array = zarr.open_array(tmp_path / "a.ome.zarr" / "s0", mode="r")
    assert array.dtype == np.dtype(dtype)
    assert np.array_equal(array[:], data)
    again = read_image(tmp_path / "a.ome.zarr")
    assert again.axes == "YX"
    assert np.array_equal(again.data, data)


def test_axes_sizes_and_channels_are_in_the_metadata(tmp_path: Path) -> None:
    channels = {"Name": ["DAPI", "GFP"], "Color": [65535, 16711935]}
    said = {"PhysicalSizeZ": 2.0, "PhysicalSizeZUnit": "µm", "TimeIncrement": 0.5, "TimeIncrementUnit": "s"}
    image = image_of(tmp_path / "a.ome.tif", pixels(3, 4, 2), axes="TZCYX", Channel=channels, **SIZE, **said)
    notes = write_image(tmp_path / "b.ome.zarr", np.asarray(image.data), like=image)
    assert not any("axis" in note for note in notes)
    ome = ome_of(tmp_path / "b.ome.zarr")
    assert ome["version"] == "0.5"
    (multiscale,) = ome["multiscales"]
    assert [axis["name"] for axis in multiscale["axes"]] == list("tczyx")  # the order that NGFF has
    assert [axis.get("unit") for axis in multiscale["axes"]] == ["second", None, *["micrometer"] * 3]
    assert multiscale["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [0.5, 1, 2, 0.5, 0.25]}
    ]
    assert [channel["label"] for channel in ome["omero"]["channels"]] == ["DAPI", "GFP"]
    assert [channel["color"] for channel in ome["omero"]["channels"]] == ["0000FF", "00FF00"]
    window = ome["omero"]["channels"][1]["window"]
    second = np.asarray(image.data)[:, :, 1]
    assert (window["start"], window["end"], window["max"]) == (second.min(), second.max(), 65535)
    again = read_image(tmp_path / "b.ome.zarr")
    assert again.axes == "TCZYX"
    assert np.array_equal(again.data, np.asarray(image.data).transpose(0, 2, 1, 3, 4))
    assert again.metadata.pixel_size == PixelSize(x=0.25, y=0.5, unit="µm")
    properties = again.metadata.properties
    assert (properties["PhysicalSizeZ"], properties["TimeIncrement"]) == (2.0, 0.5)
    assert properties["Channel"]["Name"] == ["DAPI", "GFP"]


def test_sizes_of_imagej_are_kept(tmp_path: Path) -> None:
    said = {"axes": "TZYX", "unit": "um", "spacing": 0.5, "finterval": 2.0}
    tifffile.imwrite(tmp_path / "a.tif", pixels(2, 3), imagej=True, resolution=(4, 4), metadata=said)
    image = read_image(tmp_path / "a.tif")
    write_image(tmp_path / "b.zarr", np.asarray(image.data), like=image)
    again = read_image(tmp_path / "b.zarr").metadata
    assert again.pixel_size == PixelSize(x=0.25, y=0.25, unit="µm")
    assert (again.properties["PhysicalSizeZ"], again.properties["TimeIncrement"]) == (0.5, 2.0)


def test_colours_are_channels(tmp_path: Path) -> None:
    data = np.moveaxis(pixels(2, 3, dtype="u1"), 1, -1)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", metadata=None)
    image = read_image(tmp_path / "a.tif")
    (note,) = write_image(tmp_path / "b.zarr", data, like=image)
    assert note == "the axis I, of an unknown kind, is written as t"
    again = read_image(tmp_path / "b.zarr")
    assert again.axes == "TCYX"
    assert np.array_equal(again.data, np.moveaxis(data, -1, 1))
    assert [channel["label"] for channel in ome_of(tmp_path / "b.zarr")["omero"]["channels"]] == [
        "red",
        "green",
        "blue",
    ]


@pytest.mark.parametrize("labels", [False, True])
def test_a_large_image_has_smaller_copies_in_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, labels: bool
) -> None:
    monkeypatch.setattr(ome_zarr_output, "MIN_SIDE", 1500)
    rows, columns = 1030, 2101
    data = np.add.outer(np.arange(rows), np.arange(columns)).astype(np.uint16) * (1 if not labels else 7)
    tifffile.imwrite(tmp_path / "f.tif", data[:9, :9], ome=True, metadata={"axes": "YX", **SIZE})
    frame = read_image(tmp_path / "f.tif").metadata
    like = image_of_labels(tmp_path) if labels else None
    strips = (data[top : top + 512] for top in range(0, rows, 512))
    write_strips(
        *(tmp_path / "a.ome.zarr", strips),
        shape=data.shape,
        dtype="u2",
        axes="YX",
        like=like,
        frame=frame,
        pyramid=True,
    )
    (multiscale,) = ome_of(tmp_path / "a.ome.zarr")["multiscales"]
    arrays = [zarr.open_array(tmp_path / "a.ome.zarr" / entry["path"], mode="r") for entry in multiscale["datasets"]]
    assert [array.shape for array in arrays] == [(1030, 2101), (515, 1051), (258, 526)]
    assert np.array_equal(arrays[0][:], data)
    levels = read_image(tmp_path / "a.ome.zarr").levels
    assert all(np.array_equal(level, array[:]) for level, array in zip(levels, arrays[1:], strict=True))
    for array, entry in zip(arrays, multiscale["datasets"], strict=True):
        scale, *rest = entry["coordinateTransformations"]
        shift = rest[0]["translation"] if rest else [0, 0]
        y, x = 100, 200
        place = (y * scale["scale"][0] + shift[0]) / 0.5, (x * scale["scale"][1] + shift[1]) / 0.25
        expected = sum(place) * (7 if labels else 1)
        assert abs(int(array[y, x]) - expected) <= (0 if labels else 1)  # means are rounded


def image_of_labels(folder: Path) -> Any:
    colours = np.random.default_rng(1).integers(0, 256, (3, 65536)).astype("u2") * np.uint16(257)
    tifffile.imwrite(folder / "l.tif", pixels(), photometric="palette", colormap=colours, metadata=None)
    return read_image(folder / "l.tif", indices=True).metadata


def test_what_cannot_be_kept_is_named(tmp_path: Path) -> None:
    tags = [(65000, 2, 0, "private", True), (33550, 12, 3, (10.0, 10.0, 0.0), True)]
    tifffile.imwrite(tmp_path / "a.tif", pixels(), metadata=None, description="a lamp", extratags=tags)
    image = read_image(tmp_path / "a.tif")
    (note,) = write_image(tmp_path / "a.zarr", np.asarray(image.data), like=image)
    for word in ("tag 65000", "the description", "the georeference"):
        assert word in note


def test_axes_that_it_has_no_place_for_are_refused_before_any_work() -> None:
    with pytest.raises(OptionError, match=r"ome-zarr: expected an image that it holds, found axes CYXS; use tiff"):
        check_output(ImageFormat.OME_ZARR, np.dtype("u1"), (2, 9, 9, 3), "CYXS")
    with pytest.raises(OptionError, match="found axes IQRYX"):
        check_output(ImageFormat.OME_ZARR, np.dtype("u1"), (2, 2, 2, 9, 9), "IQRYX")


def test_nothing_is_left_behind_after_an_error(tmp_path: Path) -> None:
    write_image(tmp_path / "a.zarr", pixels())
    with pytest.raises(OutputError, match="exists already"):
        write_image(tmp_path / "a.zarr", pixels())
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_ngff_zarr_reads_it(tmp_path: Path) -> None:
    ngff_zarr = pytest.importorskip("ngff_zarr", reason="ngff-zarr reads OME-Zarr")
    image = image_of(tmp_path / "a.ome.tif", pixels(3, 2), axes="ZCYX", **SIZE)
    write_image(tmp_path / "b.ome.zarr", np.asarray(image.data), like=image)
    found = ngff_zarr.from_ngff_zarr(tmp_path / "b.ome.zarr", version="0.5", validate=True).images[0]
    assert tuple(found.dims) == ("c", "z", "y", "x")
    assert (found.scale["x"], found.scale["y"], found.axes_units["x"]) == (0.25, 0.5, "micrometer")
    assert np.array_equal(np.asarray(found.data), np.asarray(image.data).transpose(1, 0, 2, 3))


def test_ome_zarr_py_reads_it(tmp_path: Path) -> None:
    pytest.importorskip("ome_zarr", reason="ome-zarr-py reads OME-Zarr")
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    image = image_of(tmp_path / "a.ome.tif", pixels(3, 2), axes="ZCYX", Channel={"Name": ["a", "b"]}, **SIZE)
    write_image(tmp_path / "b.ome.zarr", np.asarray(image.data), like=image)
    (node,) = Reader(parse_url(tmp_path / "b.ome.zarr"))()
    assert [axis["name"] for axis in node.metadata["axes"]] == list("czyx")
    assert node.metadata["channel_names"] == ["a", "b"]
    assert np.array_equal(np.asarray(node.data[0]), np.asarray(image.data).transpose(1, 0, 2, 3))


@pytest.mark.parametrize(
    ("dtype", "nodata", "expected"),
    [
        *(("u1", "nan", 0), ("u1", "-9999", 0), ("i2", "-9999", -9999)),
        *(("f4", "nan", "NaN"), ("f4", "-inf", "-Infinity"), ("f4", "1e40", 0.0), ("f4", "-9999", -9999.0)),
    ],
)
def test_the_value_of_missing_pixels_is_one_of_the_dtype(
    tmp_path: Path, dtype: str, nodata: str, expected: float | str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", pixels(dtype=dtype), extratags=[(42113, 2, 0, nodata, True)], metadata=None)
    image = read_image(tmp_path / "a.tif")
    write_image(tmp_path / "a.zarr", np.asarray(image.data), like=image)
    text = (tmp_path / "a.zarr" / "s0" / "zarr.json").read_text()
    assert json.loads(text)["fill_value"] == expected
    assert np.array_equal(zarr.open_array(tmp_path / "a.zarr" / "s0", mode="r")[:], image.data)


def test_colours_that_are_no_numbers_are_not_used(tmp_path: Path) -> None:
    channels = {"Name": ["a", "b"], "Color": [65535, 255]}
    image = image_of(tmp_path / "a.ome.tif", pixels(2), axes="CYX", Channel=channels)
    said = image.metadata.properties | {"Channel": {"Name": ["a", "b"], "Color": ["blue", "255"]}}
    like = dataclasses.replace(image, metadata=dataclasses.replace(image.metadata, properties=said))
    write_image(tmp_path / "b.zarr", np.asarray(image.data), like=like)
    assert [channel["color"] for channel in ome_of(tmp_path / "b.zarr")["omero"]["channels"]] == ["FFFFFF"] * 2


def test_labels_without_a_palette_are_not_averaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ome_zarr_output, "MIN_SIDE", 1000)
    data = np.random.default_rng(0).integers(0, 5000, (300, 1101)).astype(np.uint16)
    options: dict[str, Any] = {"shape": data.shape, "dtype": "u2", "axes": "YX", "like": None, "frame": None}
    write_strips(tmp_path / "a.zarr", [data], **options, pyramid=True, is_labels=True)
    assert np.array_equal(zarr.open_array(tmp_path / "a.zarr" / "s1", mode="r")[:], data[::2, ::2])
