"""A bare matrix, FIXED -> MOVING pixels: NumPy's .npy, or text with 2 or 3 rows of 3 numbers.

The .npy file is what scikit-image takes, as `warp(moving, AffineTransform(matrix))` or `ProjectiveTransform(matrix)`:
its warp takes the map from output to input, and counts from the centre of the first pixel, as we do.

https://scikit-image.org/docs/stable/api/skimage.transform.html#skimage.transform.warp
https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
"""

from __future__ import annotations

import io
import math
import re
import warnings
from tokenize import TokenError
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from zncc_cli.files.paths import MismatchError
from zncc_cli.files.transforms.linear import Linear, as_matrix, decode_text, exact_text, parse_number

NPY_MAGIC = b"\x93NUMPY"

_NPY_EXPECTED = "an array of 2x3 or 3x3 numbers in a complete .npy file, without pickled objects"
_TEXT_EXPECTED = "2 or 3 lines of 3 numbers, apart by spaces, commas, semicolons or tabs"


def parse_npy(content: bytes) -> Linear:
    """Read a 2x3 or 3x3 array of integers or floats; nothing is unpickled."""
    file = io.BytesIO(content)
    shape, columns_first, dtype = read_array_header(file)
    if shape not in ((2, 3), (3, 3)) or dtype.kind not in "iuf" or dtype.itemsize > 8:
        raise MismatchError(_NPY_EXPECTED, f"shape {shape}, dtype {dtype}")
    data = content[file.tell() :]
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise MismatchError(_NPY_EXPECTED, f"{len(data)} bytes of numbers")
    array = np.frombuffer(data, dtype).reshape(shape, order="F" if columns_first else "C")
    return Linear(as_matrix(array))


def read_array_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return (shape, is column-major, dtype) of a .npy file; its numbers follow. Raise `MismatchError` for another."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            version = npy.read_magic(file)
            read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            return read_header(file)
    except (EOFError, ValueError, TypeError, SyntaxError, OverflowError, TokenError, RecursionError) as error:
        raise MismatchError(_NPY_EXPECTED, error) from error


def write_array(file: BinaryIO, array: NDArray[np.float64]) -> None:
    """Write an array as float64 into a .npy file."""
    npy.write_array(file, np.ascontiguousarray(array, dtype="<f8"), version=(1, 0), allow_pickle=False)


def serialize_npy(transform: Linear, suffix: str) -> bytes:
    """Write the (3, 3) matrix as float64."""
    file = io.BytesIO()
    write_array(file, transform.matrix)
    return file.getvalue()


def recognizes_text(content: bytes) -> bool:
    """Tell whether the content may be of this format: it begins with a number or a comment."""
    return re.match(rb"(?:\xef\xbb\xbf)?\s*[-+.0-9#]", content) is not None


def parse_text(content: bytes) -> Linear:
    """Read 2 or 3 lines of 3 numbers; lines that begin with # are comments."""
    lines = [line.strip() for line in decode_text(content, _TEXT_EXPECTED).split("\n")]
    rows = [re.split(r"\s*[,;]\s*|\s+", line) for line in lines if line and not line.startswith("#")]
    if len(rows) not in (2, 3) or any(len(row) != 3 for row in rows):
        raise MismatchError(_TEXT_EXPECTED, f"{len(rows)} lines, the first of {len(rows[0]) if rows else 0}")
    return Linear(as_matrix([[parse_number(word) for word in row] for row in rows]))


def serialize_text(transform: Linear, suffix: str) -> bytes:
    """Write 3 lines of 3 numbers, apart by commas in .csv files and by spaces in others."""
    separator = "," if suffix == ".csv" else " "
    return "".join(exact_text(row, separator) + "\n" for row in transform.matrix).encode()
