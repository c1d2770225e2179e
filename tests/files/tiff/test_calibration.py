"""Which pixel sizes of a file are those of the scene."""

from __future__ import annotations

from pathlib import Path

import pytest

from zncc_cli.files.metadata import Metadata, PixelSize, Resolution
from zncc_cli.files.tiff.calibration import CENTIMETRE, INCH, scene_pixel_size


def metadata(**fields: object) -> Metadata:
    return Metadata(path=Path("image.tif"), format="TIFF", **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("size", "metres"),
    [
        (PixelSize(x=0.65, y=0.65, unit="µm"), 0.65e-6),
        (PixelSize(x=650, y=655, unit="nm"), 0.6525e-6),  # a square within two percent
        (PixelSize(x=1.5, y=1.5, unit="mm"), 1.5e-3),
        (PixelSize(x=0.65, y=1.3, unit="µm"), None),  # no square
        (PixelSize(x=1 / 300, y=1 / 300, unit="inch"), None),  # 300 dpi
        (PixelSize(x=1.0, y=1.0, unit="pixel"), None),
        (PixelSize(x=1.0, y=1.0, unit="sec"), None),
        (None, None),
    ],
)
def test_a_size_with_a_unit_of_length_is_that_of_the_scene(size: PixelSize | None, metres: float | None) -> None:
    assert scene_pixel_size(metadata(pixel_size=size)) == (None if metres is None else pytest.approx(metres))


@pytest.mark.parametrize("dots", [72, 96, 300, 600, 1200, 4800])
def test_the_resolution_of_a_print_is_not_that_of_the_scene(dots: int) -> None:
    assert scene_pixel_size(metadata(resolution=Resolution(x=(dots, 1), y=(dots, 1), unit=INCH))) is None


def test_a_resolution_that_is_finer_than_any_print_is_that_of_the_scene() -> None:
    resolution = Resolution(x=(20000, 1), y=(20000, 1), unit=CENTIMETRE)
    assert scene_pixel_size(metadata(resolution=resolution)) == pytest.approx(0.5e-6)
