"""ND2, of Nikon's microscopes, read through nd2, plane by plane."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from zncc_cli.files.array_image import calibration, frames_image, kept_open, library_errors
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions


def read_nd2(path: Path, options: ReadOptions) -> Image:
    """Read all planes of ``path``: times, positions (P), slices and channels, with sizes and the names of channels.

    Raises:
        InputError: the file is damaged, or a plane does not fit into memory.
    """
    import nd2

    with library_errors(path, options.name), ExitStack() as stack:
        file: Any = stack.enter_context(nd2.ND2File(path))
        sizes: dict[str, int] = dict(file.sizes)
        outer = [axis for axis in sizes if axis not in "CYXS"]
        colours = "S" in sizes
        channels = sizes.get("C", 1)
        axes = "".join(outer) + ("C" if "C" in sizes else "") + "YX" + "S" * colours
        shape = tuple(sizes[axis] for axis in axes)
        voxel = file.voxel_size()
        z, t = float(voxel.z) if "Z" in sizes else None, _interval(file) if "T" in sizes else None
        fields = calibration(float(voxel.x), float(voxel.y), "µm", z, t)
        names = [str(channel.channel.name) for channel in getattr(file.metadata, "channels", None) or ()]
        if len(names) == channels and not colours:
            fields["properties"] |= {"Channel": {"Name": names}}

        def frame(index: tuple[int, ...]) -> np.ndarray:
            place = index[: len(outer)]
            number = int(np.ravel_multi_index(place, shape[: len(outer)])) if outer else 0
            planes = np.asarray(file.read_frame(number))  # (C, H, W), (H, W) or (H, W, S)
            return planes[index[-1]] if "C" in sizes and planes.ndim == 3 and not colours else planes

        return kept_open(frames_image(path, options, frame, shape, file.dtype, axes, fields), stack)


def _interval(file: Any) -> float | None:
    """Return the interval of frames, in seconds, that was asked for, or else that was measured; None without either."""
    for loop in getattr(file, "experiment", ()):
        said = loop.parameters
        if loop.type == "TimeLoop":
            period = said.periodMs or getattr(said.periodDiff, "avg", 0)
            return float(period) / 1000 if period else None
    return None
