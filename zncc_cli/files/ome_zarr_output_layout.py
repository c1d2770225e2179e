"""How an image is stored in an OME-Zarr that is written: the axes of NGFF and the places of its planes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

_ORDER = "TCZ"  # of the axes before y and x
UNKNOWN_AXES = "IQRUVWKLM"  # letters of axes that have no name of their own


def names_of(axes: str) -> dict[str, str] | None:
    """Return the letter of NGFF, T, C or Z, for each leading axis and that of samples; None where there is none.

    A sequence of pages of an unknown kind is taken as one in time.
    """
    names: dict[str, str] = {}
    leading = axes[: axes.index("Y")]
    for letter in leading:
        if letter in _ORDER and letter not in names:
            names[letter] = letter
    for letter in leading:
        if letter not in names:
            free = next((name for name in "TZ" if name not in names.values()), None)
            if letter not in UNKNOWN_AXES or free is None or leading.count(letter) > 1:
                return None
            names[letter] = free
    if axes.endswith("S"):
        if "C" in names.values():
            return None
        names["S"] = "C"
    return names if len(set(leading)) == len(leading) else None


@dataclass(frozen=True)
class OutputLayout:
    """How an image is stored.

    leading: letters and lengths of the axes before the plane, in the order of the strips. names: their letters in
    NGFF, that of the samples, "S", too. samples: of a pixel; dtype: of the file, little-endian.
    """

    leading: tuple[tuple[str, int], ...]
    names: Mapping[str, str]
    height: int
    width: int
    samples: int
    dtype: np.dtype[Any]

    @property
    def axes(self) -> str:
        """Letters of the axes of the file, the plane's included."""
        return "".join(name for name in _ORDER if name in self.names.values()) + "YX"

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        """Shape of the array of a level of this size."""
        lengths = {self.names[letter]: length for letter, length in self.leading} | {"C": self.channels}
        return (*(lengths[name] for name in self.axes[:-2]), height, width)

    @property
    def channels(self) -> int:
        """Number of channels, or of samples of a pixel."""
        lengths = {self.names[letter]: length for letter, length in self.leading}
        return self.samples if "S" in self.names else lengths.get("C", 1)

    def place(self, index: Sequence[int], sample: int) -> tuple[int, ...]:
        """Position along the axes of the file before the plane, of a sample of the plane at ``index``."""
        places = {self.names[letter]: i for (letter, _), i in zip(self.leading, index, strict=True)}
        places |= {"C": sample} if "S" in self.names else {}
        return tuple(places[name] for name in self.axes[:-2])

    def channel(self, index: Sequence[int], sample: int) -> int:
        """Number of the channel of a sample of the plane at ``index``."""
        return self.place(index, sample)[self.axes.index("C")] if "C" in self.axes else 0
