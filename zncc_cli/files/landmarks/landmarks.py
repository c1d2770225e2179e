"""What a file of landmarks holds: pairs of both images, or the points of one image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zncc_cli.files.paths import MismatchError

MAX_LANDMARKS = 10_000  # people click some, programs find hundreds


@dataclass(frozen=True, eq=False)
class Points:
    """Points of one image.

    xy: float64 (N, 2), pixels, the centre of the top-left pixel is (0, 0). names: of each, or None without.
    """

    xy: NDArray[np.float64]
    names: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Pairs:
    """The same places in both images.

    fixed, moving: float64 (N, 2), (x, y); the centre of the top-left pixel is (0, 0).
    calibrated: whether coordinates are lengths in the unit of each image's pixel size; else they are pixels.
    names: of each, or None without.
    """

    fixed: NDArray[np.float64]
    moving: NDArray[np.float64]
    calibrated: bool = False
    names: tuple[str, ...] | None = None


def as_points(rows: Sequence[Sequence[float]], width: int = 2) -> NDArray[np.float64]:
    """Return rows of ``width`` numbers as float64 (N, width); raise `MismatchError` for none, or for too many."""
    if not rows:
        raise MismatchError("at least one landmark", "none")
    if len(rows) > MAX_LANDMARKS:
        raise MismatchError(f"at most {MAX_LANDMARKS} landmarks", len(rows))
    points = np.array(rows, dtype=np.float64).reshape(-1, width)
    if not np.isfinite(points).all():
        first = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise MismatchError("finite coordinates", f"{points[first].tolist()} of landmark {first + 1}")
    return points


def paired(fixed: Points, moving: Points) -> Pairs:
    """Return the pairs of two lists: by name where both have the same names, each once, and by their order otherwise.

    Raises:
        MismatchError: one list has more points than the other.
    """
    if len(fixed.xy) != len(moving.xy):
        raise MismatchError(
            "as many points as in the file of the fixed image", f"{len(moving.xy)}, not {len(fixed.xy)}"
        )
    if fixed.names is None or moving.names is None:
        return Pairs(fixed.xy, moving.xy)
    row_of = {name: row for row, name in enumerate(moving.names)}
    if len(row_of) < len(moving.names) or sorted(fixed.names) != sorted(moving.names):
        return Pairs(fixed.xy, moving.xy)
    return Pairs(fixed.xy, moving.xy[[row_of[name] for name in fixed.names]], names=fixed.names)
