"""PNG and JPEG of more than 8 bits a sample, which Pillow would round, or cannot read."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL.ExifTags import TAGS

from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.paths import refusal
from zncc_cli.files.raster_image import (
    check_size,
    picture_image,
)
from zncc_cli.files.tiff.codestreams import jpeg_size

_PNG_RGB = 2
_MAX_DEFLATE_RATIO = 1100  # bytes that one compressed byte can inflate to


def is_deep_colour(head: bytes) -> bool:
    """Tell whether a PNG header declares 16 bits a sample in colour or with alpha."""
    return head.startswith(b"\x89PNG") and head[24:25] == b"\x10" and head[25:26] != b"\0"


def read_deep_png(path: Path, name: str, head: bytes, max_bytes: int) -> Image:
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
    check_size(path, max_bytes, shape, np.uint16)
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
    return picture_image(path, name, data, axes, "RGB", fields, fields.get("Orientation") if frames < 2 else None)


def _chunk_before_pixels(content: bytes, wanted: bytes) -> bytes | None:
    """Return the content of a chunk of a PNG, such as tRNS, that stands before its pixels; None where there is none."""
    offset = 8
    while offset + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, offset)
        if name in (wanted, b"IDAT"):
            return content[offset + 8 : offset + 8 + size] if name == wanted else None
        offset += 12 + size
    return None


def read_deep_jpeg(path: Path, options: ReadOptions, bits: int) -> Image:
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
    check_size(path, options.max_bytes, size, np.uint16)
    try:
        data = imagecodecs.jpeg_decode(content)
    except Exception as error:  # the codecs of JPEG have errors of their own, which share no base
        advice = "save it as TIFF, which is read at full depth"
        raise refusal(path, expected=f"a JPEG that can be decoded ({error})", found=found, advice=advice) from error
    if data.shape not in ((*size[:2], 3), size[:2]):
        raise refusal(path, expected="grey or RGB", found=f"{size[2]} samples", advice="save it as TIFF")
    axes = "YXS"[: data.ndim]
    return picture_image(path, options.name, data, axes, "RGB" if data.ndim == 3 else "L", {}, None)
