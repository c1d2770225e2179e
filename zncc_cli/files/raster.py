"""Raster images, PNG, JPEG, BMP, GIF, WebP and PGM/PPM, read through imageio's Pillow plugin."""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from imageio.core.request import InitializationError
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError
from PIL.ExifTags import TAGS
from PIL.Image import DecompressionBombError

from zncc_cli.errors import InputError
from zncc_cli.files.bmp import BmpIndices, read_bmp_indices
from zncc_cli.files.image import Image
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
            _refuse_what_pillow_would_round(path, head)
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
                    stored, last = _stored_palette(path)
                    palette = _kept_palette(stored, last, options, transparency)
                if palette is not None:
                    data = _indices(path)
                elif frames == 1:
                    data = np.asarray(picture.read(index=0, mode=conversions.get(mode)))
                else:
                    data, palette = _read_animation(path, frames, options)
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
    if name == "PNM" and mode == "I":
        data = data.astype(np.uint16)  # Pillow reads 16-bit PGM in its mode of 32 bits
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
        left_out=_left_out(mode, fields, palette is not None),
    )
    return Image(data=oriented(data, orientation), axes=axes, metadata=metadata, notes=orientation_notes(orientation))


def _image_of_indices(path: Path, options: ReadOptions, numbers: BmpIndices) -> Image:
    """Return the image of a BMP with a palette."""
    palette = _kept_palette(numbers.colours, int(numbers.pixels.max()), options, None)
    data = numbers.colours[numbers.pixels] if palette is None else numbers.pixels
    return _image(path, options.name, data, "YXS"[: data.ndim], "P", {}, None, palette=palette)


def _stored_palette(path: Path) -> tuple[NDArray[np.uint8], int]:
    """Return the colours (N, 3) of a picture with a palette, and the largest of its pixels."""
    with PillowImage.open(path) as picture:
        last = int(np.asarray(picture).max())
        return _colours(picture), last


def _colours(picture: PillowImage.Image) -> NDArray[np.uint8]:
    return np.array(picture.getpalette("RGB"), dtype=np.uint8).reshape(-1, 3)


def _kept_palette(colours: NDArray[np.uint8], last: int, options: ReadOptions, transparency: Any) -> Palette | None:
    """Return the palette of a picture whose indices are read; None where its colours are.

    ``last`` is the largest index: colours beyond it are padding.
    """
    stored = colours.astype(np.int64) * 257
    palette, used = Palette(stored.astype(np.uint16)), Palette(stored[: last + 1].astype(np.uint16))
    if used.ramp and transparency is None:
        return used
    return palette if options.indices else None


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


def _left_out(mode: str, fields: Mapping[str, Any], has_indices: bool) -> tuple[str, ...]:
    """Return the names of what a TIFF written from this image will not hold."""
    conversion = [_MODES_LEFT_OUT[mode]] if mode in _MODES_LEFT_OUT else []
    if has_indices:
        conversion = ["the opacity of the palette"] if fields.get("transparency") is not None else []
    return tuple(dict.fromkeys([*conversion, *(label for name, label in _LEFT_OUT_FIELDS.items() if fields.get(name))]))


def _is_text(content: Any) -> bool:
    return isinstance(content, str) and content.strip() != "" and len(content) <= _MAX_FIELD_BYTES


def _read_animation(path: Path, frames: int, options: ReadOptions) -> tuple[NDArray[Any], Palette | None]:
    """Read all frames, (T, H, W) if all are grey and opaque, else (T, H, W, 3) or, with transparency, (T, H, W, 4).

    Numbers of the colours of one palette are (T, H, W), where they are read as they are stored, with the palette.

    Read by Pillow from the first frame to the last: after a step back, as imageio takes it, the frames of a PNG with a
    palette are black.
    """
    modes, has_key_colour = set(), False
    last, palettes = 0, list[NDArray[np.uint8]]()
    with PillowImage.open(path) as picture:
        transparency = picture.info.get("transparency")
        for frame in range(frames):
            picture.seek(frame)
            picture.load()  # a GIF knows the mode of a frame only then
            modes.add(picture.mode)
            has_key_colour = has_key_colour or "transparency" in picture.info
            if modes == {"P"}:
                last = max(last, int(np.asarray(picture).max()))
                if not palettes or not np.array_equal(palettes[-1], _colours(picture)):
                    palettes.append(_colours(picture))
    # One palette for all frames: of several, the same number is another colour in another frame.
    is_indexed = modes == {"P"} and len(palettes) == 1
    palette = _kept_palette(palettes[0], last, options, transparency) if is_indexed else None
    mode = "P" if palette is not None else "L" if modes <= {"1", "L"} and not has_key_colour else "RGB"
    if modes <= {"I;16"}:
        mode = "I;16"
    elif mode == "RGB" and (has_key_colour or any(mode.endswith(("A", "a")) for mode in modes)):
        mode = "RGBA"
    data: NDArray[Any] | None = None
    with PillowImage.open(path) as picture:
        for frame in range(frames):
            picture.seek(frame)
            pixels = np.asarray(picture if picture.mode == mode else picture.convert(mode))
            if data is None:
                _check_size(path, (frames, *pixels.shape), pixels.dtype, options.max_bytes)
                data = np.empty((frames, *pixels.shape), pixels.dtype)
            data[frame] = pixels
    assert data is not None
    if mode == "RGB" and all((frame[..., :1] == frame).all() for frame in data):
        data = np.ascontiguousarray(data[..., 0])  # of a GIF all frames but the first are read in RGB
    return data, palette


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
    if head[25] == _PNG_RGB and _has_key_colour(content):
        samples = 4  # the decoder makes it opacity
    shape = (height, width, samples)
    _check_size(path, shape, np.dtype(np.uint16), max_bytes)
    if math.prod(shape) * 2 > _MAX_DEFLATE_RATIO * len(content):
        found, advice = f"{width} x {height} pixels", "copy or export the file again"
        raise refusal(path, expected=f"pixels that {len(content)} bytes can hold", found=found, advice=advice)
    with PillowImage.open(path) as picture:
        fields: dict[Any, Any] = {
            **picture.info,
            **{TAGS.get(code, ""): value for code, value in picture.getexif().items()},
        }
    data: NDArray[Any] = np.empty(shape, np.uint16)
    imagecodecs.png_decode(content, out=data)
    return _image(path, name, data, "YXS", "RGB", fields, fields.get("Orientation"))


def _start_of(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


def _has_key_colour(content: bytes) -> bool:
    """Tell whether a PNG has a chunk tRNS, a colour that is transparent, before its pixels."""
    offset = 8
    while offset + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, offset)
        if name in (b"tRNS", b"IDAT"):
            return bool(name == b"tRNS")
        offset += 12 + size
    return False


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
    _check_size(path, size, np.dtype(np.uint16), options.max_bytes)
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


def _refuse_what_pillow_would_round(path: Path, head: bytes) -> None:
    """Raise `InputError` for a PGM or PPM of an unusual maximum: Pillow would scale its values."""
    if re.match(rb"P[2356]\s", head):
        fields = re.sub(rb"#[^\n]*\n", b" ", head).split(maxsplit=4)
        allowed = (b"255", b"65535") if fields[0] in (b"P2", b"P5") else (b"255",)
        if len(fields) > 3 and fields[3] not in allowed:
            advice = "save it as TIFF, which is read at full depth"
            raise refusal(path, expected="maximum 255, or 65535 in grey", found=f"maximum {fields[3]!r}", advice=advice)


def _check_header(path: Path, properties: Any, max_bytes: int) -> int:
    """Return the number of frames; raise `InputError` where their pixels take more than ``max_bytes``."""
    frames, *shape = properties.shape
    _check_size(path, (frames, *shape), properties.dtype, max_bytes)
    return int(frames)


def _check_size(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], max_bytes: int) -> None:
    size = math.prod(shape) * dtype.itemsize
    if size > max_bytes:
        advice = "it is decoded whole; save it as a TIFF in tiles or strips, or crop it"
        found = f"shape {shape} ({size} bytes)"
        raise refusal(path, expected=f"at most {max_bytes} bytes of pixels", found=found, advice=advice)
