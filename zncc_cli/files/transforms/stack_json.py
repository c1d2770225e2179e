"""transforms.json of a movie: the transforms of its frames, reference -> frame, and splines.npy where they bend.

version 2    a matrix of each frame
version 3    beside it a spline upon each: splines.npy, float64 (frames, 2, rows, columns), displacements in x and in y
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.errors import InputError
from zncc_cli.files.output_folder import atomic_write
from zncc_cli.files.paths import MismatchError, read_small_file, reason, refusal, regular_file_size, unreadable
from zncc_cli.files.transforms import bare_matrix
from zncc_cli.files.transforms.side_files import MAX_NODES, is_bare_name
from zncc_cli.files.transforms.transform_json import parse_json, parse_rows, spline_entry
from zncc_cli.registration.transforms.spline_field import SplineField, node_count

FORMAT, VERSION, BENDING_VERSION = "zncc-stack", 2, 3
SPLINES = "splines.npy"
_MAX_FRAMES = 10**5
_MAX_BYTES = 2**26  # of transforms.json
_HEAD_BYTES = 256
_ADVICE = "name the transforms.json that zncc stack wrote"


@dataclass(frozen=True, eq=False)
class FrameTransform:
    """The transform of one frame, reference -> frame.

    Attributes:
        number: of the frame, from 0.
        status: of the frame.
        matrix: (3, 3).
        field: the transform where it bends, upon ``matrix``; None where the matrix is all.
    """

    number: int
    status: str
    matrix: NDArray[np.float64]
    field: SplineField | None


@dataclass(frozen=True, eq=False)
class StackTransforms:
    """The transforms of a movie.

    Attributes:
        shape: (H, W) of the frames.
        frames: in their order.
        expected_error: the file of the expected errors, float32 (frames, H, W), pixels; None where there is none.
    """

    shape: tuple[int, int]
    frames: tuple[FrameTransform, ...]
    expected_error: Path | None


def write_splines(path: Path, fields: list[SplineField]) -> str:
    """Write the coefficients of fields of one frame and spacing, and return their SHA-256.

    Raises:
        OutputError: the file cannot be written.
    """
    coefficients = np.stack([field.coefficients for field in fields])
    with atomic_write(path) as file:
        bare_matrix.write_array(file, coefficients)
    return _digest(coefficients)


def _digest(coefficients: NDArray[np.float64]) -> str:
    return hashlib.sha256(np.ascontiguousarray(coefficients, dtype="<f8").tobytes()).hexdigest()


def is_of_stack(path: Path) -> bool:
    """Tell whether a file is a transforms.json of a movie, by its beginning; what else is in it is not checked."""
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return FORMAT.encode() in file.read(_HEAD_BYTES)
    except OSError as error:
        raise unreadable(path, error) from error


def read_stack(path: Path) -> StackTransforms:
    """Read the transforms of a movie; nothing is unpickled, and sizes are checked before memory is taken.

    Raises:
        InputError: the file is none, or has an unknown version, or holds unusable numbers.
    """
    expected = f"the transforms of a movie ({FORMAT}, version {VERSION} or {BENDING_VERSION})"
    content = read_small_file(path, expected=expected, advice=_ADVICE, max_bytes=_MAX_BYTES)
    try:
        return _parsed(parse_json(content, expected), path)
    except MismatchError as problem:
        raise refusal(path, expected=problem.expected, found=problem.found, advice=_ADVICE) from None


def _parsed(content: Any, path: Path) -> StackTransforms:
    if not isinstance(content, dict):
        raise MismatchError("a JSON object", type(content).__name__)
    spline = content.get("spline")
    version = VERSION if spline is None else BENDING_VERSION
    for key, value in {"format": FORMAT, "version": version, "direction": "reference -> frame"}.items():
        if content.get(key) != value:
            raise MismatchError(f'"{key}": {value}', repr(content.get(key)))
    shape, frames = content.get("shape"), content.get("frames")
    if not isinstance(shape, list) or len(shape) != 2 or not all(type(n) is int and 0 < n < 2**31 for n in shape):
        raise MismatchError('"shape": [H, W] in pixels', repr(shape))
    if not isinstance(frames, list) or not 0 < len(frames) <= _MAX_FRAMES:
        raise MismatchError(f'"frames": a list of 1 to {_MAX_FRAMES}', type(frames).__name__)
    rows = [_frame(frame) for frame in frames]
    fields = [None] * len(rows) if spline is None else _fields(spline, path, rows, (shape[0], shape[1]))
    name = content.get("expected_error")
    if name is not None and not is_bare_name(name, ".tif"):
        raise MismatchError('"expected_error": the name of a .tif file beside it, without a path', repr(name))
    return StackTransforms(
        (shape[0], shape[1]),
        tuple(FrameTransform(*row, field) for row, field in zip(rows, fields, strict=True)),
        None if name is None else path.with_name(name),
    )


def _frame(frame: Any) -> tuple[int, str, NDArray[np.float64]]:
    """Return number, status and matrix of a frame, or raise `MismatchError`."""
    if not isinstance(frame, dict) or type(frame.get("frame")) is not int or not isinstance(frame.get("status"), str):
        raise MismatchError('"frames": each with "frame", "status" and "matrix"', repr(frame)[:80])
    return frame["frame"], frame["status"], parse_rows(frame.get("matrix"))


def _fields(
    spline: Any, path: Path, rows: list[tuple[int, str, NDArray[np.float64]]], shape: tuple[int, int]
) -> list[SplineField]:
    """Return the field of each frame, or raise `MismatchError`."""
    spacing, name = spline_entry(spline)
    if any(matrix[2, 2] != 1 for *_, matrix in rows):
        raise MismatchError('"matrix": a last entry of 1 beside a spline', "another")
    nodes = len(rows), 2, *(node_count(n, spacing) for n in shape)
    if nodes[2] * nodes[3] > MAX_NODES:
        raise MismatchError(f"at most {MAX_NODES} nodes", f"{nodes[2]} x {nodes[3]}")
    file_path = path.with_name(name)
    try:
        size = regular_file_size(file_path, expected="coefficients of splines")
        with file_path.open("rb") as file:
            found, columns_first, dtype = bare_matrix.read_array_header(file)
            if (found, columns_first, dtype) != (nodes, False, np.dtype("<f8")):
                raise MismatchError(f"{name}, float64 {nodes}", f"{dtype} {found}")
            if size - file.tell() != 8 * int(np.prod(nodes, dtype=object)):
                raise MismatchError(f"{name} of float64 {nodes}", f"{size - file.tell()} bytes of numbers")
            coefficients = np.fromfile(file, dtype).astype(np.float64, copy=False).reshape(nodes)
    except InputError as error:
        raise MismatchError(f"{name} beside the transforms", str(error)) from error
    except OSError as error:
        raise MismatchError(f"{name}, a readable file", reason(error)) from error
    if not np.isfinite(coefficients).all():
        raise MismatchError(f"finite numbers in {name}", "others")
    if spline.get("sha256") not in (None, _digest(coefficients)):
        raise MismatchError(f"the {name} that was written with it", "one of another movie")
    return [
        SplineField(matrix, own, float(spacing), shape) for (*_, matrix), own in zip(rows, coefficients, strict=True)
    ]
