"""The grid of the fixed image is kept with its transform, from file to file, as long as it belongs to it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from zncc_cli.config.transforms import ComposeConfig, ConvertConfig
from zncc_cli.files.metadata import Metadata, PixelSize, Resolution
from zncc_cli.files.transforms.grid import grid_content, parse_grid
from zncc_cli.files.transforms.transform_json import read_transform, write_transform
from zncc_cli.jobs.transforms import compose_files, convert

MATRIX = [[1.0, 0.0, 3.0], [0.0, 1.0, -4.0], [0.0, 0.0, 1.0]]
SHAPE = (480, 640)

WHOLE = Metadata(
    path=Path("transform.json"),
    format="TIFF",
    flavor="imagej",
    properties={"xorigin": 10.0, "yorigin": -2.5},
    pixel_size=PixelSize(x=0.25, y=0.5, unit="µm"),
    resolution=Resolution(x=(4, 1), y=(2, 1)),
    georeference=((33550, 12, 3, (10.0, 20.0, 0.0)), (34737, 2, 8, "WGS 84|"), (34735, 3, 4, (1, 1, 0, 0))),
)


def written(path: Path, grid: Metadata | None) -> Path:
    write_transform(path, model="translation", matrix=MATRIX, fixed_shape=SHAPE, moving_shape=SHAPE, grid=grid)
    return path


def test_grid_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_transform(written(tmp_path / "t.json", WHOLE)).grid == WHOLE
    assert read_transform(written(tmp_path / "t.json", None)).grid is None


def test_an_image_without_a_grid_writes_none() -> None:
    assert grid_content(Metadata(path=Path("a.tif"), format="TIFF")) is None
    assert parse_grid(None) is None


@pytest.mark.parametrize(
    ("left_out", "change"),
    [
        ("pixel_size", {"pixel_size": PixelSize(x=1, y=1, unit="u" * 70)}),
        ("pixel_size", {"pixel_size": PixelSize(x=float("inf"), y=1, unit="µm")}),
        ("pixel_size", {"pixel_size": PixelSize(x=float("nan"), y=1, unit="µm")}),
        ("pixel_size", {"pixel_size": PixelSize(x=-1, y=1, unit="µm")}),
        ("resolution", {"resolution": Resolution(x=(2**32, 1), y=(2, 1))}),
        ("resolution", {"resolution": Resolution(x=(4, 1), y=(2, 1), unit=7)}),
        ("origin", {"properties": {"xorigin": 1.0}}),
        ("origin", {"properties": {"xorigin": float("nan"), "yorigin": 1.0}}),
        ("georeference", {"georeference": ((33550, 12, 3, (10.0, float("nan"), 0.0)), WHOLE.georeference[1])}),
        ("georeference", {"georeference": ((33550, 12, 9000, (1.0,) * 9000),)}),
        ("georeference", {"georeference": ((33550, 7, 3, b"abc"),)}),
    ],
)
def test_values_that_the_reader_refuses_are_left_out(tmp_path: Path, left_out: str, change: dict[str, object]) -> None:
    path = written(tmp_path / "t.json", dataclasses.replace(WHOLE, **change))  # type: ignore[arg-type]
    grid = json.loads(path.read_text())["grid"]
    assert set(grid) == {"pixel_size", "resolution", "origin", "georeference"} - {left_out}
    assert read_transform(path).grid is not None


def test_the_largest_grid_that_is_written_is_read(tmp_path: Path) -> None:
    codes = (33550, 33920, 33922, 34264, 34735, 34736, 34737, 50844)
    full = tuple((code, 12, 2048, (-1.2345678901234567e-100,) * 2048) for code in codes)
    path = written(tmp_path / "t.json", dataclasses.replace(WHOLE, georeference=full))
    assert read_transform(path).grid == dataclasses.replace(WHOLE, georeference=full)


def test_convert_keeps_the_grid(tmp_path: Path) -> None:
    written(tmp_path / "t.json", WHOLE)
    convert(ConvertConfig(transform=tmp_path / "t.json", out=tmp_path / "t2.json"))
    assert read_transform(tmp_path / "t2.json").grid == WHOLE


def test_inverse_has_no_grid_for_the_grid_of_the_moving_image_is_not_known(tmp_path: Path) -> None:
    written(tmp_path / "t.json", WHOLE)
    convert(ConvertConfig(transform=tmp_path / "t.json", out=tmp_path / "t2.json", inverse=True))
    assert read_transform(tmp_path / "t2.json").grid is None


def test_composition_lies_on_the_grid_of_the_first(tmp_path: Path) -> None:
    first = written(tmp_path / "1.json", WHOLE)
    second = written(tmp_path / "2.json", dataclasses.replace(WHOLE, pixel_size=None))
    compose_files(ComposeConfig(first=first, second=second, out=tmp_path / "12.json"))
    whole = read_transform(tmp_path / "12.json")
    assert whole.grid == WHOLE
    np.testing.assert_array_equal(whole.matrix, [[1, 0, 6], [0, 1, -8], [0, 0, 1]])
