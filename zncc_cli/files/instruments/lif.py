"""LIF, of Leica's microscopes, read through liffile, plane by plane."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from zncc_cli.files.array_image import calibration, frames_image, kept_open, library_errors, select_series
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions

_MICRONS = 1e6  # of a metre
_OME_AXES = "TZC"


def read_lif(path: Path, options: ReadOptions) -> Image:
    """Read one image of ``path``. Its last two dimensions are the plane: that of an xz scan is one of x and z.

    Raises:
        InputError: the file is damaged, or a plane does not fit into memory.
        OptionError: there is no such series.
    """
    import liffile

    with library_errors(path, options.name), ExitStack() as stack:
        file: Any = stack.enter_context(liffile.LifFile(path))
        images = list(file.images)
        number, notes = select_series(path, options, [str(image.name) for image in images])
        image = images[number]
        dims = tuple(map(str, image.dims))
        planes = 3 if dims[-1] == "S" else 2
        names = dims[:-planes]
        axes = "".join(name if name in _OME_AXES and names.count(name) == 1 else "Q" for name in names)
        y, x = (_step(image, dim) for dim in dims[-planes:][:2])
        z, t = (_step(image, name) if name in names else None for name in ("Z", "T"))
        fields = calibration(_scaled(x), _scaled(y), "µm", _scaled(z), t)
        fields["properties"] |= {"Name": str(image.name)}
        channels = _channels(image)
        if "C" in names and len(channels) == image.shape[dims.index("C")] and all(channels):
            fields["properties"] |= {"Channel": {"Name": channels}}

        def frame(index: tuple[int, ...]) -> np.ndarray:
            return np.asarray(image.frame(**dict(zip(names, index, strict=True))))

        letters = "QRUVWKLM"[: len(names)] + "YXS"[:planes]
        shape = tuple(map(int, image.shape))
        read = frames_image(path, options, frame, shape, image.dtype, letters, fields, notes)
        return _with_axes(kept_open(read, stack), shape, axes)


def _channels(image: Any) -> list[str]:
    """Return the names of the channels of an image: of dyes, or of the look-up tables that show them; "" for none."""
    names = []
    for channel in image.xml_element.iter("ChannelDescription"):
        said = {
            str(item.findtext("Key")): str(item.findtext("Value") or "") for item in channel.iter("ChannelProperty")
        }
        names.append(said.get("DyeName") or str(channel.get("LUTName", "")))
    return names


def _with_axes(image: Image, shape: tuple[int, ...], axes: str) -> Image:
    """Return the image with the letters ``axes`` for those leading dimensions of ``shape`` that are longer than one."""
    kept = "".join(letter for letter, length in zip(axes, shape, strict=False) if length > 1)
    return replace(image, axes=kept + image.axes[len(kept) :])


def _step(image: Any, dim: str) -> float | None:
    """Return the distance of neighbours along a dimension, in metres or seconds; None where it is not known."""
    places = image.coords.get(dim)
    if places is None or len(places) < 2:
        return None
    step = abs(float(places[-1]) - float(places[0])) / (len(places) - 1)
    return step if math.isfinite(step) else None


def _scaled(metres: float | None) -> float | None:
    return None if metres is None else metres * _MICRONS
