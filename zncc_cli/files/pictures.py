"""PNG, JPEG, BMP, GIF, WebP and PGM/PPM, read through imageio's Pillow plugin."""

from __future__ import annotations

import math
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from PIL.Image import DecompressionBombError

from zncc_cli.errors import InputError
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.orientation import oriented
from zncc_cli.files.paths import refusal

# What Pillow's decoders raise on damaged files.
_DAMAGE = (
    *(OSError, EOFError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, AttributeError),
    *(SyntaxError, struct.error, zlib.error, DecompressionBombError),
)

# Pillow's modes that are no grey or RGB array yet, and the mode that keeps what they show.
_CONVERSIONS = {
    **{"1": "L", "P": "RGB", "PA": "RGBA", "La": "LA", "RGBa": "RGBA"},
    **{"RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB"},
}
_CONVERSIONS_WITH_TRANSPARENCY = {"1": "LA", "L": "LA", "P": "RGBA", "RGB": "RGBA"}


def read_picture(path: Path, name: str, max_bytes: int) -> tuple[NDArray[Any], Metadata]:
    """Read the one picture in ``path``; palettes, CMYK and YCbCr become RGB, an EXIF orientation is obeyed.

    Raises:
        InputError: several frames, 16-bit colour, damage, more than ``max_bytes``.
    """
    try:
        with path.open("rb") as file:
            _refuse_what_pillow_would_round(path, file.read(1024))
            file.seek(0)
            # The plugin takes more than imageio's interface for all plugins lets a type checker see.
            picture: Any
            with iio.imopen(file, "r", plugin="pillow") as picture:
                _check_header(path, picture.properties(index=...), max_bytes)
                tags = picture.metadata(index=0, exclude_applied=False)
                mode, transparency = str(tags["mode"]), tags.get("transparency")
                conversions = _CONVERSIONS if transparency is None else _CONVERSIONS_WITH_TRANSPARENCY
                data = np.asarray(picture.read(index=0, mode=conversions.get(mode)))
    except InputError:
        raise
    except _DAMAGE as error:
        cause = error.__cause__ or error  # imageio wraps what Pillow said
        if isinstance(cause, DecompressionBombError):
            advice = "crop it, or save it as TIFF, which may be larger"
            raise refusal(path, expected=f"a {name} file of ordinary size", found=cause, advice=advice) from error
        advice = "copy or export the file again"
        raise refusal(path, expected=f"a complete {name} file", found=cause, advice=advice) from error
    if name == "PNM" and mode == "I":
        data = data.astype(np.uint16)  # Pillow has no other mode for 16-bit PGM
    samples = data.shape[2] if data.ndim == 3 else 1
    metadata = Metadata(
        path=path,
        format=name,
        photometric="rgb" if samples >= 3 else "minisblack",
        alpha=samples in (2, 4),
        nodata=float(transparency) if mode.startswith("I") and isinstance(transparency, int) else None,
    )
    return oriented(data, tags.get("Orientation")), metadata


def _refuse_what_pillow_would_round(path: Path, head: bytes) -> None:
    """Pillow reads 16 bits in grey alone, and stretches the values of a PGM whose maximum is unusual."""
    advice = "save it as TIFF, which is read at full depth"
    if head.startswith(b"\x89PNG") and head[24:25] == b"\x10" and head[25:26] != b"\0":
        raise refusal(path, expected="8 bits a sample, or 16-bit grey", found="16-bit colour PNG", advice=advice)
    if re.match(rb"P[2356]\s", head):
        fields = re.sub(rb"#[^\n]*\n", b" ", head).split(maxsplit=4)
        allowed = (b"255", b"65535") if fields[0] in (b"P2", b"P5") else (b"255",)
        if len(fields) > 3 and fields[3] not in allowed:
            raise refusal(path, expected="maximum 255, or 65535 in grey", found=f"maximum {fields[3]!r}", advice=advice)


def _check_header(path: Path, properties: Any, max_bytes: int) -> None:
    frames, height, width, *samples = properties.shape
    if frames != 1:
        advice = "one 2D image is needed; save one frame as TIFF or PNG"
        raise refusal(path, expected="one image", found=f"{frames} frames", advice=advice)
    claimed = math.prod((height, width, *samples)) * properties.dtype.itemsize
    if claimed > max_bytes:
        advice = "crop or bin it"
        found = f"{width} x {height} pixels ({claimed} bytes)"
        raise refusal(path, expected=f"at most {max_bytes} bytes of pixels", found=found, advice=advice)
