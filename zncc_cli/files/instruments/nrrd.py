"""NRRD: nearly raw raster data, read through pynrrd; raw data are memory-mapped."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.array_image import array_image, calibration, check_bytes, library_errors
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.paths import refusal

_AXES = "XYZT"
_UNITS = {"mm": "mm", "um": "µm", "µm": "µm", "microns": "µm", "micron": "µm", "nm": "nm", "cm": "cm", "m": "m"}


def read_nrrd(path: Path, options: ReadOptions) -> Image:
    """Read the array of ``path``. The first axis is x, the next are y, z and t; one of 3 or 4 before x are colours.

    Raises:
        InputError: the data are in another file, damaged, or must be decoded whole and do not fit into memory.
    """
    import nrrd

    with library_errors(path, options.name):
        with path.open("rb") as file:
            header = nrrd.read_header(file)
            start = file.tell()
        sizes = tuple(int(size) for size in header["sizes"])
        if "data file" in header or "datafile" in header:
            found, advice = "a header alone", "save it with its data in one file"
            raise refusal(path, expected="an NRRD with its data", found=found, advice=advice)
        dtype = np.dtype(nrrd.reader._determine_datatype(header))
        check = math.prod(sizes) * dtype.itemsize
        if min(sizes) < 1:
            raise ValueError(f"sizes {sizes}")
        data: NDArray[Any]
        if header["encoding"] == "raw" and not int(header.get("line skip", 0)) and not int(header.get("byte skip", 0)):
            data = np.memmap(path, dtype, "r", start, sizes, order="F")
        else:
            check_bytes(path, check, options)
            data, header = nrrd.read(str(path), index_order="F")
        kinds = [str(kind).lower() for kind in header.get("kinds", [])]
        has_colours = (
            len(sizes) > 2 and sizes[0] in (3, 4) and (not kinds or "color" in kinds[0] or "vector" in kinds[0])
        )
        axes = "S" * has_colours + _AXES[: len(sizes) - has_colours]
        fields = _calibration(header, axes)
    return array_image(path, options, data, axes, fields)


def _calibration(header: dict[str, Any], axes: str) -> dict[str, Any]:
    """Return the sizes by "spacings", or by the lengths of "space directions", where their unit is one of length."""
    units = [*header.get("space units", header.get("units", []))]
    unit = _UNITS.get(str(units[0]).strip('"').lower()) if units else None
    directions = header.get("space directions")
    if directions is not None:
        steps = [float(np.linalg.norm(step)) if step is not None else math.nan for step in directions]
    else:
        steps = [float(step) for step in header.get("spacings", [])]
    step = dict(zip(axes, steps, strict=False))
    return calibration(step.get("X"), step.get("Y"), unit, step.get("Z")) if unit else {}
