"""A reader of TIFFs by the rules of ImageJ (ij.io.TiffDecoder, ij.io.FileOpener of ImageJ 1.5).

ImageJ reads uncompressed pixels from the offset of the first strip on, whatever the other strips are; of a file whose
description begins with "ImageJ" and names more than one image, it reads the first directory alone, and the planes one
after the other from there. Other files have an image in each directory.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile

LZW, DEFLATE, DEFLATE_OLD, PACKBITS = 5, 8, 32946, 32773


@dataclass(frozen=True)
class Opened:
    """An image as ImageJ shows it.

    planes: (T, Z, C, H, W[, S]). width, height, depth: of a pixel, in unit.
    """

    planes: np.ndarray
    width: float
    height: float
    depth: float
    unit: str
    properties: dict[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """ImageJ shows an error instead of the image."""


def open_imagej(path: Path) -> Opened:
    with tifffile.TiffFile(path, is_ome=False) as file:
        if file.is_bigtiff:
            raise RefusedError("BigTIFF")
        first = file.pages[0]
        properties = _properties(first.description)
        images = int(properties.get("images", "1"))
        kept = first.compression == 1
        if kept and images > 1:
            pages, count = [first], images
        else:
            pages, count = list(file.pages), 1
        planes = np.stack([plane for page in pages for plane in _planes(path, page.aspage(), count)])
        x, y = (first.tags[code].value for code in (282, 283))
        unit = {1: " ", 2: "inch", 3: "cm"}[int(first.tags[296].value)]
    channels, slices, frames = (int(properties.get(key, "1")) for key in ("channels", "slices", "frames"))
    if channels * slices * frames != len(planes):
        channels, slices, frames = 1, len(planes), 1
    return Opened(
        planes=planes.reshape(frames, slices, channels, *planes.shape[1:]),
        width=x[1] / x[0],
        height=y[1] / y[0],
        depth=float(properties.get("spacing", "1")),
        unit=properties.get("unit", "") if properties else unit,
        properties=properties,
    )


def _properties(description: str) -> dict[str, str]:
    """Parse a description that begins with "ImageJ", as java.util.Properties.load does."""
    if not description.startswith("ImageJ"):
        return {}
    pairs = dict(line.split("=", 1) for line in description.splitlines() if "=" in line)
    return {k: re.sub(r"\\u([0-9A-Fa-f]{4})", lambda m: chr(int(m[1], 16)), v) for k, v in pairs.items()}


def _planes(path: Path, page: tifffile.TiffPage, count: int) -> list[np.ndarray]:
    samples, kind = page.samplesperpixel, page.dtype
    if page.is_tiled:
        raise RefusedError("tiles")
    if page.compression not in (1, LZW, DEFLATE, DEFLATE_OLD, PACKBITS):
        raise RefusedError("compression")
    if page.predictor not in (1, 2) or (page.predictor == 2 and page.compression == PACKBITS):
        raise RefusedError("predictor")
    if kind.str[1:] not in ("u1", "i1", "u2", "i2", "u4", "i4", "f4") or (samples > 1 and kind.itemsize > 2):
        raise RefusedError("pixels")
    if samples > 1 and (samples not in (3, 4) or page.planarconfig != 1):
        raise RefusedError("samples")
    if page.compression != 1:
        data = page.asarray()
    else:
        data = np.fromfile(path, kind, count * page.size, offset=page.dataoffsets[0])
    data = data.reshape(count, *page.shape)
    if kind == np.int8:
        data = data.view(np.uint8)
    if kind.itemsize == 4 and kind.kind in "iu":
        data = data.view(np.int32).astype(np.float32)
    return list(data[..., :3] if samples == 4 and kind.itemsize == 1 else data)
