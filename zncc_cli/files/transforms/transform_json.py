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
from zncc_cli.registration.transforms.matrices import is_mirrored

FORMAT = "zncc-transform"
VERSION = 1

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
    """

    model: str
    matrix: NDArray[np.float64]
    fixed_shape: tuple[int, int]
    moving_shape: tuple[int, int]
    grid: Metadata | None = None
    status: str | None = None


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
) -> None:
    """Write a transform; its numbers are read back bit for bit.

    Args:
        path: the file.
        model: the name of the model that was fitted.
        matrix: (3, 3), finite, fixed -> moving, (x, y) in pixels.
        fixed_shape: (H, W) in pixels.
        moving_shape: (H, W) in pixels.
        model_asked: the value of --model, by default ``model``.
        grid: metadata of the fixed image.
        status: the verdict on the registration.

    Raises:
        OutputError: the file cannot be written.
    """
    content = TransformFile(str(model), np.asarray(matrix, dtype=np.float64), fixed_shape, moving_shape, grid, status)
    with atomic_write(Path(path)) as file:
        file.write(transform_content(content, model_asked))


def transform_content(transform: TransformFile, model_asked: str | None = None) -> bytes:
    """Return the content of a transform.json, as `write_transform` writes it."""
    assert transform.matrix.shape == (3, 3)
    assert np.isfinite(transform.matrix).all()
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "model": transform.model,
        "model_asked": str(model_asked or transform.model),
        "matrix": transform.matrix.tolist(),
        "fixed_shape": [int(length) for length in transform.fixed_shape],
        "moving_shape": [int(length) for length in transform.moving_shape],
        **_CONVENTIONS,
    }
    if is_mirrored(transform.matrix):
        content["mirrored"] = True
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
    path, expected = Path(path), f"a transform of zncc-align ({FORMAT}, version {VERSION})"
    advice = "name the transform.json that zncc-align wrote"
    content = read_small_file(path, expected=expected, advice=advice)
    try:
        return parse_transform(parse_json(content, expected))
    except MismatchError as problem:
        raise refusal(path, expected=problem.expected, found=problem.found, advice=advice) from None


def parse_json(content: bytes, expected: str) -> Any:
    """Return the value of a JSON text, or raise `MismatchError`."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise MismatchError(expected, f"no valid JSON ({error})") from error


def parse_transform(content: Any) -> TransformFile:
    """Return the transform that the JSON value ``content`` describes, or raise `MismatchError`."""
    if not isinstance(content, dict):
        raise MismatchError("a JSON object", type(content).__name__)
    for key, value in {"format": FORMAT, "version": VERSION, **_CONVENTIONS}.items():
        if content.get(key) != value or isinstance(content[key], bool):
            raise MismatchError(f'"{key}": {json.dumps(value)}', repr(content.get(key)))
    model = content.get("model")
    if not isinstance(model, str) or not model:
        raise MismatchError('"model": a name', repr(model))
    status = content.get("status")
    if status is not None and not isinstance(status, str):
        raise MismatchError('"status": a word', repr(status))
    return TransformFile(
        model,
        parse_rows(content.get("matrix")),
        _shape(content, "fixed_shape"),
        _shape(content, "moving_shape"),
        parse_grid(content.get("grid")),
        status,
    )


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


def _shape(content: dict[str, Any], key: str) -> tuple[int, int]:
    """Return (H, W) at ``key``, or raise `MismatchError`."""
    value = content.get(key)
    # JSON has one type of number: 480.0, as some languages write it, is 480.
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_length, value)):
        raise MismatchError(f'"{key}": [H, W] in pixels', repr(value))
    return int(value[0]), int(value[1])


def _is_length(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < 2**31 and value == int(value)
