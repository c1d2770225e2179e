"""Which channels of two files agree best, one of each: every pair of them is judged at a small size.

What two channels show is alike or it is not, and neither of them tells that alone. So the place is searched first, by
one pair after the other, those with the most texture first, until the verdict on one is ok; then every pair is
registered from that place, which takes a fraction of a search, and of those that are ok the most precise one is taken.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zncc_cli.config import NONE, Model, RegistrationConfig
from zncc_cli.errors import ContentError
from zncc_cli.files.images import Image
from zncc_cli.files.tiff.calibration import scene_pixel_size
from zncc_cli.jobs.channel_view import Agreeing, ChannelView, channel_texture, exclude_no_data, masked
from zncc_cli.jobs.downsampling import Downsampled, downsampled, downsampled_matrix
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.register import RegistrationResult, register_images

_SIDE_PX = 256  # of the smaller image, at least, where that has so many: the level on which results are judged
_MAX_SIDE_PX = 1024  # of the larger image
# Of an image, those with the most texture: of eight each, 64 pairs are judged in some seconds.
_MAX_CHANNELS = 8
_MAX_SEARCHES = 16  # a search that finds nothing takes a second or two

_Pair = tuple[int, int]  # a channel of the fixed image and one of the moving image


def agreeing_channels(
    channels: Sequence[Sequence[ChannelView]],
    masks: Sequence[Image | None],
    config: RegistrationConfig,
    init: np.ndarray | None,
) -> Agreeing | None:
    """Return which channels of a fixed and of a moving image agree best; None where none do.

    Args:
        channels: of each image, those that come into question.
        masks: of each image, see `masked`.
        config: how the images are registered; models that bend, or are not chosen yet, begin with an affine one.
        init: (3, 3), the start that was given, fixed -> moving, pixels; None where the place is searched for.
    """
    fixed, moving = (
        [exclude_no_data(masked(view, mask), config.no_data)[0] for view in views]
        for views, mask in zip(channels, masks, strict=True)
    )
    pairs = ChannelPairs.of(fixed, moving, config)
    best = pairs.best(init)
    return None if best is None else Agreeing(best, len(pairs.pairs))


@dataclass(frozen=True, eq=False)
class ChannelPairs:
    """The channels of two images, at a small size.

    Attributes:
        images: the channels of the fixed and of the moving image by their numbers.
        pairs: all pairs of them, those with the most texture first.
        factor: side of the blocks of pixels by which the images are reduced.
        settings: how they are registered.
        pixel_sizes: of a fixed and of a moving pixel, see `register`.
    """

    images: tuple[dict[int, Downsampled], dict[int, Downsampled]]
    pairs: list[_Pair]
    factor: int
    settings: RegistrationConfig
    pixel_sizes: tuple[float, float] | None

    @classmethod
    def of(
        cls,
        fixed: Sequence[ChannelView],
        moving: Sequence[ChannelView],
        config: RegistrationConfig,
    ) -> ChannelPairs:
        """Return the pairs of the channels with the most texture, of views without pixels that do not count.

        ``config`` as of `agreeing_channels`.
        """
        textures = [[channel_texture(view) for view in views] for views in (fixed, moving)]
        first, second = (sorted(range(len(each)), key=lambda n: -each[n])[:_MAX_CHANNELS] for each in textures)
        # What a pair of channels tells of the motion is limited by the poorer one.
        common = {
            (i, j): 1 / max(textures[0][i], 1e-30) + 1 / max(textures[1][j], 1e-30) for i in first for j in second
        }
        shapes = fixed[0].shape, moving[0].shape
        factor = max(1, min(map(min, shapes)) // _SIDE_PX, -(-max(map(max, shapes)) // _MAX_SIDE_PX))
        small = {i: downsampled(fixed[i], factor) for i in first}, {j: downsampled(moving[j], factor) for j in second}
        settings = dataclasses.replace(
            config,
            model=Model.AFFINE if config.model in (Model.AUTO, Model.BSPLINE) else config.model,
            no_data=NONE,
            max_motion=None if config.max_motion is None else config.max_motion / factor,
            window=config.window if factor == 1 else None,  # one for larger images may not fit
            spacing=None,
            smoothness=1.0,
        )
        sizes = scene_pixel_size(fixed[0].image.metadata), scene_pixel_size(moving[0].image.metadata)
        pixel_sizes = None if sizes[0] is None or sizes[1] is None else (sizes[0], sizes[1])
        return cls(small, sorted(common, key=lambda pair: common[pair]), factor, settings, pixel_sizes)

    def best(self, init: np.ndarray | None) -> _Pair | None:
        """Return the channels that agree best; None where none do.

        ``init`` (3, 3) is the start that was given, fixed -> moving, pixels; None where the place is searched for.
        """
        place = self._place() if init is None else downsampled_matrix(init, self.factor)
        if place is None:
            return None
        errors = {pair: self._expected_error(pair, place) for pair in self.pairs}
        best = min(self.pairs, key=lambda pair: errors[pair])
        return best if np.isfinite(errors[best]) else None

    def _place(self) -> np.ndarray | None:
        """Return the matrix (3, 3) that the first pair of channels leads to whose result is ok; None where none is."""
        results = (self._registered(pair, None) for pair in self.pairs[:_MAX_SEARCHES])
        return next((each.matrix for each in results if each is not None and each.status is Status.OK), None)

    def _expected_error(self, pair: _Pair, place: np.ndarray) -> float:
        """Return the expected error of two channels from a ``place`` (3, 3); infinity where the result is not ok."""
        result = self._registered(pair, place)
        error = None if result is None or result.status is not Status.OK else result.evidence.expected_error
        return np.inf if error is None else error

    def _registered(self, pair: _Pair, init: np.ndarray | None) -> RegistrationResult | None:
        """Return the result for two channels; None where one of them shows nothing."""
        fixed, moving = (channels[number] for channels, number in zip(self.images, pair, strict=True))
        images, masks = (fixed.grey, moving.grey), (fixed.valid, moving.valid)
        try:
            return register_images(*images, self.settings, *masks, init, pixel_sizes=self.pixel_sizes)
        except ContentError:
            return None
