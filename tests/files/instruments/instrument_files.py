"""Files of instruments, and what an image that is read from one is like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zncc_cli.errors import InputError
from zncc_cli.files.images import Image, read_image
from zncc_cli.files.metadata import PixelSize

H, W = 40, 56


def pixels(*leading: int, dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 250, (*leading, H, W)).astype(dtype)


def assert_is(image: Image, data: np.ndarray, axes: str, size: PixelSize | None, **properties: Any) -> None:
    assert image.axes == axes
    assert image.dtype == data.dtype.newbyteorder("=")
    np.testing.assert_array_equal(image.data, data)
    assert image.metadata.pixel_size == size
    for name, value in properties.items():
        assert image.metadata.properties[name] == value


def refused(path: Path, *words: str, **options: Any) -> None:
    with pytest.raises(InputError) as error:
        np.asarray(read_image(path, **options).data)
    for word in words:
        assert word in str(error.value)


def metaimage(path: Path, data: np.ndarray, *lines: str, content: bytes | None = None) -> Path:
    sizes = " ".join(map(str, data.shape[::-1]))
    head = ["ObjectType = Image", f"NDims = {data.ndim}", f"DimSize = {sizes}", *lines, "ElementDataFile = LOCAL\n"]
    path.write_bytes("\n".join(head).encode() + (data.tobytes() if content is None else content))
    return path


def dicom(path: Path, data: np.ndarray, **said: Any) -> Path:
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    content = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    samples = data.shape[-1] if data.shape[-1] == 3 else 1
    shape = data.shape[:-1] if samples == 3 else data.shape
    content.Rows, content.Columns = shape[-2:]
    content.SamplesPerPixel = samples
    content.PhotometricInterpretation = "RGB" if samples == 3 else "MONOCHROME2"
    if samples == 3:
        content.PlanarConfiguration = 0
    if len(shape) == 3:
        content.NumberOfFrames = shape[0]
    content.BitsAllocated = content.BitsStored = 8 * data.dtype.itemsize
    content.HighBit, content.PixelRepresentation = content.BitsStored - 1, 0
    for name, value in said.items():
        setattr(content, name, value)
    content.PixelData = data.tobytes()
    pydicom.dcmwrite(path, content, enforce_file_format=True)
    return path
