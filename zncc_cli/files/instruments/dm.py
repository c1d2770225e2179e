"""DM3 and DM4, of Gatan's electron microscopes, read through RosettaSciIO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zncc_cli.files.array_image import array_image, calibration, library_errors, select_series
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
        signals: list[dict[str, Any]] = [
            signal for signal in file_reader(str(path), lazy=True) if signal["data"].ndim >= 2
        ]
        number, notes = select_series(path, options, [_title(signal) for signal in signals])
        signal = signals[number]
        data = signal["data"]
        *_, y, x = sorted(signal["axes"], key=lambda axis: int(axis["index_in_array"]))
        unit = length_unit(str(x.get("units", "")))
        same_unit = x.get("units") == y.get("units") and unit is not None
        fields: dict[str, Any] = {}
        if same_unit and unit is not None:
            fields = calibration(abs(float(x["scale"])), abs(float(y["scale"])), unit.name)
        # Of a stack, nothing says what its axis is.
        return array_image(path, options, data, "QZT"[: data.ndim - 2][::-1] + "YX", fields, notes)


def _title(signal: dict[str, Any]) -> str:
    general = signal.get("metadata", {}).get("General", {})
    return str(general.get("title") or "unnamed")
