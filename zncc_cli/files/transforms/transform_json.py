"""transform.json: the transform that maps pixels of the fixed image to the moving image, with the sizes of both.

`transform.schema.json` beside this file describes it for other programs (JSON Schema, draft 2020-12).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.metadata import Metadata
from zncc_cli.files.output_folder import atomic_write
from zncc_cli.files.paths import MismatchError, read_small_file, refusal
from zncc_cli.files.transforms.grid import grid_content, parse_grid
from zncc_cli.files.transforms.side_files import (
    DISPLACEMENT,
    EXPECTED_ERROR,
    MIN_SPACING_PX,
    SPLINE,
    digest_of,
    is_bare_name,
    read_spline,
    side_file,
    write_displacement,
    write_spline,
)
from zncc_cli.registration.transforms.matrices import is_mirrored
from zncc_cli.registration.transforms.spline_field import SplineField

FORMAT = "zncc-transform"
VERSION, BENDING_VERSION = 1, 2
"""Versions of the files of a matrix, and of those of a transform that bends, whose matrix alone is of no use."""
BSPLINE = "bspline"
"""The model of transforms that bend."""

_CONVENTIONS = {
    "direction": "fixed -> moving",
    "axis_order": "xy",
    "pixel_origin": "centre of the top-left pixel is (0, 0)",
}


@dataclass(frozen=True, eq=False)
class TransformFile:
    """The content of a transform.json.

    model: the name of the motion model. matrix: float64 (3, 3), maps (x, y, 1) of a fixed pixel to a moving pixel.
    fixed_shape, moving_shape: (H, W) of the two images. grid: pixel size, resolution and georeference of the fixed one,
    as the metadata of an image on the same pixels, or None. status: the verdict on the registration, or None.
    field: the transform where it bends, whose matrix is ``matrix``, or None. expected_error: the file of the expected
    error of one that bends, or None.
    """

    model: str
    matrix: NDArray[np.float64]
    fixed_shape: tuple[int, int]
    moving_shape: tuple[int, int]
    grid: Metadata | None = None
    status: str | None = None
    field: SplineField | None = None
    expected_error: Path | None = None

    @property
    def transform(self) -> NDArray[np.float64] | SplineField:
        """The matrix, or the spline upon it."""
        return self.matrix if self.field is None else self.field


def write_transform(
    path: str | os.PathLike[str],
    *,
    model: str,
    matrix: NDArray[np.floating[Any]] | Sequence[Sequence[float]],
    fixed_shape: tuple[int, int],
    moving_shape: tuple[int, int],
    model_asked: str | None = None,
    grid: Metadata | None = None,
    status: str | None = None,
    field: SplineField | None = None,
    with_expected_error: bool = False,
) -> None:
    """Write a transform; its numbers are read back bit for bit. Of one that bends, the `side_files` are written too.

    Args:
        path: the file.
        model: the name of the model that was fitted.
        matrix: (3, 3), finite, fixed -> moving, (x, y) in pixels.
        fixed_shape: (H, W) in pixels.
        moving_shape: (H, W) in pixels.
        model_asked: the value of --model, by default ``model``.
        grid: metadata of the fixed image.
        status: the verdict on the registration.
        field: the transform where it bends; its matrix and shape are ``matrix`` and ``fixed_shape``.
        with_expected_error: whether expected_error.tif, which the caller writes, is to be named.

    Raises:
        OutputError: the file cannot be written.
    """
    path, rows = Path(path), np.asarray(matrix, dtype=np.float64)
    beside = side_file(path, EXPECTED_ERROR) if with_expected_error else None
    content = TransformFile(str(model), rows, fixed_shape, moving_shape, grid, status, field, beside)
    write_side_files(path, content)
    with atomic_write(path) as file:
        file.write(transform_content(content, path, model_asked))


def write_side_files(path: Path, transform: TransformFile) -> None:
    """Write the files beside the transform.json ``path`` of a transform that bends; none for another."""
    if transform.field is not None:
        write_spline(side_file(path, SPLINE), transform.field)
        shapes = transform.fixed_shape, transform.moving_shape
        write_displacement(side_file(path, DISPLACEMENT), transform.field, *shapes, transform.grid)


def transform_content(transform: TransformFile, path: Path, model_asked: str | None = None) -> bytes:
    """Return the content of the transform.json ``path``, as `write_transform` writes it."""
    assert transform.matrix.shape == (3, 3)
    assert np.isfinite(transform.matrix).all()
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION if transform.field is None else BENDING_VERSION,
        "model": transform.model,
        "model_asked": str(model_asked or transform.model),
        "matrix": transform.matrix.tolist(),
        "fixed_shape": [int(length) for length in transform.fixed_shape],
        "moving_shape": [int(length) for length in transform.moving_shape],
        **_CONVENTIONS,
    }
    if is_mirrored(transform.matrix):
        content["mirrored"] = True
    if transform.field is not None:
        content["displacement"] = side_file(path, DISPLACEMENT).name
        content["spline"] = {
            "spacing": transform.field.spacing,
            "coefficients": side_file(path, SPLINE).name,
            "sha256": digest_of(transform.field),
        }
    if transform.expected_error is not None:
        content["expected_error"] = transform.expected_error.name
    if transform.status is not None:
        content["status"] = transform.status
    grid = grid_content(transform.grid) if transform.grid else None
    if grid:
        content["grid"] = grid
    return (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()


def read_transform(path: str | os.PathLike[str]) -> TransformFile:
    """Read a transform that `write_transform` wrote, and check all of it.

    Unknown keys are ignored, so that a later version can add some.

    Raises:
        InputError: the file is no such transform, has an unknown version or convention, or holds unusable numbers.
    """
    path, expected = Path(path), f"a transform of zncc-align ({FORMAT}, version {VERSION} or {BENDING_VERSION})"
    advice = "name the transform.json that zncc-align wrote"
    content = read_small_file(path, expected=expected, advice=advice)
    try:
        return parse_transform(parse_json(content, expected), path)
    except MismatchError as problem:
        raise refusal(path, expected=problem.expected, found=problem.found, advice=advice) from None


def parse_json(content: bytes, expected: str) -> Any:
    """Return the value of a JSON text, or raise `MismatchError`."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise MismatchError(expected, f"no valid JSON ({error})") from error


def parse_transform(content: Any, path: Path) -> TransformFile:
    """Return the transform that the JSON value ``content`` of the file ``path`` describes, or raise `MismatchError`."""
    if not isinstance(content, dict):
        raise MismatchError("a JSON object", type(content).__name__)
    version = VERSION if content.get("spline") is None else BENDING_VERSION
    for key, value in {"format": FORMAT, "version": version, **_CONVENTIONS}.items():
        if content.get(key) != value or isinstance(content[key], bool):
            raise MismatchError(f'"{key}": {json.dumps(value)}', repr(content.get(key)))
    model = content.get("model")
    if not isinstance(model, str) or not model:
        raise MismatchError('"model": a name', repr(model))
    status = content.get("status")
    if status is not None and not isinstance(status, str):
        raise MismatchError('"status": a word', repr(status))
    matrix, fixed_shape = parse_rows(content.get("matrix")), parse_shape(content, "fixed_shape")
    moving_shape, grid = parse_shape(content, "moving_shape"), parse_grid(content.get("grid"))
    field = _field(content, path, matrix, fixed_shape)
    expected_error = _expected_error(content, path) if field is not None else None
    return TransformFile(model, matrix, fixed_shape, moving_shape, grid, status, field, expected_error)


def _expected_error(content: dict[str, Any], path: Path) -> Path | None:
    """Return the file of the expected error, None where there is none, or raise `MismatchError`."""
    name: Any = content.get("expected_error")
    if name is None:
        return None
    if not is_bare_name(name, ".tif"):
        raise MismatchError(
            '"expected_error": the name of a .tif file beside the transform, without a path', repr(name)
        )
    return path.with_name(name)


def spline_entry(spline: Any) -> tuple[float, str]:
    """Return the spacing of the JSON value ``spline``, pixels, and the name of the file of its coefficients.

    Raises:
        MismatchError: it has no usable ones.
    """
    if not isinstance(spline, dict):
        raise MismatchError('"spline": spacing and coefficients', repr(spline))
    spacing: Any = spline.get("spacing")
    name: Any = spline.get("coefficients")
    if type(spacing) not in (int, float) or not MIN_SPACING_PX <= spacing < 2**31:
        raise MismatchError(f'"spacing": pixels between nodes, from {MIN_SPACING_PX} on', repr(spacing))
    if not is_bare_name(name, ".npy"):
        raise MismatchError('"coefficients": the name of a .npy file beside the transform, without a path', repr(name))
    return spacing, name


def _field(
    content: dict[str, Any], path: Path, matrix: NDArray[np.float64], fixed_shape: tuple[int, int]
) -> SplineField | None:
    """Return the transform where it bends, None where it does not, or raise `MismatchError`."""
    spline: Any = content.get("spline")
    if spline is None and content["model"] != BSPLINE:
        return None
    spacing, name = spline_entry(spline)
    digest = spline.get("sha256")
    if digest is not None and not isinstance(digest, str):
        raise MismatchError('"sha256": that of the coefficients', repr(digest))
    if matrix[2, 2] != 1:
        raise MismatchError('"matrix": a last entry of 1 beside a spline', repr(float(matrix[2, 2])))
    return read_spline(path.with_name(name), matrix, float(spacing), fixed_shape, digest)


def parse_rows(rows: Any) -> NDArray[np.float64]:
    """Return the matrix (3, 3) of a JSON list of rows, or raise `MismatchError`."""
    expected = '"matrix": 3 rows of 3 finite numbers'
    if not isinstance(rows, list) or [len(row) if isinstance(row, list) else 0 for row in rows] != [3, 3, 3]:
        raise MismatchError(expected, repr(rows))
    try:
        numbers = [[float(number) for number in row if type(number) in (int, float)] for row in rows]
    except OverflowError as error:
        raise MismatchError(expected, error) from error
    if any(len(row) != 3 or not all(map(math.isfinite, row)) for row in numbers):
        raise MismatchError(expected, repr(rows))
    return np.array(numbers, dtype=np.float64)


def parse_shape(content: dict[str, Any], key: str) -> tuple[int, int]:
    """Return (H, W) at ``key``, or raise `MismatchError`."""
    value = content.get(key)
    # JSON has one type of number: 480.0, as some languages write it, is 480.
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_length, value)):
        raise MismatchError(f'"{key}": [H, W] in pixels', repr(value))
    return int(value[0]), int(value[1])


def _is_length(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < 2**31 and value == int(value)
