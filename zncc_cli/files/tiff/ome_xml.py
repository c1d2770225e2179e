"""OME-XML: what it says of an image beside its pixels, and whether it can be believed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from zncc_cli.files.metadata import PixelSize

CHANNEL = (
    *("Name", "AcquisitionMode", "Color", "ContrastMethod", "EmissionWavelength", "EmissionWavelengthUnit"),
    *("ExcitationWavelength", "ExcitationWavelengthUnit", "Fluor", "IlluminationType", "NDFilter", "PinholeSize"),
    *("PinholeSizeUnit", "PockelCellSetting"),
)
"""Attributes of a channel that are kept."""

PLANE = (
    *("DeltaT", "DeltaTUnit", "ExposureTime", "ExposureTimeUnit", "PositionX", "PositionXUnit", "PositionY"),
    *("PositionYUnit", "PositionZ", "PositionZUnit"),
)
"""Attributes of a plane that are kept."""

_PIXELS = ("PhysicalSizeZ", "PhysicalSizeZUnit", "TimeIncrement", "TimeIncrementUnit")
_NUMBERS = ("PhysicalSizeZ", "TimeIncrement", "DeltaT", "ExposureTime", "PositionX", "PositionY", "PositionZ")
_STRUCTURE = {"ID", "SamplesPerPixel", "TheZ", "TheC", "TheT"}
# Enough to say what is lost; a hostile description may have any number of elements.
_MOST_NAMES = 32


@dataclass(frozen=True, kw_only=True)
class OmeImage:
    """One Image element: its name, the physical size of a pixel, the rest in tifffile's words, and what is not read."""

    name: str
    pixel_size: PixelSize | None
    properties: dict[str, Any]
    left_out: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Ome:
    """An OME-XML. ``doubt``: why its planes cannot be those of a file of so many pages, or ""."""

    images: tuple[OmeImage, ...]
    doubt: str


def read_ome(xml: str, pages: int) -> Ome:
    """Read OME-XML of a file of ``pages`` pages; what cannot be read at all has no images, and a doubt."""
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        return Ome(images=(), doubt="it defines entities")
    try:
        root = ElementTree.fromstring(xml)
        images = [element for element in root if _tag(element) == "Image"]
        pixels = [next(_children(image, "Pixels")) for image in images]
        doubt = next(filter(None, (_doubt(one, pages) for one in pixels)), "") or _too_many_labels(root, pages)
        doubt = doubt or _other_files(root, pixels)
        found = tuple(_image(root, image, one) for image, one in zip(images, pixels, strict=True))
    except (ElementTree.ParseError, ValueError, LookupError, ArithmeticError, StopIteration, RecursionError) as error:
        return Ome(images=(), doubt=f"it cannot be read ({error})")
    return Ome(images=found, doubt=doubt)


def _tag(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _children(element: ElementTree.Element, tag: str) -> Iterator[ElementTree.Element]:
    return (child for child in element if _tag(child) == tag)


def _doubt(pixels: ElementTree.Element, pages: int) -> str:
    samples = int(next(_children(pixels, "Channel"), pixels).get("SamplesPerPixel", 1))
    planes = math.prod(int(pixels.attrib["Size" + axis]) for axis in "CZT") // max(1, samples)
    claims = [
        int(data.get(name, 0)) for data in _children(pixels, "TiffData") for name in ("NumPlanes", "PlaneCount", "IFD")
    ]
    if max([planes, *claims]) > pages:
        return f"it describes {max([planes, *claims])} planes, and the file has {pages} pages"
    return ""


def _too_many_labels(root: ElementTree.Element, pages: int) -> str:
    for element in root.iter():
        if "Along" in _tag(element) and "Start" in element.attrib:
            span = float(element.attrib["End"]) - float(element.attrib["Start"])
            if not abs(span) <= pages * abs(float(element.get("Step", 1))):
                return f"it describes more steps than the file has pages ({pages})"
    return ""


def _other_files(root: ElementTree.Element, pixels: list[ElementTree.Element]) -> str:
    if any(_tag(element) == "BinaryOnly" for element in root):
        return "its OME-XML is in another file"
    own = root.get("UUID")
    uuids = {uuid.text for one in pixels for data in _children(one, "TiffData") for uuid in _children(data, "UUID")}
    if len(uuids | {own or next(iter(uuids), None)}) > 1:
        return "it describes further files as well"
    return ""


def _image(root: ElementTree.Element, image: ElementTree.Element, pixels: ElementTree.Element) -> OmeImage:
    properties: dict[str, Any] = {}
    if image.get("Name"):
        properties["Name"] = image.attrib["Name"]
    for tag in ("AcquisitionDate", "Description"):
        text = next((child.text for child in _children(image, tag)), None)
        if text:
            properties[tag] = text
    properties.update({name: _value(name, pixels.attrib[name]) for name in _PIXELS if name in pixels.attrib})
    channels = [dict(element.attrib) for element in _children(pixels, "Channel")]
    if any("Name" in channel for channel in channels):
        channels = [{"Name": "", **channel} for channel in channels]
    if columns := _columns(channels, CHANNEL):
        properties["Channel"] = columns
    order = pixels.attrib["DimensionOrder"][:1:-1]
    planes = sorted(
        (dict(element.attrib) for element in _children(pixels, "Plane")),
        key=lambda plane: [int(plane.get("The" + axis, 0)) for axis in order],
    )
    if columns := _columns(planes, PLANE):
        properties["Plane"] = columns
    left_out = [*_skipped(root, image, pixels), *_dropped("Channel", channels, properties)]
    left_out += _dropped("Plane", planes, properties)
    return OmeImage(
        name=image.get("Name", ""),
        pixel_size=_pixel_size(pixels),
        properties=properties,
        left_out=tuple(dict.fromkeys(f"OME {name}" for name in left_out))[:_MOST_NAMES],
    )


def _skipped(root: ElementTree.Element, image: ElementTree.Element, pixels: ElementTree.Element) -> Iterator[str]:
    """The names of the elements that nothing is read of; references to them are not named as well."""
    instruments = _children(root, "Instrument")
    channels = _children(pixels, "Channel")
    further = [
        *(child for child in root if _tag(child) != "Image"),
        *(part for instrument in instruments for part in instrument),
        *(child for child in image if _tag(child) not in ("AcquisitionDate", "Description", "Pixels")),
        *(part for channel in channels for part in channel),
    ]
    for element in further:
        if not _tag(element).endswith("Ref") and (len(element) or element.attrib or (element.text or "").strip()):
            yield _tag(element)
    if pixels.get("SignificantBits") not in (None, *re.findall("[0-9]+", pixels.get("Type", ""))):
        yield "SignificantBits"


def _dropped(kind: str, elements: list[dict[str, str]], properties: dict[str, Any]) -> Iterator[str]:
    """The names of attributes that are not kept, or that only some elements have."""
    kept = properties.get(kind, {})
    found = {name for element in elements for name, text in element.items() if text} - _STRUCTURE - kept.keys()
    return (f"{kind} {name}" for name in sorted(found))


def _columns(elements: list[dict[str, str]], names: tuple[str, ...]) -> dict[str, list[Any]]:
    """A list per attribute that all elements have."""
    shared = [name for name in names if elements and all(name in element for element in elements)]
    return {name: [_value(name, element[name]) for element in elements] for name in shared}


def _value(name: str, text: str) -> float | str:
    return float(text) if name in _NUMBERS else text


def _pixel_size(pixels: ElementTree.Element) -> PixelSize | None:
    x, y = (float(pixels.get("PhysicalSize" + axis, "nan")) for axis in "XY")
    units = {pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "XY"}
    if not (0 < x < math.inf and 0 < y < math.inf) or len(units) > 1:
        return None
    return PixelSize(x=x, y=y, unit=units.pop())
