"""Files of DICOM are read with their pixels, sizes and times; padding does not count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.files.instruments.instrument_files import H, W, assert_is, dicom, pixels, refused
from zncc_cli.config import ResamplingConfig
from zncc_cli.files.images import read_image
from zncc_cli.files.metadata import PixelSize
from zncc_cli.jobs.resampled import write_resampled
from zncc_cli.registration.resampling.canvas import Frame


def test_dicom(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", pixels(), PixelSpacing=[0.5, 0.25])
    # A spacing is that of rows first, then that of columns.
    assert_is(read_image(path), pixels(), "YX", PixelSize(x=0.25, y=0.5, unit="mm"))
    frames = dicom(tmp_path / "b.dcm", pixels(3), SpacingBetweenSlices=2, RescaleSlope=2, RescaleIntercept=-1024)
    image = read_image(frames)
    assert_is(image, pixels(3), "ZYX", None, PhysicalSizeZ=2.0)
    assert "values are 2 times these plus -1024" in image.notes[0]
    colours = np.stack([pixels(dtype="u1")] * 3, axis=-1)
    assert_is(read_image(dicom(tmp_path / "c.dcm", colours)), colours, "YXS", None)
    inverse = read_image(dicom(tmp_path / "d.dcm", pixels(), PhotometricInterpretation="MONOCHROME1"))
    assert inverse.metadata.photometric == "miniswhite"


def test_a_dicom_is_refused_where_its_pixels_are_missing_or_too_many(tmp_path: Path) -> None:
    path = dicom(tmp_path / "a.dcm", pixels())
    refused(path, "at most 1000 bytes", max_bytes=1000)
    (tmp_path / "b.dcm").write_bytes(path.read_bytes()[:-500])
    refused(tmp_path / "b.dcm", "DICOM")


def test_a_dicom_whose_compression_no_library_reads_names_one(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    path = dicom(tmp_path / "a.dcm", pixels())
    said = pydicom.dcmread(path)
    said.file_meta.TransferSyntaxUID = pydicom.uid.JPEGLosslessSV1
    if pydicom.pixels.get_decoder(pydicom.uid.JPEGLosslessSV1).is_available:
        pytest.skip("a library for lossless JPEG is installed")
    said.PixelData = pydicom.encaps.encapsulate([bytes(100)])
    said["PixelData"].is_undefined_length = True
    said.save_as(tmp_path / "b.dcm")
    refused(tmp_path / "b.dcm", "a library that reads JPEG Lossless", "pip install python-gdcm")


def test_palette_colours_of_a_dicom_are_rgb(tmp_path: Path) -> None:
    colours = np.random.default_rng(1).integers(0, 256, (256, 3)).astype("u2") * np.uint16(257)
    tables: dict[str, Any] = {}
    for name, column in zip(("Red", "Green", "Blue"), colours.T, strict=True):
        tables |= {f"{name}PaletteColorLookupTableDescriptor": [256, 0, 16]}
        tables |= {f"{name}PaletteColorLookupTableData": column.tobytes()}
    data = pixels(dtype="u1")
    path = dicom(tmp_path / "a.dcm", data, PhotometricInterpretation="PALETTE COLOR", **tables)
    assert_is(read_image(path), colours[data], "YXS", None)
    labels = read_image(path, indices=True)
    assert_is(labels, data, "YX", None)
    assert labels.metadata.photometric == "palette"


@pytest.mark.parametrize(("dtype", "value"), [("u2", 7), ("i2", -2000)])
def test_padding_of_a_dicom_does_not_count(tmp_path: Path, dtype: str, value: int) -> None:
    data = pixels(dtype=dtype)
    data[:9] = value
    said = {"PixelRepresentation": int(dtype == "i2"), "PixelPaddingValue": value}
    image = read_image(dicom(tmp_path / "a.dcm", data, **said))
    np.testing.assert_array_equal(image.data, data)
    np.testing.assert_array_equal(image.read().valid(), data != value)


@pytest.mark.parametrize("limits", [(-2000, -1500), (-1500, -2000), (-2000, 0)])
def test_a_range_of_padding_of_a_dicom_does_not_count(tmp_path: Path, limits: tuple[int, int]) -> None:
    data = pixels(dtype="i2") + np.int16(1)
    data[:9] = np.linspace(min(limits), max(limits), 9).astype("i2")[:, None]
    said = {"PixelRepresentation": 1, "PixelPaddingValue": limits[0], "PixelPaddingRangeLimit": limits[1]}
    image = read_image(dicom(tmp_path / "a.dcm", data, **said))
    np.testing.assert_array_equal(image.data, data)
    np.testing.assert_array_equal(image.read().valid(), data > 0)
    settings = ResamplingConfig()
    write_resampled(tmp_path / "a.tif", image, np.eye(3), Frame(0, 0, W, H), settings, image.metadata)
    # What is written has one value for what is missing.
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").data, np.where(data <= 0, limits[0], data))


def test_sizes_of_an_enhanced_dicom_and_the_time_of_frames(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    measures, shared = Dataset(), Dataset()
    measures.PixelSpacing, measures.SpacingBetweenSlices = [0.5, 0.25], 2
    shared.PixelMeasuresSequence = Sequence([measures])
    path = dicom(tmp_path / "a.dcm", pixels(3), SharedFunctionalGroupsSequence=Sequence([shared]))
    assert_is(read_image(path), pixels(3), "ZYX", PixelSize(x=0.25, y=0.5, unit="mm"), PhysicalSizeZ=2.0)
    movie = read_image(dicom(tmp_path / "b.dcm", pixels(3), FrameTime=40))
    assert_is(movie, pixels(3), "TYX", None, TimeIncrement=0.04, TimeIncrementUnit="s")
