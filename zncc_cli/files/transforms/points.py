"""Tables of points: text with columns x and y among others, of any length, mapped a block of rows at a time."""

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
from zncc_cli.files.paths import MismatchError, refusal, regular_file_size
from zncc_cli.files.transforms.linear import number

EXPECTED = "a table of points with columns x and y"
_ADVICE = "mend the table"
_LONGEST = 2**16  # letters of a line: what has more in one is no table
_BLOCK = 2**13  # rows held at a time

_Mapping = Callable[[NDArray[np.float64]], NDArray[np.float64]]
_Line = tuple[int, str]  # its number from 1, and its text


@dataclass(frozen=True)
class _Layout:
    """What stands between the fields of a table (None: blanks), in which x and y are, and whether it has a header.

    count: how many fields each line is to have, or None. A header "# x y" names two columns, or three of which "#" is
    the first: the lines that follow tell.
    """

    delimiter: str | None
    x: int
    y: int
    has_header: bool
    count: int | None = None


def mapped_table(path: Path, mapping: _Mapping) -> Iterator[tuple[int, bytes]]:
    """Yield the table at ``path`` with its points (x, y) mapped, piece by piece: how many points, and the text.

    Fields are apart by tabs, semicolons, commas or blanks, whichever the first line has. Where that line names columns
    x and y (in small or capital letters), these are taken, otherwise the first two. Other columns are kept as they
    are; blank lines are left out. Numbers are spelled so that float64 reads them back bit for bit.

    Args:
        path: UTF-8; other bytes in other columns are kept.
        mapping: (N, 2) float64 -> (N, 2); NaN for a point that has no place.

    Raises:
        InputError: no such table; a coordinate that is no finite number; a point without a place. It names the line.
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
    while block := list(itertools.islice(lines, _BLOCK)):
        yield len(block), _encoded(_mapped(path, layout, block, mapping))


def _lines(path: Path) -> Iterator[_Line]:
    """Yield the lines that are not blank."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
            for count in itertools.count(1):
                line = file.readline(_LONGEST)
                if len(line) == _LONGEST:
                    raise _refused(path, count, f"at most {_LONGEST} letters", "more")
                if not line:
                    return
                if line.strip():
                    yield count, line.rstrip("\n")
    except InputError:
        raise
    except OSError as error:
        raise refusal(
            path, expected="a readable file", found=error.strerror or error, advice="check its permissions"
        ) from error


def _layout(path: Path, line: str) -> _Layout:
    commented = line.lstrip().startswith("#")  # as numpy.savetxt marks a header
    named = line.lstrip().removeprefix("#") if commented else line
    delimiter = next((mark for mark in "\t;," if mark in line), None)
    fields = _split(path, 1, named, delimiter)
    names = [field.strip(" \"'#").lower() for field in fields]
    if "x" in names and "y" in names:
        count = len(names) if commented and delimiter is None else None
        return _Layout(delimiter, names.index("x"), names.index("y"), has_header=True, count=count)
    try:
        for field in fields[:2]:
            number(field.strip())
    except MismatchError:
        advice = "name two columns x and y, or write only numbers into the first two"
        raise refusal(path, expected=EXPECTED, found=f"a first line {line!r}", advice=advice) from None
    return _Layout(delimiter, 0, 1, has_header=False)


def _mapped(path: Path, layout: _Layout, block: list[_Line], mapping: _Mapping) -> str:
    rows = [_split(path, count, line, layout.delimiter) for count, line in block]
    points = np.array([_point(path, layout, count, row) for (count, _), row in zip(block, rows, strict=True)])
    with np.errstate(over="ignore", invalid="ignore"):
        mapped = mapping(points)
    lost = np.flatnonzero(~np.isfinite(mapped).all(axis=1))
    if lost.size:
        expected = "a point that has a place in the other image"
        raise _refused(path, block[lost[0]][0], expected, f"{points[lost[0]].tolist()}, on or behind the horizon")
    text = io.StringIO()
    write = csv.writer(text, delimiter=layout.delimiter or " ", lineterminator="\n").writerow
    for row, (x, y) in zip(rows, mapped.tolist(), strict=True):
        row[layout.x], row[layout.y] = repr(x), repr(y)
        write(row)
    return text.getvalue()


def _point(path: Path, layout: _Layout, count: int, row: list[str]) -> tuple[float, float]:
    if len(row) <= max(layout.x, layout.y):
        raise _refused(path, count, "x and y", f"{len(row)} fields")
    if layout.count not in (None, len(row)):
        raise _refused(path, count, f"{layout.count} fields, which the header names,", f"{len(row)}")
    try:
        return number(row[layout.x].strip()), number(row[layout.y].strip())
    except MismatchError as problem:
        raise _refused(path, count, problem.expected, problem.found) from None


def _split(path: Path, count: int, line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return line.split()
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise _refused(path, count, "fields of a table", error) from error


def _refused(path: Path, count: int, expected: str, found: object) -> InputError:
    return refusal(path, expected=f"{expected} in line {count}", found=found, advice=_ADVICE)


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
