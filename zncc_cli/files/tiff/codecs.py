"""Compression of TIFF strips: codecs that can be written, and deflate in place of others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

NONE, DEFLATE = 1, 8

# TIFF's numbers of the lossless compressions, and the number under which each is written: old numbers are still read,
# but no longer written.
_LOSSLESS_COMPRESSIONS = {
    1: 1,  # none
    5: 5,  # LZW
    8: 8,  # deflate
    32946: 32946,  # deflate, old number
    32773: 32773,  # PackBits
    34925: 34925,  # LZMA
    50000: 50000,  # Zstandard
    34926: 50000,  # Zstandard, old number
    50013: 8,  # deflate, Pixar's number
}
# LERC can be lossless for integers, even where the file that was read was not. For floats it loses NaN, which marks
# missing values.
_LERC = 34887

# The compressions that libtiff supports a predictor for, too.
_COMPRESSIONS_WITH_PREDICTOR = (5, 8, 32946, 34925, 50000)
HORIZONTAL_PREDICTOR, FLOATING_POINT_PREDICTOR = 2, 3
# Of deflate: the last digits of floats are noise, in which a longer search finds one percent, in twice the time.
_FLOAT_LEVEL = 1

# What tifffile and imagecodecs raise where a codec is missing, or does not take these pixels.
_CODEC_ERRORS = (LookupError, ImportError, NotImplementedError, ValueError, TypeError, RuntimeError, AttributeError)


@dataclass(frozen=True)
class Codec:
    """How strips are compressed.

    compression, predictor: TIFF's numbers.
    encode: strip (h, W, S) -> bytes.
    note: what differs from the compression that was asked for, or "".
    """

    compression: int
    predictor: int
    encode: Callable[[NDArray[Any]], bytes]
    note: str = ""


def codec(compression: int, predictor: int, dtype: np.dtype[Any], samples: int) -> Codec:
    """Return the codec for ``compression`` and ``predictor``; deflate, with a note, where it is lossy or missing."""
    number = _LERC if compression == _LERC and dtype.kind != "f" else _LOSSLESS_COMPRESSIONS.get(compression)
    name = _name(compression)
    if number is None:
        note = f"the compression {name} is lossy, or not for these pixels: deflate was used"
        return _try_codec(DEFLATE, HORIZONTAL_PREDICTOR, dtype, samples, note)  # none says that pixels are smooth
    try:
        return _try_codec(number, predictor, dtype, samples)
    except _CODEC_ERRORS:
        missing = "cannot be written here" if _has_codecs() else 'needs pip install "zncc-cli[codecs]"'
        return _try_codec(DEFLATE, predictor, dtype, samples, f"the compression {name} {missing}: deflate was used")


def _try_codec(compression: int, predictor: int, dtype: np.dtype[Any], samples: int, note: str = "") -> Codec:
    """Return a codec that has encoded a strip of such pixels; raise one of `_CODEC_ERRORS` where there is none."""
    if compression == NONE:
        return Codec(NONE, 1, _as_bytes, note)
    used_predictor = 1
    if predictor != 1 and compression in _COMPRESSIONS_WITH_PREDICTOR:
        used_predictor = FLOATING_POINT_PREDICTOR if dtype.kind == "f" else HORIZONTAL_PREDICTOR
    sample_strip = np.zeros((2, 3, samples), dtype)
    while True:
        encode = _encoder(compression, used_predictor)
        try:
            encode(sample_strip)
        except _CODEC_ERRORS:
            if used_predictor == 1:
                raise
            used_predictor = 1  # compresses less, and is lossless, too
        else:
            return Codec(compression, used_predictor, encode, note)


def _encoder(compression: int, predictor: int) -> Callable[[NDArray[Any]], bytes]:
    """Return a function that encodes a strip (h, W, S)."""

    def encode(strip: NDArray[Any]) -> bytes:
        compress: Any = tifffile.TIFF.COMPRESSORS[compression]
        if predictor != 1:
            predict: Any = tifffile.TIFF.PREDICTORS[predictor]
            strip = predict(strip, axis=-2)
        options: dict[str, int] = {"axis": -2} if compression == tifffile.COMPRESSION.PACKBITS else {}
        if compression == DEFLATE and predictor == FLOATING_POINT_PREDICTOR:
            options = {"level": _FLOAT_LEVEL}
        encoded: bytes = compress(strip, **options)
        return encoded

    return encode


def _as_bytes(strip: NDArray[Any]) -> bytes:
    return strip.tobytes()


def _name(compression: int) -> str:
    try:
        return tifffile.COMPRESSION(compression).name
    except ValueError:
        return str(compression)


def _has_codecs() -> bool:
    try:
        import imagecodecs  # noqa: F401
    except ImportError:
        return False
    return True
