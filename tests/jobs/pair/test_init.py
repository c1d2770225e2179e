"""The start that ``init`` names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from tests.files.landmarks.roi_files import roi
from zncc_cli.config import Model, PairConfig, RegistrationConfig
from zncc_cli.errors import InputError
from zncc_cli.files.images import read_image
from zncc_cli.jobs.pair.start import Start, read_start

PLACES = np.array([[5.0, 5.0], [50.0, 8.0], [7.0, 40.0], [45.0, 42.0]])
TRUTH = np.array([[1.0, 0.1, 3.0], [-0.1, 1.0, -2.0], [0, 0, 1]])
MOVED = PLACES @ TRUTH[:2, :2].T + TRUTH[:2, 2]


def image(path: Path, **options: Any) -> Path:
    tifffile.imwrite(path, np.zeros((48, 64), np.uint8), **options)
    return path


def start_of(folder: Path, init: str, model: Model = Model.AFFINE) -> Start:
    for name in ("a.tif", "b.tif"):
        if not (folder / name).exists():
            image(folder / name)
    fixed, moving = folder / "a.tif", folder / "b.tif"
    config = PairConfig(fixed=fixed, moving=moving, init=init, registration=RegistrationConfig(model=model))
    return read_start(config, read_image(fixed), read_image(moving))


def pairs(fixed: np.ndarray = PLACES, moving: np.ndarray = MOVED) -> str:
    rows = np.hstack([fixed, moving]).tolist()
    return "fixed_x,fixed_y,moving_x,moving_y\n" + "".join(",".join(map(str, row)) + "\n" for row in rows)


def bigwarp(fixed: np.ndarray, moving: np.ndarray) -> str:
    rows = np.hstack([moving, fixed]).tolist()
    return "".join(f'"Pt-{k}","true",' + ",".join(f'"{v}"' for v in row) + "\n" for k, row in enumerate(rows))


def test_landmarks_of_one_file_give_the_start_and_a_note(tmp_path: Path) -> None:
    (tmp_path / "marks.csv").write_text(pairs())
    start = start_of(tmp_path, str(tmp_path / "marks.csv"))
    np.testing.assert_allclose(start.matrix, TRUTH, atol=1e-9)
    text = f"{tmp_path / 'marks.csv'}: the start is fitted to 4 landmarks (affine, RMS distance 0.0 px)"
    assert start.notes == (text,)


def test_a_landmark_that_is_left_out_is_named(tmp_path: Path) -> None:
    moving = PLACES + np.array([3.0, -2.0])
    moving[2] += 500
    (tmp_path / "marks.csv").write_text(pairs(moving=moving))
    start = start_of(tmp_path, str(tmp_path / "marks.csv"), Model.TRANSLATION)
    np.testing.assert_allclose(start.matrix, [[1, 0, 3], [0, 1, -2], [0, 0, 1]], atol=1e-9)
    assert "landmark 3 was left out, since it lies 707 px from where the others put it" in start.notes[0]


def test_points_of_two_files_are_those_of_fixed_and_moving(tmp_path: Path) -> None:
    (tmp_path / "f.roi").write_bytes(roi(PLACES))
    (tmp_path / "m.roi").write_bytes(roi(MOVED))
    start = start_of(tmp_path, f"{tmp_path / 'f.roi'},{tmp_path / 'm.roi'}")
    np.testing.assert_allclose(start.matrix, TRUTH, atol=1e-6)  # coordinates of about 50 in float32


def test_the_name_of_one_file_may_hold_a_comma(tmp_path: Path) -> None:
    (tmp_path / "a,b.csv").write_text(pairs())
    np.testing.assert_allclose(start_of(tmp_path, str(tmp_path / "a,b.csv")).matrix, TRUTH, atol=1e-9)


def test_bigwarp_has_lengths_in_the_unit_of_each_images_pixel_size(tmp_path: Path) -> None:
    """ImageJ, and BigWarp in it, takes the pixel size from the resolution tags and the unit."""
    image(tmp_path / "a.tif", imagej=True, resolution=(4, 2), metadata={"unit": "um"})  # 0.25 x 0.5 µm
    image(tmp_path / "b.tif")
    (tmp_path / "marks.csv").write_text(bigwarp(PLACES * [0.25, 0.5], MOVED))
    start = start_of(tmp_path, str(tmp_path / "marks.csv"))
    np.testing.assert_allclose(start.matrix, TRUTH, atol=1e-9)
    assert start.notes[0] == "BigWarp's landmarks of the fixed image were divided by its pixel size, 0.25 x 0.5"
    assert len(start.notes) == 2


def test_bigwarp_without_the_pixel_size_has_pixels(tmp_path: Path) -> None:
    image(tmp_path / "a.tif", imagej=True, resolution=(4, 4), metadata={"unit": "um"})
    (tmp_path / "marks.csv").write_text(bigwarp(PLACES, MOVED))
    start = start_of(tmp_path, str(tmp_path / "marks.csv"))
    np.testing.assert_allclose(start.matrix, TRUTH, atol=1e-9)
    assert "landmarks of the fixed image are taken to be in pixels" in start.notes[0]


@pytest.mark.parametrize(("dpi", "size"), [(72, 1.0), (300, 1 / 300)])
def test_bigwarp_has_inches_where_the_file_has_but_for_72_pixels_each(tmp_path: Path, dpi: int, size: float) -> None:
    image(tmp_path / "a.tif", resolution=(dpi, dpi), resolutionunit=2)
    (tmp_path / "marks.csv").write_text(bigwarp(PLACES * size, MOVED))
    np.testing.assert_allclose(start_of(tmp_path, str(tmp_path / "marks.csv")).matrix, TRUTH, atol=1e-9)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pairs(np.outer(range(4), [10.0, 10.0])), ("marks.csv: landmarks: expected some beside the line",)),
        ("x,y\n1,2\n", ("landmarks of both images", "FIXED,MOVING")),
        ("hello", ("a transform (itk, elastix", "or landmarks (a table", 'text that begins with "hello"')),
        ("1 0 5\n0 1\n", ("2 or 3 lines of 3 numbers", "read as text")),
    ],
)
def test_a_file_that_gives_no_start_is_refused(tmp_path: Path, content: str, words: tuple[str, ...]) -> None:
    (tmp_path / "marks.csv").write_text(content)
    with pytest.raises(InputError) as error:
        start_of(tmp_path, str(tmp_path / "marks.csv"))
    for word in words:
        assert word in str(error.value)


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"f\.csv: expected a file, found nothing there"):
        start_of(tmp_path, f"{tmp_path / 'f.csv'},{tmp_path / 'm.csv'}")
