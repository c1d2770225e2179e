"""Palettes, or look-up tables: the colours of pixels that are numbers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

_REC_709 = (0.2126, 0.7152, 0.0722)
_FULL_SCALE = 65535
_MAX_STEP = 32 / 255  # of full scale, from a colour of a ramp to the next one: of 256 colours, eight times the mean
_MAX_MEAN_STEPS = 4  # in a palette of few colours, whose steps are larger
_MIN_COLOURS = 16  # of a ramp that is not grey: between fewer colours, a number between two shows a colour unlike both
_ROUNDING = 1.5 / 255  # of full scale: a rounded ramp falls by so much where its luminance is flat

Ramp = Literal["", "rising", "falling"]


@dataclass(frozen=True, eq=False)
class Palette:
    """Colours, uint16 (N, 3), RGB of full scale 65535."""

    colours: NDArray[np.uint16]

    @cached_property
    def luminance(self) -> NDArray[np.float32]:
        """The brightness of each colour by Rec. 709, float32 (N,), in [0, 255]."""
        brightness: NDArray[np.float32] = (self.colours @ np.array(_REC_709) / 257).astype(np.float32)
        return brightness

    @cached_property
    def ramp(self) -> Ramp:
        """Whether the numbers measure a brightness: the colours are a smooth way from dark to bright, or back.

        Colours at the end that repeat the last one are padding, and do not count. A few colours that are not grey are
        no ramp, but two are: no number lies between theirs.
        """
        other = (self.colours != self.colours[-1]).any(axis=1).nonzero()[0]
        used = self.colours[: other[-1] + 2] if other.size else self.colours[:1]
        if len(used) < 2 or (2 < len(used) < _MIN_COLOURS and (used != used[:, :1]).any()):
            return ""
        steps = np.abs(np.diff(used.astype(np.int64), axis=0)) / _FULL_SCALE
        if steps.max() > max(_MAX_STEP, _MAX_MEAN_STEPS / (len(used) - 1)):
            return ""
        brightness = self.luminance[: len(used)] / 255
        rises = np.diff(brightness)
        if brightness[-1] > brightness[0] and rises.min() >= -_ROUNDING:
            return "rising"
        return "falling" if brightness[-1] < brightness[0] and rises.max() <= _ROUNDING else ""

    @property
    def is_grey(self) -> bool:
        """Whether the numbers are the grey values themselves, 0 to 255, or these inverted: no palette is needed."""
        grey = np.arange(256)
        stored = self.colours // 257
        return any(np.array_equal(stored, np.stack([values] * 3, axis=1)) for values in (grey, grey[::-1]))

    def rgb(self) -> NDArray[Any]:
        """Return the colours (N, 3), uint8 where all of them are of 8 bits, else uint16."""
        eight_bits, rest = np.divmod(self.colours, 257)
        return eight_bits.astype(np.uint8) if not rest.any() else self.colours

    def color_map(self, bits: int) -> NDArray[np.uint16] | None:
        """Return TIFF's tag ColorMap for pixels of ``bits``, uint16 (3, 2^bits); None where it has too few entries."""
        missing = 2**bits - len(self.colours)
        return None if missing < 0 else np.pad(self.colours, ((0, missing), (0, 0)), mode="edge").T


def palette_of(stored: NDArray[Any]) -> Palette:
    """Return the palette of stored colours (N, 3): of 16 bits, or of 8 bits as v * 257, v * 256 or plain v."""
    divisor = next((d for d in (257, 256) if not (stored % d).any()), 1)
    values = stored // divisor
    is_8_bit = values.max() < 256
    return Palette(values.astype(np.uint16) * np.uint16(257) if is_8_bit else stored.astype(np.uint16))
