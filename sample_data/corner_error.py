"""Print the distance of a transform from the true one at the corners of the fixed frame, in moving pixels.

    python sample_data/corner_error.py TRUTH.json TRANSFORM.json [--below PX]

Exit code 0; 1 where --below is given and the largest error is not below it; 2 on bad input.
For a truth file of several pairs, as in batch/, name the pair: TRUTH.json:NAME.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

FORMAT = "zncc-transform"


class BadInput(ValueError):  # noqa: N818 - named for what the user sees
    """A file that is not a transform; the message says which and why."""


@dataclass(frozen=True)
class CornerError:
    """The distance over the four corners: maximum and RMS, in moving pixels."""

    max: float
    rms: float


def corner_error(truth_matrix: npt.ArrayLike, matrix: npt.ArrayLike, shape: tuple[int, int]) -> CornerError:
    """Compare two 3x3 transforms, fixed -> moving in (x, y), at the corner pixels of a frame (H, W)."""
    right, bottom = shape[1] - 1.0, shape[0] - 1.0
    corners = np.array([[0, right, right, 0], [0, 0, bottom, bottom], [1, 1, 1, 1]], dtype=np.float64)
    mapped = []
    for transform in (truth_matrix, matrix):
        points = np.asarray(transform, dtype=np.float64) @ corners
        mapped.append(points[:2] / points[2])
    squared = ((mapped[0] - mapped[1]) ** 2).sum(axis=0)
    return CornerError(float(np.sqrt(squared.max())), float(np.sqrt(squared.mean())))


def _read(name: str) -> dict[str, object]:
    """Return the JSON object of a transform file, or of one pair in a truth file of several."""
    path, pair = name, ""
    if not Path(path).exists() and ":" in name:
        path, pair = name.rsplit(":", 1)
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadInput(f"{path}: expected a JSON file") from None
    if pair:
        content = content.get(pair) if isinstance(content, dict) else None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BadInput(f'{name}: expected a JSON object with "format": "{FORMAT}"')
    return content


def _matrix(name: str, content: dict[str, object]) -> npt.NDArray[np.float64]:
    try:
        matrix = np.asarray(content.get("matrix"), dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise BadInput(f'{name}: expected "matrix" to be three rows of three finite numbers')
    return matrix


def _shape(name: str, content: dict[str, object]) -> tuple[int, int]:
    shape = content.get("fixed_shape")
    if not isinstance(shape, list) or len(shape) != 2 or not all(isinstance(side, int) and side > 0 for side in shape):
        raise BadInput(f'{name}: expected "fixed_shape" to be [height, width]')
    return shape[0], shape[1]


def _compare(truth_name: str, transform_name: str) -> CornerError:
    truth, transform = _read(truth_name), _read(transform_name)
    shape = _shape(truth_name, truth)
    if "fixed_shape" in transform and _shape(transform_name, transform) != shape:
        raise BadInput(f'{transform_name}: expected "fixed_shape" {list(shape)} as in {truth_name}: not the same pair')
    error = corner_error(_matrix(truth_name, truth), _matrix(transform_name, transform), shape)
    if not np.isfinite(error.max):
        raise BadInput(f"{transform_name}: sends a corner of the fixed frame to infinity")
    return error


def main(argv: list[str] | None = None) -> int:
    """Compare two files, print one line and return the exit code."""
    parser = argparse.ArgumentParser(description="Corner error of a transform against the truth, in moving pixels.")
    parser.add_argument("truth", help="truth.json; truth.json:NAME where it holds several pairs")
    parser.add_argument("transform", help="transform.json as written by zncc-align")
    parser.add_argument("--below", type=float, metavar="PX", help="exit with 1 unless the largest error is below PX")
    options = parser.parse_args(argv)
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            error = _compare(options.truth, options.transform)
    except BadInput as problem:
        print(f"corner_error: {problem}", file=sys.stderr)
        return 2
    print(f"corner error: max {error.max:.4f} px, rms {error.rms:.4f} px")
    return int(options.below is not None and not error.max < options.below)


if __name__ == "__main__":
    sys.exit(main())
