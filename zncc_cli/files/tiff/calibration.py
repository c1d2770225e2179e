"""Pixel sizes, converted between ImageJ's units, OME's, and TIFF's resolution tags."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import NamedTuple

from zncc_cli.files.metadata import Metadata, PixelSize, Resolution


class LengthUnit(NamedTuple):
    """A unit of length: its name in OME, and its length in metres."""

    name: str
    metres: float


# Units of length: name in OME, metres, other spellings (in lower case).
_LENGTH_UNITS = (
    ("pm", 1e-12, ("picometer", "picometre")),
    ("Å", 1e-10, ("å", "angstrom", "ångström")),
    ("nm", 1e-9, ("nanometer", "nanometre")),
    ("µm", 1e-6, ("um", "μm", "micron", "micrometer", "micrometre")),
    ("mm", 1e-3, ("millimeter", "millimetre")),
    ("cm", 1e-2, ("centimeter", "centimetre")),
    ("m", 1.0, ("meter", "metre")),
    ("km", 1e3, ("kilometer", "kilometre")),
    ("in", 0.0254, ("inch", "inches")),
    ("ft", 0.3048, ("foot", "feet")),
)
_UNIT_BY_SPELLING = {
    word: LengthUnit(name, metres)
    for name, metres, words in _LENGTH_UNITS
    for spelling in (name.lower(), name, *words)
    for word in (spelling, f"{spelling}s" if len(spelling) > 3 else spelling)
}

# Units of files that have no physical unit.
_PIXEL_UNITS = ("", "pixel", "pixels", "px")

INCH, CENTIMETRE = 2, 3
_RESOLUTION_UNITS = {INCH: "inch", CENTIMETRE: "cm"}

_MAX_UINT32 = 2**32 - 1
# Of anything that an image shows, from far below an atom to a thousand kilometres.
_LEAST_PIXEL_METRES, _MOST_PIXEL_METRES = 1e-15, 1e6
_LEAST_PRINTED_PIXEL_METRES = 5e-6  # 5080 dpi
_MAX_ASPECT_DIFFERENCE = 0.02  # of the side of a pixel that counts as a square


def length_unit(unit: str) -> LengthUnit | None:
    """Return the unit of length that ``unit`` spells, or None where it is none that is known here."""
    return _UNIT_BY_SPELLING.get(unit) or _UNIT_BY_SPELLING.get(unit.lower())


def unescaped(unit: str) -> str:
    """Return ``unit`` without ImageJ's escapes of letters beyond ASCII, which are Java's: µm for ``\\u00B5m``."""
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), unit).strip()


def pixel_size(metadata: Metadata) -> PixelSize | None:
    """Return the physical size of a pixel, by ImageJ, OME or the resolution tags; None where the file has none."""
    size, resolution = metadata.pixel_size, metadata.resolution
    if size is not None and unescaped(size.unit).lower() not in _PIXEL_UNITS:
        return PixelSize(x=size.x, y=size.y, unit=unescaped(size.unit)) if _are_positive(size.x, size.y) else None
    if resolution is None or resolution.unit not in _RESOLUTION_UNITS:
        return None
    (x, per_x), (y, per_y) = resolution.x, resolution.y
    if min(x, y, per_x, per_y) <= 0:
        return None
    return PixelSize(x=per_x / x, y=per_y / y, unit=_RESOLUTION_UNITS[resolution.unit])


def scene_pixel_size(metadata: Metadata) -> float | None:
    """Return the side of a pixel of the scene in metres; None where it is not known, or a pixel is no square.

    A resolution in pixels per inch or cm is that of a print, a screen or a scanner as a rule (72, 300, 1200 dpi): only
    one that is finer than any of those is taken as that of the scene.
    """
    size = pixel_size(metadata)
    unit = None if size is None else length_unit(size.unit)
    if size is None or unit is None or abs(size.x - size.y) > _MAX_ASPECT_DIFFERENCE * size.x:
        return None
    side = (size.x + size.y) / 2 * unit.metres
    of_print = unit.name in ("in", "cm") and side > _LEAST_PRINTED_PIXEL_METRES
    return None if of_print or not _LEAST_PIXEL_METRES < side < _MOST_PIXEL_METRES else side


def resolution_tags(metadata: Metadata) -> Resolution | None:
    """Return the resolution for TIFF's tags, in pixels per inch or cm; None where it cannot be converted."""
    size = metadata.pixel_size
    if size is None or unescaped(size.unit).lower() in _PIXEL_UNITS:
        return metadata.resolution
    unit = length_unit(unescaped(size.unit))
    if unit is None or not _are_positive(size.x, size.y):
        return None
    x, y = (rational(0.01 / (side * unit.metres)) for side in (size.x, size.y))
    return Resolution(x=x, y=y, unit=CENTIMETRE) if x and y else None


def pixels_per_unit(size: PixelSize, stored: Resolution | None) -> Resolution | None:
    """Return ``size`` as ImageJ stores it, pixels per unit; ``stored`` itself, digit by digit, where it is equal."""
    unit = next((code for code, name in _RESOLUTION_UNITS.items() if name == size.unit), 1)
    if stored is not None and stored.unit == unit and min(*stored.x, *stored.y) > 0:
        stored_size = (stored.x[1] / stored.x[0], stored.y[1] / stored.y[0])
        if all(math.isclose(a, b, rel_tol=1e-9) for a, b in zip(stored_size, (size.x, size.y), strict=True)):
            return stored
    x, y = rational(1 / size.x), rational(1 / size.y)
    return Resolution(x=x, y=y, unit=unit) if x and y else None


def rational(value: float) -> tuple[int, int] | None:
    """Return ``value`` as numerator and denominator of 32 bits, to about twelve digits; None out of their range."""
    if not 1 / _MAX_UINT32 <= value <= _MAX_UINT32:
        return None
    large = max(value, 1 / value)
    fraction = Fraction(large).limit_denominator(max(1, min(10**6, int(_MAX_UINT32 / large) - 1)))
    return fraction.as_integer_ratio() if value >= 1 else fraction.as_integer_ratio()[::-1]


def _are_positive(*sizes: float) -> bool:
    return all(math.isfinite(size) and size > 0 for size in sizes)
