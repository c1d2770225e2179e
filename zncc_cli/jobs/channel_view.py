"""The plane of an image file that is registered: one channel as grey values, read part by part, and its choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from zncc_cli.config import AUTO, BEST, LUMINANCE, NONE, STAINS
from zncc_cli.errors import InputError, OptionError
from zncc_cli.files.channels import channels_of
from zncc_cli.files.images import Image
from zncc_cli.files.pages import numbered
from zncc_cli.jobs.stains import stain_density
from zncc_cli.registration.inputs.no_data import gap_note, gap_words, no_data_values
from zncc_cli.registration.pyramid import Level
from zncc_cli.text import shown

_SAMPLE_SIDE = 1024  # pixels, of the middle part in which the texture of a channel is measured
_MAX_LISTED = 20  # names of channels in a message
_MIN_NOISE_FRACTION = 1e-6  # of the variance: below it noise is rounding


@dataclass(frozen=True, eq=False)
class ChannelView:
    """One plane of an image as grey values, less an offset where the file's numbers have more digits than float32.

    Attributes:
        image: the file.
        index: which plane, a number for each leading axis.
        sample: which sample of its pixels, the name of a stain in RGB, or None for the luminance.
        mask: image of the same shape whose stored values above zero count, or None for all.
        no_data: values, in the image's own units, whose pixels do not count, see `exclude_no_data`.
    """

    image: Image
    index: tuple[int, ...]
    sample: int | str | None = None
    mask: Image | None = None
    no_data: tuple[float, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W)."""
        return self.image.shape

    @property
    def described(self) -> dict[str, Any]:
        """The plane in words of the report: a number for each leading axis, and the channel or stain of RGB."""
        axes = dict(zip(self.image.axes, self.index, strict=False))
        if self.image.metadata.photometric == "rgb":
            return {**axes, "channel": LUMINANCE if self.sample is None else self.sample}
        return axes

    def read(self, rows: slice = slice(None), columns: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
        """Read some rows and columns: grey values, float32 (h, w), and which of them count, bool (h, w)."""
        part, valid = self._part(rows, columns)
        grey = self._grey(part)
        counts = valid & np.isfinite(grey)
        for value in self.no_data:
            counts &= grey != np.float32(value - self.offset)
        return grey, counts

    @property
    def offset(self) -> float:
        """What is subtracted from the image's values."""
        return 0.0 if self._offset is None else float(self._offset)

    def grey_of(self, pixels: np.ndarray) -> np.ndarray:
        """Return the grey values, float32 (h, w), of pixels (h, w[, S]) in the image's units, of any dtype."""
        return self._grey(Image(pixels, "YX" if pixels.ndim == 2 else "YXS", self.image.metadata))

    def _part(self, rows: slice, columns: slice) -> tuple[Image, np.ndarray]:
        """Return a part of the plane as the file has it, and which of its pixels (h, w) count."""
        part = self.image.read(self.index, rows, columns)
        valid = part.valid()
        if self.mask is not None:
            valid &= self.mask.read((), rows, columns).is_set()
        return part, valid

    def _grey(self, part: Image) -> np.ndarray:
        if self._offset is not None:  # of all samples alike: the weights of a luminance add up to one
            part = replace(part, data=_subtract(np.asarray(part.data), self._offset))
        if self.sample is None:
            return part.luminance()
        if isinstance(self.sample, str):
            return stain_density(np.asarray(part.data), self.sample)
        chosen: np.ndarray = part.data[..., self.sample].astype(np.float32)
        return chosen

    @cached_property
    def _offset(self) -> np.generic | None:
        """The median of the middle, or of the first part with pixels that count; None where float32 holds all values.

        It is the same for the whole plane, so that its parts fit together. Registration does not depend on it; it keeps
        the digits of a small signal on a large offset.
        """
        if np.can_cast(self.image.dtype, np.float32) or isinstance(self.sample, str):
            return None
        strips = ((slice(row, row + _SAMPLE_SIDE), slice(None)) for row in range(0, self.shape[0], _SAMPLE_SIDE))
        for place in (_middle(self.shape), *strips):
            part, valid = self._part(*place)
            plane = np.asarray(part.data) if part.data.ndim == 2 else part.data[..., self.sample or 0]
            if valid.any():
                values = plane[valid]
                median: np.generic = np.partition(values, values.size // 2)[values.size // 2]
                return median
        return None


@dataclass(frozen=True)
class Agreeing:
    """The channels that agree best, a number for each image, and how many such choices were compared."""

    numbers: tuple[int, ...]
    compared: int


def _subtract(values: np.ndarray, offset: np.generic) -> np.ndarray:
    """Return ``values - offset`` as float32; differences are exact, or rounded to float64, before that."""
    difference: np.ndarray
    with np.errstate(over="ignore", invalid="ignore"):
        if values.dtype.kind == "f":
            difference = (values.astype(np.float64) - np.float64(offset)).astype(np.float32)
        else:  # the larger less the smaller one wraps around at most once: unsigned, it is exact
            above = values >= offset
            gap = np.where(above, values - offset, offset - values).view(f"u{values.dtype.itemsize}")
            difference = np.where(above, gap.astype(np.float32), -gap.astype(np.float32))
    return difference


def _middle(shape: tuple[int, int]) -> tuple[slice, slice]:
    height, width = (slice(max(0, (n - _SAMPLE_SIDE) // 2), (n + _SAMPLE_SIDE) // 2) for n in shape)
    return height, width


def masked(view: ChannelView, mask: Image | None) -> ChannelView:
    """Return the view with only those pixels that are above zero in ``mask``; None leaves it as it is.

    Raises:
        InputError: the mask is no 2D image of the same shape.
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


def exclude_no_data(view: ChannelView, no_data: str) -> tuple[ChannelView, tuple[str, ...]]:
    """Return the view without pixels that hold no data.

    Args:
        view: the plane.
        no_data: as in `zncc_cli.config.RegistrationConfig`.

    Returns:
        The view; and, unless ``no_data`` is a number, a sentence for each value whose pixels lie like gaps.
    """
    if no_data not in (AUTO, NONE):
        return replace(view, no_data=(float(no_data),)), ()
    gap_values = tuple(value + view.offset for value in no_data_values(view.read, view.shape, AUTO))
    name = view.image.metadata.path.name
    if no_data == NONE:
        kept = f"; they count, as --no-data {NONE} has it, and can pull the result where both images have them"
        return view, tuple(f"{gap_words(name, value)}{kept}" for value in gap_values)
    notes = (f"{gap_note(name, value)}; --no-data {NONE} counts them" for value in gap_values)
    return replace(view, no_data=gap_values), tuple(notes)


def choose_views(
    images: Sequence[Image],
    channels: Sequence[int | str | None],
    *,
    alone: bool = False,
    agreeing: Callable[[Sequence[Sequence[ChannelView]]], Agreeing | None] | None = None,
) -> tuple[tuple[ChannelView, ...], tuple[str, ...]]:
    """Return a view of each image, and a sentence for each choice that was not the user's.

    Where the best channel is asked for, it is the one whose texture is strongest against its noise; for several images
    with as many channels each, it is the same channel of all.

    Args:
        images: the images.
        channels: what --channel says of each, see `zncc_cli.config.InputConfig`.
        alone: only the chosen plane is used; otherwise all planes are written, and the sentences say so.
        agreeing: returns which channels agree best, of those of each image that come into question; None where none do.
            It is asked where `best` is said of an image.

    Raises:
        OptionError: a channel that an image does not have.
    """
    candidates = [_candidates(image, channel) for image, channel in zip(images, channels, strict=True)]
    best, several = [0] * len(images), max(map(len, candidates)) > 1
    told = agreeing(candidates) if agreeing is not None and several and BEST in channels else None
    if told is not None:
        best = list(told.numbers)
    elif several:
        scores = [np.array([channel_texture(view) for view in views]) for views in candidates]
        if len({len(score) for score in scores}) == 1:
            # What a set of channels tells of the motion is limited by the poorest one.
            common = np.sum([1 / np.maximum(score, 1e-30) for score in scores], axis=0)
            best = [int(common.argmin())] * len(images)
        else:
            best = [int(score.argmax()) for score in scores]
    views = tuple(channels_of_image[number] for channels_of_image, number in zip(candidates, best, strict=True))
    choices = zip(views, channels, strict=True)
    if told is not None:
        pages = (note for view in views for note in _page_notes(view, alone))
        return views, (*pages, _agreeing_note(views, told.compared, alone))
    return views, tuple(note for view, channel in choices for note in _notes(view, channel, alone))


def choose_view(image: Image, channel: int | str | None, page: tuple[int, ...]) -> tuple[ChannelView, tuple[str, ...]]:
    """Return the view of one page, and a sentence for each choice that was not the user's, as `choose_views` does.

    ``page`` is a number for each leading axis; the one of a channel axis is not used.

    Raises:
        OptionError: a channel that the image does not have.
    """
    candidates = _candidates(image, channel, page)
    best = max(candidates, key=channel_texture) if len(candidates) > 1 else candidates[0]
    return best, tuple(_channel_notes(best, channel, alone=False))


def _channel_axis(image: Image) -> int | None:
    """Return the position of an axis of several channels; None where there is none."""
    position = image.axes.find("C")
    return position if position >= 0 and image.leading[position] > 1 else None


def _channel_count(image: Image) -> int:
    """Return the number of channels to choose from: of a C axis, or the three colours of RGB."""
    axis = _channel_axis(image)
    if axis is not None:
        return image.leading[axis]
    return 3 if image.metadata.photometric == "rgb" else 1


def _candidates(image: Image, channel: int | str | None, page: tuple[int, ...] | None = None) -> list[ChannelView]:
    """Return the views that may be taken: one, or one for each channel where the best is asked for.

    ``page`` is a number for each leading axis; None for the first page.
    """
    axis, is_rgb, channel = _channel_axis(image), image.metadata.photometric == "rgb", _numbered(image, channel)
    page = (0,) * len(image.leading) if page is None else page
    if channel in (LUMINANCE, *STAINS) and (axis is not None or not is_rgb):
        raise OptionError(
            f"--channel {channel}: expected an RGB image, found {image.metadata.path} with {_channel_count(image)} "
            "grey channel(s); give a name, a number or best"
        )
    if axis is not None:
        numbers = [channel] if isinstance(channel, int) else range(image.leading[axis])
        return [ChannelView(image, (*page[:axis], number, *page[axis + 1 :])) for number in numbers]
    if is_rgb and (isinstance(channel, int) or channel in STAINS):
        return [ChannelView(image, page, channel)]
    if is_rgb and channel == BEST:
        return [ChannelView(image, page, number) for number in range(3)]
    return [ChannelView(image, page)]


def _numbered(image: Image, channel: int | str | None) -> int | str | None:
    """Return what --channel says, a channel that is named by its number; raise `OptionError` where there is none.

    A number is that of a channel where there are so many, whatever the names; otherwise it may be a name, of a
    wavelength for example.
    """
    count = _channel_count(image)
    if channel is None or channel == BEST or (isinstance(channel, int) and channel < count):
        return channel
    names = _channel_names(image)
    word = str(channel).strip().casefold()
    found = [number for number, name in enumerate(names) if name.casefold() == word]
    if len(found) == 1:
        return found[0]
    if channel in (LUMINANCE, *STAINS):
        return channel
    listed = [f"{number} ({shown(name)})" for number, name in enumerate(names[:_MAX_LISTED])]
    choices = ", ".join(listed) or (f"numbers from 0 to {count - 1}, without names" if count > 1 else "its number is 0")
    words = (LUMINANCE, *STAINS, BEST) if image.metadata.photometric == "rgb" else (BEST,)
    problem = f", {len(found)} of this name" if found else ""
    raise OptionError(
        f"--channel {channel}: expected a channel of {shown(image.metadata.path)}, which has {count} channel(s)"
        f"{problem}: {choices}{', ...' if len(names) > _MAX_LISTED else ''}; or {', '.join(words)}"
    )


def _channel_names(image: Image) -> tuple[str, ...]:
    """Return the names of the channels to choose from; () where the file gives none."""
    if "C" not in image.axes and image.metadata.photometric != "rgb":
        return ()
    channels = channels_of(image)
    return channels.names if channels.named and len(channels.names) == _channel_count(image) else ()


def channel_texture(view: ChannelView) -> float:
    """Return the power of the view's gradient over that of its noise: how precisely it can be registered."""
    grey, valid = (torch.from_numpy(x) for x in view.read(*_middle(view.shape)))
    if int(valid.sum()) < 2:
        return 0.0
    grey = torch.where(valid, grey, 0)
    grey = torch.where(valid, grey - grey.sum() / valid.sum(), 0)
    variance = float(grey.double().square().sum() / valid.sum())
    noise = Level(grey[None, None], valid, 1).noise_sigma ** 2
    along_x, along_y = grey.diff(dim=1)[valid[:, 1:] & valid[:, :-1]], grey.diff(dim=0)[valid[1:] & valid[:-1]]
    # Neighbours differ by twice the noise, along either axis.
    power = float(along_x.double().square().mean() + along_y.double().square().mean()) - 4 * noise
    min_noise = _MIN_NOISE_FRACTION * variance
    return max(0.0, power) / (noise + min_noise) if min_noise > 0 else 0.0


def _agreeing_note(views: Sequence[ChannelView], compared: int, alone: bool) -> str:
    """Return a sentence on the channels that agree best of so many that were ``compared``, one of each image."""
    words = [str(_taken(view)) for view in views]
    named = " and ".join(f"{_named(view)} of {shown(view.image.metadata.path.name)}" for view in views)
    return (
        f"{_use(alone)} {named}, which agree best of {compared} pairs of channels; --channel {','.join(words)} takes "
        "them at once"
    )


def _named(view: ChannelView) -> str:
    """Return the channel of a view in words: its number, and its name where the file gives one."""
    taken, names = _taken(view), _channel_names(view.image)
    if isinstance(taken, str):
        return taken
    return f"channel {taken} ({shown(names[taken])})" if names else f"channel {taken}"


def _taken(view: ChannelView) -> int | str:
    """Return the channel of a view as --channel takes it: its number, which is 0 for the only one, or a word of RGB."""
    axis = _channel_axis(view.image)
    if axis is not None:
        return view.index[axis]
    is_rgb = view.image.metadata.photometric == "rgb"
    return view.sample if view.sample is not None else LUMINANCE if is_rgb else 0


def _notes(view: ChannelView, channel: int | str | None, alone: bool) -> list[str]:
    """Return a sentence on the page and one on the channel, where the user chose none; see `choose_views`."""
    return [*_page_notes(view, alone), *_channel_notes(view, channel, alone=alone)]


def _page_notes(view: ChannelView, alone: bool) -> list[str]:
    """Return a sentence on the page, where the user chose none."""
    image, notes = view.image, []
    others = [(letter, n) for letter, n in zip(image.axes, image.leading, strict=False) if letter != "C" and n > 1]
    if others:
        pages = int(np.prod([n for _, n in others]))
        axes = ", ".join(f"{letter} {n}" for letter, n in others)
        kept = "" if alone else ", all are kept"
        notes.append(
            f"{image.metadata.path.name}: {_use(alone)} {numbered('page', 0, pages)}, {axes}{kept}; --page N reads one"
        )
    return notes


def _use(alone: bool) -> str:
    return "using" if alone else "registered by"


def _channel_notes(view: ChannelView, channel: int | str | None, *, alone: bool) -> list[str]:
    image, axis = view.image, _channel_axis(view.image)
    taken = view.sample if axis is None else view.index[axis]
    if isinstance(channel, int) and channel == taken:
        return _namesakes(image, channel)
    if not isinstance(taken, int) or channel not in (None, BEST):
        return []
    moved = "" if alone else ", all are moved"
    choice = numbered("channel", taken, _channel_count(image))
    return [
        f"{image.metadata.path.name}: {_use(alone)} {choice}, the one with the most texture over noise{moved}; "
        "--channel N takes another"
    ]


def _namesakes(image: Image, channel: int) -> list[str]:
    """Return a sentence where another channel than that of a number has this number for a name."""
    others = [number for number, name in enumerate(_channel_names(image)) if name.strip() == str(channel)]
    if not others or channel in others:
        return []
    return [
        f"{image.metadata.path.name}: channel {channel} is taken by its number; the one that is named {channel} has "
        f"number {others[0]}"
    ]
