"""The strips of an aligned image, from which its mask and maps are made."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from zncc_cli.config import Interpolation
from zncc_cli.jobs.missing import Missing
from zncc_cli.jobs.pair.maps import Rows, write_maps, write_mask
from zncc_cli.jobs.pair.products import MAPS, MASK
from zncc_cli.jobs.views import ChannelView
from zncc_cli.registration.register import RegistrationResult
from zncc_cli.registration.resampling.canvas import Frame
from zncc_cli.registration.resampling.resample import resample

# By the files that are made from them: which pixels are covered; grey values, and which of them count.
_KEPT = {MASK: (np.bool_,), MAPS: (np.float32, np.bool_)}


class Strips:
    """What is kept of an aligned image's strips while it is written: on the disk, as it may be of any size.

    Where they cannot be kept, the mask or the maps are missing, and the aligned image is written all the same.

    Attributes:
        filled: how many pixels the moving image does not cover.
    """

    filled: int

    def __init__(
        self,
        folder: Path,
        moving: ChannelView,
        result: RegistrationResult,
        frame: Frame,
        missing: Missing,
        interpolation: Interpolation,
        *,
        mask: bool,
        maps: bool,
    ) -> None:
        """``folder``: where; ``frame``: of the aligned image; ``mask``, ``maps``: which of them will be made."""
        self._folder, self._moving, self._result, self._frame = folder, moving, result, frame
        self._interpolation = interpolation
        self._missing, self._wanted = missing, (*([MASK] if mask else []), *([MAPS] if maps else []))
        self._rows: dict[tuple[str, ...], list[Rows]] = {}
        self.filled = 0

    def __enter__(self) -> Strips:
        """Open a file for each kind of rows."""
        self._files = ExitStack()
        for names in self._wanted:
            if names[0] not in self._missing:
                with self._missing.spared(*names):
                    width = self._frame.shape[1]
                    self._rows[names] = [
                        self._files.enter_context(Rows(self._folder, width, dtype)) for dtype in _KEPT[names]
                    ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Forget them."""
        self._files.close()

    def take(self, index: tuple[int, ...], first: int, values: np.ndarray, there: np.ndarray) -> None:
        """Keep a strip, see `OnStrip`, if it is of the plane that was registered."""
        if index != self._moving.index:
            return
        self.filled += int((~there).sum())
        for names in tuple(self._rows):
            with self._missing.spared(*names):
                for rows, plane in zip(self._rows[names], self._planes(names, first, values, there), strict=True):
                    rows.put(plane)
            if names[0] in self._missing:
                self._forget(names)

    def _planes(
        self, names: tuple[str, ...], first: int, values: np.ndarray, there: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        if names == MASK:
            return (there,)
        sign = np.float32(-1 if self._result.inverted else 1)
        moving = self._moving
        if moving.mask is None and not moving.no_data:
            return sign * moving.grey_of(values), there
        # Anew, from the pixels that count: a spline carries far what stands in a gap.
        rows = self._frame.rows[first : first + len(there)]
        place = self._result.matrix, rows, self._frame.columns, self._interpolation
        grey, counts = resample(moving.read, moving.shape, *place)
        return sign * grey.astype(np.float32), there & counts

    def _forget(self, names: tuple[str, ...]) -> None:
        for rows in self._rows.pop(names):
            rows.close()

    def give_up(self, error: Exception) -> bool:
        """Free the room that the strips take; tell whether they took any. The next strip is the first one again."""
        kept = tuple(self._rows)
        for names in kept:
            self._missing.add(names, error)
            self._forget(names)
        self.filled = 0
        return bool(kept)

    def write(self, fixed: ChannelView, window: int, spreads: tuple[float, float]) -> None:
        """Write mask.tif and the maps, as far as their strips were kept; see `write_maps`."""
        if MASK in self._rows:
            with self._missing.spared(*MASK):
                write_mask(self._folder / MASK[0], self._rows[MASK][0], self._frame, fixed.image.metadata)
        if MAPS in self._rows:
            grey, counts = self._rows[MAPS]
            write_maps(self._folder, fixed, (grey, counts), self._frame, window, spreads, self._missing)
