"""Tables of landmarks: text with a header that names columns, and BigWarp's, which has none.

    fixed_x,fixed_y,moving_x,moving_y     pairs, in pixels
    x,y                                   the points of one image, in pixels; a column name may be among others
    axis-0,axis-1                         the points of one image as napari saves them: row, column

BigWarp saves, without a header, a name, whether the pair is active, in later versions a number, and the coordinates of
the moving and of the target (fixed) image, two or three of each. They are in the unit of each image's pixel size, from
the centre of the first pixel.

https://imagej.net/plugins/bigwarp
https://github.com/saalfeldlab/bigwarp (LandmarkTableModel)
https://napari.org/stable/howtos/layers/points.html
"""

from __future__ import annotations

import csv
from collections.abc import Sequence

from zncc_cli.files.landmarks.landmarks import MAX_LANDMARKS, Pairs, Points, as_points
from zncc_cli.files.paths import MismatchError
from zncc_cli.files.transforms.linear import decode_text, parse_number

_EXPECTED = "a table of landmarks with a header fixed_x,fixed_y,moving_x,moving_y"
_PAIR_COLUMNS = ("fixed_x", "fixed_y", "moving_x", "moving_y")
_POINT_COLUMNS = (("x", "y"), ("axis-1", "axis-0"))  # x, y
_NAME_COLUMNS = ("name", "label")
# The dimensions of BigWarp's landmarks, and the column of the first coordinate, by the number of columns.
_BIGWARP_LAYOUTS = {6: (2, 2), 7: (2, 3), 8: (3, 2), 9: (3, 3)}


def recognizes(content: bytes) -> bool:
    """Tell whether the first line names columns of landmarks, is one of BigWarp's, or has numbers for landmarks."""
    try:
        rows = _rows(content, limit=1)
    except MismatchError:
        return False
    if not rows:
        return False
    header = _names(rows[0])
    named = any(set(columns) <= set(header) for columns in (_PAIR_COLUMNS, *_POINT_COLUMNS))
    # Matrices have lines of three numbers.
    return named or _is_bigwarp(rows[0]) or (len(header) in (2, 4) and all(map(_is_number, header)))


def parse(content: bytes) -> Pairs | Points:
    """Read a table of pairs, or of the points of one image."""
    rows = _rows(content, limit=MAX_LANDMARKS + 2)
    header = _names(rows[0])
    if _is_bigwarp(rows[0]):
        return _parse_bigwarp(rows)
    if set(_PAIR_COLUMNS) <= set(header):
        numbers = as_points(_columns(rows, header, _PAIR_COLUMNS), 4)
        return Pairs(numbers[:, :2], numbers[:, 2:], names=_names_of(rows, header))
    columns = next((columns for columns in _POINT_COLUMNS if set(columns) <= set(header)), None)
    if columns is None:
        raise MismatchError(_EXPECTED, f"a first line of numbers, {','.join(rows[0])}")
    points = as_points(_columns(rows, header, columns))
    return Points(points, _names_of(rows, header))


def _rows(content: bytes, limit: int) -> list[list[str]]:
    """Return the fields of the first ``limit`` lines that are not blank."""
    lines = [line for line in decode_text(content, _EXPECTED).split("\n") if line.strip()][:limit]
    delimiter = next((mark for mark in "\t;," if lines and mark in lines[0]), ",")
    try:
        return list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise MismatchError(_EXPECTED, error) from error


def _names(row: Sequence[str]) -> list[str]:
    return [field.strip(" \"'#").lower() for field in row]


def _names_of(rows: list[list[str]], header: list[str]) -> tuple[str, ...] | None:
    """Return the names of the landmarks, whose rows are as long as the header; None without a column of them."""
    column = next((header.index(name) for name in _NAME_COLUMNS if name in header), None)
    return None if column is None else tuple(row[column].strip() for row in rows[1:])


def _is_number(text: str) -> bool:
    try:
        parse_number(text)
    except MismatchError:
        return False
    return True


def _columns(rows: list[list[str]], header: list[str], names: Sequence[str]) -> list[list[float]]:
    """Return the numbers of the named columns."""
    indices = [header.index(name) for name in names]
    return [_numbers(row, indices, len(header), number) for number, row in enumerate(rows[1:], start=1)]


def _numbers(row: list[str], indices: Sequence[int], count: int, number: int) -> list[float]:
    """Return the numbers at ``indices`` of the ``number``-th landmark, whose row has ``count`` fields."""
    if len(row) != count:
        raise MismatchError(f"{count} fields for landmark {number}", len(row))
    try:
        return [parse_number(row[index].strip()) for index in indices]
    except MismatchError as problem:
        raise MismatchError(f"{problem.expected} for landmark {number}", problem.found) from None


def _is_bigwarp(row: list[str]) -> bool:
    return len(row) in _BIGWARP_LAYOUTS and row[1].strip().lower() in ("true", "false")


def _parse_bigwarp(rows: list[list[str]]) -> Pairs:
    """Read the active pairs; a third coordinate is left out."""
    count = len(rows[0])
    dimensions, first = _BIGWARP_LAYOUTS[count]
    indices = [first + dimensions, first + dimensions + 1, first, first + 1]
    active = [(number, row) for number, row in enumerate(rows, 1) if len(row) < 2 or row[1].strip().lower() == "true"]
    points = as_points([_numbers(row, indices, count, number) for number, row in active], 4)
    return Pairs(points[:, :2], points[:, 2:], calibrated=True, names=tuple(row[0].strip() for _, row in active))
