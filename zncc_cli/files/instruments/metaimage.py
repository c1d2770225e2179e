"""MetaImage (.mha), of ITK: a header of text lines, then the pixels, raw or as one zlib stream."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.array_image import array_image, calibration, check_bytes, library_errors
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.paths import refusal

_DTYPES = {
    **{"MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4"},
    **{"MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8"},
}
_AXES = "XYZT"
_MAX_HEADER_BYTES = 2**16
_MAX_INFLATION = 1100  # bytes that one byte of deflate can become


def read_metaimage(path: Path, options: ReadOptions) -> Image:
    """Read the image of ``path``; spacings are taken to be in millimetres, as ITK has it.

    Raises:
        InputError: the pixels are in another file, text, of a type that is not read, damaged, or compressed and too
            large.
    """
    with library_errors(path, options.name):
        header, start = _header(path)
        sizes = tuple(map(int, header["DimSize"].split()))
        samples = int(header.get("ElementNumberOfChannels", 1))
        stored = _DTYPES.get(header["ElementType"])
        if (
            header["ElementDataFile"] != "LOCAL"
            or stored is None
            or not 2 <= len(sizes) <= 4
            or min(*sizes, samples) < 1
        ):
            found = f"{header['ElementType']} of {header['DimSize']} in {header['ElementDataFile']}"
            advice = "save it as one .mha file of numbers"
            raise refusal(path, expected="numbers of 2 to 4 dimensions in the file itself", found=found, advice=advice)
        if not _is_true(header.get("BinaryData", "True")):
            found, advice = f"BinaryData = {header['BinaryData']}", "save it as a binary .mha file"
            raise refusal(path, expected="binary numbers", found=found, advice=advice)
        big = _is_true(header.get("BinaryDataByteOrderMSB", header.get("ElementByteOrderMSB", "False")))
        dtype = np.dtype(stored).newbyteorder(">" if big else "<")
        shape = (*sizes[::-1], *((samples,) if samples > 1 else ()))
        data: NDArray[Any]
        if _is_true(header.get("CompressedData", "False")):
            data = _inflated(path, start, shape, dtype, options)
        else:
            data = np.memmap(path, dtype, "r", start, shape)
        axes = _AXES[: len(sizes)][::-1] + ("S" if samples > 1 else "")
        steps = header.get("ElementSpacing", header.get("ElementSize", ""))
        step = dict(zip(_AXES, map(float, steps.split()), strict=False))
        fields = calibration(step.get("X"), step.get("Y"), "mm", step.get("Z")) if steps else {}
    return array_image(path, options, data, axes, fields)


def _is_true(value: str) -> bool:
    return value.lower() == "true"


def _header(path: Path) -> tuple[dict[str, str], int]:
    """Return the lines "name = value" up to the one of ElementDataFile, and the byte after it."""
    with path.open("rb") as file:
        head = file.read(_MAX_HEADER_BYTES)
    header: dict[str, str] = {}
    start = 0
    while "ElementDataFile" not in header:
        end = head.find(b"\n", start)
        if end < 0:
            raise ValueError("no line ElementDataFile")
        name, _, value = head[start:end].decode("ascii").partition("=")
        header[name.strip()] = value.strip()
        start = end + 1
    return header, start


def _inflated(
    path: Path, start: int, shape: tuple[int, ...], dtype: np.dtype[Any], options: ReadOptions
) -> NDArray[Any]:
    """Return the pixels of a zlib stream from byte ``start`` on."""
    size = math.prod(shape) * dtype.itemsize
    check_bytes(path, size, options)
    if size > _MAX_INFLATION * path.stat().st_size:
        raise ValueError(f"{size} bytes of pixels in {path.stat().st_size}")
    with path.open("rb") as file:
        file.seek(start)
        content = zlib.decompressobj().decompress(file.read(), size)
    if len(content) < size:
        raise ValueError(f"{len(content)} of {size} bytes")
    return np.frombuffer(content, dtype).reshape(shape)
