"""MRC: volumes and stacks of electron microscopes, read through mrcfile, memory-mapped."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from zncc_cli.files.array_image import array_image, calibration, library_errors
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions

_HEADER_BYTES = 1024
_SIZES, _MODE, _EXTENDED, _STAMP = 0, 12, 92, 212  # places of fields in the header
_PIXEL_BYTES = {0: 1, 1: 2, 2: 4, 6: 2, 12: 2, 101: 0.5}  # by the mode; complex numbers are refused


def read_mrc(path: Path, options: ReadOptions) -> Image:
    """Read the data of ``path``: slices of a volume are "Z", images of a stack "T"; pixel sizes are in ångström.

    Raises:
        InputError: the file is damaged, cut off, or holds complex numbers.
    """
    import mrcfile

    with library_errors(path, options.name):
        _check_header(path)
    with library_errors(path, options.name), mrcfile.mmap(path, mode="r") as file:
        data = np.asarray(file.data)
        voxel = file.voxel_size
        axes = "ZTYX" if data.ndim == 4 else ("T" if file.is_image_stack() else "Z") * (data.ndim == 3) + "YX"
        fields = calibration(float(voxel.x), float(voxel.y), "Å", float(voxel.z) if "Z" in axes else None)
    return array_image(path, options, data, axes, fields)


def _check_header(path: Path) -> None:
    """Raise `ValueError` where a header claims more than its file holds: mrcfile takes memory for what it claims.

    MRC2014: https://www.ccpem.ac.uk/mrc_format/mrc2014.php
    """
    with path.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    if len(head) < _HEADER_BYTES:
        raise ValueError(f"{len(head)} bytes")
    order = ">" if head[_STAMP] == 0x11 else "<"
    columns, rows, sections, mode = struct.unpack_from(order + "4i", head, _SIZES)
    (extended,) = struct.unpack_from(order + "i", head, _EXTENDED)
    pixel = _PIXEL_BYTES.get(mode)
    if pixel is None or min(columns, rows, sections) < 1 or extended < 0:
        raise ValueError(f"{columns} x {rows} x {sections} numbers of mode {mode}")
    claimed, size = _HEADER_BYTES + extended + int(columns * rows * sections * pixel), path.stat().st_size
    if claimed > size:
        raise ValueError(f"{size} of {claimed} bytes")
