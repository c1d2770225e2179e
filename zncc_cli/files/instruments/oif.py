"""OIF and OIB, of Olympus' microscopes, read through oiffile, plane by plane.

An OIF is a text beside a folder of TIFFs of one plane each; an OIB holds all of them in one file.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from zncc_cli.files.array_image import calibration, check_bytes, frames_image, kept_open, library_errors
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.paths import refusal
from zncc_cli.files.tiff.calibration import length_unit

_AXES = "TZC"
_MAX_AXES = 8
_SECONDS = {"s": 1.0, "sec": 1.0, "ms": 1e-3}


def read_oif(path: Path, options: ReadOptions) -> Image:
    """Read the planes of ``path``: T, Z and C, in the order of their files.

    Raises:
        InputError: there is no plane, its file is damaged, or it does not fit into memory.
    """
    import oiffile

    with library_errors(path, options.name), ExitStack() as stack:
        file: Any = stack.enter_context(oiffile.OifFile(path))
        if not file.series:
            raise refusal(path, expected=f"{options.name} with a plane", found="none", advice="copy its folder, too")
        series = file.series[0]
        planes = dict(zip(map(tuple, series.indices), series, strict=True))
        leading = tuple(int(length) for length in series.shape)
        letters = "".join(axis if axis in _AXES and series.axes.count(axis) == 1 else "Q" for axis in series.axes)
        shape, dtype = _plane_of(file, next(iter(planes.values())))

        def frame(index: tuple[int, ...]) -> np.ndarray:
            if index not in planes:
                raise ValueError(f"no plane at {dict(zip(series.axes, index, strict=True))}")
            found = _plane_of(file, planes[index])
            if found != (shape, dtype):
                raise ValueError(f"a plane of {found[0]}, {found[1]}")
            return np.asarray(file.asarray(planes[index]))

        check_bytes(path, math.prod(shape) * dtype.itemsize, options)
        fields = _calibration(file.mainfile, leading[letters.index("C")] if "C" in letters else 1)
        axes = letters + "YXS"[: len(shape)]
        return kept_open(frames_image(path, options, frame, (*leading, *shape), dtype, axes, fields), stack)


def _plane_of(file: Any, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and dtype of the plane in a file, of which no pixel is decoded."""
    with file.open_file(name) as stream, tifffile.TiffFile(stream, name=name) as plane:
        page = plane.pages.first
        if page.dtype is None or len(plane.pages) != 1 or len(page.shape) not in (2, 3):
            raise ValueError(f"{name} has {len(plane.pages)} pages of {page.shape}")
        return page.shape, page.dtype


def _calibration(said: Any, channels: int) -> dict[str, Any]:
    """Return the size of a pixel, the distance of slices and frames, and the names of channels."""
    reference = _section(said, "Reference Image Parameter")
    x, y = (_length(reference.get(f"{side}ConvertValue"), reference.get(f"{side}Unit")) for side in ("Width", "Height"))
    z = t = None
    for number in range(_MAX_AXES):
        axis = _section(said, f"Axis {number} Parameters Common")
        interval = axis.get("Interval")
        if axis.get("AxisCode") == "Z":
            z = _length(interval, axis.get("UnitName", "nm"))
        elif axis.get("AxisCode") == "T" and isinstance(interval, int | float):
            t = abs(interval) * _SECONDS.get(str(axis.get("UnitName", "ms")), math.nan)
    fields = calibration(x, y, "µm", z, t)
    described = [_section(said, f"GUI Channel {number} Parameters") for number in range(1, channels + 1)]
    names = [str(channel.get("DyeName") or channel.get("CH Name") or "") for channel in described]
    if all(names):
        fields["properties"] |= {"Channel": {"Name": names}}
    return fields


def _section(said: Any, name: str) -> dict[str, Any]:
    section = said.get(name)
    return section if isinstance(section, dict) else {}


def _length(value: Any, unit: Any) -> float | None:
    """Return a length in micrometres; None where it is none."""
    known = length_unit(str(unit))
    return abs(value) * known.metres * 1e6 if known is not None and isinstance(value, int | float) else None
