"""docs/formats.md says what is so."""

from pathlib import Path

import pytest

from tests.files import formats_table

DOCUMENT = Path(__file__).parents[2] / "docs" / "formats.md"


@pytest.fixture(scope="module")
def rows():
    pytest.importorskip("imagecodecs", reason="the compressed files of the table")
    pytest.importorskip("zarr", reason="the OME-Zarr of the table")
    return formats_table.table()


def documented():
    lines = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines][1:]


def test_document_has_the_rows_of_the_table(rows):
    assert [cells[0] for cells in documented()] == [cells[0] for cells in rows]
    assert DOCUMENT.read_text(encoding="utf-8").startswith(formats_table.HEADER)


@pytest.mark.parametrize("column", formats_table.COLUMNS[1:])
def test_document_says_what_is_found(rows, column):
    place = formats_table.COLUMNS.index(column)
    found = {cells[0]: cells[place] for cells in rows}
    if None in found.values():
        pytest.skip(f"{column} is not installed")
    assert {cells[0]: cells[place] for cells in documented()} == found
