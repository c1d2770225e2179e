"""The drift of a movie on disk: the table drift.csv, and transforms.json with the matrices of its frames."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.output_folder import atomic_write
from zncc_cli.files.transforms.stack_json import BENDING_VERSION, FORMAT, VERSION
from zncc_cli.report.json import write_json

OK, BLANK, OUTLIER = "ok", "blank", "outlier"  # status of a frame


@dataclass(frozen=True)
class DriftRow:
    """The place of one frame.

    Attributes:
        frame: the frame's number along the axis, from 0.
        dx, dy: position of the reference's centre in this frame minus its position in the reference, pixels.
        status: OK; BLANK, without texture; or OUTLIER, with texture that agrees with no other frame.
        expected_error: expected RMS error of the place, pixels; None if it is not known.
        further: the model's parameters beside a shift (angle, scale, ...), by name.
        inverted: whether the contrast is inverted against the reference.
    """

    frame: int
    dx: float
    dy: float
    status: str
    expected_error: float | None
    further: dict[str, float] = field(default_factory=dict)
    inverted: bool = False


def write_drift_table(path: str | os.PathLike[str], rows: Sequence[DriftRow]) -> None:
    """Write a CSV with the columns frame, dx, dy, the model's further parameters, status, expected_error, inverted.

    Lengths are in pixels; ``inverted`` is 0 or 1; ``expected_error`` is empty if it is not known.

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["frame", "dx", "dy", *rows[0].further, "status", "expected_error", "inverted"])
    for row in rows:
        numbers = [f"{value:.9g}" for value in (row.dx, row.dy, *row.further.values())]
        expected_error = "" if row.expected_error is None else f"{row.expected_error:.3g}"
        writer.writerow([row.frame, *numbers, row.status, expected_error, int(row.inverted)])
    with atomic_write(Path(path)) as file:
        file.write(text.getvalue().encode())


def write_frame_transforms(
    path: str | os.PathLike[str],
    matrices: NDArray[np.float64],
    rows: Sequence[DriftRow],
    *,
    model: str,
    axis: str,
    to: str,
    shape: tuple[int, int],
    spline: dict[str, Any] | None = None,
) -> None:
    """Write the matrices (n, 3, 3), reference -> frame, (x, y) pixels, of all frames as JSON (docs/stack.md).

    Args:
        path: the file.
        matrices: of the frames.
        rows: the places of the same frames.
        model: of the motions.
        axis: letter of the axis along which the frames lie.
        to: what the frames are aligned to, as `StackConfig.to` has it.
        shape: (H, W) of the frames.
        spline: where the transforms bend, what is said of their splines, and the names of the files of these.

    Raises:
        OutputError: the file cannot be written.
    """
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION if spline is None else BENDING_VERSION,
        "model": model,
        "axis": axis,
        "to": to,
        "shape": list(shape),
        "direction": "reference -> frame",
        "axis_order": "xy",
        "pixel_origin": "centre of the top-left pixel is (0, 0)",
        **(spline or {}),
        "frames": [
            {"frame": row.frame, "status": row.status, "expected_error": row.expected_error, "matrix": matrix}
            for row, matrix in zip(rows, matrices, strict=True)
        ],
    }
    write_json(path, content)
