"""The channels of an image, along an axis C, in the samples of colours, or in pages; and their names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.errors import OptionError
from zncc_cli.files.image import Image
from zncc_cli.files.lazy import LazyArray
from zncc_cli.text import shown

_COLOURS = ("red", "green", "blue")
_PAGES = "IQ"  # axes without a meaning: the pages of a plain TIFF


@dataclass(frozen=True, eq=False)
class Channels:
    """The channels of an image.

    Attributes:
        image: the image, with planes (H, W) of one grey value.
        axis: the leading axis along which the channels lie; None where there is one channel and no axis.
        names: a name for each channel.
        named: whether the file gives the names; otherwise they are made of its own name or of numbers.
        attributes: what OME says of each channel beside its name, with OME's words.
        notes: a sentence for each choice, and for what is left out.
    """

    image: Image
    axis: int | None
    names: tuple[str, ...]
    named: bool
    attributes: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...] = ()

    @property
    def others(self) -> tuple[tuple[str, int], ...]:
        """Letter and length of each further leading axis that is longer than one."""
        pairs = enumerate(zip(self.image.axes, self.image.leading, strict=False))
        return tuple(pair for k, pair in pairs if k != self.axis and pair[1] > 1)

    def index(self, channel: int, others: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Return the index of a channel's plane on the leading axes of ``image``; ``others``: positions on `others`."""
        rest = iter(others)
        return tuple(
            channel if k == self.axis else next(rest) if n > 1 else 0 for k, n in enumerate(self.image.leading)
        )

    def number(self, choice: str, setting: str) -> int:
        """Return the number of the channel of a name, in any case of letters, or of a number from 0.

        A number that a channel has is that channel, even where another one is named so, as for `zncc-align --channel`.

        Raises:
            OptionError: there is none, or several have the name. ``setting`` is what chooses.
        """
        word = choice.strip().casefold()
        if word.isdecimal() and len(word) < 10 and int(word) < len(self.names):
            return int(word)
        found = [number for number, name in enumerate(self.names) if name.casefold() == word]
        if len(found) != 1:
            names = ", ".join(self.names[:20])
            problem = f"{len(found)} channels of this name" if found else "none of this name"
            raise OptionError(
                f"`{setting}` {choice}: expected a channel of {shown(self.image.metadata.path)} ({names}), by its name "
                f"or its number from 0 to {len(self.names) - 1}, found {problem}"
            )
        return found[0]


def channels_of(image: Image) -> Channels:
    """Return the channels of an image: along C, or its colours, or the pages of a plain file, or the only one."""
    metadata, notes = image.metadata, []
    axis: int | None
    if image.axes.endswith("S"):
        count = 3 if metadata.photometric == "rgb" else 1
        if image.data.shape[-1] > count:
            notes.append("its opacity or further samples are left out")
        names = _COLOURS if count == 3 else ()
        image = _samples_along_c(image, count)
        axis = len(image.leading) - 1
        return Channels(image, axis, names or _numbered(image, 1), bool(names), ({},) * count, _of_file(image, notes))
    position = image.axes.find("C")
    pages = [
        k for k, letter in enumerate(image.axes[: len(image.leading)]) if letter in _PAGES and image.leading[k] > 1
    ]
    axis = position if position >= 0 else pages[0] if len(pages) == 1 else None
    count = 1 if axis is None else image.leading[axis]
    if position < 0 and count > 1:
        notes.append(f"its {count} pages are taken for channels")
    found = _names(image, axis, count)
    attributes = _attributes(metadata.properties.get("Channel"), count)
    return Channels(image, axis, found or _numbered(image, count), bool(found), attributes, _of_file(image, notes))


def unique_names(names: list[tuple[str, str]]) -> list[str]:
    """Return a name for each (channel, round): the channel's own, with the round's where several rounds have it.

    Where these are not unique either, a number follows.
    """
    own = [channel.casefold() for channel, _ in names]
    wanted = [channel if own.count(channel.casefold()) == 1 else f"{channel} {part}" for channel, part in names]
    taken = set[str]()
    unique = []
    for name in wanted:
        numbered = (name if number == 1 else f"{name} {number}" for number in count(1))
        unique.append(next(free for free in numbered if free.casefold() not in taken))
        taken.add(unique[-1].casefold())
    return unique


def plain_stem(image: Image) -> str:
    """Return the name of an image's file without its suffixes: round1 of round1.ome.tif."""
    stem = image.metadata.path.stem
    return stem[:-4] if stem.lower().endswith(".ome") and len(stem) > 4 else stem


def _samples_along_c(image: Image, count: int) -> Image:
    """Return an image of samples with the first ``count`` of them along C, decoded part by part."""
    data = image.data

    def read(index: tuple[int, ...], rows: range, columns: range) -> NDArray[Any]:
        key: Any = (*index[:-1], slice(rows.start, rows.stop), slice(columns.start, columns.stop))
        return np.ascontiguousarray(np.asarray(data[key])[..., index[-1]])

    lazy = LazyArray((*image.leading, count, *image.shape), image.dtype, 2, read)
    axes = image.axes[: len(image.leading)] + "CYX"
    photometric = "minisblack" if image.metadata.photometric == "rgb" else image.metadata.photometric
    metadata = dataclasses.replace(image.metadata, photometric=photometric, alpha=False, palette=None)
    return dataclasses.replace(image, data=lazy, axes=axes, metadata=metadata, levels=())


def _names(image: Image, axis: int | None, count: int) -> tuple[str, ...]:
    """Return the names that the file gives its channels: OME's, or ImageJ's labels; () where it gives none."""
    properties = image.metadata.properties
    columns = properties.get("Channel")
    names = columns.get("Name") if isinstance(columns, Mapping) else None
    is_only_axis = axis is not None and len([n for n in image.leading if n > 1]) == 1
    if names is None and is_only_axis and count > 1:
        names = properties.get("Labels")
    if not isinstance(names, list | tuple) or len(names) != count or not all(isinstance(name, str) for name in names):
        return ()
    stripped = tuple(" ".join(name.split()) for name in names)
    return stripped if all(stripped) else ()


def _numbered(image: Image, count: int) -> tuple[str, ...]:
    return (plain_stem(image),) if count == 1 else tuple(f"channel {number}" for number in range(count))


def _attributes(columns: Any, count: int) -> tuple[Mapping[str, Any], ...]:
    """Return OME's attributes of each channel beside its name."""
    if not isinstance(columns, Mapping):
        return ({},) * count
    usable = {
        name: values
        for name, values in columns.items()
        if name != "Name" and isinstance(values, list | tuple) and len(values) == count
    }
    return tuple({name: values[number] for name, values in usable.items()} for number in range(count))


def _of_file(image: Image, notes: list[str]) -> tuple[str, ...]:
    return tuple(f"{shown(image.metadata.path.name)}: {note}" for note in notes)
