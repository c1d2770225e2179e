"""Formats whose libraries write no files are read by what the library says; stand-ins for the libraries say it here."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from zncc_cli.files import formats as table
from zncc_cli.files.images import read_image
from zncc_cli.files.metadata import PixelSize

H, W = 24, 32


def pixels(*leading: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4000, (*leading, H, W)).astype(np.uint16)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that puts a module of some names in place of a library."""
    monkeypatch.setattr(table, "find_spec", lambda name: name)

    def install(name: str, **content: Any) -> None:
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)

    return install


class File:
    """Stands in for an open file of a library."""

    def __init__(self, **content: Any) -> None:
        vars(self).update(content)

    def __enter__(self) -> File:
        return self

    def __exit__(self, *_: object) -> None:
        pass


CHANNELS = """<Element><ChannelDescription LUTName="Green"><ChannelProperty><Key>DyeName</Key><Value>GFP</Value>
</ChannelProperty></ChannelDescription><ChannelDescription LUTName="Red"/></Element>"""


def lif_image(name: str, dims: tuple[str, ...], data: np.ndarray, **steps: float) -> Any:
    coords = {dim: np.arange(data.shape[dims.index(dim)]) * step for dim, step in steps.items()}

    def frame(**index: int) -> np.ndarray:
        return np.asarray(data[tuple(index[dim] for dim in dims[:-2])])

    described = ElementTree.fromstring(CHANNELS)
    how = {"dtype": data.dtype, "coords": coords, "frame": frame, "xml_element": described}
    return SimpleNamespace(name=name, dims=dims, shape=data.shape, **how)


def test_lif(tmp_path: Path, library: Any) -> None:
    data = pixels(4, 2, 3)
    images = [
        lif_image("cells", ("T", "C", "Z", "Y", "X"), data, T=2.5, Z=1e-6, Y=5e-7, X=2.5e-7),
        lif_image("section", ("C", "Z", "X"), data[0, :, 0], Z=1e-6, X=2.5e-7),
    ]
    library("liffile", LifFile=lambda path: File(images=images))
    path = tmp_path / "a.lif"
    path.write_bytes(b"\x70\0\0\0" + bytes(100))
    image = read_image(path)
    assert image.axes == "TCZYX"
    np.testing.assert_array_equal(image.data, data)
    assert image.metadata.pixel_size == PixelSize(x=0.25, y=0.5, unit="µm")
    said = image.metadata.properties
    assert (said["PhysicalSizeZ"], said["TimeIncrement"], said["Name"]) == (1.0, 2.5, "cells")
    assert said["Channel"] == {"Name": ["GFP", "Red"]}
    assert image.notes == ("a.lif: series 0 (of 0 to 1), cells, was read; `series` chooses",)
    section = read_image(path, series=1)
    assert section.axes == "CYX"
    np.testing.assert_array_equal(section.data, data[0, :, 0])
    assert section.metadata.pixel_size == PixelSize(x=0.25, y=1.0, unit="µm")


def test_nd2(tmp_path: Path, library: Any) -> None:
    data = pixels(2, 3, 2)
    channels = [SimpleNamespace(channel=SimpleNamespace(name=name)) for name in ("DAPI", "GFP")]
    file = File(
        sizes={"T": 2, "Z": 3, "C": 2, "Y": H, "X": W},
        dtype=data.dtype,
        metadata=SimpleNamespace(channels=channels),
        voxel_size=lambda: SimpleNamespace(x=0.25, y=0.5, z=2.0),
        experiment=[SimpleNamespace(type="TimeLoop", parameters=SimpleNamespace(periodMs=500.0))],
        read_frame=lambda number: data.reshape(6, 2, H, W)[number],
    )
    library("nd2", ND2File=lambda path: file)
    (tmp_path / "a.nd2").write_bytes(b"\xda\xce\xbe\x0a" + bytes(100))
    image = read_image(tmp_path / "a.nd2")
    assert image.axes == "TZCYX"
    np.testing.assert_array_equal(image.data, data)
    assert image.metadata.pixel_size == PixelSize(x=0.25, y=0.5, unit="µm")
    assert image.metadata.properties["Channel"] == {"Name": ["DAPI", "GFP"]}
    assert image.metadata.properties["PhysicalSizeZ"] == 2.0
    assert image.metadata.properties["TimeIncrement"] == 0.5


def test_dm(tmp_path: Path, library: Any) -> None:
    data = pixels(3)
    sides = [("", 3, 1.0), ("nm", H, 0.5), ("nm", W, -0.25)]
    axes = [{"index_in_array": i, "units": unit, "scale": step} for i, (unit, _, step) in enumerate(sides)]
    spectrum = {"data": np.zeros(9), "axes": [], "metadata": {}}
    signal = {"data": data, "axes": axes[::-1], "metadata": {"General": {"title": "grid"}}}
    library("rsciio")
    library("rsciio.digitalmicrograph", file_reader=lambda path, lazy: [spectrum, signal])
    (tmp_path / "a.dm3").write_bytes(b"\0\0\0\x03" + bytes(100))
    image = read_image(tmp_path / "a.dm3")
    assert image.axes == "QYX"
    np.testing.assert_array_equal(image.data, data)
    assert image.metadata.pixel_size == PixelSize(x=0.25, y=0.5, unit="nm")


def test_bioio_reads_files_of_no_other_format(tmp_path: Path, library: Any) -> None:
    data = pixels(2, 3, 1)
    scenes: list[int] = []
    image = SimpleNamespace(
        scenes=("first", "second"),
        set_scene=scenes.append,
        dims=type("Dims", (), {"order": "TCZYX", "__getitem__": lambda self, axis: (3,)})(),
        physical_pixel_sizes=SimpleNamespace(Z=None, Y=0.5, X=0.25),
        channel_names=["a", "b", "c"],
        dask_data=data,
    )
    library("bioio", BioImage=lambda path: image)
    (tmp_path / "a.vsi").write_bytes(b"anything else")
    found = read_image(tmp_path / "a.vsi", series=1)
    assert scenes == [1]
    assert found.axes == "TCYX"
    np.testing.assert_array_equal(found.data, data[:, :, 0])
    assert found.metadata.pixel_size == PixelSize(x=0.25, y=0.5, unit="µm")
    assert found.metadata.properties["Channel"] == {"Name": ["a", "b", "c"]}


def test_colours_of_a_dm_are_read_at_once(tmp_path: Path, library: Any) -> None:
    """RosettaSciIO reads them as a structure of four samples, and not lazily."""
    colours = np.random.default_rng(0).integers(0, 250, (3, H, W, 4)).astype(np.uint8)
    stored = colours.view([(name, "u1") for name in "RGBA"])[..., 0]
    axes = [{"index_in_array": i, "name": name, "units": "", "scale": 1.0} for i, name in enumerate("zyx")]

    def file_reader(path: str, *, lazy: bool) -> list[dict[str, Any]]:
        if lazy:
            raise ValueError("Lazy loading of RGBA images is not supported.")
        return [{"data": stored, "axes": axes, "metadata": {}}]

    library("rsciio")
    library("rsciio.digitalmicrograph", file_reader=file_reader)
    (tmp_path / "a.dm4").write_bytes(b"\0\0\0\x04".ljust(600, b"\0"))
    image = read_image(tmp_path / "a.dm4")
    assert image.axes == "ZYXS"
    np.testing.assert_array_equal(image.data, colours[..., :3])
