"""Tables of points: x and y are mapped, other columns are kept, and errors name the line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zncc_cli.errors import InputError
from zncc_cli.files.transforms.points import mapped_table


def shifted(points: np.ndarray) -> np.ndarray:
    return points + np.array([10, 0.1])


def mapped(folder: Path, text: str | bytes) -> str:
    path = folder / "p.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return b"".join(piece for _, piece in mapped_table(path, shifted)).decode(errors="surrogateescape")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("1,2\n3,4\n", "11.0,2.1\n13.0,4.1\n"),
        ("x,y\n1,2", "x,y\n11.0,2.1\n"),
        ("id;Y;X;name\n7;2;1;a\n8;4;3;\n", "id;Y;X;name\n7;2.1;11.0;a\n8;4.1;13.0;\n"),
        ("1\t2\tkept as it is\n", "11.0\t2.1\tkept as it is\n"),
        ("  1   2  \n\n3 4 5\n", "11.0 2.1\n13.0 4.1 5\n"),
        ('name,x,y\n"a, b",1,2\n', 'name,x,y\n"a, b",11.0,2.1\n'),
        ("\ufeffx,y\r\n1, 2\r\n", "x,y\n11.0,2.1\n"),
        ("# x,y\n1e0,+2.\n", "# x,y\n11.0,2.1\n"),
        ("# x y id\n1 2 7\n", "# x y id\n11.0 2.1 7\n"),  # numpy.savetxt's, with header="x y id"
        ("# x y\n1 2\n", "# x y\n11.0 2.1\n"),
        ("#id y x\n7 2 1\n", "#id y x\n7 2.1 11.0\n"),
        ("#\ty\tx\n7\t2\t1\n", "#\ty\tx\n7\t2.1\t11.0\n"),
        (" ,Area,X,Y\n1,30,1,2\n", " ,Area,X,Y\n1,30,11.0,2.1\n"),  # ImageJ's table of results
        ("x,y\n", "x,y\n"),
    ],
)
def test_x_and_y_are_mapped_and_all_else_is_kept(tmp_path: Path, text: str, want: str) -> None:
    assert mapped(tmp_path, text) == want


def test_numbers_are_written_with_all_their_digits(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((20_000, 2)) * 1e3  # more than two blocks
    result = mapped(tmp_path, "".join(f"{x!r},{y!r}\n" for x, y in rows.tolist()))
    read = np.array([[float(word) for word in line.split(",")] for line in result.splitlines()])
    np.testing.assert_array_equal(read, shifted(rows))


def test_bytes_of_other_encodings_are_kept(tmp_path: Path) -> None:
    assert mapped(tmp_path, b"1,2,\xb5m\n").encode(errors="surrogateescape") == b"11.0,2.1,\xb5m\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "an empty file"),
        ("\n \n", "blank lines"),
        ("a,b\n1,2\n", "a first line 'a,b'"),
        ("# points\n1,2\n", "a first line '# points'"),
        ("x\n1\n", "a first line"),
        ("7\n", "line 1"),
        ("1,2\nnan,4\n", "line 2, found 'nan'"),
        ("1,2\n3,inf\n", "line 2, found 'inf'"),
        ("1,2\n3,1e999\n", "line 2, found '1e999'"),
        ("x,y\n\n1,text\n", "line 3, found 'text'"),
        ("1;2\n1,5;2,5\n", "line 2, found '1,5'"),
        ("1,2\n3\n", "line 2, found 1 fields"),
        ("# x y\n7 1 2\n", "2 fields, which the header names, in line 2, found 3"),  # is "#" a column?
        ('1,2,c\n3,4,"never closed\n', "line 2"),
        ("1,2\n3," + "4" * 70_000, "line 2, found more"),
        (b"\0" * 200_000, "line 1"),
        ("1,1_000\n", "a first line"),
        ("1,2\n\u0663,4\n", "line 2"),
    ],
)
def test_a_row_that_is_no_point_is_refused_with_its_line(tmp_path: Path, text: str | bytes, found: str) -> None:
    with pytest.raises(InputError, match=r"p\.csv: expected") as caught:
        mapped(tmp_path, text)
    assert found in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_point_behind_the_horizon_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("x,y\n1,2\n3,4\n")
    with pytest.raises(InputError, match=r"line 3, found \[3.0, 4.0\], on or behind the horizon"):
        list(mapped_table(tmp_path / "p.csv", lambda points: np.where(points > 2.5, np.nan, points)))
