"""The maps of a pair on the frame of the aligned image, strip by strip."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike

from zncc_cli.files.metadata import Metadata
from zncc_cli.files.output import STRIP_ROWS, write_strips
from zncc_cli.jobs.missing import Missing
from zncc_cli.jobs.pair.products import MAPS
from zncc_cli.jobs.views import ChannelView
from zncc_cli.registration.inputs.inpainting import inpaint
from zncc_cli.registration.metric.maps import std_map, zncc_frame_map
from zncc_cli.registration.resampling.canvas import Frame


class Rows:
    """Rows of an image, put by one after the other into a file without a name, and read in any order."""

    def __init__(self, folder: Path, width: int, dtype: DTypeLike) -> None:
        self._file: Any = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._width, self._dtype = width, np.dtype(dtype)

    def __enter__(self) -> Rows:
        """Open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Forget them."""
        self.close()

    def close(self) -> None:
        """Forget them, also those that a full disk did not take."""
        with suppress(OSError):
            self._file.close()

    def put(self, rows: np.ndarray) -> None:
        """Take the next rows (h, W)."""
        self._file.write(np.ascontiguousarray(rows, self._dtype).data)

    def read(self, rows: slice) -> np.ndarray:
        """Return some of the rows."""
        self._file.seek(rows.start * self._width * self._dtype.itemsize)
        data = self._file.read((rows.stop - rows.start) * self._width * self._dtype.itemsize)
        return np.frombuffer(bytearray(data), self._dtype).reshape(-1, self._width)


def write_maps(
    folder: Path,
    fixed: ChannelView,
    aligned: tuple[Rows, Rows],
    frame: Frame,
    window: int,
    spreads: tuple[float, float],
    missing: Missing,
) -> None:
    """Write std_fixed.tif, std_aligned.tif and zncc.tif; those that cannot be are ``missing``.

    Gaps that are no longer than a window are filled for them, as they were for the registration.

    Args:
        folder: where.
        fixed: the fixed image as the registration saw it; its pixel size and georeference are the files'.
        aligned: grey values of the moving image on the frame, float32; and which of them take part, bool: where it
            covers the frame, less where a mask says so.
        frame: which pixels are written, in the fixed image's own.
        window: side of the windows, pixels.
        spreads: standard deviations of the two whole images: a window that varies far less counts as flat.
        missing: is told of them.
    """
    grey, counts = aligned
    grid = fixed.image.metadata

    def fixed_std(rows: slice) -> torch.Tensor:
        return std_map(*_without_gaps(on_frame(fixed, rows, frame), window), window)

    def aligned_std(rows: slice) -> torch.Tensor:
        return std_map(*_without_gaps((grey.read(rows), counts.read(rows)), window), window)

    def zncc(rows: slice) -> torch.Tensor:
        a, a_mask = _without_gaps(on_frame(fixed, rows, frame), window)
        b, b_mask = _without_gaps((grey.read(rows), counts.read(rows)), window)
        return zncc_frame_map(a, b, a_mask & b_mask, window, spreads)

    for name, values in zip(MAPS, (fixed_std, aligned_std, zncc), strict=True):
        with missing.spared(name):
            _write(folder / name, map_strips(values, frame.shape, window, reach=2 * window), frame, np.float32, grid)


def write_mask(path: Path, covered: Rows, frame: Frame, grid: Metadata) -> None:
    """Write where the moving image covers the frame: 255, else 0.

    Args:
        path: the file.
        covered: bool.
        frame: which pixels are written, in the fixed image's own.
        grid: the fixed image's, whose pixel size and georeference are the file's.

    Raises:
        OutputError: the file cannot be written.
    """
    mask = (np.where(covered.read(rows), np.uint8(255), np.uint8(0)) for rows in _rows(frame.shape[0]))
    _write(path, mask, frame, np.uint8, grid)


def _write(path: Path, strips: Iterator[np.ndarray], frame: Frame, dtype: DTypeLike, grid: Metadata) -> None:
    write_strips(path, strips, shape=frame.shape, dtype=dtype, axes="YX", like=None, frame=grid, offset=frame.offset)


def _without_gaps(rows: tuple[np.ndarray, np.ndarray], window: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return values, and which of them count, (h, W), with gaps filled that are no longer than a window."""
    return inpaint(torch.from_numpy(rows[0]), torch.from_numpy(rows[1]), window)


def _rows(height: int) -> Iterator[slice]:
    for first in range(0, height, STRIP_ROWS):
        yield slice(first, min(first + STRIP_ROWS, height))


def map_strips(
    values: Callable[[slice], torch.Tensor], shape: tuple[int, int], window: int, reach: int = 0
) -> Iterator[np.ndarray]:
    """Yield the strips of a map (H, W) float32, each from rows that hold all windows of its pixels.

    Args:
        values: rows -> the map of them alone, (h, W).
        shape: (H, W).
        window: side of the windows, pixels.
        reach: how many rows farther away a pixel depends on.
    """
    height, width = shape
    before, after = window // 2 + reach, window - 1 - window // 2 + reach
    for rows in _rows(height):
        if window > min(height, width):
            yield np.full((rows.stop - rows.start, width), np.nan, np.float32)
            continue
        # At least one window high, at the frame's end too.
        start = min(max(rows.start - before, 0), height - window)
        around = slice(start, max(min(rows.stop + after, height), start + window))
        yield values(around).numpy()[rows.start - start : rows.stop - start]


def on_frame(view: ChannelView, rows: slice, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Return the view's values, float32, and which count, bool, on rows of a frame that may reach beyond it (h, W)."""
    top = frame.rows[0]
    return beyond(view, slice(top + rows.start, top + rows.stop), slice(frame.columns[0], frame.columns[-1] + 1))


def beyond(view: ChannelView, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
    """Return what ``view.read`` does, of rows and columns that may lie beyond the image: there no pixel counts."""
    wanted = rows, columns
    grey = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.float32)
    valid = np.zeros(grey.shape, np.bool_)
    there = [slice(max(want.start, 0), min(want.stop, n)) for want, n in zip(wanted, view.shape, strict=True)]
    if all(part.start < part.stop for part in there):
        place = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(there, wanted, strict=True))
        grey[place], valid[place] = view.read(*there)
    return grey, valid
