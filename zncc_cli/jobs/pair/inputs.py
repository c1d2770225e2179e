"""What of a pair's files is registered: one channel of each image, downsampled where the images are large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zncc_cli.config import Canvas, PairConfig
from zncc_cli.files.images import Image, read_image
from zncc_cli.files.output_formats import check_output
from zncc_cli.files.tiff.calibration import scene_pixel_size
from zncc_cli.jobs.budget import affordable_factor
from zncc_cli.jobs.channel_view import Agreeing, ChannelView, choose_views, exclude_no_data, masked
from zncc_cli.jobs.downsampling import Downsampled, downsampled, downsampled_matrix
from zncc_cli.jobs.pair.channel_pair import agreeing_channels
from zncc_cli.jobs.pair.rerun import image_digests
from zncc_cli.jobs.resampled import missing_value
from zncc_cli.text import shown

if TYPE_CHECKING:
    from zncc_cli.jobs.pair.start import Start


@dataclass(frozen=True, eq=False)
class PairViews:
    """Both images as they were read.

    Attributes:
        fixed, moving: the channel of each that is registered, less masked pixels and those without data.
        digests: the `image_digests` of the files.
        notes: a sentence for each choice that was not the user's, and for each file that changed since an earlier run.
    """

    fixed: ChannelView
    moving: ChannelView
    digests: dict[str, str]
    notes: tuple[str, ...]

    @property
    def pixel_sizes(self) -> tuple[float, float] | None:
        """The side of a fixed and of a moving pixel in the scene, metres; None where a file does not say."""
        fixed, moving = (scene_pixel_size(view.image.metadata) for view in (self.fixed, self.moving))
        return None if fixed is None or moving is None else (fixed, moving)


@dataclass(frozen=True, eq=False)
class DownsampledPair:
    """Both images as they are registered.

    Attributes:
        fixed, moving: means of blocks of the views' pixels, or the pixels themselves.
        init: the matrix (3, 3) to start from, fixed -> moving, between the pixels of ``fixed`` and ``moving``; None for
            a search.
        notes: a sentence where blocks are registered, and those on the start.
    """

    fixed: Downsampled
    moving: Downsampled
    init: np.ndarray | None
    notes: tuple[str, ...]

    @property
    def factor(self) -> int:
        """Side of the blocks, pixels."""
        return self.fixed.factor


def read_views(config: PairConfig, earlier_digests: Mapping[str, str] | None) -> PairViews:
    """Read both images and their masks, and choose what is registered.

    Args:
        config: names the files, their pages and channels.
        earlier_digests: the `image_digests` of the run that is repeated; None where none is.

    Raises:
        InputError: a file cannot be read, or a mask does not fit its image. OptionError: a channel is not there.
    """
    # Before the pixels are read: a file that changes meanwhile gets a digest that is not that of what stands there.
    digests = image_digests(config)
    inputs, paths = config.inputs, (config.fixed, config.moving)
    images = [
        read_image(path, series=series, page=page, indices=is_resampled and config.resampling.labels)
        for path, series, page, is_resampled in zip(
            paths, inputs.each_series, inputs.each_page, (False, True), strict=True
        )
    ]
    masks = [
        None if path is None else read_image(path, indices=True) for path in (config.fixed_mask, config.moving_mask)
    ]

    def agreeing(channels: Sequence[Sequence[ChannelView]]) -> Agreeing | None:
        init = None if config.init is None else _read_start(config, images[0], images[1]).matrix
        return agreeing_channels(channels, masks, config.registration, init)

    views, choice_notes = choose_views((images[0], images[1]), inputs.each_channel, agreeing=agreeing)
    (fixed, fixed_notes), (moving, moving_notes) = (
        exclude_no_data(masked(view, mask), config.registration.no_data)
        for view, mask in zip(views, masks, strict=True)
    )
    reading_notes = (note for image in (*images, *masks) if image is not None for note in image.notes)
    changed = (
        f"{shown(path)}: its content is not that of the run that is repeated"
        for name, path in (("fixed", config.fixed), ("moving", config.moving))
        if (earlier_digests or digests).get(name) != digests[name]
    )
    notes = (*reading_notes, *choice_notes, *fixed_notes, *moving_notes, *changed)
    return PairViews(fixed, moving, digests, notes)


def downsampled_pair(views: PairViews, config: PairConfig) -> DownsampledPair:
    """Downsample both images as far as memory and time ask for it, and read the matrix to start from.

    Raises:
        OptionError: ``--fill`` is no value of the moving image's dtype. ResourceError: the memory is too small.
        ContentError: too little is left of an image. InputError: the start cannot be read.
    """
    moving = views.moving.image
    missing_value(moving.data.dtype, moving.metadata, config.resampling)  # refused before any work is done
    written = (moving,) if config.resampling.canvas is Canvas.FIXED else (moving, views.fixed.image)
    for image in written:
        check_output(config.resampling.image_format, image.dtype, image.data.shape, image.axes)
    factor = affordable_factor(views.fixed.image, moving, config.registration.window)
    large = (f"registered on means of {factor} x {factor} pixels, since the images are large",) if factor > 1 else ()
    blocks = downsampled(views.fixed, factor), downsampled(views.moving, factor)
    if config.init is None:
        return DownsampledPair(*blocks, None, large)
    start = _read_start(config, views.fixed.image, moving)
    return DownsampledPair(*blocks, downsampled_matrix(start.matrix, factor), (*large, *start.notes))


def _read_start(config: PairConfig, fixed: Image, moving: Image) -> Start:
    from zncc_cli.jobs.pair.start import read_start  # most runs begin with a search

    return read_start(config, fixed, moving)
