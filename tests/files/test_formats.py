"""docs/formats.md agrees with trials of every format."""

from pathlib import Path

import numpy as np
import pytest

from tests.files import formats_table
from zncc_cli.files.image_output import write_image
from zncc_cli.files.images import read_image

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
def test_document_has_the_results_of_the_table(rows, column):
    place = formats_table.COLUMNS.index(column)
    found = {cells[0]: cells[place] for cells in rows}
    if None in found.values():
        pytest.skip(f"{column} is not installed")
    assert {cells[0]: cells[place] for cells in documented()} == found


@pytest.mark.parametrize("source", formats_table.SOURCES, ids=lambda source: source.name)
def test_a_written_image_is_read_like_its_source(tmp_path, source):
    pytest.importorskip("imagecodecs")
    pytest.importorskip("zarr")
    path = tmp_path / f"source{source.suffix}"
    source.make(path)
    first = read_image(path)
    notes = write_image(tmp_path / "written.tif", first.data, like=first)
    second = read_image(tmp_path / "written.tif")
    assert second.notes == ()
    assert second.axes == first.axes
    np.testing.assert_array_equal(np.asarray(second.data), np.asarray(first.data))
    before, after = vars(first.metadata), vars(second.metadata)
    same = {"photometric", "alpha", "premultiplied", "nodata", "pixel_size", "georeference", "flavor", "bands"}
    for name in same | {"description", "tags"} | (set() if notes else {"compression", "predictor"}):
        assert after[name] == before[name], name
    assert before["properties"].items() <= after["properties"].items()
