"""What a registration sees of an image file: one grey plane, read part by part, and the choice of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from zncc_cli.config import AUTO, BEST, LUMINANCE, NONE
from zncc_cli.errors import InputError, OptionError
from zncc_cli.files.images import Image
from zncc_cli.files.pages import numbered
from zncc_cli.registration.inputs.no_data import gap_note, gap_words, no_data_values
from zncc_cli.registration.pyramid import Level

_LOOKED_AT = 1024  # pixels: the side of the middle part that tells how much texture a channel has
_LEAST_NOISE = 1e-6  # of the variance: below it noise is rounding


@dataclass(frozen=True, eq=False)
class ChannelView:
    """One grey plane of an image, less an offset where the file's numbers have more digits than float32.

    Attributes:
        image: the file.
        index: which plane, a number for each leading axis.
        sample: which sample of its pixels, or None for the luminance.
        mask: image of the same frame whose pixels above zero count, or None for all.
        no_data: values, in the image's own units, whose pixels do not count: see `without_gaps`.
    """

    image: Image
    index: tuple[int, ...]
    sample: int | None = None
    mask: Image | None = None
    no_data: tuple[float, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.image.shape

    @property
    def described(self) -> dict[str, Any]:
        """Which plane it is, for a report: a number for each leading axis, and the channel of RGB."""
        axes = dict(zip(self.image.axes, self.index, strict=False))
        if self.image.metadata.photometric == "rgb":
            return {**axes, "channel": LUMINANCE if self.sample is None else self.sample}
        return axes

    def read(self, rows: slice = slice(None), columns: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Return grey values, float32 (h, w), and which of them count, bool (h, w)."""
        part, valid = self._part(rows, columns)
        grey = self._grey(part)
        counts = valid & np.isfinite(grey)
        for value in self.no_data:
            counts &= grey != np.float32(value - self.offset)
        return grey, counts

    @property
    def offset(self) -> float:
        """What grey values are less than those of the image."""
        return 0.0 if self._offset is None else float(self._offset)

    def grey_of(self, pixels: np.ndarray) -> np.ndarray:
        """Return the grey values, float32 (h, w), of pixels (h, w[, S]) like the image's own, whatever their dtype."""
        return self._grey(Image(pixels, "YX" if pixels.ndim == 2 else "YXS", self.image.metadata))

    def _part(self, rows: slice, columns: slice) -> tuple[Image, np.ndarray]:
        """Return a part of the plane as the file has it, and which of its pixels (h, w) count."""
        part = self.image.read(self.index, rows, columns)
        valid = part.valid()
        if self.mask is not None:
            valid &= self.mask.read((), rows, columns).luminance() > 0
        return part, valid

    def _grey(self, part: Image) -> np.ndarray:
        if self._offset is not None:  # of all samples alike: the weights of a luminance add up to one
            part = replace(part, data=_less(np.asarray(part.data), self._offset))
        if self.sample is None:
            return part.luminance()
        chosen: np.ndarray = part.data[..., self.sample].astype(np.float32)
        return chosen

    @cached_property
    def _offset(self) -> np.generic | None:
        """The median of the middle, or of the first part with pixels that count; None where float32 holds all values.

        One for the whole plane, so that its parts fit together. Nothing that comes of a view depends on it, but that a
        small signal on a large offset keeps its digits.
        """
        if np.can_cast(self.image.dtype, np.float32):
            return None
        strips = ((slice(row, row + _LOOKED_AT), slice(None)) for row in range(0, self.shape[0], _LOOKED_AT))
        for place in (_middle(self.shape), *strips):
            part, valid = self._part(*place)
            plane = np.asarray(part.data) if part.data.ndim == 2 else part.data[..., self.sample or 0]
            if valid.any():
                values = plane[valid]
                median: np.generic = np.partition(values, values.size // 2)[values.size // 2]
                return median
        return None


def _less(values: np.ndarray, offset: np.generic) -> np.ndarray:
    """Return values less an offset, float32, from differences that are rounded to float64 at most."""
    less: np.ndarray
    with np.errstate(over="ignore", invalid="ignore"):
        if values.dtype.kind == "f":
            less = (values.astype(np.float64) - np.float64(offset)).astype(np.float32)
        else:  # the larger less the smaller one wraps around at most once: unsigned, it is exact
            above = values >= offset
            gap = np.where(above, values - offset, offset - values).view(f"u{values.dtype.itemsize}")
            less = np.where(above, gap.astype(np.float32), -gap.astype(np.float32))
    return less


def _middle(shape: tuple[int, int]) -> tuple[slice, slice]:
    height, width = (slice(max(0, (n - _LOOKED_AT) // 2), (n + _LOOKED_AT) // 2) for n in shape)
    return height, width


def masked(view: ChannelView, mask: Image | None) -> ChannelView:
    """Return the view with only the pixels that count in ``mask``.

    Raises:
        InputError: the mask is no 2D image of the same frame.
    """
    if mask is None:
        return view
    if mask.shape != view.shape or mask.leading:
        (height, width), (found_height, found_width) = view.shape, mask.shape
        axes = f" with axes {mask.axes}" if mask.leading else ""
        raise InputError(
            f"{mask.metadata.path}: expected a mask of {width} x {height} pixels like {view.image.metadata.path}, "
            f"found {found_width} x {found_height}{axes}; save one 2D mask of this size"
        )
    return replace(view, mask=mask)


def without_gaps(view: ChannelView, no_data: str) -> tuple[ChannelView, tuple[str, ...]]:
    """Return the view without pixels that hold no data, and a sentence for each value that lies like gaps unnamed.

    ``no_data``: as in `zncc_cli.config.RegistrationConfig`.
    """
    if no_data not in (AUTO, NONE):
        return replace(view, no_data=(float(no_data),)), ()
    found = tuple(value + view.offset for value in no_data_values(view.read, view.shape, AUTO))
    name = view.image.metadata.path.name
    if no_data == NONE:
        kept = f"; they count, as --no-data {NONE} has it, and can pull the result where both images have them"
        return view, tuple(f"{gap_words(name, value)}{kept}" for value in found)
    notes = (f"{gap_note(name, value)}; --no-data {NONE} counts them" for value in found)
    return replace(view, no_data=found), tuple(notes)


def choose_views(
    images: Sequence[Image], channels: Sequence[int | str | None], *, alone: bool = False
) -> tuple[tuple[ChannelView, ...], tuple[str, ...]]:
    """Return a view of each image, and a sentence for each choice that was not the user's.

    ``channels``: what --channel says of each, see `zncc_cli.config.InputConfig`; ``alone``: nothing else is used.

    Raises:
        OptionError: a channel that an image does not have.
    """
    candidates = [_candidates(image, channel) for image, channel in zip(images, channels, strict=True)]
    best = [0] * len(images)
    if max(map(len, candidates)) > 1:
        scores = [np.array([_texture(view) for view in views]) for views in candidates]
        if len({len(score) for score in scores}) == 1:
            # What a set of channels tells of the motion is limited by the poorest one.
            common = np.sum([1 / np.maximum(score, 1e-30) for score in scores], axis=0)
            best = [int(common.argmin())] * len(images)
        else:
            best = [int(score.argmax()) for score in scores]
    views = tuple(of_one[number] for of_one, number in zip(candidates, best, strict=True))
    chosen = zip(views, channels, strict=True)
    return views, tuple(note for view, asked in chosen for note in _notes(view, asked, alone))


def choose_view(image: Image, channel: int | str | None, at: tuple[int, ...]) -> tuple[ChannelView, tuple[str, ...]]:
    """Return the view of the page at ``at`` (its place along a channel axis does not matter), as `choose_views` does.

    Raises:
        OptionError: a channel that the image does not have.
    """
    candidates = _candidates(image, channel, at)
    best = max(candidates, key=_texture) if len(candidates) > 1 else candidates[0]
    return best, tuple(_channel_notes(best, channel, alone=False))


def _channel_axis(image: Image) -> int | None:
    place = image.axes.find("C")
    return place if place >= 0 and image.leading[place] > 1 else None


def _count(image: Image) -> int:
    """How many channels there are to choose from: of a C axis, or the colours of RGB."""
    axis = _channel_axis(image)
    if axis is not None:
        return image.leading[axis]
    return 3 if image.metadata.photometric == "rgb" else 1


def _candidates(image: Image, channel: int | str | None, first: tuple[int, ...] | None = None) -> list[ChannelView]:
    """Return the views that may be taken: one, or one for each channel where the best is sought.

    ``first``: the page; by default the first.
    """
    axis, rgb = _channel_axis(image), image.metadata.photometric == "rgb"
    first = (0,) * len(image.leading) if first is None else first
    if channel == LUMINANCE and (axis is not None or not rgb):
        raise OptionError(
            f"--channel {LUMINANCE}: expected an RGB image, found {image.metadata.path} with {_count(image)} grey "
            "channel(s); give a number or best"
        )
    if isinstance(channel, int) and channel >= _count(image):
        raise OptionError(
            f"--channel {channel}: expected at most {_count(image) - 1}, counted from 0, for {image.metadata.path}, "
            f"which has {_count(image)} channel(s)"
        )
    if axis is not None:
        numbers = [channel] if isinstance(channel, int) else range(image.leading[axis])
        return [ChannelView(image, (*first[:axis], number, *first[axis + 1 :])) for number in numbers]
    if rgb and isinstance(channel, int):
        return [ChannelView(image, first, channel)]
    if rgb and channel == BEST:
        return [ChannelView(image, first, number) for number in range(3)]
    return [ChannelView(image, first)]


def _texture(view: ChannelView) -> float:
    """Return how precisely the view can be placed: the power of its gradient over that of its noise."""
    grey, valid = (torch.from_numpy(x) for x in view.read(*_middle(view.shape)))
    if int(valid.sum()) < 2:
        return 0.0
    grey = torch.where(valid, grey, 0)
    grey = torch.where(valid, grey - grey.sum() / valid.sum(), 0)
    variance = float(grey.double().square().sum() / valid.sum())
    noise = Level(grey[None, None], valid, 1).noise_sigma ** 2
    across, down = grey.diff(dim=1)[valid[:, 1:] & valid[:, :-1]], grey.diff(dim=0)[valid[1:] & valid[:-1]]
    # Neighbours differ by twice the noise, along either axis.
    power = float(across.double().square().mean() + down.double().square().mean()) - 4 * noise
    least = _LEAST_NOISE * variance
    return max(0.0, power) / (noise + least) if least > 0 else 0.0


def _notes(view: ChannelView, asked: int | str | None, alone: bool) -> list[str]:
    image, notes = view.image, []
    others = [(letter, n) for letter, n in zip(image.axes, image.leading, strict=False) if letter != "C" and n > 1]
    if others:
        pages = int(np.prod([n for _, n in others]))
        axes = ", ".join(f"{letter} {n}" for letter, n in others)
        kept = "" if alone else ", all are kept"
        notes.append(
            f"{image.metadata.path.name}: {_use(alone)} {numbered('page', 0, pages)}, {axes}{kept}; --page N reads one"
        )
    return [*notes, *_channel_notes(view, asked, alone=alone)]


def _use(alone: bool) -> str:
    return "taken is" if alone else "registered by"


def _channel_notes(view: ChannelView, asked: int | str | None, *, alone: bool) -> list[str]:
    image, axis = view.image, _channel_axis(view.image)
    taken = view.sample if axis is None else view.index[axis]
    if taken is None or isinstance(asked, int):
        return []
    moved = "" if alone else ", all are moved"
    return [
        f"{image.metadata.path.name}: {_use(alone)} {numbered('channel', taken, _count(image))}, the one with the most "
        f"texture over noise{moved}; --channel N takes another"
    ]
