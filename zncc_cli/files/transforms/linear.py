"""What the formats of other tools have in common: a matrix, the frames where a file knows them, and numbers in text."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.metadata import Metadata
from zncc_cli.files.paths import MismatchError
from zncc_cli.registration.transforms.matrices import is_singular

Matrix = NDArray[np.float64]

# Python's float() also takes 1_000, nan, infinity and the digits of every script; files hold none of these.
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True, eq=False)
class Linear:
    """A transform as it stands in some file.

    matrix: float64 (3, 3), takes (x, y, 1) of a fixed pixel to a moving pixel.
    fixed_shape, moving_shape: (H, W) of the two images; None where the file does not say.
    model: the name of the motion model; None where the file does not say.
    grid, status: see `transforms.TransformFile`; None where the file does not say.
    """

    matrix: Matrix
    fixed_shape: tuple[int, int] | None = None
    moving_shape: tuple[int, int] | None = None
    model: str | None = None
    grid: Metadata | None = None
    status: str | None = None


def number(text: str) -> float:
    """Return the finite number that ``text`` spells in decimal digits, or raise `MismatchError`."""
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not math.isfinite(value):
        raise MismatchError("a finite number, with a point if it is no whole one", repr(text))
    return value


def numbers(texts: Iterable[str], count: int, what: str) -> list[float]:
    """Return the ``count`` numbers of ``what``, or raise `MismatchError`."""
    values = [number(text) for text in texts]
    if len(values) != count:
        raise MismatchError(f"{count} numbers for {what}", len(values))
    return values


def length(text: str) -> int:
    """Return the side of a frame in pixels, a whole number, or raise `MismatchError`."""
    if not re.fullmatch(r"[0-9]{1,10}", text) or not 0 < int(text) < 2**31:
        raise MismatchError("a whole number of pixels", repr(text))
    return int(text)


def text_of(content: bytes, expected: str) -> str:
    """Return the text, with line feeds alone between its lines, or raise `MismatchError`."""
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise MismatchError(expected, "bytes that are no UTF-8 text") from error


def usable(rows: Sequence[Sequence[float]] | NDArray[Any]) -> Matrix:
    """Return 2 or 3 rows of 3 numbers as a matrix (3, 3) whose last entry is 1.

    A matrix on homogeneous coordinates is known up to a factor; the top-left pixel is taken to lie before the horizon.

    Raises:
        MismatchError: other shapes; numbers that are not finite; a matrix without an inverse.
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


def spelled(values: Iterable[float], separator: str = " ") -> str:
    """Return the numbers as text from which float64 reads them back bit for bit."""
    return separator.join(repr(float(value)) for value in values)
