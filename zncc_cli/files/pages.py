"""One page of several: a plane with its channels. And how messages name a page, channel or series by its number."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zncc_cli.errors import OptionError
from zncc_cli.files.image import Image
from zncc_cli.files.lazy import LazyArray
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.tag_values import DESCRIPTION, decoded
from zncc_cli.text import shown


def no_such_number(path: Path, setting: str, number: int, count: int) -> OptionError:
    """Return the error, for the caller to raise, where a file has ``count`` pages or series, not this ``number``.

    ``setting`` is what chooses the number: "page" or "series".
    """
    expected = "0, the only one" if count == 1 else f"a number from 0 to {count - 1}"
    return OptionError(f"`{setting}` {number}: expected {expected}, in {shown(path)}")


def numbered(what: str, number: int, count: int) -> str:
    """Return how a page, channel or series is named in a message: ``page 3 (of 0 to 7)`` for one of ``count`` 8."""
    return f"{what} {number} (of 0 to {count - 1})"


def page_of(image: Image, page: int) -> Image:
    """Return page ``page`` of an image. Pages are numbered from 0 over all leading axes but C, in their order.

    Raises:
        OptionError: there is no such page.
    """
    letters = image.axes[: image.axes.index("YX")]
    shape = tuple(image.data.shape[: len(letters)])
    dropped = [axis for axis, letter in enumerate(letters) if letter != "C"]
    sizes = tuple(shape[axis] for axis in dropped)
    count = int(np.prod(sizes, dtype=np.int64))
    if not 0 <= page < count:
        raise no_such_number(image.metadata.path, "page", page, count)
    if not dropped:
        return image
    positions = dict(zip(dropped, np.unravel_index(page, sizes), strict=True))
    index = tuple(int(positions[axis]) if axis in positions else None for axis in range(len(letters)))
    key = tuple(slice(None) if position is None else position for position in index)
    data: Any = image.data.select(index) if isinstance(image.data, LazyArray) else image.data[key]
    axes = "C" * letters.count("C") + image.axes[len(letters) :]
    properties = _properties_at(image.metadata.properties, shape, key)
    metadata = _tags_at(dataclasses.replace(image.metadata, properties=properties), shape, key)
    levels = tuple(level.select(index) for level in image.levels)
    return dataclasses.replace(image, data=data, axes=axes, metadata=metadata, levels=levels)


def _tags_at(metadata: Metadata, shape: tuple[int, ...], key: tuple[int | slice, ...]) -> Metadata:
    """Return metadata of the planes at ``key``: the tags of their pages, of which the first one has its own."""
    if len(metadata.page_tags) != math.prod(shape):
        return metadata
    numbers = np.atleast_1d(np.arange(math.prod(shape)).reshape(shape)[key]).ravel().tolist()
    pages = tuple(metadata.page_tags[number] for number in numbers)
    codes = {tag[0] for page in metadata.page_tags for tag in page}
    first = {tag[0]: tag for tag in map(decoded, pages[0])}
    text = first.pop(DESCRIPTION, (0, 0, 0, ""))[3]
    description = str(text) if DESCRIPTION in codes and metadata.flavor == "plain" else metadata.description
    tags = {tag[0]: tag for tag in metadata.tags if tag[0] not in codes} | first
    return dataclasses.replace(
        metadata,
        description=description,
        tags=tuple(tags[code] for code in sorted(tags)),
        page_tags=pages if len(pages) > 1 else (),
    )


def _properties_at(
    properties: Mapping[str, Any], shape: tuple[int, ...], key: tuple[int | slice, ...]
) -> dict[str, Any]:
    """Return ``properties`` with lists of a value for each plane of ``shape`` cut to the planes at ``key``."""
    count = math.prod(shape)

    def selected(values: Sequence[Any]) -> list[Any]:
        # Called for lists of ``count`` values only, so that a shape of many planes takes no memory by itself.
        numbers = np.arange(count).reshape(shape)[key]
        return [values[number] for number in numbers.ravel().tolist()]

    cut = dict(properties)
    labels = cut.get("Labels")
    if isinstance(labels, list | tuple) and len(labels) == count:
        cut["Labels"] = selected(labels)
    planes = cut.get("Plane")
    if isinstance(planes, dict):
        cut["Plane"] = {name: selected(values) for name, values in planes.items() if len(values) == count}
    return cut
