"""The table of formats: files of a known kind are named where their library is missing, and others can add formats."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zncc_cli.errors import InputError
from zncc_cli.files import formats as table
from zncc_cli.files.array_image import array_image
from zncc_cli.files.formats import INSTRUMENTS, FileFormat, formats
from zncc_cli.files.image import Image
from zncc_cli.files.images import list_images, read_image
from zncc_cli.files.options import ReadOptions


def start_of(file_format: FileFormat) -> bytes:
    """Return bytes by which a file of the format is recognised."""
    offset, magic = file_format.later_magic
    head = (file_format.magics or (b"",))[0]
    return (head.ljust(offset, b"\0") + magic).ljust(600, b"\0")


def name_of(file_format: FileFormat) -> str:
    return "a" + (file_format.suffixes or (file_format.name_end,))[0]


@pytest.mark.parametrize("file_format", [entry for entry in INSTRUMENTS if entry.module], ids=lambda entry: entry.name)
def test_a_file_whose_library_is_missing_is_named_with_what_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: FileFormat
) -> None:
    monkeypatch.setattr(table, "find_spec", lambda name: None)
    path = tmp_path / name_of(file_format)
    path.write_bytes(start_of(file_format))
    with pytest.raises(InputError) as error:
        read_image(path)
    for word in (str(path), file_format.name, f'pip install "{file_format.extra}"'):
        assert word in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("file_format", INSTRUMENTS, ids=lambda entry: entry.name)
def test_a_file_of_nothing_but_its_first_bytes_is_refused_in_one_line(tmp_path: Path, file_format: FileFormat) -> None:
    if file_format.module:
        pytest.importorskip(file_format.module)
    path = tmp_path / name_of(file_format)
    path.write_bytes(start_of(file_format))
    with pytest.raises(InputError) as error:
        np.asarray(read_image(path).data)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_no_two_formats_take_the_same_file() -> None:
    for file_format in formats():
        if file_format.magics or file_format.later_magic[1]:
            path = Path(name_of(file_format))
            first, *others = [entry.name for entry in formats() if entry.recognizes(path, start_of(file_format))]
            assert first == file_format.name
            assert others == (["TIFF"] if file_format.name_end in (".ndpi", ".bif") else [])


def _read_ramp(path: Path, options: ReadOptions) -> Image:
    height, width = map(int, path.read_text().split()[1:])
    return array_image(path, options, np.arange(height * width, dtype=np.uint16).reshape(height, width), "YX", {})


RAMP = FileFormat(name="Ramp", suffixes=(".ramp",), magics=(b"RAMP ",), read=_read_ramp)


@pytest.fixture
def ramps(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A package that adds the format `RAMP` by an entry point."""
    entry = EntryPoint("ramp", f"{__name__}:RAMP", table.ENTRY_POINTS)
    monkeypatch.setattr(table, "entry_points", lambda group: [entry] if group == table.ENTRY_POINTS else [])
    formats.cache_clear()
    yield
    formats.cache_clear()


def test_another_package_adds_a_format(tmp_path: Path, ramps: None) -> None:
    (tmp_path / "a.ramp").write_text("RAMP 20 30")
    image = read_image(tmp_path / "a.ramp")
    assert image.metadata.format == "Ramp"
    np.testing.assert_array_equal(image.data, np.arange(600).reshape(20, 30))
    assert list_images(tmp_path) == [tmp_path / "a.ramp"]


def test_an_entry_point_that_names_something_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("wrong", "builtins:str.split", table.ENTRY_POINTS)
    monkeypatch.setattr(table, "entry_points", lambda group: [entry])
    formats.cache_clear()
    with pytest.raises(InputError, match="entry point wrong"):
        formats()
    formats.cache_clear()


@pytest.mark.parametrize("axes", ["YX", "XY", "TYX", "XYT", "CXTY", "YXS", "XTYS"])
def test_an_array_of_any_order_of_axes_is_an_image(tmp_path: Path, axes: str) -> None:
    lengths = {"T": 4, "C": 2, "Y": 20, "X": 30, "S": 3}
    array = np.random.default_rng(0).integers(0, 250, [lengths[axis] for axis in axes]).astype(np.uint8)
    image = array_image(tmp_path / "a", ReadOptions(name="Any", max_bytes=2**30), array, axes, {})
    order = [axis for axis in axes if axis in "TC"] + [axis for axis in "YXS" if axis in axes]
    assert image.axes == "".join(order)
    expected = array.transpose([axes.index(axis) for axis in order])
    np.testing.assert_array_equal(np.asarray(image.data), expected)
    index = (1,) * (len(order) - 2 - ("S" in axes))
    part = image.read(index, slice(3, 9), slice(5, 12)).data
    np.testing.assert_array_equal(part, expected[(*index, slice(3, 9), slice(5, 12))])
