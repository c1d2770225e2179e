"""GeoTIFF tags: where on the Earth a grid of pixels lies."""

from __future__ import annotations

from collections.abc import Sequence

from zncc_cli.files.metadata import Tag

TIEPOINTS, TRANSFORMATION = 33922, 34264

CODES = frozenset({33550, 33920, TIEPOINTS, TRANSFORMATION, 34735, 34736, 34737, 50844})
"""Tags that place pixels on the Earth: scale, Intergraph's matrix, tiepoints, transformation, keys, polynomials."""


def moved(tags: Sequence[Tag], offset: tuple[float, float]) -> tuple[Tag, ...] | None:
    """Return ``tags`` for a grid whose first pixel is the pixel ``offset`` (x, y) of the grid that they belong to.

    Return None where they cannot be moved: a malformed value, Intergraph's matrix, or rational polynomials.
    """
    if offset == (0, 0):
        return tuple(tags)
    result = []
    for code, kind, count, value in tags:
        if code == TIEPOINTS:
            if not isinstance(value, tuple) or len(value) % 6:
                return None
            value = _tiepoints(value, offset)
        elif code == TRANSFORMATION:
            if not isinstance(value, tuple) or len(value) != 16:
                return None
            value = _transformation(value, offset)
        elif code in (33920, 50844):
            return None
        result.append((code, kind, count, value))
    return tuple(result)


def _tiepoints(value: tuple[float, ...], offset: tuple[float, float]) -> tuple[float, ...]:
    """Move tiepoints, groups of column, row, height on the grid and x, y, z on the Earth: the grid's part changes."""
    shifts = (*offset, 0, 0, 0, 0)
    return tuple(number - shifts[i % 6] for i, number in enumerate(value))


def _transformation(value: tuple[float, ...], offset: tuple[float, float]) -> tuple[float, ...]:
    """Move a transformation, 4x4 row by row, from (column, row, height, 1) to x, y, z, 1 of the model."""
    result = list(value)
    for row in range(0, 12, 4):
        result[row + 3] += value[row] * offset[0] + value[row + 1] * offset[1]
    return tuple(result)
