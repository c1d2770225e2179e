"""Random image files of every kind: a smooth texture, shifted by a few pixels between the images of a pair."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import tifffile
from hypothesis import strategies as st
from numpy.typing import NDArray

# Every dtype that tifffile writes, and complex numbers, which the commands refuse.
DTYPES = (
    *("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float16", "float32", "float64", "bool", "complex64"),
)
IMAGEJ_DTYPES = ("uint8", "uint16", "float32")  # others are not part of the format
NOT_OME_DTYPES = ("uint64", "int64", "float16")

# How samples and planes are stored in a file; `ImageFile.count` says how many there are.
LAYOUTS = ("grey", "rgb", "rgba", "grey_alpha", "bands", "pages", "channels", "imagej", "ome")
CONTENTS = ("texture", "unrelated", "constant", "holes", "no_number", "dark")

# Sides in pixels: primes, and the neighbours of powers of two and of multiples of 1024, where the factor by which
# pictures are downsampled changes.
SHORT_SIDES = (48, 53, 63, 64, 65, 79, 97)
LONG_SIDES = (1023, 1024, 1025, 1031, 1201, 2047, 2048, 2049, 2053, 2311, 2600)

_MARGIN = 8  # pixels of the scene around both images
_SCENE = LONG_SIDES[-1] + 2 * _MARGIN


@lru_cache(maxsize=4)
def _scene(seed: int) -> NDArray[np.float32]:
    """Return a texture with details of some pixels, values in [0, 1], as large as the largest image and its margin."""
    noise = np.random.default_rng(seed).random((_SCENE, _SCENE), dtype=np.float32)
    for axis in (0, 1):
        noise = sum(np.roll(noise, step, axis) for step in range(5)) / 5
    low, high = np.quantile(noise[::50, ::50], [0.001, 0.999])
    return np.clip((noise - low) / (high - low), 0, 1)


@dataclass(frozen=True)
class ImageFile:
    """The description of an image file, from which its content follows.

    Attributes:
        name: the file's name.
        height, width: in pixels.
        dtype: the dtype of the samples.
        layout: one of `LAYOUTS`.
        count: the number of samples, planes or channels, for layouts that have several.
        content: one of `CONTENTS`: a texture; an unrelated texture; one value; a texture with a block of NaN (of the
            lowest value in integers); NaN everywhere; a texture that fills a hundredth of the range.
        dx, dy: the point (x, y) of the scene is at (x - dx, y - dy) of the image, in pixels.
        seed: the seed of the scene.
        compressed, tiled: how the pixels are stored.
    """

    name: str
    height: int
    width: int
    dtype: str = "uint16"
    layout: str = "grey"
    count: int = 2
    content: str = "texture"
    dx: int = 0
    dy: int = 0
    seed: int = 0
    compressed: bool = False
    tiled: bool = False

    @property
    def leading(self) -> tuple[int, ...]:
        """The lengths of the axes before the plane, as a reader should find them."""
        return {
            "bands": (self.count,),
            "pages": (self.count,),
            "channels": (self.count,),
            "imagej": (2, self.count),
            "ome": (2, self.count),
        }.get(self.layout, ())

    @property
    def samples(self) -> tuple[int, ...]:
        """The length of the sample axis as a tuple; () for one sample a pixel."""
        return {"rgb": (3,), "rgba": (4,), "grey_alpha": (2,)}.get(self.layout, ())

    @property
    def dtype_read(self) -> np.dtype[np.generic]:
        """The dtype that the file is read and written as: one bit becomes uint8, 0 and 255."""
        return np.dtype(np.uint8 if self.dtype == "bool" else self.dtype)

    def plane(self, number: int = 0) -> NDArray[np.generic]:
        """Return one plane (H, W) in the dtype of the file."""
        scene = _scene(self.seed + 1 if self.content == "unrelated" else self.seed)
        top, left = _MARGIN + self.dy, _MARGIN + self.dx
        part = scene[top : top + self.height, left : left + self.width].astype(np.float64)
        values = 0.5 + (part - 0.5) / (1 + 0.3 * number)
        if self.content == "constant":
            values = np.full_like(values, 0.4)
        if self.content == "dark":
            values = 0.01 * values
        return self._stored(values)

    def _stored(self, values: NDArray[np.float64]) -> NDArray[np.generic]:
        kind = np.dtype(self.dtype)
        if kind.kind == "b":
            return values > 0.5
        if kind.kind in "fc":
            stored, hole = (1000 * values).astype(kind), np.nan
        else:
            limits = np.iinfo(kind)
            whole = (values * min(float(limits.max) - float(limits.min), 2.0**40)).astype(np.uint64)
            stored = (whole.astype(kind) + kind.type(limits.min)).astype(kind)  # wraps around where it is signed
            hole = limits.min
        if self.content == "holes":
            stored[self.height // 3 : self.height // 2, self.width // 4 : self.width // 2] = hole
        if self.content == "no_number":
            stored[:] = hole
        return stored

    def data(self) -> NDArray[np.generic]:
        """Return all planes, (*leading, H, W, *samples)."""
        if self.samples:
            planes = [self.plane(number) for number in range(self.samples[0])]
            if self.layout in ("rgba", "grey_alpha"):
                kind = np.dtype(self.dtype)
                planes[-1] = np.full_like(planes[0], np.iinfo(kind).max if kind.kind in "ui" else 1)
            return np.stack(planes, axis=-1)
        planes = [self.plane(number) for number in range(int(np.prod(self.leading)))]
        return np.reshape(planes, (*self.leading, self.height, self.width))

    def write(self, folder: Path) -> Path:
        """Write the file into ``folder`` and return its path."""
        path, options = folder / self.name, {}
        if self.layout in ("rgb", "rgba"):
            options = {"photometric": "rgb", "extrasamples": ["unassalpha"] if self.layout == "rgba" else None}
        elif self.layout == "grey_alpha":
            options = {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unassalpha"]}
        elif self.layout == "bands":
            options = {"photometric": "minisblack", "planarconfig": "separate"}
        elif self.layout == "imagej":
            options = {"imagej": True, "metadata": {"axes": "TCYX"}}
        elif self.layout in ("channels", "ome"):
            axes = "TCYX" if self.layout == "ome" else "CYX"
            options = {"photometric": "minisblack", "ome": self.layout == "ome", "metadata": {"axes": axes}}
        else:
            options = {"photometric": "minisblack"}
        if self.compressed and self.layout != "imagej":
            options["compression"] = "zlib"
        if self.tiled and self.layout != "imagej" and self.dtype != "bool":
            options["tile"] = (32, 32)
        tifffile.imwrite(path, self.data(), **options)
        return path


@st.composite
def shapes(draw: st.DrawFn, long: bool | None) -> tuple[int, int]:
    """Draw (H, W), of small area; ``long``: with a side of more than 1024 pixels, without one, or either (None)."""
    short, other = draw(st.sampled_from(SHORT_SIDES)), draw(st.sampled_from(SHORT_SIDES))
    if long or (long is None and draw(st.integers(0, 3)) == 0):
        other = draw(st.sampled_from([side for side in LONG_SIDES if not long or side > 1024]))
    return (short, other) if draw(st.booleans()) else (other, short)


@st.composite
def image_files(draw: st.DrawFn, name: str, shape: tuple[int, int], seed: int, plain: bool = False) -> ImageFile:
    """Draw an image file; ``plain``: one that can be registered."""
    common = plain or draw(st.integers(0, 2)) > 0
    dtype = draw(st.sampled_from(("uint8", "uint16", "float32") if common else DTYPES))
    layout = "grey" if plain else draw(st.sampled_from(("grey", "grey", "grey", *LAYOUTS)))
    impossible = {"ome": dtype in NOT_OME_DTYPES, "imagej": dtype not in IMAGEJ_DTYPES}
    if impossible.get(layout) or dtype in ("bool", "complex64"):
        layout = "grey"
    return ImageFile(
        name=name,
        height=shape[0],
        width=shape[1],
        dtype=dtype,
        layout=layout,
        count=draw(st.integers(2, 5)) if layout != "grey" else 2,
        content="texture" if plain or draw(st.integers(0, 5)) else draw(st.sampled_from(CONTENTS)),
        dx=draw(st.integers(-4, 4)),
        dy=draw(st.integers(-4, 4)),
        seed=seed,
        compressed=draw(st.booleans()),
        tiled=draw(st.integers(0, 3)) == 0,
    )
