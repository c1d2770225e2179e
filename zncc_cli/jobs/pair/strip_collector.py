"""The strips of an aligned image, collected while it is written; its mask and its maps are made from them."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType

import numpy as np

from zncc_cli.config import PairConfig, Product
from zncc_cli.jobs.channel_view import ChannelView
from zncc_cli.jobs.pair.gaps import filled_gaps
from zncc_cli.jobs.pair.maps import write_maps, write_mask
from zncc_cli.jobs.pair.run_folder import MAPS, MASK, RunFolder
from zncc_cli.jobs.resampled import Strip
from zncc_cli.jobs.row_file import RowFile
from zncc_cli.registration.register import RegistrationResult
from zncc_cli.registration.resampling.canvas import Frame
from zncc_cli.registration.resampling.resample import resample

# What is collected for each group of files: which pixels are covered; grey values and which of them count.
_DTYPES = {MASK: (np.bool_,), MAPS: (np.float32, np.bool_)}
_NEEDED_BY = {MASK: {Product.MASK}, MAPS: {Product.MAPS, Product.HTML}}  # the HTML report shows the maps


class StripCollector:
    """Collects the strips of an aligned image in temporary files, as the image may be larger than the memory.

    Where the disk does not take them, the mask or the maps are missing, and the aligned image is written all the same.

    Attributes:
        canvas: which pixels of the fixed plane the image shows.
        filled: how many pixels of the canvas the moving image does not cover.
    """

    canvas: Frame
    filled: int

    def __init__(
        self, folder: RunFolder, moving: ChannelView, result: RegistrationResult, canvas: Frame, config: PairConfig
    ) -> None:
        """Prepare to collect what the products that ``config`` asks for need.

        Args:
            folder: where the temporary files, the mask and the maps are written.
            moving: the moving image as it was registered.
            result: in pixels of the images.
            canvas: which pixels of the fixed plane are written.
            config: names the products and the interpolation.
        """
        self._folder, self._moving, self._result, self.canvas = folder, moving, result, canvas
        self._interpolation = config.resampling.interpolation
        self._wanted = [names for names, products in _NEEDED_BY.items() if products & config.products]
        self._row_files: dict[tuple[str, ...], list[RowFile]] = {}
        self._open_files = ExitStack()
        self.filled = 0

    def __enter__(self) -> StripCollector:
        """Create the temporary files."""
        for names in self._wanted:
            if names[0] not in self._folder.missing:
                with self._folder.missing.on_failure(*names):
                    self._row_files[names] = [
                        self._open_files.enter_context(RowFile(self._folder.staging, self.canvas.shape[1], dtype))
                        for dtype in _DTYPES[names]
                    ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove the temporary files."""
        self._open_files.close()

    def collect(self, strip: Strip) -> None:
        """Keep a strip if it is of the plane that was registered."""
        if strip.index != self._moving.index:
            return
        self.filled += int((~strip.covered).sum())
        for names in tuple(self._row_files):
            with self._folder.missing.on_failure(*names):
                for row_file, plane in zip(self._row_files[names], self._planes(names, strip), strict=True):
                    row_file.append(plane)
            if names[0] in self._folder.missing:
                self._close(names)

    def _planes(self, names: tuple[str, ...], strip: Strip) -> tuple[np.ndarray, ...]:
        """Return what of a strip is kept for the files ``names``, (h, W) each, see `_DTYPES`."""
        if names == MASK:
            return (strip.covered,)
        sign = np.float32(-1 if self._result.inverted else 1)
        moving = self._moving
        if moving.mask is None and not moving.no_data:
            return sign * moving.grey_of(strip.values), strip.covered
        # Resampled again, from the pixels that count alone: a spline spreads the values in a gap over its neighbours.
        rows = self.canvas.rows[strip.first_row : strip.first_row + len(strip.covered)]
        place = self._result.transform, rows, self.canvas.columns, self._interpolation
        grey, counts = resample(moving.read, moving.shape, *place)
        return sign * grey.astype(np.float32), strip.covered & counts

    def aligned(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the aligned image on the canvas, as the maps show it: grey values, float32 (H, W), and which count.

        None where its strips were not kept.
        """
        if MAPS not in self._row_files:
            return None
        rows = slice(0, self.canvas.shape[0])
        grey, counts = (row_file.read(rows) for row_file in self._row_files[MAPS])
        return filled_gaps(grey, counts, self._result.window)

    def _close(self, names: tuple[str, ...]) -> None:
        for row_file in self._row_files.pop(names):
            row_file.close()

    def discard(self, error: Exception) -> bool:
        """Free the disk that the strips take, and add the mask and the maps to the missing files because of ``error``.

        The aligned image can then be written anew, from its first strip on.

        Returns:
            Whether any strips were discarded.
        """
        discarded = tuple(self._row_files)
        for names in discarded:
            self._folder.missing.add(names, error)
            self._close(names)
        self.filled = 0
        return bool(discarded)

    def write(self, fixed: ChannelView, standard_deviations: tuple[float, float]) -> dict[str, np.ndarray]:
        """Write mask.tif and the maps, as far as their strips were kept, and return what `write_maps` does."""
        staging, missing = self._folder.staging, self._folder.missing
        if MASK in self._row_files:
            with missing.on_failure(*MASK):
                write_mask(staging / MASK[0], self._row_files[MASK][0], self.canvas, fixed.image.metadata)
        if MAPS not in self._row_files:
            return {}
        grey, counts = self._row_files[MAPS]
        window, names = self._result.window, self._folder.names
        return write_maps(staging, fixed, (grey, counts), self.canvas, window, standard_deviations, missing, names)
