"""DM3 and DM4, of Gatan's electron microscopes, read through RosettaSciIO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from zncc_cli.files.array_image import array_image, calibration, check_bytes, library_errors, select_series
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.tiff.calibration import length_unit


def read_dm(path: Path, options: ReadOptions) -> Image:
    """Read an image of ``path``; the axes before its last two are a stack.

    Raises:
        InputError: there is no image, or the file is damaged. OptionError: there is no such series.
    """
    from rsciio.digitalmicrograph import file_reader

    with library_errors(path, options.name):
        signals = [signal for signal in _signals(path, options, file_reader) if signal["data"].ndim >= 2]
        number, notes = select_series(path, options, [_title(signal) for signal in signals])
        signal = signals[number]
        data = signal["data"]
        *_, y, x = sorted(signal["axes"], key=lambda axis: int(axis["index_in_array"]))
        unit = length_unit(str(x.get("units", "")))
        same_unit = x.get("units") == y.get("units") and unit is not None
        fields: dict[str, Any] = {}
        if same_unit and unit is not None:
            fields = calibration(abs(float(x["scale"])), abs(float(y["scale"])), unit.name)
        axes = _letters(signal) + "YX"
        if data.dtype.names:
            data = np.stack([data[name] for name in "RGB"], axis=-1)  # what would be opacity is not used
            axes += "S"
        return array_image(path, options, data, axes, fields, notes)


def _signals(path: Path, options: ReadOptions, file_reader: Any) -> list[dict[str, Any]]:
    """Return what the library reads of a file, lazily; colours, which it reads at once alone, as a whole."""
    try:
        signals: list[dict[str, Any]] = file_reader(str(path), lazy=True)
    except (NotImplementedError, ValueError) as error:
        if "RGBA" not in str(error):
            raise
        check_bytes(path, path.stat().st_size, options)
        signals = file_reader(str(path), lazy=False)
    return signals


def _letters(signal: dict[str, Any]) -> str:
    """Return letters for the axes before the plane: Z and T where the file names them so, else of an unknown kind."""
    *leading, _, _ = sorted(signal["axes"], key=lambda axis: int(axis["index_in_array"]))
    names = [str(axis.get("name", "")).lower() for axis in leading]
    known = {"z": "Z", "time": "T", "t": "T"}
    unknown = iter("QRUVW")
    return "".join(known[name] if name in known and names.count(name) == 1 else next(unknown) for name in names)


def _title(signal: dict[str, Any]) -> str:
    general = signal.get("metadata", {}).get("General", {})
    return str(general.get("title") or "unnamed")
