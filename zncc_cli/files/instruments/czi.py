"""CZI, of Zeiss' microscopes, read through pylibCZIrw, by regions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.array_image import array_image, calibration, check_bytes, library_errors
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.paths import refusal

_DTYPES = {"Gray8": "u1", "Gray16": "u2", "Gray32Float": "f4", "Bgr24": "u1", "Bgr48": "u2", "Bgr96Float": "f4"}
_MICRONS = 1e6  # of a metre
_MAX_SIDE = 2**31


def read_czi(path: Path, options: ReadOptions) -> Image:
    """Read the mosaic of ``path``, all its scenes together, at full resolution: T, Z, C, in grey or RGB.

    Raises:
        InputError: the file is damaged, or its channels have different kinds of pixels.
    """
    with library_errors(path, options.name):
        mosaic = _Mosaic(path, options)
        fields = _calibration(mosaic.said, mosaic.channels)
        return array_image(path, options, mosaic, mosaic.axes, fields)


class _Mosaic:
    """The pixels of a CZI, sliced like an array.

    said: its metadata, a dict of dicts. axes: "TZCYX" or, of colours, "TZCYXS".
    """

    def __init__(self, path: Path, options: ReadOptions) -> None:
        from pylibCZIrw import czi

        self._path, self._options = path, options
        with czi.open_czi(str(path)) as file:
            self.said: dict[str, Any] = file.metadata
            box = file.total_bounding_box_no_pyramid
            area = file.total_bounding_rectangle_no_pyramid
            kinds = set(file.pixel_types.values())
        if len(kinds) != 1 or not kinds <= _DTYPES.keys():
            found, advice = ", ".join(sorted(kinds)) or "none", "export each channel as a TIFF"
            raise refusal(path, expected="one kind of pixels in all channels", found=found, advice=advice)
        (kind,) = kinds
        self._left, self._top = int(area.x), int(area.y)
        if not 0 < area.w < _MAX_SIDE or not 0 < area.h < _MAX_SIDE:
            raise ValueError(f"{area.w} x {area.h} pixels")
        self._starts = {axis: int(box.get(axis, (0, 1))[0]) for axis in "TZC"}
        lengths = [int(box.get(axis, (0, 1))[1]) - self._starts[axis] for axis in "TZC"]
        self.channels = lengths[2]
        has_colours = kind.startswith("Bgr")
        self.axes = "TZCYX" + "S" * has_colours
        self.shape = (*lengths, int(area.h), int(area.w), *((3,) if has_colours else ()))
        self.dtype = np.dtype(_DTYPES[kind])

    def __getitem__(self, place: tuple[Any, ...]) -> NDArray[Any]:
        from pylibCZIrw import czi

        t, z, c, rows, columns = place[:5]
        size = (rows.stop - rows.start, columns.stop - columns.start)
        if 0 in size:
            return np.empty((*size, *self.shape[5:]), self.dtype)
        check_bytes(self._path, size[0] * size[1] * 3 * self.dtype.itemsize, self._options)
        plane = {axis: self._starts[axis] + number for axis, number in zip("TZC", (t, z, c), strict=True)}
        region = (self._left + columns.start, self._top + rows.start, size[1], size[0])
        with czi.open_czi(str(self._path)) as file:
            pixels: NDArray[Any] = file.read(roi=region, plane=plane)
        return pixels[..., ::-1] if self.axes.endswith("S") else pixels[..., 0]  # stored as BGR


def _calibration(said: dict[str, Any], channels: int) -> dict[str, Any]:
    """Return sizes, which are in metres, and names of channels."""
    image = _at(said, "ImageDocument", "Metadata")
    steps = {
        str(item.get("@Id")): _number(item.get("Value")) for item in _items(_at(image, "Scaling", "Items", "Distance"))
    }
    x, y, z = (None if steps.get(axis) is None else steps[axis] * _MICRONS for axis in "XYZ")
    fields = calibration(x, y, "µm", z, _interval(_at(image, "Information", "Image", "Dimensions", "T", "Positions")))
    described = _items(_at(image, "Information", "Image", "Dimensions", "Channels", "Channel"))
    names = [str(channel.get("@Name", "")) for channel in described]
    if len(names) == channels and any(names):
        fields["properties"] |= {"Channel": {"Name": names}}
    return fields


def _interval(positions: Any) -> float | None:
    """Return the interval of frames, in seconds: the increment that is said, or the mean of the times of a list."""
    offsets = [_number(text) for text in str(_at(positions, "List", "Offsets") or "").split()]
    if len(offsets) > 1:
        return (offsets[-1] - offsets[0]) / (len(offsets) - 1)
    return _number(_at(positions, "Interval", "Increment"))


def _at(said: Any, *keys: str) -> Any:
    for key in keys:
        said = said.get(key) if isinstance(said, dict) else None
    return said


def _items(said: Any) -> list[dict[str, Any]]:
    """Return an element that may come once or several times as a list."""
    return [item for item in (said if isinstance(said, list) else [said]) if isinstance(item, dict)]


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")
