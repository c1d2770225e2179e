"""Raster images, PNG, JPEG, BMP, GIF and WebP, read through imageio's Pillow plugin."""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from imageio.core.request import InitializationError
from numpy.typing import DTypeLike, NDArray
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError
from PIL.ExifTags import TAGS
from PIL.Image import DecompressionBombError

from zncc_cli.errors import InputError
from zncc_cli.files.animation import read_animation
from zncc_cli.files.bmp import BmpIndices, read_bmp_indices
from zncc_cli.files.image import Image
from zncc_cli.files.kept_palette import kept_palette, stored_palette
from zncc_cli.files.metadata import Metadata, Photometric, Resolution, Tag
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.palette import Palette
from zncc_cli.files.paths import refusal
from zncc_cli.files.tiff.calibration import INCH, rational
from zncc_cli.files.tiff.codecs import DEFLATE, HORIZONTAL_PREDICTOR, NONE
from zncc_cli.files.tiff.codestreams import jpeg_bits, jpeg_size
from zncc_cli.files.tiff.orientation import orientation_notes, oriented, transposes

# What Pillow's decoders raise on damaged files: with messages for users, and with messages about Python objects.
_DECODING_ERRORS = (OSError, EOFError, ValueError, RuntimeError, SyntaxError, zlib.error, DecompressionBombError)
_UNCLEAR_ERRORS = (
    *(TypeError, LookupError, ArithmeticError, AttributeError, struct.error),
    *(InitializationError, UnidentifiedImageError),
)

# Pillow's modes other than grey and RGB, and the mode that each is converted to without a visible change.
_CONVERTED_MODES = {
    **{"1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"},
    **{"RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB"},
}
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
_PNG_RGB = 2
_MAX_JPEG_HEADER_BYTES = 2**22  # EXIF, a profile and previews before the pixels
_JFIF_UNITS = (1, 2)  # pixels per inch, per cm; 0 is an aspect ratio
_MAX_FIELD_BYTES = 2**22
_MAX_DEFLATE_RATIO = 1100  # bytes that one compressed byte can inflate to
_MAX_LZW_RATIO = 4096  # pixels that one byte of a GIF can hold: codes of 9 bits and more for at most 4096

_CONVERTED_MODES_WITH_ALPHA = {"1": "LA", "L": "LA", "P": "RGBA", "RGB": "RGBA"}


def read_raster(path: Path, options: ReadOptions) -> Image:
    """Read the image or animation in ``path``; CMYK and YCbCr become RGB, an EXIF orientation is obeyed.

    Palettes of colours become RGB, unless ``options`` ask for the indices; those of ramps are kept beside the indices.
    The frames of an animation are an axis "T", in RGB or RGBA if they are not all grey.

    Raises:
        InputError: the file is damaged, has 16-bit colour that cannot be read exactly here, or has more than
            ``options.max_bytes`` of pixels.
    """
    name, max_bytes, palette = options.name, options.max_bytes, None
    notes: tuple[str, ...] = ()
    try:
        with path.open("rb") as file:
            head = file.read(1024)
            file.seek(0)
            if _is_deep_colour(head):
                return _read_deep_png(path, name, head, max_bytes)
            bits: int | None = jpeg_bits(_start_of(path, _MAX_JPEG_HEADER_BYTES)) if name == "JPEG" else None
            if bits is not None and bits != 8:
                return _read_deep_jpeg(path, options, bits)
            if name == "BMP" and (numbers := read_bmp_indices(path, max_bytes)) is not None:
                return _image_of_indices(path, options, numbers)
            _check_claim(path, name)
            # The plugin takes arguments that are not in the interface of all plugins, which type checkers see.
            picture: Any
            with iio.imopen(file, "r", plugin="pillow") as picture:
                frames = _check_header(path, picture.properties(index=...), max_bytes)
                if name == "JPEG" and frames > 1:
                    notes = (f"the first of {frames} pictures was read; the others are previews or views of a camera",)
                    frames = 1
                fields = picture.metadata(index=0, exclude_applied=False)
                mode, transparency = str(fields["mode"]), fields.get("transparency")
                conversions = _CONVERTED_MODES if transparency is None else _CONVERTED_MODES_WITH_ALPHA
                if frames == 1 and mode == "P":
                    stored, last = stored_palette(path)
                    palette = kept_palette(stored, last, options, transparency)
                if palette is not None:
                    data = _indices(path)
                elif frames == 1:
                    data = np.asarray(picture.read(index=0, mode=conversions.get(mode)))
                else:
                    data, palette = read_animation(path, frames, options, partial(_check_size, path, max_bytes))
    except InputError:
        raise
    except (*_DECODING_ERRORS, *_UNCLEAR_ERRORS) as error:
        cause = error.__cause__ or error  # imageio wraps the error of Pillow
        if isinstance(cause, DecompressionBombError):
            advice = "crop it, or save it as TIFF, which may be larger"
            raise refusal(path, expected=f"a {name} file of ordinary size", found=cause, advice=advice) from error
        advice = "copy or export the file again"
        found = "a truncated or damaged one" if isinstance(cause, _UNCLEAR_ERRORS) else cause
        raise refusal(path, expected=f"a complete {name} file", found=found, advice=advice) from error
    if name == "PNG" and mode == "L" and isinstance(transparency, int) and data.ndim == 3:
        data = _with_key_grey(data, head[24], transparency)
    axes = "T" * (frames > 1) + "YXS"[: data.ndim - (frames > 1)]
    nodata = float(transparency) if mode.startswith("I") and isinstance(transparency, int) else None
    orientation = fields.get("Orientation") if frames == 1 else None
    image = _image(path, name, data, axes, mode, fields, orientation, nodata, palette)
    return replace(image, notes=(*notes, *image.notes))


def _image(
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


def _image_of_indices(path: Path, options: ReadOptions, numbers: BmpIndices) -> Image:
    """Return the image of a BMP with a palette."""
    palette = kept_palette(numbers.colours, int(numbers.pixels.max()), options, None)
    data = numbers.colours[numbers.pixels] if palette is None else numbers.pixels
    return _image(path, options.name, data, "YXS"[: data.ndim], "P", {}, None, palette=palette)


def _indices(path: Path) -> NDArray[np.uint8]:
    """Return the numbers of colours that a picture with a palette stores, uint8 (H, W)."""
    with PillowImage.open(path) as picture:
        return np.asarray(picture)


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


def _is_deep_colour(head: bytes) -> bool:
    """Tell whether a PNG header declares 16 bits a sample in colour or with alpha."""
    return head.startswith(b"\x89PNG") and head[24:25] == b"\x10" and head[25:26] != b"\0"


def _read_deep_png(path: Path, name: str, head: bytes, max_bytes: int) -> Image:
    """Read a PNG of 16 bits a sample in colour or with alpha, which Pillow would round to 8."""
    try:
        import imagecodecs
    except ImportError:
        expected, found = "8 bits a sample, or 16-bit grey", "16-bit colour PNG"
        advice = 'save it as TIFF, or run: pip install "zncc-cli[codecs]"'
        raise refusal(path, expected=expected, found=found, advice=advice) from None
    width, height = struct.unpack_from(">II", head, 16)
    samples = {2: 3, 4: 2, 6: 4}.get(head[25], 1)
    content = path.read_bytes()
    if head[25] == _PNG_RGB and _chunk_before_pixels(content, b"tRNS"):
        samples = 4  # the decoder makes it opacity
    frames = int.from_bytes((_chunk_before_pixels(content, b"acTL") or b"")[:4], "big")
    shape = (*((frames,) if frames > 1 else ()), height, width, samples)
    _check_size(path, max_bytes, shape, np.uint16)
    if math.prod(shape) * 2 > _MAX_DEFLATE_RATIO * len(content):
        found, advice = f"{width} x {height} pixels", "copy or export the file again"
        raise refusal(path, expected=f"pixels that {len(content)} bytes can hold", found=found, advice=advice)
    with PillowImage.open(path) as picture:
        fields: dict[Any, Any] = {
            **picture.info,
            **{TAGS.get(code, ""): value for code, value in picture.getexif().items()},
        }
    data: NDArray[Any] = np.empty(shape, np.uint16)
    decode = imagecodecs.apng_decode if frames > 1 else imagecodecs.png_decode
    decode(content, out=data)
    axes = "T" * (frames > 1) + "YXS"
    return _image(path, name, data, axes, "RGB", fields, fields.get("Orientation") if frames < 2 else None)


def _with_key_grey(data: NDArray[Any], bits: int, transparency: int) -> NDArray[Any]:
    """Return grey and opacity of a PNG whose transparent grey is given in ``bits``; Pillow compares it with 8 bits."""
    key = transparency * 255 // (2**bits - 1)
    grey = data[..., 0]
    return np.stack([grey, np.where(grey == key, np.uint8(0), np.uint8(255))], axis=-1)


def _start_of(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


def _chunk_before_pixels(content: bytes, wanted: bytes) -> bytes | None:
    """Return the content of a chunk of a PNG, such as tRNS, that stands before its pixels; None where there is none."""
    offset = 8
    while offset + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, offset)
        if name in (wanted, b"IDAT"):
            return content[offset + 8 : offset + 8 + size] if name == wanted else None
        offset += 12 + size
    return None


def _read_deep_jpeg(path: Path, options: ReadOptions, bits: int) -> Image:
    """Read a JPEG of other than 8 bits a sample, which Pillow cannot read."""
    expected, found = "8 bits a sample", f"a JPEG of {bits} bits"
    try:
        import imagecodecs
    except ImportError:
        advice = 'save it as TIFF, or run: pip install "zncc-cli[codecs]"'
        raise refusal(path, expected=expected, found=found, advice=advice) from None
    content = path.read_bytes()
    size = jpeg_size(content)
    assert size is not None
    _check_size(path, options.max_bytes, size, np.uint16)
    try:
        data = imagecodecs.jpeg_decode(content)
    except Exception as error:  # the codecs of JPEG have errors of their own, which share no base
        advice = "save it as TIFF, which is read at full depth"
        raise refusal(path, expected=f"a JPEG that can be decoded ({error})", found=found, advice=advice) from error
    if data.shape not in ((*size[:2], 3), size[:2]):
        raise refusal(path, expected="grey or RGB", found=f"{size[2]} samples", advice="save it as TIFF")
    axes = "YXS"[: data.ndim]
    return _image(path, options.name, data, axes, "RGB" if data.ndim == 3 else "L", {}, None)


def _check_claim(path: Path, name: str) -> None:
    """Raise `InputError` for a GIF that claims more pixels than its bytes can hold: Pillow takes memory for them."""
    size = path.stat().st_size
    if name != "GIF":
        return
    with PillowImage.open(path) as picture:
        width, height = picture.size
    if width * height > _MAX_LZW_RATIO * size:
        found, advice = f"{width} x {height} pixels", "copy or export the file again"
        raise refusal(path, expected=f"pixels that {size} bytes can hold", found=found, advice=advice)


def _check_header(path: Path, properties: Any, max_bytes: int) -> int:
    """Return the number of frames; raise `InputError` where their pixels take more than ``max_bytes``."""
    frames, *shape = properties.shape
    _check_size(path, max_bytes, (frames, *shape), properties.dtype)
    return int(frames)


def _check_size(path: Path, max_bytes: int, shape: tuple[int, ...], dtype: DTypeLike) -> None:
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > max_bytes:
        advice = "it is decoded whole; save it as a TIFF in tiles or strips, or crop it"
        found = f"shape {shape} ({size} bytes)"
        raise refusal(path, expected=f"at most {max_bytes} bytes of pixels", found=found, advice=advice)
