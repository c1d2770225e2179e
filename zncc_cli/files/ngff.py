"""Words of NGFF, the metadata of OME-Zarr: units as OME-XML spells them, and back, and types of axes."""

from __future__ import annotations

from zncc_cli.files.tiff.calibration import length_unit

_PREFIXES = {"pico": "p", "nano": "n", "micro": "µ", "milli": "m", "centi": "c", "": "", "kilo": "k"}
_UNITS = {
    **{prefix + "meter": short + "m" for prefix, short in _PREFIXES.items()},
    **{prefix + "second": short + "s" for prefix, short in _PREFIXES.items()},
    **{"angstrom": "Å", "minute": "min", "hour": "h", "day": "d", "inch": "in", "foot": "ft"},
}
_WORDS = {short: word for word, short in _UNITS.items()} | {"sec": "second"}

AXIS_TYPES = {"T": "time", "C": "channel", "Z": "space", "Y": "space", "X": "space"}
"""The type of an axis, by its letter."""


def ome_unit(word: str) -> str:
    """Return a unit of NGFF as OME-XML spells it; others as they are."""
    return _UNITS.get(word, word)


def ngff_unit(unit: str) -> str | None:
    """Return a unit in any spelling as NGFF spells it; None where it is none that is known."""
    known = length_unit(unit)
    return _WORDS.get(known.name if known else unit)
