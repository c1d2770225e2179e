"""An image: pixels in the file's own dtype, with the metadata that a similar file is written with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from zncc_cli.files.lazy import LazyArray
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.paths import refusal

_REC_709 = (0.2126, 0.7152, 0.0722)
_PICTURES = ("PNG", "GIF", "BMP")  # the program that writes one chooses the order of the palette's colours


@dataclass(frozen=True, eq=False)
class Image:
    """One image: a plane, or several along leading axes.

    Attributes:
        data: (..., H, W) or (..., H, W, S) in the file's own dtype (a 1-bit image: uint8, 0 and 255) and native byte
            order. An array, or, for a large file, a `LazyArray`, which decodes the parts that are asked for.
        axes: a letter for each dimension, as in tifffile; ends in "YX" or "YXS". S is 3 (RGB), 4 (RGB and alpha or one
            more sample) or 2 (grey and alpha). The leading ones are those of the file: T, Z, C, I or Q (unknown), ...
        metadata: pixel size, georeference and the like.
        notes: sentences for the user: choices made on reading, and what could not be kept.
        levels: smaller copies of ``data`` that the file holds, (..., h, w) or (..., h, w, S), from the largest on.
        mask: (H, W), zero where the file itself says that a pixel of any plane does not count (GeoTIFF); or None.
        absent: how many strips or tiles the file leaves out without a value for them; they are zero.
    """

    data: NDArray[Any] | LazyArray
    axes: str
    metadata: Metadata
    notes: tuple[str, ...] = ()
    mask: NDArray[Any] | LazyArray | None = None
    levels: tuple[LazyArray, ...] = ()
    absent: int = 0

    @property
    def leading(self) -> tuple[int, ...]:
        """Lengths of the axes before the plane; () for a 2D image."""
        return tuple(self.data.shape[: self.axes.index("YX")])

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        height, width = self.data.shape[len(self.leading) :][:2]
        return int(height), int(width)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the pixels: the file's own, in native byte order."""
        return self.data.dtype

    def read(self, index: tuple[int, ...] = (), rows: slice = slice(None), columns: slice = slice(None)) -> Image:
        """Decode a part of one plane, and return it as an `Image` in memory.

        Args:
            index: the plane's position on each leading axis.
            rows: slice of step 1.
            columns: slice of step 1.

        Raises:
            InputError: the part is damaged, or does not fit into memory.
        """
        key: Any = (*index, rows, columns)
        plane = np.asarray(self.data[key])
        mask = None if self.mask is None else np.asarray(self.mask[rows, columns])
        return Image(plane, self.axes[len(self.leading) :], self.metadata, self.notes, mask)

    def luminance(self) -> NDArray[np.float32]:
        """Return the brightness, float32 (H, W), in the units of the file: grey values, or RGB weighted by Rec. 709.

        Numbers of colours ("palette") give the brightness of their colours. Alpha and samples beyond RGB are ignored.
        "miniswhite" pixels are inverted, so that bright is large. Integers of up to 16 bits are exact. 32-bit integers
        and float64 are rounded to 24 significant bits: a small signal on a large offset (1e8 and more) loses its
        lowest digits, unless the offset is subtracted before.
        """
        data = self._plane()
        with np.errstate(over="ignore", invalid="ignore"):
            if self.metadata.photometric == "rgb":
                red, green, blue = (data[..., i].astype(np.float32) for i in range(3))
                luminance: NDArray[np.float32] = _REC_709[0] * red + _REC_709[1] * green + _REC_709[2] * blue
                return luminance
            grey = data if self.axes == "YX" else data[..., 0]
            if self.metadata.photometric == "palette" and self.metadata.palette is not None:
                table = self.metadata.palette.luminance
                brightness: NDArray[np.float32] = table[np.nan_to_num(grey).clip(0, len(table) - 1).astype(np.intp)]
                return brightness
            if self.metadata.photometric == "miniswhite":
                grey = np.iinfo(grey.dtype).max - grey if grey.dtype.kind == "u" else -grey.astype(np.float32)
            return grey.astype(np.float32)

    def valid(self, numbers: DTypeLike = np.float32) -> NDArray[np.bool_]:
        """Return a mask of usable pixels, bool (H, W).

        A pixel is usable where all its samples are finite in the dtype ``numbers``, its opacity is not 0, its value
        is not the one that the file declares for missing pixels, and the file's own mask does not leave it out.
        """
        data = self._plane()
        samples = data if data.ndim == 3 else data[..., None]
        valid = np.ones(self.shape, np.bool_) if self.mask is None else np.asarray(self.mask) != 0
        if samples.dtype.kind == "f":
            with np.errstate(over="ignore"):
                valid &= np.isfinite(samples.astype(numbers)).all(axis=-1)
        colours = samples[..., :-1] if self.metadata.alpha else samples
        if self.metadata.alpha:
            valid &= samples[..., -1] > 0
        if self.metadata.nodata is not None and math.isfinite(self.metadata.nodata):
            limit = self.metadata.nodata if self.metadata.nodata_limit is None else self.metadata.nodata_limit
            low, high = sorted((self.metadata.nodata, limit))
            with np.errstate(over="ignore"):  # a value that the dtype does not hold
                valid &= ~((colours >= low) & (colours <= high)).all(axis=-1)
        return valid

    def is_set(self) -> NDArray[np.bool_]:
        """Return where a mask is set, bool (H, W): where any stored value but opacity is above zero, however it looks.

        In a TIFF that programs show inverted (white is zero, an inverting palette), zero still is the outside. In a
        PNG, GIF or BMP with a palette, black is.
        """
        data = self._plane()
        if data.ndim == 2:
            if self.metadata.format in _PICTURES:
                palette = self.metadata.palette
                seen = self.luminance() if palette is None else palette.luminance.take(data, mode="clip")
                return np.asarray(seen > 0)
            return np.asarray(data > 0)
        values = data[..., :-1] if self.metadata.alpha else data
        return np.asarray((values > 0).any(axis=-1))

    def _plane(self) -> NDArray[Any]:
        """Return the pixels of a 2D image in memory, (H, W) or (H, W, S); raise `InputError` for several planes."""
        if self.leading:
            found = f"axes {self.axes} of shape {tuple(self.data.shape)}"
            advice = "choose a page and a channel"
            raise refusal(self.metadata.path, expected="one 2D image", found=found, advice=advice)
        return np.asarray(self.data)
