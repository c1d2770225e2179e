"""Displacements that cannot be used are refused in one line, before they take memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from zncc_cli.config import TransformFormat
from zncc_cli.errors import InputError
from zncc_cli.files.paths import MismatchError
from zncc_cli.files.transforms import bends, bunwarpj, ome_zarr_field
from zncc_cli.files.transforms.formats import Linear, read_linear

MHA = "ObjectType = Image\nNDims = 2\nDimSize = 3 2\nElementNumberOfChannels = 2\nElementType = MET_DOUBLE\n"
MHA += "ElementDataFile = LOCAL\n"
RAW = "Width=2\nHeight=2\n\nX Trans -----\n0 1\n0 1\n\nY Trans -----\n0 0\n1 1\n"


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (MHA, "96 bytes"),
        (MHA + 97 * "0", "found 97"),
        (MHA.replace("3 2", "2000000000 2000000000") + 96 * "0", "bytes of displacements"),
        (MHA.replace("3 2", "3") + 96 * "0", "DimSize"),
        (MHA.replace("= 2\nElementType", "= 3\nElementType") + 96 * "0", "ElementNumberOfChannels = 3"),
        (MHA.replace("DOUBLE", "SHORT") + 96 * "0", "MET_SHORT"),
        (MHA.replace("LOCAL", "../../secret.raw"), "secret.raw"),
        (MHA.replace("NDims", "CompressedData = True\nNDims") + 96 * "0", "CompressedData = True"),
        (MHA.replace("NDims", "ElementSpacing = 2 2\nNDims") + 96 * "0", "ElementSpacing"),
        (MHA[:30], "does not end"),
        (RAW.replace("Width=2", "Width=3"), "3 x 2 numbers"),
        (RAW.replace("Width=2", "Width=2000000000"), "found 4000000000"),
        (RAW.replace("0 1\n", "0 nan\n", 1), "finite numbers"),
        (RAW.replace("0 1\n", "0 1e999\n", 1), "finite numbers"),
        (RAW.replace("0 1\n", "0 1-\n", 1), "finite numbers"),
        (RAW.replace("Y Trans", "Z Trans"), "Y Trans"),
        ("Width=" + 5000 * "9", "no lines Width="),
    ],
)
def test_unusable_displacements_are_refused_in_one_line(tmp_path: Path, content: str, found: str) -> None:
    (tmp_path / "file").write_text(content)
    with pytest.raises(InputError, match="file: expected") as caught:
        read_linear(tmp_path / "file")
    assert found in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(9, 10), (3, 9, 10), (9, 10, 3)])
def test_a_tiff_that_holds_no_displacements_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    tifffile.imwrite(tmp_path / "t.tif", np.zeros(shape, np.float32), photometric="minisblack")
    with pytest.raises(InputError, match="two bands of floats"):
        read_linear(tmp_path / "t.tif")
    tifffile.imwrite(tmp_path / "t.tif", np.zeros((2, 9, 10), np.uint8), photometric="minisblack")
    with pytest.raises(InputError, match="two bands of floats"):
        read_linear(tmp_path / "t.tif")
    tifffile.imwrite(tmp_path / "t.tif", np.full((2, 9, 10), np.nan, np.float32), photometric="minisblack")
    with pytest.raises(InputError, match="finite"):
        read_linear(tmp_path / "t.tif")


def sparse_displacements(path: Path, side: int) -> Path:
    """Write displacements (2, side, side) of which the file holds the first rows alone, as GDAL writes it."""
    zeros = np.zeros((2, side, side), np.float32)
    tifffile.imwrite(path, zeros, photometric="minisblack", planarconfig="separate", rowsperstrip=10, compression=8)
    with tifffile.TiffFile(path, mode="r+") as file:
        tags = file.pages.first.tags
        for code in (273, 279):
            tags[code].overwrite((tags[code].value[0], *[0] * (len(tags[code].value) - 1)))
    return path


def test_displacements_whose_strips_are_left_out_are_refused(tmp_path: Path) -> None:
    """They would be zero, which is a displacement like any other."""
    with pytest.raises(InputError, match=r"all its strips or tiles .*, found 11 left out"):
        read_linear(sparse_displacements(tmp_path / "t.tif", 60))


@pytest.mark.parametrize("kind", [TransformFormat.TIFF, TransformFormat.BUNWARPJ, TransformFormat.OME_ZARR])
def test_displacements_that_do_not_fit_into_the_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: TransformFormat
) -> None:
    for module in (bends, bunwarpj):
        monkeypatch.setattr(module, "available_memory", lambda: 1000)
    if kind is TransformFormat.BUNWARPJ:
        (tmp_path / "file").write_text("Width=9\nHeight=10\n\nX Trans\n1\nY Trans\n1")
    elif kind is TransformFormat.OME_ZARR:
        pytest.importorskip("zarr")
        ome_zarr_field.write(Linear(np.eye(3), fixed_shape=(10, 9)), tmp_path / "file")
    else:
        tifffile.imwrite(tmp_path / "file", np.zeros((2, 10, 9), np.float32), photometric="minisblack")
    with pytest.raises(InputError, match=r"at most \d+ pixels .*, found 90"):
        read_linear(tmp_path / "file")


def test_numbers_beyond_those_of_a_raw_transformation_take_no_memory() -> None:
    text = b"Width=2\nHeight=1\n\nX Trans\n0 1\n\nY Trans\n" + b"0 " * 10**6
    tracemalloc.start()
    with pytest.raises(MismatchError, match="2 x 1 numbers"):
        bunwarpj.parse(text)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6  # the text has 2 MB; a million words would have 58
