"""The orientation tag of TIFF and EXIF: how viewers turn and mirror the stored pixels."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Sample = TypeVar("Sample", bound=np.generic)

# tag: (transpose first, then reverse the rows, then reverse the columns)
_STEPS = {
    2: (False, False, True),
    3: (False, True, True),
    4: (False, True, False),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def transposes(orientation: Any) -> bool:
    """Tell whether the tag exchanges width and height."""
    return isinstance(orientation, int) and _STEPS.get(orientation, (False,))[0]


def turns(orientation: Any) -> bool:
    """Tell whether the tag turns or mirrors the stored pixels."""
    return isinstance(orientation, int) and orientation in _STEPS


def orientation_notes(orientation: Any) -> tuple[str, ...]:
    """Return a note for the user where the tag turns or mirrors the image, because not all programs obey it."""
    if not turns(orientation):
        return ()
    return (
        f"turned or mirrored as its orientation tag ({orientation}) says, like viewers do: the output, and every "
        "coordinate, is of the turned pixels, not of the stored ones",
    )


def oriented(pixels: NDArray[Sample], orientation: Any) -> NDArray[Sample]:
    """Return ``pixels``, (H, W) or (H, W, S), as viewers show them; an unknown or missing tag changes nothing."""
    if not turns(orientation):
        return pixels
    transpose, flip_rows, flip_columns = _STEPS[orientation]
    if transpose:
        pixels = pixels.swapaxes(0, 1)
    return pixels[:: -1 if flip_rows else 1, :: -1 if flip_columns else 1]


def stored_part(orientation: Any, shape: tuple[int, int], rows: range, columns: range) -> tuple[range, range]:
    """Return the stored rows and columns of a part of the shown image: ``rows`` and ``columns`` of ``shape`` (H, W)."""
    if not turns(orientation):
        return rows, columns
    transpose, flip_rows, flip_columns = _STEPS[orientation]
    if flip_rows:
        rows = range(shape[0] - rows.stop, shape[0] - rows.start)
    if flip_columns:
        columns = range(shape[1] - columns.stop, shape[1] - columns.start)
    return (columns, rows) if transpose else (rows, columns)
