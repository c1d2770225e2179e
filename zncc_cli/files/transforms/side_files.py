"""The files beside the transform.json of a transform that bends: spline.npy, and two TIFFs for other tools.

    spline.npy         the coefficients of a `SplineField`, float64 (2, rows, columns), which are read back bit for bit
    displacement.tif   moving less fixed coordinates (dx, dy), float32 (H, W, 2), at every pixel of the fixed frame; NaN
                       where the place lies outside the moving frame
    expected_error.tif the root of the summed variances of dx and dy, float32 (H, W), pixels of the moving image; NaN
                       where it is not known. Only a registration has it; `zncc strain` reads it.

Beside a NAME.json they are NAME-spline.npy and so on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zncc_cli.errors import InputError, OutputError
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.output_folder import atomic_write
from zncc_cli.files.paths import MismatchError, reason, regular_file_size
from zncc_cli.files.tiff.layout import STRIP_ROWS
from zncc_cli.files.tiff.read import read_tiff
from zncc_cli.files.tiff.write import write_tiff
from zncc_cli.files.transforms import bare_matrix
from zncc_cli.registration.transforms.bending import Transform, displacements
from zncc_cli.registration.transforms.spline_field import SplineField, node_count
from zncc_cli.text import shown

SPLINE, DISPLACEMENT, EXPECTED_ERROR = "spline.npy", "displacement.tif", "expected_error.tif"

MIN_SPACING_PX = 0.5
MAX_NODES = 2**26  # 1 GiB of coefficients: a node at every pixel of a frame of 8192 x 8192 pixels
_BARE_NAME = re.compile(r"[\w][\w .+()-]{0,250}\.(npy|tif)")
_MAX_ERROR_BYTES = 2**32  # of expected_error.tif, which is read at once


def side_file(path: Path, name: str) -> Path:
    """Return where the side file ``name`` of the transform file ``path`` stands."""
    return path.with_name(name if path.name == "transform.json" else f"{path.stem}-{name}")


def write_spline(path: Path, field: SplineField) -> None:
    """Write the coefficients of a field."""
    with atomic_write(path) as file:
        bare_matrix.write_array(file, field.coefficients)


def digest_of(field: SplineField) -> str:
    """Return the SHA-256 of the coefficients' bytes, by which a file of other ones is known."""
    return hashlib.sha256(np.ascontiguousarray(field.coefficients, dtype="<f8").tobytes()).hexdigest()


def read_spline(
    path: Path, matrix: NDArray[np.float64], spacing: float, shape: tuple[int, int], digest: str | None
) -> SplineField:
    """Return the field of the coefficients in the file ``path``; nothing is unpickled.

    Args:
        path: the file.
        matrix, spacing, shape: those of the field; from them it is known how large the file must be.
        digest: the `digest_of` the field, or None where it is not known.

    Raises:
        MismatchError: it is no such file; no more memory was taken than the file is large.
    """
    nodes = 2, *(node_count(n, spacing) for n in shape)
    expected = f"{path.name}, float64 {nodes}, which spacing {spacing:g} and the fixed image's size need"
    if nodes[1] * nodes[2] > MAX_NODES:
        raise MismatchError(f"at most {MAX_NODES} nodes", f"{nodes[1]} x {nodes[2]}")
    try:
        size = regular_file_size(path, expected="coefficients of a spline")
        with path.open("rb") as file:
            found, columns_first, dtype = bare_matrix.read_array_header(file)
            if (found, columns_first, dtype) != (nodes, False, np.dtype("<f8")):
                order = ", column by column" if columns_first else ""
                raise MismatchError(expected, f"{dtype} {found}{order}")
            if size - file.tell() != 8 * nodes[0] * nodes[1] * nodes[2]:
                raise MismatchError(expected, f"{size - file.tell()} bytes of numbers")
            coefficients = np.fromfile(file, dtype).astype(np.float64, copy=False).reshape(nodes)
    except InputError as error:
        raise MismatchError(f"{path.name} beside the transform", str(error)) from error
    except OSError as error:
        raise MismatchError(f"{path.name}, a readable file", reason(error)) from error
    if not np.isfinite(coefficients).all():
        raise MismatchError(f"finite numbers in {path.name}", "others")
    field = SplineField(matrix, coefficients, spacing, shape)
    if digest not in (None, digest_of(field)):
        raise MismatchError(f"the {path.name} that was written with it", "one of another transform")
    return field


def is_bare_name(name: object, suffix: str) -> bool:
    """Tell whether a transform.json may name a file of a suffix so: a name beside it, no path."""
    return isinstance(name, str) and _BARE_NAME.fullmatch(name) is not None and name.endswith(suffix)


def read_expected_error(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return the expected error (H, W), or (frames, H, W), of that shape, moving pixels; NaN where it is not known.

    Raises:
        InputError: the file is no TIFF of floats of that size.
    """
    image = read_tiff(path, ReadOptions(name="TIFF", max_bytes=_MAX_ERROR_BYTES))
    if (*image.leading, *image.shape) != shape or image.axes[-2:] != "YX" or image.dtype != np.float32:
        raise InputError(
            f"{shown(path)}: expected the expected error of the transform beside it, float32 {shape}, found "
            f"{image.dtype} {image.data.shape}; align again, or remove the file"
        )
    pages = [np.asarray(image.read(index).data, dtype=np.float32) for index in np.ndindex(*image.leading)]
    return np.reshape(pages, shape)


def displacement_strips(
    transform: Transform, fixed_shape: tuple[int, int], moving_shape: tuple[int, int] | None
) -> Iterator[NDArray[np.float64]]:
    """Yield the `displacements` (h, W, 2) of the fixed frame, `STRIP_ROWS` rows at a time."""
    for first in range(0, fixed_shape[0], STRIP_ROWS):
        rows = range(first, min(first + STRIP_ROWS, fixed_shape[0]))
        yield displacements(transform, rows, range(fixed_shape[1]), moving_shape)


def whole_strips(path: Path, transform: Transform, fixed_shape: tuple[int, int]) -> Iterator[NDArray[np.float64]]:
    """Yield the `displacement_strips` for the file ``path``, which holds finite numbers alone.

    Raises:
        OutputError: the horizon of the transform crosses the frame.
    """
    for strip in displacement_strips(transform, fixed_shape, None):
        if not np.isfinite(strip).all():
            raise OutputError(
                f"{shown(path)}: expected a place for every pixel of the fixed image, found some behind the horizon; "
                "choose json, or tif"
            )
        yield strip


def write_displacement(
    path: Path,
    transform: Transform,
    fixed_shape: tuple[int, int],
    moving_shape: tuple[int, int] | None,
    grid: Metadata | None = None,
) -> None:
    """Write the `displacement_strips` as a TIFF, float32 (H, W, 2), on the pixel grid of the fixed image.

    Raises:
        OutputError: the file cannot be written.
    """
    write_tiff(
        path,
        map(_as_float32, displacement_strips(transform, fixed_shape, moving_shape)),
        shape=(*fixed_shape, 2),
        dtype=np.dtype(np.float32),
        axes="YXS",
        like=None,
        frame=grid,
    )


def _as_float32(displacements: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return displacements as float32; NaN where they are beyond it."""
    with np.errstate(over="ignore"):
        values = displacements.astype(np.float32)
    return np.where(np.isfinite(values), values, np.float32(np.nan))
