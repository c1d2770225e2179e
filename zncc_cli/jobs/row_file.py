"""Rows of an image that may be larger than the memory, in a temporary file."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike


class RowFile:
    """Rows of an image in a temporary file: appended from top to bottom, read in any order."""

    def __init__(self, folder: Path, width: int, dtype: DTypeLike) -> None:
        """Create the file in ``folder``, for rows of ``width`` pixels of ``dtype``."""
        self._file: Any = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._width, self._dtype = width, np.dtype(dtype)

    def __enter__(self) -> RowFile:
        """Return the open file."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file, which removes it; what a full disk did not take is dropped without an error."""
        with suppress(OSError):
            self._file.close()

    def append(self, rows: np.ndarray) -> None:
        """Append the next rows (h, W)."""
        self._file.write(np.ascontiguousarray(rows, self._dtype).data)

    def read(self, rows: slice) -> np.ndarray:
        """Return some of the rows, (h, W)."""
        self._file.seek(rows.start * self._width * self._dtype.itemsize)
        data = self._file.read((rows.stop - rows.start) * self._width * self._dtype.itemsize)
        return np.frombuffer(bytearray(data), self._dtype).reshape(-1, self._width)
