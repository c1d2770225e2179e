"""The size of a pixel, from one convention's words into another's: ImageJ, OME, and TIFF's resolution tags."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from zncc_cli.files.metadata import Metadata, PixelSize, Resolution

# OME's name of a length, metres, and how others spell it (in lower case).
_LENGTHS = (
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
_BY_SPELLING = {
    word: (name, metres)
    for name, metres, words in _LENGTHS
    for spelling in (name.lower(), name, *words)
    for word in (spelling, f"{spelling}s" if len(spelling) > 3 else spelling)
}

# What stands where a unit could stand in a file that has none.
_NO_UNIT = ("", "pixel", "pixels", "px")

INCH, CENTIMETRE = 2, 3
_RESOLUTION_UNITS = {INCH: "inch", CENTIMETRE: "cm"}

_LONG = 2**32 - 1


def length(unit: str) -> tuple[str, float] | None:
    """OME's name of ``unit`` and its length in metres, or None where it is no length that is known here."""
    return _BY_SPELLING.get(unit) or _BY_SPELLING.get(unit.lower())


def spelled(unit: str) -> str:
    """``unit`` as people read it: ImageJ escapes what is not ASCII, as Java does (``\\u00B5m`` for a micron)."""
    return re.sub(r"\\u([0-9a-fA-F]{4})", lambda match: chr(int(match[1], 16)), unit).strip()


def pixel_size(metadata: Metadata) -> PixelSize | None:
    """The physical size of a pixel, from whichever convention the file states it in; None where it states none."""
    size, resolution = metadata.pixel_size, metadata.resolution
    if size is not None and spelled(size.unit).lower() not in _NO_UNIT:
        return PixelSize(x=size.x, y=size.y, unit=spelled(size.unit)) if _sensible(size.x, size.y) else None
    if resolution is None or resolution.unit not in _RESOLUTION_UNITS:
        return None
    (x, per_x), (y, per_y) = resolution.x, resolution.y
    if min(x, y, per_x, per_y) <= 0:
        return None
    return PixelSize(x=per_x / x, y=per_y / y, unit=_RESOLUTION_UNITS[resolution.unit])


def resolution_tags(metadata: Metadata) -> Resolution | None:
    """The resolution as TIFF's tags state it, which know inch and cm alone; None where it cannot be said in them."""
    size = metadata.pixel_size
    if size is None or spelled(size.unit).lower() in _NO_UNIT:
        return metadata.resolution
    known = length(spelled(size.unit))
    if known is None or not _sensible(size.x, size.y):
        return None
    x, y = (rational(0.01 / (side * known[1])) for side in (size.x, size.y))
    return Resolution(x=x, y=y, unit=CENTIMETRE) if x and y else None


def pixels_per_unit(size: PixelSize, stored: Resolution | None) -> Resolution | None:
    """``size`` as ImageJ stores it: pixels per its own unit; ``stored`` itself where it says the same, to the digit."""
    unit = next((code for code, name in _RESOLUTION_UNITS.items() if name == size.unit), 1)
    if stored is not None and stored.unit == unit and min(*stored.x, *stored.y) > 0:
        same = (stored.x[1] / stored.x[0], stored.y[1] / stored.y[0])
        if all(math.isclose(a, b, rel_tol=1e-9) for a, b in zip(same, (size.x, size.y), strict=True)):
            return stored
    x, y = rational(1 / size.x), rational(1 / size.y)
    return Resolution(x=x, y=y, unit=unit) if x and y else None


def rational(value: float) -> tuple[int, int] | None:
    """``value`` as numerator and denominator of 32 bits, to about twelve digits; None where it is out of range."""
    if not 1 / _LONG <= value <= _LONG:
        return None
    large = max(value, 1 / value)
    fraction = Fraction(large).limit_denominator(max(1, min(10**6, int(_LONG / large) - 1)))
    return fraction.as_integer_ratio() if value >= 1 else fraction.as_integer_ratio()[::-1]


def _sensible(*sizes: float) -> bool:
    return all(math.isfinite(size) and size > 0 for size in sizes)
