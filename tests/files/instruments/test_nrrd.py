"""Files of NRRD are read with their pixels, axes and sizes, whatever stands before the pixels."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from tests.files.instruments.instrument_files import H, W, assert_is, pixels, refused
from zncc_cli.files.images import read_image
from zncc_cli.files.metadata import PixelSize


@pytest.mark.parametrize("encoding", ["raw", "gzip", "ascii"])
def test_nrrd(tmp_path: Path, encoding: str) -> None:
    nrrd = pytest.importorskip("nrrd")
    data = pixels(3)
    header = {"encoding": encoding, "spacings": [0.25, 0.5, 2.0], "space dimension": 3, "units": ["um"] * 3}
    nrrd.write(str(tmp_path / "a.nrrd"), data.T, header, index_order="F")
    size = PixelSize(x=0.25, y=0.5, unit="µm")
    assert_is(read_image(tmp_path / "a.nrrd"), data, "ZYX", size, PhysicalSizeZ=2.0)


def test_colours_of_an_nrrd_are_samples(tmp_path: Path) -> None:
    nrrd = pytest.importorskip("nrrd")
    data = np.stack([pixels(dtype="u1")] * 3, axis=-1)
    header = {"kinds": ["RGB-color", "space", "space"]}
    nrrd.write(str(tmp_path / "a.nrrd"), data.transpose(2, 1, 0), header, index_order="F")
    assert_is(read_image(tmp_path / "a.nrrd"), data, "YXS", None)


def test_a_compressed_nrrd_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    nrrd = pytest.importorskip("nrrd")
    nrrd.write(str(tmp_path / "a.nrrd"), pixels(3).T, {"encoding": "gzip"}, index_order="F")
    refused(tmp_path / "a.nrrd", "at most 1000 bytes", max_bytes=1000)


def nrrd_file(path: Path, content: bytes, *lines: str) -> Path:
    """Write the content as an NRRD of `pixels` of 16 bits, by hand: the library writes no such lines."""
    head = ["NRRD0004", "type: uint16", "dimension: 2", f"sizes: {W} {H}", "endian: little", *lines]
    path.write_bytes("\n".join(head).encode() + b"\n\n" + content)
    return path


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("key", ["byteskip", "byte skip"])
def test_bytes_before_the_pixels_of_an_nrrd_are_skipped(tmp_path: Path, encoding: str, key: str) -> None:
    pytest.importorskip("nrrd")
    content = bytes(6) + pixels().tobytes()
    packed = gzip.compress(content) if encoding == "gzip" else content
    assert_is(
        read_image(nrrd_file(tmp_path / "a.nrrd", packed, f"encoding: {encoding}", f"{key}: 6")), pixels(), "YX", None
    )


@pytest.mark.parametrize("key", ["lineskip", "line skip"])
@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_lines_before_the_pixels_of_an_nrrd_are_skipped(tmp_path: Path, key: str, encoding: str) -> None:
    pytest.importorskip("nrrd")
    content = gzip.compress(pixels().tobytes()) if encoding == "gzip" else pixels().tobytes()
    path = nrrd_file(tmp_path / "a.nrrd", b"one\ntwo\n" + content, f"encoding: {encoding}", f"{key}: 2")
    assert_is(read_image(path), pixels(), "YX", None)


@pytest.mark.parametrize("key", ["byteskip", "byte skip"])
def test_a_byte_skip_of_minus_one_in_an_nrrd_finds_the_pixels_at_its_end(tmp_path: Path, key: str) -> None:
    pytest.importorskip("nrrd")
    path = nrrd_file(tmp_path / "a.nrrd", b"anything" + pixels().tobytes(), "encoding: raw", f"{key}: -1")
    assert_is(read_image(path), pixels(), "YX", None)


@pytest.mark.parametrize("line", ["byteskip: -2", "lineskip: -1", "lineskip: 3", "byteskip: 900000", "byte skip: -1"])
def test_an_nrrd_that_skips_what_is_not_there_is_refused(tmp_path: Path, line: str) -> None:
    pytest.importorskip("nrrd")
    refused(nrrd_file(tmp_path / "a.nrrd", pixels().tobytes()[:-1], "encoding: raw", line), "a complete, readable NRRD")


def test_an_nrrd_that_inflates_to_more_than_its_pixels_takes_no_more_memory(tmp_path: Path) -> None:
    pytest.importorskip("nrrd")
    content = gzip.compress(pixels().tobytes() + bytes(50_000_000))
    tracemalloc.start()
    image = read_image(nrrd_file(tmp_path / "a.nrrd", content, "encoding: gzip"))
    assert_is(image, pixels(), "YX", None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6  # the pixels have 4 kB


def test_the_unit_of_an_nrrd_of_a_patient_is_a_millimetre(tmp_path: Path) -> None:
    nrrd = pytest.importorskip("nrrd")
    header = {"space": "left-posterior-superior", "space directions": np.diag([0.25, 0.5, 2.0])}
    nrrd.write(str(tmp_path / "a.nrrd"), pixels(3).T, header, index_order="F")
    size = PixelSize(x=0.25, y=0.5, unit="mm")
    assert_is(read_image(tmp_path / "a.nrrd"), pixels(3), "ZYX", size, PhysicalSizeZ=2.0)
    nrrd.write(str(tmp_path / "b.nrrd"), pixels(3).T, {"spacings": [0.25, 0.5, 2.0]}, index_order="F")
    image = read_image(tmp_path / "b.nrrd")
    assert image.metadata.pixel_size is None
    assert "no unit of length" in image.notes[0]
