"""Statements of the size of a pixel in descriptions that programs of instruments write.

They are read where a file has no other calibration. A file that is written on the grid of another image gets the
statements of that grid: a number that says how large a pixel is belongs to the grid, whatever text it stands in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from zncc_cli.files.metadata import PixelSize
from zncc_cli.files.tiff.calibration import length_unit

_NUMBER = r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
# Statements whose number can be replaced: what stands before it, and the axis. All are in micrometres.
_REPLACEABLE = (
    (re.compile(rf"(\bMPP\s*=\s*)({_NUMBER})"), "xy"),  # Aperio
    (re.compile(rf"(\bid=\"spatial-calibration-x\"[^>]{{0,99}}?\bvalue=\")({_NUMBER})"), "x"),  # MetaMorph
    (re.compile(rf"(\bid=\"spatial-calibration-y\"[^>]{{0,99}}?\bvalue=\")({_NUMBER})"), "y"),
    (re.compile(rf"(\"PixelSize_?[uU]m\"\s*:\s*\"?)({_NUMBER})"), "xy"),  # Micro-Manager
)
_METAMORPH_UNITS = re.compile(r"\bid=\"spatial-calibration-units\"[^>]{0,99}?\bvalue=\"([^\"]*)\"")
_METAMORPH_SETTINGS = re.compile(r"\bid=\"spatial-calibration-(?:units|state)\"")
_MICRONS = ("um", "micron", "microns", "µm", "")
# Other words that say how large a pixel, or what a whole frame shows, is; and where on a slide it lies.
_LENGTH = "(?:um|µm|nm|mm|cm|inch|micron|(?:micro|nano|milli|centi)met(?:er|re))"
_SCALE_WORDS = re.compile(
    r"\bMPP\b|\bAppMag\b|\bGSD\b|\b(?:nominal|mean)_GSD\b|\$\$?(?:SM_MICRON|CM_MAG)"
    rf"|\b{_LENGTH}s?[ _-]*(?:per|/)[ _-]*(?:px|pixels?|voxels?)(?![a-z])"
    rf"|\b(?:px|pix|pixels?)[ _-]*(?:per|/)[ _-]*{_LENGTH}s?(?![a-z])|\bscale\W{{1,3}}[0-9.]+\s*{_LENGTH}s?\b"
    r"|\bscale[ _-]?factor|microns?PerPixel|(?:micromet(?:er|re)|nanomet(?:er|re))s?PerPixel"
    r"|(?:pixel|voxel)[ _-]?(?:size|width|height|spacing|scale|resolution|pitch)|(?:physical|pix)[ _-]?size|PixelSize"
    r"|spatial[ _-]?calibration|[xy][ _-]?calibration|calibration[\"' :=_-]*(?:\{|[xy]\b|units?\b|scale)"
    r"|scan[ _-]?res\b|zoom[ _-]?factor|scanZoom|imagingFov|objectiveResolution|\b[xy][ _-]?res(?:olution)?\b"
    r"|field[ _-]?(?:of[ _-]?view|width|height)|(?:hor|ver)Fieldsize|scan[ _-]?size\b|magnif|RoiGroups|pixelResolution"
    r"|DICOM_PIXEL_SPACING|<scn\b",
    re.IGNORECASE,
)
_APERIO = "Aperio"
# Fields of Aperio that hold for the grid: magnification, place on the slide, size of the scan.
_APERIO_GRID = ("AppMag", "MPP", "Left", "Top", "OriginalWidth", "OriginalHeight", "LineAreaXOffset", "LineAreaYOffset")


def described_pixel_size(text: str) -> PixelSize | None:
    """Return the size of a pixel that a description states, or None."""
    sizes = {axis: float(number) for axis, number in _numbers(text)}
    x, y = sizes.get("x", 0.0), sizes.get("y", sizes.get("x", 0.0))
    if not (_is_micron_text(text) and 0 < x < math.inf and 0 < y < math.inf):
        return None
    return PixelSize(x=x, y=y, unit="µm")


def has_scale(text: str) -> bool:
    """Tell whether a text says how large a pixel is."""
    return _SCALE_WORDS.search(text) is not None


def on_grid(text: str, size: PixelSize | None, frame_text: str) -> tuple[str, bool]:
    """Return a text for a grid of another scale, and whether something of it was left out.

    Args:
        text: of the image whose pixels were resampled.
        size: of a pixel of the grid; None where it is not known.
        frame_text: the description of the image that the grid is of.
    """
    if text.startswith(_APERIO):
        return _aperio_on_grid(text, size, frame_text)
    if size is not None and length_unit(size.unit) and _is_micron_text(text):
        text = _with_size(text, size)
        if not has_scale(_without_understood(text)):
            return text, False
    elif not has_scale(text):
        return text, False
    if text.lstrip().startswith(("{", "<", "[")):
        return "", True  # a part of JSON or XML cannot be cut out
    return "\n".join(line for line in text.splitlines() if not has_scale(line)), True


def _numbers(text: str) -> Iterator[tuple[str, str]]:
    """Yield (axis, number) of the statements that are understood, the first of each kind."""
    for pattern, axes in _REPLACEABLE:
        found = pattern.search(text)
        if found:
            yield from ((axis, found[2]) for axis in axes)


def _is_micron_text(text: str) -> bool:
    units = _METAMORPH_UNITS.search(text)
    return units is None or units[1] in _MICRONS


def _with_size(text: str, size: PixelSize) -> str:
    """Return a text whose statements that are understood have the numbers of ``size``, of a unit of length."""
    for pattern, axes in _REPLACEABLE:
        number = _microns(size, axes)
        text = pattern.sub(lambda found, number=number: found[1] + number, text)  # type: ignore[misc]
    return text


def _microns(size: PixelSize, axes: str) -> str:
    unit = length_unit(size.unit)
    assert unit is not None
    sides = {"x": size.x, "xy": (size.x + size.y) / 2, "y": size.y}
    return f"{sides[axes] * unit.metres * 1e6:.10g}"


def _without_understood(text: str) -> str:
    """Return the text without the statements whose numbers can be replaced."""
    for pattern, _ in _REPLACEABLE:
        text = pattern.sub("", text)
    return _METAMORPH_SETTINGS.sub("", text)


def _aperio_on_grid(text: str, size: PixelSize | None, frame_text: str) -> tuple[str, bool]:
    """Return a description of Aperio, fields ``|name = value``, with the fields of the grid as the frame has them."""
    frame_fields = dict(_aperio_fields(frame_text)) if frame_text.startswith(_APERIO) else {}
    if size is not None and length_unit(size.unit):
        frame_fields["MPP"] = _microns(size, "xy")
    head, *_ = text.split("|")
    kept, left_out = [head], False
    for name, value in _aperio_fields(text):
        if name not in _APERIO_GRID:
            kept.append(f"{name} = {value}")
        elif name in frame_fields:
            kept.append(f"{name} = {frame_fields[name]}")
        else:
            left_out = True
    return "|".join(kept), left_out


def _aperio_fields(text: str) -> Iterator[tuple[str, str]]:
    for part in text.split("|")[1:]:
        name, _, value = part.partition("=")
        yield name.strip(), value.strip()
