"""XMP (ISO 16684): the properties of its packet that hold for the grid of pixels, as they are for another grid."""

from __future__ import annotations

import re

from zncc_cli.files.metadata import Resolution
from zncc_cli.files.tiff.calibration import CENTIMETRE, INCH
from zncc_cli.files.tiff.scale_statements import has_scale

XMP = 700
"""TIFF's number of the tag."""

# What the pixels have in the file that is written: they are stored as viewers show them.
_UPRIGHT = {"tiff:Orientation": "1", "exif:Orientation": "1"}
_WIDTH, _HEIGHT = ("tiff:ImageWidth", "exif:PixelXDimension"), ("tiff:ImageLength", "exif:PixelYDimension")
_RESOLUTION = ("tiff:XResolution", "tiff:YResolution", "tiff:ResolutionUnit")
# Pixels per unit of length on the sensor.
_SENSOR = ("exif:FocalPlaneXResolution", "exif:FocalPlaneYResolution", "exif:FocalPlaneResolutionUnit")


def xmp_on_grid(
    content: bytes, shape: tuple[int, int], resolution: Resolution | None, *, same_scale: bool
) -> bytes | None:
    """Return a packet for pixels of another grid; None where it says of their scale what cannot be rewritten.

    Args:
        content: the packet.
        shape: (H, W) of the grid.
        resolution: of the grid; None where it is not known.
        same_scale: the pixels are as large as those that the packet was written for.
    """
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return content if same_scale else None
    values: dict[str, str | None] = dict(_UPRIGHT)
    values |= {**dict.fromkeys(_HEIGHT, str(shape[0])), **dict.fromkeys(_WIDTH, str(shape[1]))}
    if resolution is not None and resolution.unit in (INCH, CENTIMETRE):
        x, y = ("{}/{}".format(*ratio) for ratio in (resolution.x, resolution.y))
        values |= dict(zip(_RESOLUTION, (x, y, str(resolution.unit)), strict=True))
    else:
        values |= dict.fromkeys(_RESOLUTION)
    if not same_scale:
        values |= dict.fromkeys(_SENSOR)
    for name, value in values.items():
        text = _with_property(text, name, value)
    rest = text
    for name in values:
        rest = _with_property(rest, name, None)
    return None if not same_scale and has_scale(rest) else text.encode("utf-8")


def _with_property(text: str, name: str, value: str | None) -> str:
    """Return a packet in which a property, if it is there, has a value; without the property where that is None."""
    attribute = re.compile(rf"(\s{name}\s*=\s*)(\"[^\"]*\"|'[^']*')")
    element = re.compile(rf"(<{name}\s*>)[^<]*(</{name}\s*>)")
    if value is None:
        return element.sub("", attribute.sub("", text))
    return element.sub(rf"\g<1>{value}\g<2>", attribute.sub(rf'\g<1>"{value}"', text))
