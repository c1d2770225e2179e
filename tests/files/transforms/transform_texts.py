"""Transforms, and the texts of files that hold them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from zncc_cli.config import Model, TransformFormat
from zncc_cli.errors import InputError
from zncc_cli.files.transforms.formats import Linear, read_linear

FIXED, MOVING = (480, 640), (500, 700)
ANGLE = math.radians(33)
COS, SIN = math.cos(ANGLE), math.sin(ANGLE)

MATRICES = {
    Model.TRANSLATION: [[1, 0, 1 / 3], [0, 1, -1e-17], [0, 0, 1]],
    Model.RIGID: [[COS, -SIN, 12.3], [SIN, COS, -4.5], [0, 0, 1]],
    Model.SIMILARITY: [[1.1 * COS, -1.1 * SIN, 12.3], [1.1 * SIN, 1.1 * COS, -4.5], [0, 0, 1]],
    Model.AFFINE: [[1.02, 0.1 + 0.2, 12.3], [-1e-3, 0.97, 1e4 / 3], [0, 0, 1]],
    Model.HOMOGRAPHY: [[1.02, 0.04, 12.3], [-0.03, 0.97, -4.5], [1e-5, -2e-5, 1]],
}


def linear(model: Model = Model.AFFINE) -> Linear:
    return Linear(np.array(MATRICES[model], dtype=float), FIXED, MOVING)


def read_text(folder: Path, text: str | bytes, kind: TransformFormat | None = None) -> Linear:
    path = folder / "file"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_linear(path, kind)


def refused(folder: Path, text: str | bytes, kind: TransformFormat | None = None) -> str:
    with pytest.raises(InputError, match="file: expected") as caught:
        read_text(folder, text, kind)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700
    return str(caught.value)
