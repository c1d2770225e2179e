"""calibration.json: where each channel of an instrument lies beside one of them, as beads or another target show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.paths import MismatchError, read_small_file, refusal
from zncc_cli.files.transforms.transform_json import parse_json, parse_rows, parse_shape
from zncc_cli.registration.transforms.matrices import is_singular

FORMAT, VERSION = "zncc-calibration", 1
_CONVENTIONS = {
    "direction": "fixed channel -> channel",
    "axis_order": "xy",
    "pixel_origin": "centre of the top-left pixel is (0, 0)",
}
_MAX_CHANNELS = 1000
_EXPECTED = f"a calibration of zncc calibrate ({FORMAT}, version {VERSION})"
_ADVICE = "name the file that zncc calibrate wrote"


@dataclass(frozen=True, eq=False)
class CalibratedChannel:
    """A channel: its name, the matrix (3, 3), fixed channel -> channel, (x, y) pixels, and the verdict on it."""

    name: str
    matrix: NDArray[np.float64]
    status: str


@dataclass(frozen=True, eq=False)
class Calibration:
    """The content of a calibration.json: the channels, and the shape (H, W) of the images that they are of."""

    shape: tuple[int, int]
    channels: tuple[CalibratedChannel, ...]


def calibration_entries(model: str, shape: tuple[int, int], fixed: str) -> dict[str, Any]:
    """Return the entries of a calibration.json beside its channels; further ones may follow."""
    return {"format": FORMAT, "version": VERSION, "model": model, "shape": list(shape), "fixed": fixed, **_CONVENTIONS}


def is_calibration(path: Path) -> bool:
    """Tell whether a file is a calibration.json; of what cannot be read, it is not."""
    content = read_small_file(path, expected="a transform or a calibration", advice="check the name")
    try:
        parsed = parse_json(content, _EXPECTED)
    except MismatchError:
        return False
    return isinstance(parsed, Mapping) and parsed.get("format") == FORMAT


def read_calibration(path: Path) -> Calibration:
    """Read a calibration, and check all of it.

    Raises:
        InputError: the file is none, or holds unusable numbers.
    """
    try:
        return _parsed(parse_json(read_small_file(path, expected=_EXPECTED, advice=_ADVICE), _EXPECTED))
    except MismatchError as problem:
        raise refusal(path, expected=problem.expected, found=problem.found, advice=_ADVICE) from None


def _parsed(content: Any) -> Calibration:
    if not isinstance(content, dict):
        raise MismatchError("a JSON object", type(content).__name__)
    for key, value in {"format": FORMAT, "version": VERSION, **_CONVENTIONS}.items():
        if content.get(key) != value or isinstance(content[key], bool):
            raise MismatchError(f'"{key}": {value}', repr(content.get(key)))
    entries = content.get("channels")
    if not isinstance(entries, list) or not 2 <= len(entries) <= _MAX_CHANNELS:
        raise MismatchError(f'"channels": a list of 2 to {_MAX_CHANNELS}', type(entries).__name__)
    return Calibration(parse_shape(content, "shape"), tuple(map(_channel, entries)))


def _channel(entry: Any) -> CalibratedChannel:
    if not isinstance(entry, dict):
        raise MismatchError("a channel with a name and a matrix", repr(entry))
    name, status = entry.get("name"), entry.get("status")
    if not isinstance(name, str) or not name or not isinstance(status, str):
        raise MismatchError('"name" and "status" of a channel', repr(name if not isinstance(name, str) else status))
    matrix = parse_rows(entry.get("matrix"))
    if is_singular(matrix):
        raise MismatchError('"matrix": one that can be inverted', repr(matrix.tolist()))
    return CalibratedChannel(name, matrix, status)
