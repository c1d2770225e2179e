"""transform.json: where each pixel of the fixed image lies in the moving image."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.folder import beside
from zncc_cli.files.paths import refusal, regular_file_size

FORMAT = "zncc-transform"
VERSION = 1

# A transform takes about a kilobyte; what is larger by far is something else, and is not read.
_MAX_BYTES = 2**20

_Content = TypeVar("_Content")

_CONVENTIONS = {
    "direction": "fixed -> moving",
    "axis_order": "xy",
    "pixel_origin": "centre of the top-left pixel is (0, 0)",
}


@dataclass(frozen=True, eq=False)
class TransformFile:
    """The content of a transform.json.

    model: the name of the motion model. matrix: float64 (3, 3), takes (x, y, 1) of a fixed pixel to a moving pixel.
    fixed_shape, moving_shape: (H, W) of the two images.
    """

    model: str
    matrix: NDArray[np.float64]
    fixed_shape: tuple[int, int]
    moving_shape: tuple[int, int]


def write_transform(
    path: str | os.PathLike[str],
    *,
    model: str,
    matrix: NDArray[np.floating[Any]] | Sequence[Sequence[float]],
    fixed_shape: tuple[int, int],
    moving_shape: tuple[int, int],
    model_asked: str | None = None,
) -> None:
    """Write a transform; its numbers are read back bit for bit.

    ``model`` is what was fitted, ``model_asked`` what was asked for, ``model`` itself by default.
    ``matrix``: (3, 3), finite, fixed -> moving, (x, y) in pixels. Shapes: (H, W) in pixels.

    Raises:
        OutputError: the file cannot be written.
    """
    rows = np.asarray(matrix, dtype=np.float64)
    assert rows.shape == (3, 3)
    assert np.isfinite(rows).all()
    content = {
        "format": FORMAT,
        "version": VERSION,
        "model": str(model),
        "model_asked": str(model_asked or model),
        "matrix": rows.tolist(),
        "fixed_shape": [int(length) for length in fixed_shape],
        "moving_shape": [int(length) for length in moving_shape],
        **_CONVENTIONS,
    }
    with beside(Path(path)) as file:
        file.write((json.dumps(content, indent=2, allow_nan=False) + "\n").encode())


def read_transform(path: str | os.PathLike[str]) -> TransformFile:
    """Read a transform that `write_transform` wrote, and believe nothing of it unchecked.

    Raises:
        InputError: it is no such file, of an unknown version or convention, or holds unusable numbers.
    """
    expected = f"a transform of zncc-align ({FORMAT}, version {VERSION})"
    return _read(Path(path), _checked, expected, "name the transform.json that zncc-align wrote")


def read_matrix(path: str | os.PathLike[str]) -> NDArray[np.float64]:
    """Return the (3, 3) matrix of a transform that `write_transform` wrote, or of a plain JSON list of rows.

    Raises:
        InputError: it is neither, or holds unusable numbers.
    """
    return _read(
        Path(path),
        lambda content: _matrix(content) if isinstance(content, list) else _checked(content).matrix,
        "a transform.json, or a JSON list of 3 rows of 3 numbers",
        "name a transform.json that zncc-align wrote, or write [[1, 0, dx], [0, 1, dy], [0, 0, 1]]",
    )


def _read(path: Path, checked: Callable[[Any], _Content], expected: str, advice: str) -> _Content:
    size = regular_file_size(path, expected=expected)
    if size > _MAX_BYTES:
        raise refusal(path, expected=expected, found=f"{size} bytes", advice=advice)
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise refusal(
            path, expected="a readable file", found=error.strerror or error, advice="check its permissions"
        ) from error
    except (ValueError, RecursionError) as error:
        raise refusal(path, expected=expected, found=f"no valid JSON ({error})", advice=advice) from error
    try:
        return checked(content)
    except _MismatchError as problem:
        raise refusal(path, expected=problem.expected, found=problem.found, advice=advice) from None


class _MismatchError(Exception):
    def __init__(self, expected: str, found: object) -> None:
        self.expected = expected
        self.found = found


def _checked(content: Any) -> TransformFile:
    if not isinstance(content, dict):
        raise _MismatchError("a JSON object", type(content).__name__)
    for key, value in {"format": FORMAT, "version": VERSION, **_CONVENTIONS}.items():
        if content.get(key) != value or isinstance(content[key], bool):
            raise _MismatchError(f'"{key}": {json.dumps(value)}', repr(content.get(key)))
    model = content.get("model")
    if not isinstance(model, str) or not model:
        raise _MismatchError('"model": a name', repr(model))
    return TransformFile(
        model, _matrix(content.get("matrix")), _shape(content, "fixed_shape"), _shape(content, "moving_shape")
    )


def _matrix(rows: Any) -> NDArray[np.float64]:
    expected = '"matrix": 3 rows of 3 finite numbers'
    if not isinstance(rows, list) or [len(row) if isinstance(row, list) else 0 for row in rows] != [3, 3, 3]:
        raise _MismatchError(expected, repr(rows))
    try:
        numbers = [[float(number) for number in row if type(number) in (int, float)] for row in rows]
    except OverflowError as error:
        raise _MismatchError(expected, error) from error
    if any(len(row) != 3 or not all(map(math.isfinite, row)) for row in numbers):
        raise _MismatchError(expected, repr(rows))
    return np.array(numbers, dtype=np.float64)


def _shape(content: dict[str, Any], key: str) -> tuple[int, int]:
    value = content.get(key)
    if not isinstance(value, list) or len(value) != 2 or not all(type(n) is int and 0 < n < 2**31 for n in value):
        raise _MismatchError(f'"{key}": [H, W] in pixels', repr(value))
    return value[0], value[1]
