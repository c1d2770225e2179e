"""MRC: volumes and stacks of electron microscopes, read through mrcfile, memory-mapped."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zncc_cli.files.array_image import array_image, calibration, library_errors
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions


def read_mrc(path: Path, options: ReadOptions) -> Image:
    """Read the data of ``path``: slices of a volume are "Z", images of a stack "T"; pixel sizes are in ångström.

    Raises:
        InputError: the file is damaged, cut off, or holds complex numbers.
    """
    import mrcfile

    with library_errors(path, options.name), mrcfile.mmap(path, mode="r") as file:
        data = np.asarray(file.data)
        voxel = file.voxel_size
        axes = "ZTYX" if data.ndim == 4 else ("T" if file.is_image_stack() else "Z") * (data.ndim == 3) + "YX"
        fields = calibration(float(voxel.x), float(voxel.y), "Å", float(voxel.z) if "Z" in axes else None)
    return array_image(path, options, data, axes, fields)
