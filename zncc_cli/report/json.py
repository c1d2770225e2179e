"""JSON files: strict JSON that any program reads."""

from __future__ import annotations

import enum
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zncc_cli.files.output_folder import atomic_write


def json_text(content: Mapping[str, Any]) -> str:
    """Return ``content`` as strict JSON.

    NaN and infinities become null; numpy scalars and arrays, paths and enums become numbers, lists and text.

    Raises:
        TypeError: a value has another type, which is a mistake of the caller.
    """
    return json.dumps(plain(content), indent=2, allow_nan=False)


def write_json(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write ``content`` as strict JSON to ``path``, see `json_text`.

    Raises:
        OutputError: the file cannot be written.
        TypeError: see `json_text`.
    """
    with atomic_write(Path(path)) as file:
        file.write((json_text(content) + "\n").encode())


def plain(value: Any) -> Any:
    """Return ``value`` built of the types that JSON has: dict, list, str, int, float, bool and None; see `json_text`.

    Raises:
        TypeError: see `json_text`.
    """
    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    raise TypeError(f"report: expected numbers, text, lists and mappings, found {type(value).__name__}")
