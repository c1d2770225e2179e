"""NIfTI: volumes of medicine, read through nibabel."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from zncc_cli.files.array_image import array_image, calibration, check_bytes, library_errors
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions

_AXES = "XYZTCQR"
_UNITS = {"meter": "m", "mm": "mm", "micron": "µm"}
_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6}
_MAX_INFLATION = 1100  # bytes that one byte of gzip can become
_SECOND_VERSION = (b"\x1c\x02\0\0", b"\0\0\x02\x1c")  # how it begins: with the length of its header


def read_nifti(path: Path, options: ReadOptions) -> Image:
    """Read the stored numbers of ``path``: x, y, z, t. A slope and an intercept that are no 1 and 0 are noted.

    Raises:
        InputError: the file is damaged, of complex numbers, or compressed and too large.
    """
    import nibabel

    with library_errors(path, options.name):
        with nibabel.openers.Opener(path) as file:
            is_second = file.read(4) in _SECOND_VERSION
        kind: Any = nibabel.Nifti2Image if is_second else nibabel.Nifti1Image
        volume: Any = kind.from_filename(path, mmap=True)
        header, shape = volume.header, tuple(int(n) for n in volume.shape)
        dtype = header.get_data_dtype()
        size, stored = math.prod(shape) * dtype.itemsize, path.stat().st_size
        if path.name.lower().endswith(".gz"):
            check_bytes(path, size, options)
            stored *= _MAX_INFLATION
        # The library takes memory for all of them before it reads.
        if min(shape, default=0) < 1 or size > stored - volume.dataobj.offset:
            raise ValueError(f"shape {shape} of {dtype} in {path.stat().st_size} bytes")
        data = volume.dataobj.get_unscaled()
        axes = _AXES[: len(shape)]
        if data.dtype.names:
            check_bytes(path, size, options)
            data, axes = np.stack([data[name] for name in "RGB"], axis=-1), axes + "S"  # opacity is not used
        zooms = [float(zoom) for zoom in header.get_zooms()]
        length, time = header.get_xyzt_units()
        slope, intercept = volume.dataobj.slope, volume.dataobj.inter
    step = dict(zip(_AXES, zooms, strict=False))
    unit = _UNITS.get(length)
    seconds = step["T"] * _SECONDS[time] if "T" in step and time in _SECONDS else None
    fields = calibration(step.get("X"), step.get("Y"), unit, step.get("Z"), seconds) if unit else {}
    notes: tuple[str, ...] = ()
    if not unit and any(zoom not in (0, 1) for zoom in zooms[:3]):
        notes = ("the size of a voxel has no unit of length, and is not known",)
    if (slope, intercept) != (1, 0):
        notes += (f"the stored numbers were read; values are {slope:g} times these plus {intercept:g}",)
    return array_image(path, options, np.asanyarray(data), axes, fields, notes)
