"""One page of several, a plane with its channels, or one of several series."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zncc_cli.errors import OptionError
from zncc_cli.files.lazy import LazyArray, Stored
from zncc_cli.text import shown


def not_among(path: Path, option: str, number: int, count: int) -> OptionError:
    """The error, to be raised by the caller, for a page or series that is not among the ``count`` that a file has."""
    there = "0, the only one" if count == 1 else f"a number from 0 to {count - 1}"
    return OptionError(f"{option} {number}: expected {there}, in {shown(path)}")


def among(what: str, number: int, count: int) -> str:
    """How a page, channel or series is named that was chosen among ``count``, which are counted from 0."""
    return f"{what} {number} (of 0 to {count - 1})"


def page_of(stored: Stored, page: int) -> Stored:
    """Page ``page`` alone: the pages are numbered from 0 over all leading axes but C, in their order.

    Raises:
        OptionError: there is no such page.
    """
    letters = stored.axes[: stored.axes.index("YX")]
    shape = tuple(stored.data.shape[: len(letters)])
    dropped = [axis for axis, letter in enumerate(letters) if letter != "C"]
    sizes = tuple(shape[axis] for axis in dropped)
    count = int(np.prod(sizes, dtype=np.int64))
    if not 0 <= page < count:
        raise not_among(stored.metadata.path, "--page", page, count)
    if not dropped:
        return stored
    places = dict(zip(dropped, np.unravel_index(page, sizes), strict=True))
    index = tuple(int(places[axis]) if axis in places else None for axis in range(len(letters)))
    if isinstance(stored.data, LazyArray):
        data: Any = stored.data.select(index)
    else:
        data = stored.data[tuple(slice(None) if place is None else place for place in index)]
    axes = "".join(letters[axis] for axis, place in enumerate(index) if place is None) + stored.axes[len(letters) :]
    properties = _of_planes(stored.metadata.properties, shape, index)
    metadata = dataclasses.replace(stored.metadata, properties=properties)
    return dataclasses.replace(stored, data=data, axes=axes, metadata=metadata)


def _of_planes(properties: Mapping[str, Any], shape: tuple[int, ...], index: tuple[int | None, ...]) -> dict[str, Any]:
    """``properties`` with what they say of each plane of ``shape`` said of the planes at ``index`` alone."""
    count = math.prod(shape)

    def kept(values: Sequence[Any]) -> list[Any]:
        # As long as what is said: no memory is taken for planes that nothing is said of.
        numbers = np.arange(count).reshape(shape)[tuple(slice(None) if place is None else place for place in index)]
        return [values[number] for number in numbers.ravel().tolist()]

    left = dict(properties)
    labels = left.get("Labels")
    if isinstance(labels, list | tuple) and len(labels) == count:
        left["Labels"] = kept(labels)
    planes = left.get("Plane")
    if isinstance(planes, dict):
        left["Plane"] = {name: kept(values) for name, values in planes.items() if len(values) == count}
    return left
