"""Displacements as a TIFF of two float bands, as displacement.tif is one: GDAL, QGIS, scikit-image and OpenCV read it.

Band 1 holds dx, band 2 dy: moving less fixed coordinates in pixels at every pixel of the FIXED image. Interleaved and
separate bands are read, and two pages. NaN, which displacement.tif has where the place lies outside the moving frame,
is filled. The file has the pixel grid of the fixed image, but its values are pixels whatever that says.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zncc_cli.errors import InputError
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.paths import MismatchError
from zncc_cli.files.tiff.read import read_tiff
from zncc_cli.files.transforms.bends import DisplacementImage, check_field_size, filled
from zncc_cli.files.transforms.linear import Linear
from zncc_cli.files.transforms.side_files import write_displacement

MAGICS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_EXPECTED = "a TIFF of two bands of floats, dx and dy in pixels"
_MAX_BYTES = 2**32  # of the bands, which are read at once


def recognizes(content: bytes) -> bool:
    """Tell whether the content is of this format: a TIFF."""
    return content.startswith(MAGICS)


def parse(head: bytes, path: Path) -> Linear:
    """Read the file at ``path``; displacements that are not finite are filled from those around them."""
    try:
        image = read_tiff(path, ReadOptions(name="TIFF", max_bytes=_MAX_BYTES))
        if image.leading != (2,) or image.axes[1:] != "YX" or image.dtype.kind != "f":
            raise MismatchError(_EXPECTED, f"{image.dtype} {image.data.shape}, axes {image.axes}")
        if image.absent:
            raise MismatchError("a TIFF with all its strips or tiles", f"{image.absent} left out")
        height, width = image.shape
        check_field_size(height * width)
        bands = [np.asarray(image.read((band,)).data, dtype=np.float64) for band in range(2)]
    except InputError as error:
        raise MismatchError(_EXPECTED, str(error).removeprefix(f"{path}: ")) from error
    displacements = np.stack(bands, axis=-1)
    if not np.isfinite(displacements).all(axis=-1).any():
        raise MismatchError("a displacement of some pixel", "none that is finite")
    dense = DisplacementImage(filled(displacements))
    return Linear(dense.nearest_matrix(), fixed_shape=(height, width), bend=dense, grid=image.metadata)


def write(transform: Linear, path: Path) -> None:
    """Write the displacements of the fixed frame, float32."""
    assert transform.fixed_shape is not None
    write_displacement(path, transform.transform, transform.fixed_shape, None, transform.grid)
