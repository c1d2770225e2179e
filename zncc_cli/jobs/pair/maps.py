"""The maps and the mask of an aligned image, on its canvas, written strip by strip."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import DTypeLike

from zncc_cli.files.image_output import STRIP_ROWS, write_strips
from zncc_cli.files.metadata import Metadata
from zncc_cli.jobs.channel_view import ChannelView
from zncc_cli.jobs.missing import Missing
from zncc_cli.jobs.pair.gaps import filled_gaps
from zncc_cli.jobs.pair.run_folder import MAPS
from zncc_cli.jobs.row_file import RowFile
from zncc_cli.registration.metric.maps import std_map, zncc_frame_map
from zncc_cli.registration.resampling.canvas import Frame
from zncc_cli.report.grey import BlockMeans
from zncc_cli.report.pair_figures import MAX_MAP_SIDE


def write_maps(
    folder: Path,
    fixed: ChannelView,
    aligned: tuple[RowFile, RowFile],
    canvas: Frame,
    window: int,
    standard_deviations: tuple[float, float],
    missing: Missing,
    names: Collection[str] = MAPS,
) -> dict[str, np.ndarray]:
    """Compute the maps of `MAPS`, and write those of ``names``. A map that cannot be made is added to ``missing``.

    Gaps that are no longer than a window are filled first, as they were for the registration.

    Args:
        folder: where the files are written.
        fixed: the fixed image as it was registered; the files get its pixel size and georeference.
        aligned: of the moving image on the canvas: grey values, float32; and which of them count, bool: where it
            covers the canvas, less where a mask leaves it out.
        canvas: which pixels of the fixed plane are written.
        window: side of the windows, pixels.
        standard_deviations: of the whole fixed and the whole moving image: a window that varies far less counts as
            flat.
        missing: collects the maps that cannot be made.
        names: of the files that are wanted.

    Returns:
        Each map that was made, by its file's name, to be drawn: float32 (H', W') on the fixed image's frame, by the
        means of blocks of `map_factor`, NaN where half of a block has no value.
    """
    grey, counts = aligned
    grid = fixed.image.metadata

    def fixed_std(rows: slice) -> torch.Tensor:
        return std_map(*_inpainted(_read_on_canvas(fixed, rows, canvas), window), window)

    def aligned_std(rows: slice) -> torch.Tensor:
        return std_map(*_inpainted((grey.read(rows), counts.read(rows)), window), window)

    def zncc(rows: slice) -> torch.Tensor:
        a, a_mask = _inpainted(_read_on_canvas(fixed, rows, canvas), window)
        b, b_mask = _inpainted((grey.read(rows), counts.read(rows)), window)
        return zncc_frame_map(a, b, a_mask & b_mask, window, standard_deviations)

    drawn = {}
    for name, map_of_rows in zip(MAPS, (fixed_std, aligned_std, zncc), strict=True):
        with missing.on_failure(name):
            blocks = BlockMeans(fixed.shape, map_factor(fixed.shape))
            strips = _added(map_strips(map_of_rows, canvas.shape, window, margin=2 * window), blocks, canvas)
            if name in names:
                _write(folder / name, strips, canvas, np.float32, grid)
            else:
                deque(strips, maxlen=0)
            drawn[name] = blocks.means()[0]
    return drawn


def map_factor(shape: tuple[int, int]) -> int:
    """Return the side in pixels of the blocks by whose means a map (H, W) is drawn in the HTML report."""
    return math.ceil(max(shape) / MAX_MAP_SIDE)


def _added(strips: Iterator[np.ndarray], blocks: BlockMeans, canvas: Frame) -> Iterator[np.ndarray]:
    """Yield the strips of a map on the canvas, and add each to ``blocks``, which are those of the fixed frame."""
    (left, top) = canvas.offset
    for strip in strips:
        blocks.add(strip, np.isfinite(strip), top, left)
        top += len(strip)
        yield strip


def write_mask(path: Path, covered: RowFile, canvas: Frame, grid: Metadata) -> None:
    """Write where the moving image covers the canvas: 255, else 0.

    Args:
        path: the file.
        covered: the same as bool.
        canvas: which pixels of the fixed plane are written.
        grid: metadata of the fixed image, whose pixel size and georeference the file gets.

    Raises:
        OutputError: the file cannot be written.
    """
    mask = (np.where(covered.read(rows), np.uint8(255), np.uint8(0)) for rows in _strip_rows(canvas.shape[0]))
    _write(path, mask, canvas, np.uint8, grid)


def _write(path: Path, strips: Iterator[np.ndarray], canvas: Frame, dtype: DTypeLike, grid: Metadata) -> None:
    write_strips(path, strips, shape=canvas.shape, dtype=dtype, axes="YX", like=None, frame=grid, offset=canvas.offset)


def _inpainted(rows: tuple[np.ndarray, np.ndarray], window: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return values and which of them count, each (h, W), with gaps filled that are no longer than a window."""
    grey, counts = filled_gaps(*rows, window)
    return torch.from_numpy(grey), torch.from_numpy(counts)


def _strip_rows(height: int) -> Iterator[slice]:
    for first in range(0, height, STRIP_ROWS):
        yield slice(first, min(first + STRIP_ROWS, height))


def map_strips(
    map_of_rows: Callable[[slice], torch.Tensor], shape: tuple[int, int], window: int, margin: int = 0
) -> Iterator[np.ndarray]:
    """Yield the strips of a map, float32 (h, W) each. Every strip is cut from rows that hold all windows of its pixels.

    Args:
        map_of_rows: computes the map (h, W) of some rows alone.
        shape: (H, W) of the map.
        window: side of the windows, pixels.
        margin: how many rows beyond its window a pixel depends on.
    """
    height, width = shape
    before, after = window // 2 + margin, window - 1 - window // 2 + margin
    for rows in _strip_rows(height):
        if window > min(height, width):
            yield np.full((rows.stop - rows.start, width), np.nan, np.float32)
            continue
        # At least one window high, at the last rows too.
        start = min(max(rows.start - before, 0), height - window)
        around = slice(start, max(min(rows.stop + after, height), start + window))
        yield map_of_rows(around).numpy()[rows.start - start : rows.stop - start]


def _read_on_canvas(view: ChannelView, rows: slice, canvas: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Read the fixed image on some rows of the canvas: values, float32 (h, W), and which of them count, bool."""
    top, columns = canvas.rows[0], canvas.columns
    return read_padded(view, slice(top + rows.start, top + rows.stop), slice(columns[0], columns[-1] + 1))


def read_padded(view: ChannelView, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
    """Read rows and columns that may lie beyond the image, where no pixel counts; see `ChannelView.read`."""
    wanted = rows, columns
    grey = np.zeros((rows.stop - rows.start, columns.stop - columns.start), np.float32)
    valid = np.zeros(grey.shape, np.bool_)
    inside = [slice(max(want.start, 0), min(want.stop, n)) for want, n in zip(wanted, view.shape, strict=True)]
    if all(part.start < part.stop for part in inside):
        place = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(inside, wanted, strict=True))
        grey[place], valid[place] = view.read(*inside)
    return grey, valid
