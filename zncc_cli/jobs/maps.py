"""The maps of a pair on the frame of the aligned image, written strip by strip as it comes."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
import torch

from zncc_cli.files.metadata import Metadata
from zncc_cli.files.output import open_strips
from zncc_cli.jobs.views import View
from zncc_cli.registration.canvas import Frame
from zncc_cli.registration.zncc import std_map, zncc_frame_map


class MapWriter:
    """Writes std_fixed.tif, std_aligned.tif, zncc.tif and mask.tif; see `add`.

    A window reaches beyond its strip: what it needs of the strip before is kept, and its rows are written when the
    next strip has come.

    Args:
        folder: where.
        fixed: the fixed image as the registration saw it.
        frame: which pixels are written, in the fixed image's own.
        grid: of the fixed image: its pixel size and georeference are the files'.
        window: side of the windows, pixels.
        spreads: standard deviations of the two whole images: a window that varies far less counts as flat.
        sign: -1 where bright in one image is dark in the other.
    """

    def __init__(
        self,
        folder: Path,
        fixed: View,
        frame: Frame,
        grid: Metadata,
        window: int,
        spreads: tuple[float, float],
        sign: int,
    ) -> None:
        self._fixed, self._frame, self._window, self._spreads, self._sign = fixed, frame, window, spreads, sign
        self._open = ExitStack()
        self._put = {
            name: self._open.enter_context(
                open_strips(folder / f"{name}.tif", frame.shape, dtype, frame=grid, offset=frame.offset)
            )
            for name, dtype in (
                ("std_fixed", np.float32),
                ("std_aligned", np.float32),
                ("zncc", np.float32),
                ("mask", np.uint8),
            )
        }
        self._kept: list[np.ndarray] = []  # rows of fixed, its mask, aligned, its mask
        self._first = 0  # of the kept rows, the first one's number
        self._next = 0  # row to be written

    def __enter__(self) -> MapWriter:
        """Open."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Complete the files."""
        self._open.__exit__(kind, error, traceback)

    def add(self, first: int, aligned: np.ndarray, covered: np.ndarray, counts: np.ndarray) -> None:
        """Take the next rows of the aligned image.

        Args:
            first: the number of the first of them in the file.
            aligned: grey values, float32 (h, W).
            covered: which of them the moving image covers, bool (h, W); what mask.tif says.
            counts: which of these take part in the maps: less where a mask says so.
        """
        self._put["mask"](np.where(covered, np.uint8(255), np.uint8(0)))
        last = first + len(aligned)
        rows = slice(self._frame.rows[first], self._frame.rows[last - 1] + 1)
        strip = [*on_frame(self._fixed, rows, self._frame), self._sign * aligned, counts]
        self._kept = [np.concatenate(pair) for pair in zip(self._kept, strip, strict=True)] if self._kept else strip
        before, after = self._window // 2, self._window - 1 - self._window // 2
        complete = last == self._frame.shape[0]
        end = last if complete else last - after
        if not complete and (last - self._first < self._window or end <= self._next):
            return
        for name, values in self._maps().items():
            self._put[name](values[self._next - self._first : end - self._first])
        self._next = end
        start = max(0, end - before)
        self._kept = [plane[start - self._first :] for plane in self._kept]
        self._first = start

    def _maps(self) -> dict[str, np.ndarray]:
        fixed, fixed_mask, aligned, aligned_mask = (torch.from_numpy(np.ascontiguousarray(x)) for x in self._kept)
        if self._window > min(fixed.shape):
            nothing = np.full(fixed.shape, np.nan, np.float32)
            return {"std_fixed": nothing, "std_aligned": nothing, "zncc": nothing}
        both = fixed_mask & aligned_mask
        return {
            "std_fixed": std_map(fixed, fixed_mask, self._window).numpy(),
            "std_aligned": std_map(aligned, aligned_mask, self._window).numpy(),
            "zncc": zncc_frame_map(fixed, aligned, both, self._window, self._spreads).numpy(),
        }


def on_frame(view: View, rows: slice, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Return the view's values, float32, and which of them count, on rows of a frame that may reach beyond it."""
    height, width = view.shape
    columns = slice(frame.columns[0], frame.columns[-1] + 1)
    grey = np.zeros((rows.stop - rows.start, frame.shape[1]), np.float32)
    valid = np.zeros(grey.shape, np.bool_)
    there = slice(max(rows.start, 0), min(rows.stop, height)), slice(max(columns.start, 0), min(columns.stop, width))
    if there[0].start < there[0].stop and there[1].start < there[1].stop:
        place = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(there, (rows, columns), strict=True))
        grey[place], valid[place] = view.read(*there)
    return grey, valid
