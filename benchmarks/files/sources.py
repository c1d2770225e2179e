"""Small files of every format that can be written here, to be damaged: those of docs/formats.md, and of instruments."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from tests.files.formats_table import SOURCES

_H, _W = 40, 56


def _pixels(*leading: int, dtype: str = "u2") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 250, (*leading, _H, _W)).astype(dtype)


def _mrc(path: Path) -> None:
    import mrcfile

    with mrcfile.new(path) as file:
        file.set_data(_pixels(3))
        file.voxel_size = 2.5


def _nrrd(path: Path, encoding: str) -> None:
    import nrrd

    nrrd.write(str(path), _pixels(3).T, {"encoding": encoding}, index_order="F")


def _nifti(path: Path, version: int = 1) -> None:
    import nibabel

    kind = nibabel.Nifti2Image if version == 2 else nibabel.Nifti1Image
    nibabel.save(kind(_pixels(3, dtype="i2").T, np.eye(4)), path)


def _dicom(path: Path) -> None:
    import pydicom  # noqa: F401  # its absence leaves the kind out

    from tests.files.instruments.instrument_files import dicom

    dicom(path, _pixels(3))


def _hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("entry/data", data=_pixels(3), chunks=(1, 16, 16), compression="gzip")


def _fits(path: Path) -> None:
    from astropy.io import fits

    fits.PrimaryHDU(_pixels(3, dtype="f4")).writeto(path)


def _metaimage(path: Path, compressed: bool) -> None:
    import zlib

    from tests.files.instruments.instrument_files import metaimage

    data = _pixels(3, dtype="i2")
    content = zlib.compress(data.tobytes()) if compressed else None
    metaimage(path, data, "ElementType = MET_SHORT", f"CompressedData = {compressed}", content=content)


def _czi(path: Path) -> None:
    from pylibCZIrw import czi

    with czi.create_czi(str(path)) as file:
        file.write(_pixels()[..., None])


def _slide(path: Path) -> None:
    import openslide  # noqa: F401  # its absence leaves the kind out

    data = np.stack([_pixels(dtype="u1")] * 3, axis=-1)
    tifffile.imwrite(path, data, photometric="rgb", tile=(16, 16), metadata=None)


def _pages(path: Path) -> None:
    """Write pages with tags of their own, a packet of XMP and a description of a scale."""
    with tifffile.TiffWriter(path) as file:
        for number, page in enumerate(_pixels(3)):
            tags = [(65330, 12, 2, (0.5, number), True), (700, 1, 0, b'<x tiff:XResolution="72/1"/>', True)]
            time = f"2024:01:02 03:04:0{number}"
            description = f"frame {number}\nMPP = 0.25"
            file.write(page, datetime=time, description=description, extratags=tags, metadata=None)


def _pnm(path: Path, head: bytes, content: bytes) -> None:
    path.write_bytes(head.replace(b"SIZE", f"{_W} {_H}".encode()) + content)


def _apng(path: Path) -> None:
    import imagecodecs

    path.write_bytes(imagecodecs.apng_encode(np.stack([_pixels(2)] * 3, axis=-1)))


def _palette_bmp(path: Path) -> None:
    from PIL import Image as PillowImage

    picture = PillowImage.fromarray(_pixels(dtype="u1"), "P")
    picture.putpalette(np.random.default_rng(1).integers(0, 256, 768).astype("u1").tobytes())
    picture.save(path)


_FURTHER: dict[str, tuple[str, Callable[[Path], None]]] = {
    "TIFF of pages with tags": (".tif", _pages),
    "PNG of frames of 16 bits": (".png", _apng),
    "BMP with a palette": (".bmp", _palette_bmp),
    "PBM": (".pbm", lambda path: _pnm(path, b"P4\nSIZE\n", bytes(7 * _H))),
    "PGM as text": (".pgm", lambda path: _pnm(path, b"P2 # made\nSIZE 250 ", b"7 " * (_H * _W))),
    "PGM of 12 bits": (".pgm", lambda path: _pnm(path, b"P5 SIZE 4095\n", _pixels().tobytes())),
    "PAM": (
        ".pam",
        lambda path: _pnm(path, b"P7\nWIDTH 56\nHEIGHT 40\nDEPTH 1\nMAXVAL 255\nENDHDR\n", bytes(_H * _W)),
    ),
    "PFM": (".pfm", lambda path: _pnm(path, b"Pf\nSIZE\n-1.0\n", bytes(4 * _H * _W))),
    "whole slide": (".bif", _slide),
}
_INSTRUMENTS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "MRC": (".mrc", _mrc),
    "NRRD": (".nrrd", lambda path: _nrrd(path, "raw")),
    "NRRD gzip": (".nrrd", lambda path: _nrrd(path, "gzip")),
    "NIfTI": (".nii", _nifti),
    "NIfTI gzip": (".nii.gz", _nifti),
    "NIfTI-2": (".nii", lambda path: _nifti(path, 2)),
    "DICOM": (".dcm", _dicom),
    "HDF5": (".h5", _hdf5),
    "FITS": (".fits", _fits),
    "FITS gzip": (".fits.gz", _fits),
    "MetaImage": (".mha", lambda path: _metaimage(path, False)),
    "MetaImage zlib": (".mha", lambda path: _metaimage(path, True)),
    "CZI": (".czi", _czi),
}


def sources(further: list[Path]) -> Iterator[tuple[str, str, bytes]]:
    """Yield (name, suffix, content) of a file of each kind whose library is here, and of ``further``."""
    kinds: list[tuple[str, str, Callable[[Path], Any]]] = [
        *((source.name, source.suffix, source.make) for source in SOURCES if source.suffix != ".zarr"),
        *((name, suffix, make) for name, (suffix, make) in {**_INSTRUMENTS, **_FURTHER}.items()),
    ]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, (name, suffix, make) in enumerate(kinds):
            path = Path(folder) / f"{number}{suffix}"
            try:
                make(path)
            except ImportError:
                continue
            yield name, suffix, path.read_bytes()
    for path in further:
        yield path.name, path.suffix, path.read_bytes()
