"""Tables of points: text of any length with columns x and y among others, mapped a block of rows at a time."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zncc_cli.errors import InputError
from zncc_cli.files.paths import MismatchError, refusal, regular_file_size, unreadable
from zncc_cli.files.transforms.linear import parse_number

EXPECTED = "a table of points with columns x and y"
_ADVICE = "mend the table"
_MAX_LINE_LENGTH = 2**16  # a file with a longer line is no table
_BLOCK_ROWS = 2**13  # rows in memory at a time

_Mapping = Callable[[NDArray[np.float64]], NDArray[np.float64]]
_Line = tuple[int, str]  # number, from 1, and text


@dataclass(frozen=True)
class _Layout:
    """The columns of a table.

    delimiter: between fields; None: blanks. x, y: numbers of the columns, from 0. has_header: whether the first line
    names columns. count: the number of fields of each line, or None. It decides whether a header "# x y" names two
    columns, or three of which "#" is the first.
    """

    delimiter: str | None
    x: int
    y: int
    has_header: bool
    count: int | None = None


HORIZON, NO_INVERSE = "on or behind the horizon", "to which the transform takes no point, or where it folds"


def mapped_table(path: Path, mapping: _Mapping, nowhere: str = HORIZON) -> Iterator[tuple[int, bytes]]:
    """Yield the table at ``path`` with its points (x, y) mapped, block by block: (number of points, text).

    Fields are separated by tabs, semicolons, commas or blanks, whichever the first line has. Points are in the columns
    x and y (in small or capital characters) if that line names them, otherwise in the first two. Other columns are kept
    as they are; blank lines are left out. float64 reads the written numbers back bit for bit.

    Args:
        path: UTF-8 text; other bytes in other columns are kept.
        mapping: (N, 2) float64 -> (N, 2); NaN for a point that has no place in the other image.
        nowhere: where such points are, in words.

    Raises:
        InputError: the file is no such table, a coordinate is no finite number, or a point has no place in the
            other image; the message names the line.
    """
    regular_file_size(path, expected=EXPECTED)
    lines = _lines(path)
    first = next(lines, None)
    if first is None:
        raise refusal(path, expected=EXPECTED, found="blank lines", advice="write x,y on a line per point")
    layout = _layout(path, first[1])
    if layout.has_header:
        yield 0, _encoded(first[1] + "\n")
    else:
        lines = itertools.chain([first], lines)
    while block := list(itertools.islice(lines, _BLOCK_ROWS)):
        yield len(block), _encoded(_mapped_block(path, layout, block, mapping, nowhere))


def _lines(path: Path) -> Iterator[_Line]:
    """Yield the lines that are not blank."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            for line_number in itertools.count(1):
                line = file.readline(_MAX_LINE_LENGTH)
                if len(line) == _MAX_LINE_LENGTH:
                    raise _line_error(path, line_number, f"at most {_MAX_LINE_LENGTH} characters", "more")
                if not line:
                    return
                if line.strip():
                    yield line_number, line.rstrip("\n")
    except InputError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error


def _layout(path: Path, line: str) -> _Layout:
    """Return the columns that the first line of a table names, or has."""
    commented = line.lstrip().startswith("#")  # as numpy.savetxt marks a header
    header = line.lstrip().removeprefix("#") if commented else line
    delimiter = next((mark for mark in "\t;," if mark in line), None)
    fields = _split(path, 1, header, delimiter)
    names = [field.strip(" \"'#").lower() for field in fields]
    if "x" in names and "y" in names:
        count = len(names) if commented and delimiter is None else None
        return _Layout(delimiter, names.index("x"), names.index("y"), has_header=True, count=count)
    try:
        for field in fields[:2]:
            parse_number(field.strip())
    except MismatchError:
        advice = "name two columns x and y, or write only numbers into the first two"
        raise refusal(path, expected=EXPECTED, found=f"a first line {line!r}", advice=advice) from None
    return _Layout(delimiter, 0, 1, has_header=False)


def _mapped_block(path: Path, layout: _Layout, block: list[_Line], mapping: _Mapping, nowhere: str) -> str:
    """Return the text of a block of lines with their points mapped."""
    rows = [_split(path, number, line, layout.delimiter) for number, line in block]
    points = np.array([_point(path, layout, number, row) for (number, _), row in zip(block, rows, strict=True)])
    with np.errstate(over="ignore", invalid="ignore"):
        mapped = mapping(points)
    unmapped = np.flatnonzero(~np.isfinite(mapped).all(axis=1))
    if unmapped.size:
        first = unmapped[0]
        expected = "a point that has a place in the other image"
        raise _line_error(path, block[first][0], expected, f"{points[first].tolist()}, {nowhere}")
    text = io.StringIO()
    write = csv.writer(text, delimiter=layout.delimiter or " ", lineterminator="\n").writerow
    for row, (x, y) in zip(rows, mapped.tolist(), strict=True):
        row[layout.x], row[layout.y] = repr(x), repr(y)
        write(row)
    return text.getvalue()


def _point(path: Path, layout: _Layout, line_number: int, row: list[str]) -> tuple[float, float]:
    """Return x and y of a row of line ``line_number``."""
    if len(row) <= max(layout.x, layout.y):
        raise _line_error(path, line_number, "x and y", f"{len(row)} fields")
    if layout.count not in (None, len(row)):
        raise _line_error(path, line_number, f"{layout.count} fields, which the header names,", f"{len(row)}")
    try:
        return parse_number(row[layout.x].strip()), parse_number(row[layout.y].strip())
    except MismatchError as problem:
        raise _line_error(path, line_number, problem.expected, problem.found) from None


def _split(path: Path, line_number: int, line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return line.split()
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise _line_error(path, line_number, "fields of a table", error) from error


def _line_error(path: Path, line_number: int, expected: str, found: object) -> InputError:
    return refusal(path, expected=f"{expected} in line {line_number}", found=found, advice=_ADVICE)


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
