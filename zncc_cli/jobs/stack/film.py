"""The pictures of a movie for its HTML report: some frames before and after, and cuts through all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from zncc_cli.jobs.resampled import Strip
from zncc_cli.jobs.stack.movie import Movie, Progress
from zncc_cli.jobs.threads import in_order
from zncc_cli.progress import counted
from zncc_cli.registration.resampling.canvas import Frame
from zncc_cli.report.grey import BlockMeans, grey_levels, robust_limits
from zncc_cli.report.stack_html import Film

_LOOP_FRAMES, _CUT_FRAMES = 30, 480
_SIDE = 288  # pixels of a picture
_BAND = 0.02  # of the side: as wide is the band whose mean is a cut
_READ_ROWS = 512

_Picture = tuple[np.ndarray, np.ndarray]  # means of blocks (h, w), and which of them are known


class FilmMaker:
    """Collects what is written of a movie, and reads the same of the file, for a `Film`.

    Memory: the frames of the loop, and two cuts of each frame, as means of blocks.
    """

    def __init__(self, movie: Movie, canvas: Frame) -> None:
        """Choose frames evenly among those of ``movie``; ``canvas`` is what is written."""
        self.movie, self.canvas = movie, canvas
        self._factor = math.ceil(max(canvas.shape) / _SIDE)
        self._cut_frames = _evenly(movie.count, _CUT_FRAMES)
        self._loop_frames = tuple(self._cut_frames[k] for k in _evenly(len(self._cut_frames), _LOOP_FRAMES))
        self._after: dict[int, _Picture] = {}
        self._cuts_after: dict[int, tuple[_Picture, _Picture]] = {}
        self._open: tuple[int, BlockMeans] | None = None

    def collect(self, strip: Strip) -> None:
        """Take a strip of the written stack, if its plane is shown; strips come in the order of the file."""
        axis, index = self.movie.axis, strip.index
        wanted = self.movie.view.index
        frame = index[axis]
        if (*index[:axis], *index[axis + 1 :]) != (
            *wanted[:axis],
            *wanted[axis + 1 :],
        ) or frame not in self._cut_frames:
            return
        if self._open is None or self._open[0] != frame:
            self._close()
            self._open = frame, BlockMeans(self.canvas.shape, self._factor)
        grey = self.movie.view.grey_of(strip.pixels)
        self._open[1].add(grey, strip.covered & np.isfinite(grey), strip.first_row)

    def film(self, bad_frames: Sequence[int], progress: Progress) -> Film:
        """Return the film; ``bad_frames`` are shown as they are in the file."""
        self._close()
        before, cuts_before, bad = dict[int, _Picture](), dict[int, tuple[_Picture, _Picture]](), dict[int, _Picture]()
        frames = sorted({*self._cut_frames, *bad_frames})

        def read(frame: int) -> _Picture:
            progress(f"drawing frame {frame + 1} of {self.movie.count}")
            return self._read(frame)

        pictures = zip(frames, in_order(read, frames, self.movie.threads), strict=True)
        for frame, picture in counted(pictures, len(frames)):
            cuts_before[frame] = _cuts(picture)
            if frame in self._loop_frames:
                before[frame] = picture
            if frame in bad_frames:
                bad[frame] = picture
        limits = _limits(before.values())
        cuts = {"before": cuts_before, "after": self._cuts_after}

        def levels(picture: _Picture) -> np.ndarray:
            return grey_levels(picture[0], picture[1], limits)

        return Film(
            before=np.stack([levels(before[frame]) for frame in self._loop_frames]),
            after=np.stack([levels(self._after[frame]) for frame in self._loop_frames]),
            frames=self._loop_frames,
            kymographs={
                f"{axis}-{when}": np.concatenate([levels(of[frame][k]) for frame in self._cut_frames])
                for k, axis in enumerate("xy")
                for when, of in cuts.items()
            },
            kymograph_frames=self._cut_frames,
            bad=np.stack([levels(bad[frame]) for frame in bad_frames]) if bad_frames else np.zeros((0, 1, 1), np.uint8),
            bad_frames=tuple(bad_frames),
            pixel=self._factor,
        )

    def _close(self) -> None:
        """End the frame that is collected."""
        if self._open is None:
            return
        frame, blocks = self._open
        self._open = None
        picture = blocks.means()
        self._cuts_after[frame] = _cuts(picture)
        if frame in self._loop_frames:
            self._after[frame] = picture

    def _read(self, frame: int) -> _Picture:
        """Read a frame as it is in the file, on the canvas, as means of blocks."""
        movie, canvas = self.movie, self.canvas
        view = replace(movie.view, index=movie.index(frame))
        blocks = BlockMeans(canvas.shape, self._factor)
        for top in range(0, view.shape[0], _READ_ROWS):
            grey, valid = view.read(slice(top, min(top + _READ_ROWS, view.shape[0])))
            blocks.add(grey, valid, top - canvas.rows.start, -canvas.columns.start)
        return blocks.means()


def _evenly(count: int, most: int) -> tuple[int, ...]:
    """Return at most ``most`` numbers from 0 to ``count`` - 1, the first and the last among them."""
    return tuple(dict.fromkeys(np.linspace(0, count - 1, min(count, most)).round().astype(int).tolist()))


def _cuts(picture: _Picture) -> tuple[_Picture, _Picture]:
    """Return the means of a band along the middle row, (1, w), and of one along the middle column, (1, h)."""
    values, known = picture
    return _band(values, known), _band(values.T, known.T)


def _band(values: np.ndarray, known: np.ndarray) -> _Picture:
    reach = int(_BAND * len(values) / 2)
    middle = slice(len(values) // 2 - reach, len(values) // 2 + reach + 1)
    counts = known[middle].sum(axis=0, keepdims=True)
    sums = np.where(known[middle], values[middle], 0).sum(axis=0, keepdims=True)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).astype(np.float32), counts > 0


def _limits(pictures: Iterable[_Picture]) -> tuple[float, float]:
    """Return the contrast in which all frames are shown: that of the half with the most, since some are blank."""
    limits = sorted((robust_limits(values, known) for values, known in pictures), key=lambda pair: pair[1] - pair[0])
    upper = limits[len(limits) // 2 :]
    return min(low for low, _ in upper), max(high for _, high in upper)
