"""The frames of a file: the axis along which they lie, what of them is registered, and how they are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from zncc_cli.config import DEFAULT_WINDOW, NONE, Model, RegistrationConfig
from zncc_cli.config.stack import StackConfig
from zncc_cli.errors import ContentError, InputError, OptionError
from zncc_cli.files.images import Image
from zncc_cli.files.pages import numbered
from zncc_cli.jobs.channel_view import ChannelView, choose_view, exclude_no_data
from zncc_cli.jobs.downsampling import MAX_FULL_RESOLUTION_PIXELS, Downsampled, downsampled, downsampling_factor
from zncc_cli.jobs.resampled import Strip, Written, write_resampled
from zncc_cli.process import usable_cores
from zncc_cli.registration.drift.frame_pair import PreparedFrame
from zncc_cli.registration.inputs.hot_pixels import hot_note, hot_pixels
from zncc_cli.registration.inputs.prepare import SMALLEST_IMAGE, prepare
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.quality.fitting_window import fitting_window
from zncc_cli.registration.resampling.canvas import Frame
from zncc_cli.registration.transforms.bending import Transform

# Larger frames are registered on means of blocks, until they have no more pixels than this, by the model: several times
# as fast, and still to hundredths of a pixel. What bends is as fine as the pixels.
_MAX_PIXELS_RICHER = 2**15
_MAX_PIXELS_OF = {Model.TRANSLATION: 2**17, Model.BSPLINE: MAX_FULL_RESOLUTION_PIXELS}
_HOT_PIXEL_FRAMES = 5  # frames, all over the movie, in which hot pixels are searched

Progress = Callable[[str], None]
"""Is told in a few words what comes next."""


@dataclass(frozen=True, eq=False)
class Movie:
    """The frames of an image.

    Attributes:
        view: the registered channel of one frame.
        axis: index of the axis along which the frames lie.
        count: number of frames.
        factor: side of the blocks of pixels whose means are registered.
        window: side of the ZNCC windows, in blocks.
        threads: how many frames are worked on at a time.
        hot: (h, w) bool, blocks that are masked in every frame; None if there are none.
    """

    view: ChannelView
    axis: int
    count: int
    factor: int
    window: int
    threads: int
    hot: np.ndarray | None = None

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.view.image.metadata.path.name

    @property
    def block_shape(self) -> tuple[int, int]:
        """(H, W) of a frame, in blocks."""
        height, width = self.view.shape
        return height // self.factor, width // self.factor

    def index(self, frame: int) -> tuple[int, ...]:
        """Return the index on the leading axes of the plane of a frame that is registered."""
        return (*self.view.index[: self.axis], frame, *self.view.index[self.axis + 1 :])

    def blocks(self, frame: int) -> Downsampled:
        """Return the means of blocks of a frame, and which of them are valid."""
        blocks = downsampled(replace(self.view, index=self.index(frame)), self.factor)
        return blocks if self.hot is None else replace(blocks, valid=blocks.valid & ~self.hot)

    def prepared(self, frame: int, settings: RegistrationConfig, inverted: bool = False) -> PreparedFrame | None:
        """Return a frame, or its negative, prepared for ``settings``; None if all its values are equal or invalid."""
        blocks = self.blocks(frame)
        try:
            return PreparedFrame.of(-blocks.grey if inverted else blocks.grey, blocks.valid, settings)
        except ContentError:
            return None

    def write(
        self,
        path: Path,
        transforms: Sequence[Transform],
        frame: Frame,
        config: StackConfig,
        progress: Progress,
        collect: Callable[[Strip], None] | None = None,
    ) -> Written:
        """Write all planes of the image, each resampled by the transform of its frame, to ``path``.

        Args:
            path: the file.
            transforms: reference -> frame, (x, y) pixels, of each frame.
            frame: the canvas, in pixels of the reference.
            config: its resampling is used.
            progress: is told which frame is written.
            collect: is called with each strip, in the order of the file.
        """

        def transform_of(index: tuple[int, ...]) -> Transform:
            progress(f"writing frame {index[self.axis] + 1} of {self.count}")
            return transforms[index[self.axis]]

        image = self.view.image
        return write_resampled(
            path, image, transform_of, frame, config.resampling, image.metadata, collect, threads=self.threads
        )


def movie_of(image: Image, config: StackConfig) -> tuple[Movie, tuple[str, ...]]:
    """Return the frames of an image, and a note for each choice that the user did not make.

    Raises:
        InputError: the image has only one frame.
        OptionError: the image lacks the axis, the frame or the channel that ``config`` names.
        ContentError: the frames are too small.
    """
    name, leading = image.metadata.path.name, image.axes[: len(image.leading)]
    axis, axis_notes = _frame_axis(image, config)
    count = image.leading[axis]
    if config.reference is not None and config.reference >= count:
        raise OptionError(f"--to {config.to}: expected a frame from 0 to {count - 1}, the last of {name}")
    notes = list(axis_notes)
    # The middle of the other axes, of a stack of slices perhaps, shows most; and the first frame is often blank.
    view, channel_notes = choose_view(image, config.chosen_channel, tuple(n // 2 for n in image.leading))
    view, gap_notes = exclude_no_data(view, config.no_data)
    others = [numbered(leading[k], view.index[k], image.leading[k]) for k in _long_axes(image) if k != axis]
    if others:
        notes.append(f"{name}: registered by {', '.join(others)}; all planes of a frame are moved alike")
    max_pixels = _MAX_PIXELS_OF.get(config.model, _MAX_PIXELS_RICHER)
    factor = downsampling_factor(image.shape, max_pixels=max_pixels)
    if min(image.shape) // factor < SMALLEST_IMAGE:
        height, width = image.shape
        raise ContentError(
            f"{image.metadata.path}: expected frames of at least {SMALLEST_IMAGE * factor} pixels a side, "
            f"found {width} x {height}"
        )
    if factor > 1:
        notes.append(f"{name}: registered on means of {factor} x {factor} pixels, which is faster")
    window = config.window or fitting_window((image.shape[0] // factor, image.shape[1] // factor))
    if config.window is None and window < DEFAULT_WINDOW:
        notes.append(f"{name}: windows of {window} pixels are used, since the frames are too small for larger ones")
    movie = Movie(view, axis, count, factor, window, usable_cores())
    hot = _hot_blocks(movie)
    if hot is not None and hot.any():
        notes.append(f"{name}: {hot_note(int(hot.sum()), 'frame after frame')}")
    return replace(movie, hot=hot), (*notes, *channel_notes, *gap_notes)


def _long_axes(image: Image) -> list[int]:
    """Return the indices of the axes before the plane, except C, that are longer than one."""
    return [k for k, n in enumerate(image.leading) if image.axes[k] != "C" and n > 1]


def _frame_axis(image: Image, config: StackConfig) -> tuple[int, tuple[str, ...]]:
    """Return the index of the axis along which the frames lie, and a note if it was chosen among several."""
    name, leading, candidates = image.metadata.path.name, image.axes[: len(image.leading)], _long_axes(image)
    lengths = ", ".join(f"{letter} {n}" for letter, n in zip(leading, image.leading, strict=True)) or "none"
    if config.axis is not None:
        axis = leading.find(config.axis)
        if axis not in candidates:
            raise OptionError(f"--axis {config.axis}: expected an axis of several frames, found {lengths} in {name}")
        return axis, ()
    if not candidates:
        channels = dict(zip(leading, image.leading, strict=True)).get("C", 1)
        found = f"one frame of {channels} channels" if channels > 1 else "one frame"
        advice = (
            "if the channels are frames, save the file with axes TYX"
            if channels > 1
            else "use zncc-align to align two files"
        )
        raise InputError(f"{image.metadata.path}: expected several frames, found {found} (axes {image.axes}); {advice}")
    axis = next((k for k in candidates if leading[k] == "T"), max(candidates, key=lambda k: image.leading[k]))
    if len(candidates) == 1:
        return axis, ()
    return axis, (f"{name}: the frames lie along {leading[axis]} of {lengths}; choose another axis with --axis",)


def _hot_blocks(movie: Movie) -> np.ndarray | None:
    """Return the single blocks that stand out in frames all over the movie, (h, w) bool; None if that is unknown."""
    levels = list[Level]()
    for frame in sorted({round(position) for position in np.linspace(0, movie.count - 1, _HOT_PIXEL_FRAMES)}):
        blocks = movie.blocks(frame)
        with suppress(ContentError):  # a blank frame tells nothing
            ready = prepare("frame", blocks.grey, blocks.valid, torch.device("cpu"), NONE)
            levels.append(Level(ready.image, ready.mask, 1))
    hot = hot_pixels(*levels) if len(levels) > 1 else None
    return None if hot is None else hot.numpy()
