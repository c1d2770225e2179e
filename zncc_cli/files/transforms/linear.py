"""The transform that every format is read into, and what their parsers share: numbers in text, and matrices.

`Linear` is a matrix, and, where the transform bends, what it does upon that.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.metadata import Metadata
from zncc_cli.files.paths import MismatchError
from zncc_cli.registration.transforms.matrices import is_singular
from zncc_cli.registration.transforms.spline_field import SplineField

Matrix = NDArray[np.float64]

# Decimal numbers as tools write them. Python's float() also takes 1_000, nan, infinity and the digits of every script.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


class Bend(Protocol):
    """A transform that bends: a `SplineField`, or that of another tool."""

    @property
    def spacing(self) -> float:
        """Distance of its nodes, pixels: a spline that is near it is about as fine."""
        ...

    def map_points(self, points: Matrix) -> Matrix:
        """Return the moving points (N, 2) of fixed points (N, 2), (x, y) pixels; NaN for those that have none."""
        ...


@dataclass(frozen=True, eq=False)
class Linear:
    """A transform as it was read from a file of any format. A field that the file does not have is None.

    matrix: float64 (3, 3), maps (x, y, 1) of a fixed pixel to a moving pixel.
    fixed_shape, moving_shape: (H, W) of the two images.
    model: the name of the motion model.
    grid, status: see `transform_json.TransformFile`.
    bend: where the transform bends, itself, upon ``matrix``; None where the matrix is all.
    expected_error: the file that holds the expected error of one that bends, see `side_files`, or None.
    """

    matrix: Matrix
    fixed_shape: tuple[int, int] | None = None
    moving_shape: tuple[int, int] | None = None
    model: str | None = None
    grid: Metadata | None = None
    status: str | None = None
    bend: Bend | None = None
    expected_error: Path | None = None

    @property
    def transform(self) -> Matrix | SplineField:
        """The matrix, or the spline upon it. That of another tool must have been fitted before, see `fitted`."""
        assert self.bend is None or isinstance(self.bend, SplineField)
        return self.matrix if self.bend is None else self.bend


def parse_number(text: str) -> float:
    """Return the finite number in the decimal digits of ``text``, or raise `MismatchError`."""
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise MismatchError("a finite number, with a point if it is no whole one", repr(text))
    return value


def parse_numbers(texts: Iterable[str], count: int, what: str) -> list[float]:
    """Return ``count`` numbers; raise `MismatchError`, which names them by ``what``, where there are not so many."""
    values = [parse_number(text) for text in texts]
    if len(values) != count:
        raise MismatchError(f"{count} numbers for {what}", len(values))
    return values


def parse_length(text: str) -> int:
    """Return the width or height of an image in pixels, a whole number, or raise `MismatchError`."""
    if not re.fullmatch(r"[0-9]{1,10}", text) or not 0 < int(text) < 2**31:
        raise MismatchError("a whole number of pixels", repr(text))
    return int(text)


def decode_text(content: bytes, expected: str) -> str:
    """Return the text of UTF-8 bytes, its lines ended by line feeds, or raise `MismatchError`."""
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise MismatchError(expected, "bytes that are no UTF-8 text") from error


def as_matrix(rows: Sequence[Sequence[float]] | NDArray[Any]) -> Matrix:
    """Return 2 or 3 rows of 3 numbers as a matrix (3, 3) whose last entry is 1.

    A homography is defined up to a factor; this one is chosen so that the top-left pixel lies before the horizon.

    Raises:
        MismatchError: the shape is another, a number is not finite, or the matrix has no inverse.
    """
    matrix: Matrix = np.array(rows, dtype=np.float64)
    if matrix.shape not in ((2, 3), (3, 3)):
        raise MismatchError("2 or 3 rows of 3 numbers", f"shape {matrix.shape}")
    if len(matrix) == 2:
        matrix = np.vstack([matrix, [0.0, 0.0, 1.0]])
    if not np.isfinite(matrix).all():
        raise MismatchError("finite numbers", matrix.tolist())
    if matrix[2, 2] == 0:
        raise MismatchError("a matrix whose last entry is not zero", matrix.tolist())
    with np.errstate(over="ignore"):
        matrix = matrix / matrix[2, 2]
    if is_singular(matrix):
        raise MismatchError("a matrix that can be inverted", matrix.tolist())
    return matrix


def exact_text(values: Iterable[float], separator: str = " ") -> str:
    """Return the numbers as text from which float64 reads them back bit for bit."""
    return separator.join(repr(float(value)) for value in values)
