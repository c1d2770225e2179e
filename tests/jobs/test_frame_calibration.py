"""A frame that has no pixel size gets that of the image which is resampled onto it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zncc_cli.files.metadata import Metadata, PixelSize, Resolution
from zncc_cli.jobs.calibration import calibrated_grid

MICRONS = Metadata(path=Path("m.tif"), format="TIFF", pixel_size=PixelSize(x=0.25, y=0.5, unit="µm"))
BARE = Metadata(path=Path("f.tif"), format="TIFF")


def linear(*numbers: float) -> np.ndarray:
    matrix = np.eye(3)
    matrix[:2, :2] = np.reshape(numbers, (2, 2))
    matrix[:2, 2] = 7.25, -3
    return matrix


@pytest.mark.parametrize(
    ("matrix", "size"),
    [
        (linear(1, 0, 0, 1), (0.25, 0.5)),
        (linear(2, 0, 0, 3), (0.5, 1.5)),
        # Turned by a quarter: a step along x of the frame is one along y of the image.
        (linear(0, -1, 1, 0), (0.5, 0.25)),
        # Twice as large and turned: the image's pixels are no squares, so the sides are lengths of the mapped steps.
        (linear(1.2, -1.6, 1.6, 1.2), (np.hypot(1.2 * 0.25, 1.6 * 0.5), np.hypot(1.6 * 0.25, 1.2 * 0.5))),
    ],
)
@pytest.mark.parametrize("grid", [None, BARE])
def test_the_size_goes_through_the_scale_of_the_transform(
    grid: Metadata | None, matrix: np.ndarray, size: tuple[float, float]
) -> None:
    found, (note,) = calibrated_grid(grid, MICRONS, matrix, (100, 80))
    assert found is not None
    assert found.pixel_size is not None
    assert (found.pixel_size.x, found.pixel_size.y) == pytest.approx(size)
    assert "m.tif through the transform's scale" in note


def test_of_a_projective_transform_the_scale_in_the_middle_counts() -> None:
    matrix = np.eye(3)
    matrix[2, 0] = 1e-3
    found, _ = calibrated_grid(BARE, MICRONS, matrix, (101, 101))
    # Along x, x' = x / (1 + x / 1000) has the slope 1 / 1.05^2 at (50, 50), and y' = y / (1 + x / 1000) that of
    # -0.05 / 1.05^2; a step of half a pixel instead of a point changes them by a thousandth.
    assert found is not None
    assert found.pixel_size is not None
    assert found.pixel_size.x == pytest.approx(np.hypot(0.25, 0.5 * 0.05) / 1.05**2, rel=1e-3)


@pytest.mark.parametrize(
    ("grid", "image"),
    [
        (Metadata(path=Path("f.tif"), format="TIFF", pixel_size=PixelSize(x=1, y=1, unit="nm")), MICRONS),
        (BARE, BARE),
        (BARE, Metadata(path=Path("m.jpg"), format="JPEG", resolution=Resolution(x=(300, 1), y=(300, 1), unit=2))),
    ],
    ids=["the frame has a size", "none has", "that of a print"],
)
def test_nothing_changes_where_the_frame_has_a_size_or_the_image_has_none_of_the_scene(
    grid: Metadata, image: Metadata
) -> None:
    assert calibrated_grid(grid, image, np.eye(3), (10, 10)) == (grid, ())


def test_a_resolution_that_programs_write_by_default_is_no_size() -> None:
    screen = Metadata(path=Path("f.jpg"), format="JPEG", resolution=Resolution(x=(72, 1), y=(72, 1), unit=2))
    found, notes = calibrated_grid(screen, MICRONS, np.eye(3), (10, 10))
    assert found is not None
    assert found.pixel_size == MICRONS.pixel_size
    assert len(notes) == 1
