"""Netpbm's formats PBM, PGM, PPM and PAM of any maximum, and PFM: the numbers that are stored, not scaled.

http://netpbm.sourceforge.net/doc/ (pbm, pgm, ppm, pam) and https://www.pauldebevec.com/Research/HDR/PFM/
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.errors import InputError
from zncc_cli.files.array_image import check_bytes
from zncc_cli.files.image import Image
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.paths import refusal, unreadable

_HEAD_BYTES = 2**16
_TEXT_BYTES = 2**20  # about, of a text that is read at a time
_BITS, _TEXT, _PAM, _FLOATS = (b"P1", b"P4"), (b"P1", b"P2", b"P3"), b"P7", (b"Pf", b"PF")
_SAMPLES = {b"P3": 3, b"P6": 3, b"PF": 3}
_MAX_VALUE, _MAX_SAMPLES = 65535, 64
_BLACK_AND_WHITE = b"BLACKANDWHITE"


@dataclass(frozen=True)
class _Header:
    """What stands before the pixels: kind ("P1" ...), sizes, the largest value (of PFM the scale), and its length."""

    kind: bytes
    width: int
    height: int
    samples: int
    top: float
    start: int
    is_bits: bool

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of a stored value."""
        if self.kind in _FLOATS:
            return np.dtype("<f4" if self.top < 0 else ">f4")
        return np.dtype("u1" if self.top < 256 else ">u2")


def read_pnm(path: Path, options: ReadOptions) -> Image:
    """Read the first image of ``path``; the bits of a PBM are 0 (black) and 255. More than 4 samples are channels.

    Raises:
        InputError: the file is damaged, cut off, or has more than ``options.max_bytes`` of pixels.
    """
    try:
        content = path.read_bytes() if path.stat().st_size <= 4 * options.max_bytes + _HEAD_BYTES else None
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        if content is None:
            raise ValueError(f"{path.stat().st_size} bytes")
        header = _read_header(content[:_HEAD_BYTES])
        shape = (header.height, header.width, header.samples)
        check_bytes(path, math.prod(shape) * header.dtype.itemsize, options)
        pixels = _pixels(content, header).reshape(shape)
    except InputError:
        raise
    except (ValueError, LookupError, OverflowError) as error:
        advice = "copy or export the file again"
        raise refusal(path, expected=f"a complete {options.name} file", found=error, advice=advice) from error
    if header.kind in _FLOATS:
        pixels = pixels[::-1]  # from the last row on
    if header.is_bits:
        pixels = np.where(pixels == (header.kind == _PAM), np.uint8(255), np.uint8(0))
    axes = "YXS" if 1 < header.samples <= 4 else "CYX" if header.samples > 4 else "YX"
    pixels = np.moveaxis(pixels, -1, 0) if axes == "CYX" else pixels if axes == "YXS" else pixels[..., 0]
    metadata = Metadata(
        path=path,
        format=options.name,
        photometric="rgb" if axes == "YXS" and header.samples >= 3 else "minisblack",
        alpha=axes == "YXS" and header.samples in (2, 4),
        left_out=("the depth of 1 bit (8 instead)",) if header.is_bits else (),
    )
    notes = (f"the {header.samples} samples of a pixel were read as channels",) if axes == "CYX" else ()
    return Image(np.ascontiguousarray(pixels), axes, metadata, notes)


def _read_header(head: bytes) -> _Header:
    """Read the header; raise `ValueError` where it is none."""
    kind = head[:2]
    if kind == _PAM:
        return _read_pam_header(head)
    count = 2 if kind in _BITS else 3
    space = rb"(?:\s|#[^\n\r]*[\n\r])"
    # One blank, or a comment to the end of its line, ends the header.
    pattern = kind + rb"".join(rb"%b+([-+.0-9eE]+)" % space for _ in range(count)) + space
    found = re.match(pattern, head)
    if found is None:
        raise ValueError(f"a header {head[:24]!r}")
    width, height = (int(found[i]) for i in (1, 2))
    top = 1.0 if kind in _BITS else float(found[3])
    return _checked(_Header(kind, width, height, _SAMPLES.get(kind, 1), top, found.end(), kind in _BITS))


def _read_pam_header(head: bytes) -> _Header:
    end = re.search(rb"\nENDHDR[ \t\r]*\n", head)
    if end is None:
        raise ValueError("no end of its header")
    lines = [line.split(None, 1) for line in head[: end.start()].splitlines()[1:] if not line.startswith(b"#")]
    fields: Mapping[bytes, bytes] = {line[0]: line[1].strip() for line in lines if len(line) == 2}
    width, height, samples, top = (int(fields[name]) for name in (b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"))
    is_bits = fields.get(b"TUPLTYPE") == _BLACK_AND_WHITE and (samples, top) == (1, 1)
    return _checked(_Header(_PAM, width, height, samples, top, end.end(), is_bits))


def _checked(header: _Header) -> _Header:
    if not (header.width > 0 and header.height > 0 and 0 < header.samples <= _MAX_SAMPLES):
        raise ValueError(f"{header.width} x {header.height} pixels of {header.samples} samples")
    is_scale = header.kind in _FLOATS and math.isfinite(header.top) and header.top != 0
    if not is_scale and not (header.kind not in _FLOATS and 0 < header.top <= _MAX_VALUE and header.top % 1 == 0):
        raise ValueError(f"the maximum {header.top:g}")
    return header


def _pixels(content: bytes, header: _Header) -> NDArray[Any]:
    """Return the stored values, in native byte order; raise `ValueError` where some are missing or too large."""
    count = header.width * header.height * header.samples
    body = memoryview(content)[header.start :]
    if header.kind == b"P4":
        stride = (header.width + 7) // 8
        rows = np.frombuffer(_first(body, stride * header.height), np.uint8).reshape(header.height, stride)
        return np.unpackbits(rows, axis=1)[:, : header.width].ravel()
    if header.kind in _TEXT:
        if count > len(body):
            raise ValueError(f"{len(body)} bytes for {count} values")
        return _read_text(body, count, header)
    stored = np.frombuffer(_first(body, count * header.dtype.itemsize), header.dtype)
    return stored.astype(header.dtype.newbyteorder("="))


def _read_text(body: memoryview, count: int, header: _Header) -> NDArray[Any]:
    """Return the values of a text, some at a time: all its words take some twenty times as much memory."""
    text = re.sub(rb"#[^\n\r]*", b"", body)
    values = np.empty(count, header.dtype.newbyteorder("="))
    found = start = 0
    while found < count and start < len(text):
        blank = re.compile(rb"\s").search(text, start + _TEXT_BYTES)
        part = text[start : blank.end() if blank else len(text)]
        start += len(part)
        words = re.findall(rb"[01]", part) if header.kind == b"P1" else part.split()
        numbers = np.array([int(word) for word in words[: count - found]], dtype=np.int64)
        if numbers.min(initial=0) < 0 or numbers.max(initial=0) > header.top:
            raise ValueError(f"values beyond the maximum {header.top:g}")
        values[found : found + len(numbers)] = numbers
        found += len(numbers)
    if found < count:
        raise ValueError(f"{found} of {count} values")
    return values


def _first(body: memoryview, count: int) -> memoryview:
    if len(body) < count:
        raise ValueError(f"{len(body)} of {count} bytes of pixels")
    return body[:count]
