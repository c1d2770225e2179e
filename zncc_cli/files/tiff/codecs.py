"""Compression of TIFF strips: what can be written here, and what is taken instead of what cannot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

NONE, DEFLATE = 1, 8

# TIFF's numbers of the compressions that lose nothing, and the one under which they are written: numbers that were
# given up for another one are still read by everybody, but written by nobody.
_LOSSLESS = {1: 1, 5: 5, 8: 8, 32946: 32946, 32773: 32773, 34925: 34925, 50000: 50000, 34926: 50000, 50013: 8}
# LERC loses nothing of integers when asked not to, whatever it was asked for in the file that was read. Of floats it
# loses NaN, which says where there is no value.
_LERC = 34887

# The compressions that libtiff, too, knows a predictor for.
_PREDICTED = (5, 8, 32946, 34925, 50000)
_HORIZONTAL, _FLOATING = 2, 3

# What tifffile and imagecodecs raise where a codec is missing, or does not take these pixels.
_REFUSALS = (LookupError, ImportError, NotImplementedError, ValueError, TypeError, RuntimeError, AttributeError)


@dataclass(frozen=True)
class Codec:
    """How strips are compressed.

    compression, predictor: TIFF's numbers.
    encode: strip (h, W, S) -> bytes.
    note: what is not as it was asked for, or "".
    """

    compression: int
    predictor: int
    encode: Callable[[NDArray[Any]], bytes]
    note: str = ""


def codec(compression: int, predictor: int, dtype: np.dtype[Any], samples: int) -> Codec:
    """The codec for ``compression`` and ``predictor``, or deflate, with a note, where it loses detail or is missing."""
    number = _LERC if compression == _LERC and dtype.kind != "f" else _LOSSLESS.get(compression)
    name = _name(compression)
    if number is None:
        note = f"the compression {name} is for other pixels, or does not keep every value: deflate was used"
        return _codec(DEFLATE, predictor, dtype, samples, note)
    try:
        return _codec(number, predictor, dtype, samples)
    except _REFUSALS:
        missing = "cannot be written here" if _has_codecs() else 'needs pip install "zncc-cli[codecs]"'
        return _codec(DEFLATE, predictor, dtype, samples, f"the compression {name} {missing}: deflate was used")


def _codec(compression: int, predictor: int, dtype: np.dtype[Any], samples: int, note: str = "") -> Codec:
    """Raises one of `_REFUSALS` where a strip of such pixels cannot be encoded, which is found by encoding one."""
    if compression == NONE:
        return Codec(NONE, 1, _as_bytes, note)
    wanted = 1
    if predictor != 1 and compression in _PREDICTED:
        wanted = _FLOATING if dtype.kind == "f" else _HORIZONTAL
    trial = np.zeros((2, 3, samples), dtype)
    while True:
        encode = _encoder(compression, wanted)
        try:
            encode(trial)
        except _REFUSALS:
            if wanted == 1:
                raise
            wanted = 1  # compresses less, and keeps as much
        else:
            return Codec(compression, wanted, encode, note)


def _encoder(compression: int, predictor: int) -> Callable[[NDArray[Any]], bytes]:
    def encode(strip: NDArray[Any]) -> bytes:
        compress: Any = tifffile.TIFF.COMPRESSORS[compression]
        if predictor != 1:
            predict: Any = tifffile.TIFF.PREDICTORS[predictor]
            strip = predict(strip, axis=-2)
        options = {"axis": -2} if compression == tifffile.COMPRESSION.PACKBITS else {}
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
