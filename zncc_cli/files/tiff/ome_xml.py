"""OME-XML: the metadata of its images, and whether it can describe the file that it is in."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zncc_cli.files.metadata import PixelSize
from zncc_cli.files.tiff.calibration import length_unit
from zncc_cli.files.tiff.ome_parts import OwnPlanes, columns_at, own_planes

if TYPE_CHECKING:
    from xml.etree import ElementTree

CHANNEL_ATTRIBUTES = (
    *("Name", "AcquisitionMode", "Color", "ContrastMethod", "EmissionWavelength", "EmissionWavelengthUnit"),
    *("ExcitationWavelength", "ExcitationWavelengthUnit", "Fluor", "IlluminationType", "NDFilter", "PinholeSize"),
    *("PinholeSizeUnit", "PockelCellSetting"),
)
"""Attributes of a channel that are kept."""

PLANE_ATTRIBUTES = (
    *("DeltaT", "DeltaTUnit", "ExposureTime", "ExposureTimeUnit", "PositionX", "PositionXUnit", "PositionY"),
    *("PositionYUnit", "PositionZ", "PositionZUnit"),
)
"""Attributes of a plane that are kept."""

_PIXELS_ATTRIBUTES = ("PhysicalSizeZ", "PhysicalSizeZUnit", "TimeIncrement", "TimeIncrementUnit")
_NUMERIC_ATTRIBUTES = (
    "PhysicalSizeZ",
    "TimeIncrement",
    "DeltaT",
    "ExposureTime",
    "PositionX",
    "PositionY",
    "PositionZ",
)
_STRUCTURAL_ATTRIBUTES = {"ID", "SamplesPerPixel", "TheZ", "TheC", "TheT"}
# Of names in a note; a hostile description may have any number of elements.
_MAX_NAMES = 32


@dataclass(frozen=True, kw_only=True)
class OmeImage:
    """An Image element: name, pixel size, further properties with tifffile's keys, and names of what is not read.

    own: which of its planes are in the file; None where all of them are. notes: sentences for the user.
    """

    name: str
    pixel_size: PixelSize | None
    properties: dict[str, Any]
    left_out: tuple[str, ...]
    own: OwnPlanes | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Ome:
    """The content of an OME-XML. ``doubt``: the reason why it cannot describe the file, or ""."""

    images: tuple[OmeImage, ...]
    doubt: str


def read_ome(xml: str, pages: int, file_name: str) -> Ome:
    """Read the OME-XML of a file of ``pages`` pages; one that cannot be parsed has no images, and a doubt.

    Of a data set in several files, the one Image is returned that has planes in the file of ``file_name``.
    """
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        return Ome(images=(), doubt="it defines entities")
    from xml.etree import ElementTree  # most TIFFs do without

    try:
        root = ElementTree.fromstring(xml)
        images = [element for element in root if _tag(element) == "Image"]
        pixels = [next(_children(image, "Pixels")) for image in images]
        if _further_files(root, pixels):
            return _read_part(root, list(zip(images, pixels, strict=True)), pages, file_name)
        doubt = next(filter(None, (_doubt_of_planes(element, pages) for element in pixels)), "")
        doubt = doubt or _doubt_of_labels(root, pages)
        doubt = doubt or ("its OME-XML is in another file" if _is_elsewhere(root) else "")
        ome_images = tuple(_read_image(root, image, element) for image, element in zip(images, pixels, strict=True))
    except (ElementTree.ParseError, ValueError, LookupError, ArithmeticError, StopIteration, RecursionError) as error:
        return Ome(images=(), doubt=f"it cannot be read ({error})")
    return Ome(images=ome_images, doubt=doubt)


def _tag(element: ElementTree.Element) -> str:
    """Return the tag of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def _children(element: ElementTree.Element, tag: str) -> Iterator[ElementTree.Element]:
    return (child for child in element if _tag(child) == tag)


def _doubt_of_planes(pixels: ElementTree.Element, pages: int) -> str:
    """Return the doubt where more planes are described than the file has pages, or ""."""
    samples = int(next(_children(pixels, "Channel"), pixels).get("SamplesPerPixel", 1))
    planes = math.prod(int(pixels.attrib["Size" + axis]) for axis in "CZT") // max(1, samples)
    counts = [
        int(data.get(name, 0)) for data in _children(pixels, "TiffData") for name in ("NumPlanes", "PlaneCount", "IFD")
    ]
    if max([planes, *counts]) > pages:
        return f"it describes {max([planes, *counts])} planes, and the file has {pages} pages"
    return ""


def _doubt_of_labels(root: ElementTree.Element, pages: int) -> str:
    """Return the doubt where an axis has more labels than the file has pages: tifffile would make a list of them."""
    for element in root.iter():
        if "Along" in _tag(element) and "Start" in element.attrib:
            span = float(element.attrib["End"]) - float(element.attrib["Start"])
            if not abs(span) <= pages * abs(float(element.get("Step", 1))):
                return f"it describes more steps than the file has pages ({pages})"
    return ""


def _is_elsewhere(root: ElementTree.Element) -> bool:
    """Tell whether the OME-XML itself is in another file."""
    return any(_tag(element) == "BinaryOnly" for element in root)


def _further_files(root: ElementTree.Element, pixels: list[ElementTree.Element]) -> bool:
    """Tell whether planes are in other files as well."""
    own = root.get("UUID")
    uuids = {uuid.text for uuid, _ in _uuids(pixels)}
    return not _is_elsewhere(root) and len(uuids | {own or next(iter(uuids), None)}) > 1


def _uuids(pixels: list[ElementTree.Element]) -> Iterator[tuple[ElementTree.Element, ElementTree.Element]]:
    """Yield the UUID elements of TiffData elements, each with its TiffData."""
    for element in pixels:
        for data in _children(element, "TiffData"):
            yield from ((uuid, data) for uuid in _children(data, "UUID"))


def _read_part(
    root: ElementTree.Element,
    images: list[tuple[ElementTree.Element, ElementTree.Element]],
    pages: int,
    file_name: str,
) -> Ome:
    """Read the Image that has planes in this file of a data set in several files."""
    own = root.get("UUID")
    is_own: dict[str | None, bool] = {None: True}
    for uuid, _ in _uuids([pixels for _, pixels in images]):
        is_own[uuid.text] = uuid.text == own if own else uuid.get("FileName") == file_name
    parts = [(image, pixels, own_planes(pixels, is_own, pages)) for image, pixels in images]
    here = [(image, pixels, planes) for image, pixels, planes in parts if planes is not None]
    if len(here) != 1:
        return Ome(images=(), doubt="it describes further files as well")
    image, pixels, planes = here[0]
    whole = _read_image(root, image, pixels)
    channels = int(pixels.attrib["SizeC"])
    properties = {**whole.properties}
    if "Channel" in properties:
        properties["Channel"] = columns_at(properties["Channel"], planes.positions["C"], channels)
    # Of planes in the order of the whole data set, those of this file cannot be told apart from their number alone.
    dropped = ("OME Plane",) if properties.pop("Plane", None) else ()
    note = f"a part of a data set in several files: {planes.described}"
    return Ome(
        images=(
            replace(
                whole,
                properties=properties,
                own=planes,
                left_out=(*whole.left_out, *dropped),
                notes=(*whole.notes, note),
            ),
        ),
        doubt="",
    )


def _read_image(root: ElementTree.Element, image: ElementTree.Element, pixels: ElementTree.Element) -> OmeImage:
    """Read an Image element and its Pixels element."""
    properties: dict[str, Any] = {}
    if image.get("Name"):
        properties["Name"] = image.attrib["Name"]
    for tag in ("AcquisitionDate", "Description"):
        text = next((child.text for child in _children(image, tag)), None)
        if text:
            properties[tag] = text
    properties.update({name: _value(name, pixels.attrib[name]) for name in _PIXELS_ATTRIBUTES if name in pixels.attrib})
    channels = [dict(element.attrib) for element in _children(pixels, "Channel")]
    if any("Name" in channel for channel in channels):
        channels = [{"Name": "", **channel} for channel in channels]
    if columns := _columns(channels, CHANNEL_ATTRIBUTES):
        properties["Channel"] = columns
    order = pixels.attrib["DimensionOrder"][:1:-1]
    planes = sorted(
        (dict(element.attrib) for element in _children(pixels, "Plane")),
        key=lambda plane: [int(plane.get("The" + axis, 0)) for axis in order],
    )
    if columns := _columns(planes, PLANE_ATTRIBUTES):
        properties["Plane"] = columns
    left_out = [*_unread_elements(root, image, pixels), *_left_out_attributes("Channel", channels, properties)]
    left_out += _left_out_attributes("Plane", planes, properties)
    pixel_size, notes = _pixel_size(pixels)
    return OmeImage(
        name=image.get("Name", ""),
        pixel_size=pixel_size,
        properties=properties,
        left_out=tuple(dict.fromkeys(f"OME {name}" for name in left_out))[:_MAX_NAMES],
        notes=notes,
    )


def _unread_elements(
    root: ElementTree.Element, image: ElementTree.Element, pixels: ElementTree.Element
) -> Iterator[str]:
    """Yield the names of elements that are not read; references to them are not named."""
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


def _left_out_attributes(kind: str, elements: list[dict[str, str]], properties: dict[str, Any]) -> Iterator[str]:
    """Return the names of attributes that are not kept, or that only some elements have."""
    names = {name for element in elements for name, text in element.items() if text}
    left_out = names - _STRUCTURAL_ATTRIBUTES - properties.get(kind, {}).keys()
    return (f"{kind} {name}" for name in sorted(left_out))


def _columns(elements: list[dict[str, str]], names: tuple[str, ...]) -> dict[str, list[Any]]:
    """Return a list of values, one for each element, for every attribute that all elements have."""
    shared = [name for name in names if elements and all(name in element for element in elements)]
    return {name: [_value(name, element[name]) for element in elements] for name in shared}


def _value(name: str, text: str) -> float | str:
    return float(text) if name in _NUMERIC_ATTRIBUTES else text


def _pixel_size(pixels: ElementTree.Element) -> tuple[PixelSize | None, tuple[str, ...]]:
    """Return the size of a pixel, in the unit of x, and a note where something was taken for granted or not used."""
    names = [axis for axis in "XY" if f"PhysicalSize{axis}" in pixels.attrib]
    if not names:
        return None, ()
    sizes = {axis: float(pixels.attrib[f"PhysicalSize{axis}"]) for axis in names}
    units = {axis: pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in names}
    if not all(0 < size < math.inf for size in sizes.values()):
        return None, (f"the pixel size {' x '.join(map(str, sizes.values()))} was not used",)
    if len(names) == 1:
        (size,), (unit,) = sizes.values(), units.values()
        note = f"PhysicalSize{names[0]} alone is given, {size:.6g} {unit}: pixels are taken to be squares"
        return PixelSize(x=size, y=size, unit=unit), (note,)
    if units["X"] == units["Y"]:
        return PixelSize(x=sizes["X"], y=sizes["Y"], unit=units["X"]), ()
    x_unit, y_unit = (length_unit(units[axis]) for axis in "XY")
    if x_unit is None or y_unit is None:
        return None, (f"the pixel size was not used: its units are {units['X']} along x and {units['Y']} along y",)
    y = float(f"{sizes['Y'] * y_unit.metres / x_unit.metres:.12g}")
    return PixelSize(x=sizes["X"], y=y, unit=units["X"]), ()
