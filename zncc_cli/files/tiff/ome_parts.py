"""Which planes of a data set in several OME-TIFFs one of the files holds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xml.etree import ElementTree

_AXES = "TZC"


@dataclass(frozen=True)
class OwnPlanes:
    """The planes of a file: letters of the axes along which its pages are counted, and their positions on each axis.

    The first axis changes slowest. An axis along which the file has one position is left out of ``axes``.
    """

    axes: str
    positions: Mapping[str, tuple[int, ...]]

    @property
    def lengths(self) -> tuple[int, ...]:
        """Number of positions on each of ``axes``."""
        return tuple(len(self.positions[axis]) for axis in self.axes)

    @property
    def described(self) -> str:
        """The positions in words, for a note."""
        return ", ".join(f"{axis} {_numbers(self.positions[axis])}" for axis in _AXES)


def own_planes(pixels: ElementTree.Element, is_own: Mapping[str | None, bool], pages: int) -> OwnPlanes | None:
    """Return the planes of a Pixels element that are in the file; None where its pages are no grid of them.

    Args:
        pixels: the element.
        is_own: by the UUID that a TiffData element names, None for none, whether it is that of the file.
        pages: number of pages of the file.

    Raises:
        ValueError: a number is none.
    """
    planes = dict[int, tuple[int, ...]]()
    for ifd, place in _planes(pixels, is_own, pages):
        planes[ifd] = place
    if not planes or sorted(planes) != list(range(len(planes))):
        return None
    found = [planes[ifd] for ifd in range(len(planes))]
    positions = {axis: tuple(sorted({place[i] for place in found})) for i, axis in enumerate(_AXES)}
    if math.prod(map(len, positions.values())) != len(found):
        return None
    for order in permutations(range(len(_AXES))):
        grid = product(*(positions[_AXES[i]] for i in order))
        if all(tuple(place[i] for i in order) == expected for place, expected in zip(found, grid, strict=True)):
            axes = "".join(_AXES[i] for i in order if len(positions[_AXES[i]]) > 1)
            return OwnPlanes(axes, positions)
    return None


def columns_at(columns: Any, positions: Sequence[int], count: int) -> Any:
    """Return the values at ``positions`` of columns of ``count`` values; those of another length as they are."""
    if not isinstance(columns, dict):
        return columns
    return {
        name: [values[i] for i in positions] if len(values) == count else values for name, values in columns.items()
    }


def _planes(
    pixels: ElementTree.Element, is_own: Mapping[str | None, bool], pages: int
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield (page, position on each of `_AXES`) of the planes in the file."""
    sizes = {axis: int(pixels.attrib["Size" + axis]) for axis in _AXES}
    order = pixels.attrib["DimensionOrder"][2:]  # from the axis that changes fastest
    for data in pixels:
        if not str(data.tag).endswith("TiffData"):
            continue
        uuid = next((child.text for child in data if str(child.tag).endswith("UUID")), None)
        if not is_own.get(uuid, False):
            continue
        first = {axis: int(data.get("First" + axis, 0)) for axis in _AXES}
        # Without either number, the element describes all pages of its file.
        ifd = int(data.get("IFD", 0))
        count = int(data.get("PlaneCount", 1 if "IFD" in data.attrib else pages))
        if not 0 <= ifd <= ifd + count <= pages or not all(0 <= first[axis] < sizes[axis] for axis in _AXES):
            raise ValueError(f"planes {ifd} to {ifd + count} of {pages} pages")
        start = sum(first[axis] * math.prod(sizes[inner] for inner in order[:i]) for i, axis in enumerate(order))
        for number in range(count):
            rest, place = start + number, dict[str, int]()
            for axis in order:
                rest, place[axis] = divmod(rest, sizes[axis])
            yield ifd + number, tuple(place[axis] for axis in _AXES)


def _numbers(positions: Sequence[int]) -> str:
    """Return numbers as a range where they are one: ``0 to 3``."""
    if len(positions) > 1 and positions[-1] - positions[0] == len(positions) - 1:
        return f"{positions[0]} to {positions[-1]}"
    return " ".join(map(str, positions[:8])) + (" ..." if len(positions) > 8 else "")
