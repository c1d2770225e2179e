"""PNG, JPEG, BMP, GIF, WebP and PGM/PPM, read through imageio's Pillow plugin."""

from __future__ import annotations

import math
import re
import struct
import zlib
from collections.abc import Mapping
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
from zncc_cli.files.lazy import Stored
from zncc_cli.files.metadata import Metadata, Resolution, Tag
from zncc_cli.files.paths import refusal
from zncc_cli.files.tiff.calibration import INCH, rational
from zncc_cli.files.tiff.orientation import orientation_notes, oriented, transposes

# What Pillow's decoders raise on damaged files: in words that help, and in words that speak of Python.
_SPOKEN = (OSError, EOFError, ValueError, RuntimeError, SyntaxError, zlib.error, DecompressionBombError)
_STUMBLED = (
    *(TypeError, LookupError, ArithmeticError, AttributeError, struct.error),
    *(InitializationError, UnidentifiedImageError),
)

# Pillow's modes that are no grey or RGB array yet, and the mode that keeps what they show.
_CONVERSIONS = {
    **{"1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"},
    **{"RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB"},
}
_NO_RGB = ("CMYK", "LAB", "HSV")
# What is lost where these are read.
_MODES_LEFT_OUT = {
    **{"1": "the depth of 1 bit (8 instead)", "P": "the palette (RGB instead)", "PA": "the palette (RGB instead)"},
    **{mode: f"{mode} (RGB instead)" for mode in _NO_RGB},
}
# Words of EXIF and of PNG for which TIFF has tags: camera, time, artist, rights, title. And further words of theirs, of
# which the software is left out without a word: it is not that of what is written.
_TAGS = {"Make": 271, "Model": 272, "DateTime": 306, "Artist": 315, "Author": 315, "Copyright": 33432, "Title": 269}
_FURTHER = {"ExifOffset": "EXIF", "GPSInfo": "GPS", "comment": "comment", "Comment": "comment"}
_DESCRIPTIONS = ("ImageDescription", "Description")
_ICC, _XMP = 34675, 700
_BYTE, _ASCII, _UNDEFINED = 1, 2, 7  # TIFF's types of values
_LONGEST = 2**22
_DEFLATE = 1100  # bytes out of a byte, at most

_CONVERSIONS_WITH_TRANSPARENCY = {"1": "LA", "L": "LA", "P": "RGBA", "RGB": "RGBA"}


def read_picture(path: Path, name: str, max_bytes: int, series: int | None) -> Stored:
    """Read the pictures in ``path``; palettes, CMYK and YCbCr become RGB, an EXIF orientation is obeyed.

    The frames of an animation are an axis "T", in RGB or RGBA if they are not all grey.

    Raises:
        InputError: 16-bit colour that cannot be read exactly here, damage, more than ``max_bytes``.
    """
    try:
        with path.open("rb") as file:
            head = file.read(1024)
            _refuse_what_pillow_would_round(path, head)
            file.seek(0)
            if _is_deep_colour(head):
                return _deep_png(path, name, head, max_bytes)
            # The plugin takes more than imageio's interface for all plugins lets a type checker see.
            picture: Any
            with iio.imopen(file, "r", plugin="pillow") as picture:
                frames = _check_header(path, picture.properties(index=...), max_bytes)
                tags = picture.metadata(index=0, exclude_applied=False)
                mode, transparency = str(tags["mode"]), tags.get("transparency")
                conversions = _CONVERSIONS if transparency is None else _CONVERSIONS_WITH_TRANSPARENCY
                if frames == 1:
                    data = np.asarray(picture.read(index=0, mode=conversions.get(mode)))
                else:
                    data = _animation(picture, frames, max_bytes, path)
    except InputError:
        raise
    except (*_SPOKEN, *_STUMBLED) as error:
        cause = error.__cause__ or error  # imageio wraps what Pillow said
        if isinstance(cause, DecompressionBombError):
            advice = "crop it, or save it as TIFF, which may be larger"
            raise refusal(path, expected=f"a {name} file of ordinary size", found=cause, advice=advice) from error
        advice = "copy or export the file again"
        found = "a truncated or damaged one" if isinstance(cause, _STUMBLED) else cause
        raise refusal(path, expected=f"a complete {name} file", found=found, advice=advice) from error
    if name == "PNM" and mode == "I":
        data = data.astype(np.uint16)  # Pillow has no other mode for 16-bit PGM
    plane = data.ndim - (frames > 1)
    samples = data.shape[-1] if plane == 3 else 1
    orientation = tags.get("Orientation") if frames == 1 else None
    metadata = Metadata(
        path=path,
        format=name,
        photometric="rgb" if samples >= 3 else "minisblack",
        alpha=samples in (2, 4),
        nodata=float(transparency) if mode.startswith("I") and isinstance(transparency, int) else None,
        resolution=_resolution(name, tags, orientation),
        description=_description(tags),
        tags=_tags(mode, tags),
        left_out=_left_out(mode, tags),
    )
    axes = "T" * (frames > 1) + ("YX" if plane == 2 else "YXS")
    return _turned(data, orientation, axes, metadata)


def _turned(data: NDArray[Any], orientation: Any, axes: str, metadata: Metadata) -> Stored:
    return Stored(data=oriented(data, orientation), axes=axes, metadata=metadata, notes=orientation_notes(orientation))


def _resolution(name: str, said: Mapping[str, Any], orientation: Any) -> Resolution | None:
    """Pixels per inch; other formats than these say some number when they know none."""
    dpi = said.get("dpi")
    if name not in ("PNG", "JPEG") or not isinstance(dpi, tuple) or len(dpi) != 2:
        return None
    x, y = (rational(float(one)) if math.isfinite(one) else None for one in dpi)
    resolution = Resolution(x=x, y=y, unit=INCH) if x and y else None
    return resolution.swapped() if resolution and transposes(orientation) else resolution


def _description(said: Mapping[str, Any]) -> str:
    return next((str(said[word]) for word in _DESCRIPTIONS if _is_text(said.get(word))), "")


def _tags(mode: str, said: Mapping[str, Any]) -> tuple[Tag, ...]:
    """What is said in words of PNG and EXIF, as tags of TIFF."""
    tags: dict[int, Tag] = {
        code: (code, _ASCII, 0, str(said[word])) for word, code in _TAGS.items() if _is_text(said.get(word))
    }
    for word, code, kind in (("icc_profile", _ICC, _UNDEFINED), ("xmp", _XMP, _BYTE)):
        content = None if word == "icc_profile" and mode in _NO_RGB else said.get(word)  # it is of the inks
        if isinstance(content, bytes) and 0 < len(content) <= _LONGEST:
            tags[code] = (code, kind, len(content), content)
    return tuple(tags[code] for code in sorted(tags))


def _left_out(mode: str, said: Mapping[str, Any]) -> tuple[str, ...]:
    names = [_MODES_LEFT_OUT[mode]] if mode in _MODES_LEFT_OUT else []
    return tuple(dict.fromkeys([*names, *(name for word, name in _FURTHER.items() if said.get(word))]))


def _is_text(content: Any) -> bool:
    return isinstance(content, str) and content.strip() != "" and len(content) <= _LONGEST


def _animation(picture: Any, frames: int, max_bytes: int, path: Path) -> NDArray[Any]:
    tags = [picture.metadata(index=frame, exclude_applied=False) for frame in range(frames)]
    modes = {str(one["mode"]) for one in tags}
    if modes == {"L"} and not any("transparency" in one for one in tags):
        mode = "L"
    else:
        opaque = not any("transparency" in one or str(one["mode"]).endswith(("A", "a")) for one in tags)
        mode = "RGB" if opaque else "RGBA"
    first = np.asarray(picture.read(index=0, mode=mode))
    _check_size(path, (frames, *first.shape), first.dtype, max_bytes)
    data: NDArray[Any] = np.empty((frames, *first.shape), first.dtype)
    for frame in range(frames):
        data[frame] = picture.read(index=frame, mode=mode)
    return data


def _is_deep_colour(head: bytes) -> bool:
    return head.startswith(b"\x89PNG") and head[24:25] == b"\x10" and head[25:26] != b"\0"


def _deep_png(path: Path, name: str, head: bytes, max_bytes: int) -> Stored:
    """Read a PNG of 16 bits a sample in colour or with alpha, which Pillow would round to 8."""
    try:
        import imagecodecs
    except ImportError:
        expected, found = "8 bits a sample, or 16-bit grey", "16-bit colour PNG"
        advice = 'save it as TIFF, or run: pip install "zncc-cli[codecs]"'
        raise refusal(path, expected=expected, found=found, advice=advice) from None
    width, height = struct.unpack_from(">II", head, 16)
    samples = {2: 3, 4: 2, 6: 4}.get(head[25], 1)
    shape = (height, width, samples)
    _check_size(path, shape, np.dtype(np.uint16), max_bytes)
    content = path.read_bytes()
    if math.prod(shape) * 2 > _DEFLATE * len(content):
        found, advice = f"{width} x {height} pixels", "copy or export the file again"
        raise refusal(path, expected=f"pixels that {len(content)} bytes can hold", found=found, advice=advice)
    with PillowImage.open(path) as picture:
        said = {**picture.info, **{TAGS.get(code, ""): value for code, value in picture.getexif().items()}}
        orientation = said.get("Orientation")
    data: NDArray[Any] = np.empty(shape, np.uint16)
    imagecodecs.png_decode(content, out=data)
    metadata = Metadata(
        path=path,
        format=name,
        photometric="rgb" if samples >= 3 else "minisblack",
        alpha=samples in (2, 4),
        resolution=_resolution(name, said, orientation),
        description=_description(said),
        tags=_tags("RGB", said),
        left_out=_left_out("", said),
    )
    return _turned(data, orientation, "YXS", metadata)


def _refuse_what_pillow_would_round(path: Path, head: bytes) -> None:
    """Pillow stretches the values of a PGM whose maximum is unusual."""
    if re.match(rb"P[2356]\s", head):
        fields = re.sub(rb"#[^\n]*\n", b" ", head).split(maxsplit=4)
        allowed = (b"255", b"65535") if fields[0] in (b"P2", b"P5") else (b"255",)
        if len(fields) > 3 and fields[3] not in allowed:
            advice = "save it as TIFF, which is read at full depth"
            raise refusal(path, expected="maximum 255, or 65535 in grey", found=f"maximum {fields[3]!r}", advice=advice)


def _check_header(path: Path, properties: Any, max_bytes: int) -> int:
    """The number of frames, none of which is too large."""
    frames, *shape = properties.shape
    _check_size(path, (frames, *shape), properties.dtype, max_bytes)
    return int(frames)


def _check_size(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], max_bytes: int) -> None:
    claimed = math.prod(shape) * dtype.itemsize
    if claimed > max_bytes:
        advice = "it is decoded whole; save it as a TIFF in tiles or strips, or crop it"
        found = f"shape {shape} ({claimed} bytes)"
        raise refusal(path, expected=f"at most {max_bytes} bytes of pixels", found=found, advice=advice)
