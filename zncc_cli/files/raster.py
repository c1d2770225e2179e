"""Raster images, PNG, JPEG, BMP, GIF and WebP, read through imageio's Pillow plugin."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from imageio.core.request import InitializationError
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError
from PIL.Image import DecompressionBombError

from zncc_cli.errors import InputError
from zncc_cli.files.animation import read_animation
from zncc_cli.files.bmp import BmpIndices, read_bmp_indices
from zncc_cli.files.image import Image
from zncc_cli.files.kept_palette import kept_palette, stored_palette
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.paths import refusal
from zncc_cli.files.raster_deep import (
    is_deep_colour,
    read_deep_jpeg,
    read_deep_png,
)
from zncc_cli.files.raster_image import (
    check_size,
    picture_image,
)
from zncc_cli.files.tiff.codestreams import jpeg_bits

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
_MAX_JPEG_HEADER_BYTES = 2**22  # EXIF, a profile and previews before the pixels
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
            if is_deep_colour(head):
                return read_deep_png(path, name, head, max_bytes)
            bits: int | None = jpeg_bits(_start_of(path, _MAX_JPEG_HEADER_BYTES)) if name == "JPEG" else None
            if bits is not None and bits != 8:
                return read_deep_jpeg(path, options, bits)
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
                    data, palette = read_animation(path, frames, options, partial(check_size, path, max_bytes))
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
    image = picture_image(path, name, data, axes, mode, fields, orientation, nodata, palette)
    return replace(image, notes=(*notes, *image.notes))


def _image_of_indices(path: Path, options: ReadOptions, numbers: BmpIndices) -> Image:
    """Return the image of a BMP with a palette."""
    palette = kept_palette(numbers.colours, int(numbers.pixels.max()), options, None)
    data = numbers.colours[numbers.pixels] if palette is None else numbers.pixels
    return picture_image(path, options.name, data, "YXS"[: data.ndim], "P", {}, None, palette=palette)


def _indices(path: Path) -> NDArray[np.uint8]:
    """Return the numbers of colours that a picture with a palette stores, uint8 (H, W)."""
    with PillowImage.open(path) as picture:
        return np.asarray(picture)


def _with_key_grey(data: NDArray[Any], bits: int, transparency: int) -> NDArray[Any]:
    """Return grey and opacity of a PNG whose transparent grey is given in ``bits``; Pillow compares it with 8 bits."""
    key = transparency * 255 // (2**bits - 1)
    grey = data[..., 0]
    return np.stack([grey, np.where(grey == key, np.uint8(0), np.uint8(255))], axis=-1)


def _start_of(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


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
    check_size(path, max_bytes, (frames, *shape), properties.dtype)
    return int(frames)
