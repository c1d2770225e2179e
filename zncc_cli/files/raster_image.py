"""The image of the pixels of a picture (PNG, JPEG, BMP, GIF, WebP), with the metadata of its fields."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from zncc_cli.files.image import Image
from zncc_cli.files.metadata import Metadata, Photometric, Resolution, Tag
from zncc_cli.files.palette import Palette
from zncc_cli.files.paths import refusal
from zncc_cli.files.tiff.calibration import INCH, rational
from zncc_cli.files.tiff.codecs import DEFLATE, HORIZONTAL_PREDICTOR, NONE
from zncc_cli.files.tiff.orientation import orientation_notes, oriented, transposes

_OTHER_COLOUR_MODELS = ("CMYK", "LAB", "HSV")
# What is lost when a mode is converted.
_MODES_LEFT_OUT = {
    **{"1": "the depth of 1 bit (8 instead)", "P": "the palette (RGB instead)", "PA": "the palette (RGB instead)"},
    **{mode: f"{mode} (RGB instead)" for mode in _OTHER_COLOUR_MODELS},
}
# Fields of EXIF and PNG for which TIFF has tags: camera, time, artist, rights, title. And fields that are left out.
# The software is not among either: it is not the one that writes the new file.
_TIFF_TAGS = {
    "Make": 271,
    "Model": 272,
    "DateTime": 306,
    "Artist": 315,
    "Author": 315,
    "Copyright": 33432,
    "Title": 269,
}
_LEFT_OUT_FIELDS = {"ExifOffset": "EXIF", "GPSInfo": "GPS", "comment": "comment", "Comment": "comment"}
_DESCRIPTION_FIELDS = ("ImageDescription", "Description")
_ICC, _XMP = 34675, 700
_BYTE, _ASCII, _UNDEFINED = 1, 2, 7  # TIFF's data types
# Formats of compressed pixels: a TIFF that is written from one is compressed as well, by what every program reads.
_COMPRESSED = ("PNG", "JPEG", "GIF", "WebP")
_JFIF_UNITS = (1, 2)  # pixels per inch, per cm; 0 is an aspect ratio
_MAX_FIELD_BYTES = 2**22


def picture_image(
    path: Path,
    name: str,
    data: NDArray[Any],
    axes: str,
    mode: str,
    fields: Mapping[str, Any],
    orientation: Any,
    nodata: float | None = None,
    palette: Palette | None = None,
) -> Image:
    """Return the image turned as its orientation tag says, with the metadata in ``fields``."""
    samples = data.shape[-1] if axes.endswith("S") else 1
    metadata = Metadata(
        path=path,
        format=name,
        photometric="rgb" if samples >= 3 else "minisblack" if palette is None else _meaning(palette),
        palette=None if palette is None or palette.is_grey else palette,
        alpha=samples in (2, 4),
        nodata=nodata,
        resolution=_resolution(name, fields, orientation),
        description=_description(fields),
        tags=_tags(mode, fields),
        compression=DEFLATE if name in _COMPRESSED else NONE,
        predictor=HORIZONTAL_PREDICTOR if name in _COMPRESSED and palette is None else 1,
        left_out=_left_out(mode, fields, palette is not None, axes),
    )
    return Image(data=oriented(data, orientation), axes=axes, metadata=metadata, notes=orientation_notes(orientation))


def _meaning(palette: Palette) -> Photometric:
    """Return what the numbers of the colours of ``palette`` are."""
    ramps: dict[str, Photometric] = {"rising": "minisblack", "falling": "miniswhite", "": "palette"}
    return ramps[palette.ramp]


def _resolution(name: str, fields: Mapping[str, Any], orientation: Any) -> Resolution | None:
    """Return pixels per inch, or None. Formats other than PNG and JPEG give a number even where they know none."""
    dpi = fields.get("dpi")
    if name == "JPEG" and fields.get("jfif_unit") not in _JFIF_UNITS and "XResolution" not in fields:
        return None  # Pillow gives 72 dpi where EXIF has none
    if name not in ("PNG", "JPEG") or not isinstance(dpi, tuple) or len(dpi) != 2:
        return None
    x, y = (rational(float(value)) if math.isfinite(value) else None for value in dpi)
    resolution = Resolution(x=x, y=y, unit=INCH) if x and y else None
    return resolution.swapped() if resolution and transposes(orientation) else resolution


def _description(fields: Mapping[str, Any]) -> str:
    """Return the text that describes the image, or ""."""
    return next((str(fields[name]) for name in _DESCRIPTION_FIELDS if _is_text(fields.get(name))), "")


def _tags(mode: str, fields: Mapping[str, Any]) -> tuple[Tag, ...]:
    """Return fields of PNG and EXIF as TIFF tags, in the order of their codes."""
    tags: dict[int, Tag] = {
        code: (code, _ASCII, 0, _decoded(str(fields[name])))
        for name, code in _TIFF_TAGS.items()
        if _is_text(fields.get(name))
    }
    for name, code, kind in (("icc_profile", _ICC, _UNDEFINED), ("xmp", _XMP, _BYTE)):
        # The profile of CMYK, Lab or HSV pixels is not one of the RGB pixels that are read.
        content = None if name == "icc_profile" and mode in _OTHER_COLOUR_MODELS else fields.get(name)
        if isinstance(content, bytes) and 0 < len(content) <= _MAX_FIELD_BYTES:
            tags[code] = (code, kind, len(content), content)
    return tuple(tags[code] for code in sorted(tags))


def _decoded(text: str) -> str:
    """Return a text of EXIF that Pillow took for Latin-1 and that is UTF-8; others as they are."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _left_out(mode: str, fields: Mapping[str, Any], has_indices: bool, axes: str) -> tuple[str, ...]:
    """Return the names of what a TIFF written from this image will not hold."""
    conversion = [_MODES_LEFT_OUT[mode]] if mode in _MODES_LEFT_OUT else []
    if has_indices:
        conversion = ["the opacity of the palette"] if fields.get("transparency") is not None else []
    elif mode == "P" and not axes.endswith("S"):
        conversion = []  # its colours are the greys that are read
    if axes.startswith("T") and fields.get("duration"):
        conversion.append("the times of frames")
    return tuple(dict.fromkeys([*conversion, *(label for name, label in _LEFT_OUT_FIELDS.items() if fields.get(name))]))


def _is_text(content: Any) -> bool:
    return isinstance(content, str) and content.strip() != "" and len(content) <= _MAX_FIELD_BYTES


def check_size(path: Path, max_bytes: int, shape: tuple[int, ...], dtype: DTypeLike) -> None:
    """Raise `InputError` where pixels of a shape, which are decoded at once, take more than ``max_bytes``."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > max_bytes:
        advice = "it is decoded whole; save it as a TIFF in tiles or strips, or crop it"
        found = f"shape {shape} ({size} bytes)"
        raise refusal(path, expected=f"at most {max_bytes} bytes of pixels", found=found, advice=advice)
