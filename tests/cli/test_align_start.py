"""``zncc-align --init``: landmarks and grids as a start, where the search finds none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Run, assert_one_line_error

from tests.files.landmarks.roi_files import roi
from tests.registration.analytic import Scene, about_centre, corner_error
from zncc_cli.registration.warp import map_points

SHAPE = (160, 160)
# A quarter turn, and a stretch of 1 to 0.45 that no similarity is near to: beyond the search.
TRUTH = about_centre([[0.0, -0.45], [1.0, 0.0]], (4.0, -3.0), SHAPE)
PLACES = np.array([[48.0, 48.0], [112.0, 48.0], [48.0, 112.0], [112.0, 112.0]])
MATRIX_TAG, KEYS_TAG, DOUBLE, SHORT = 34264, 34735, 12, 3


def clicks() -> np.ndarray:
    """Return where the places are clicked in the moving image, each 5 pixels beside the truth in another direction."""
    angles = np.random.default_rng(3).uniform(0, 2 * np.pi, len(PLACES))
    return map_points(TRUTH, PLACES) + 5 * np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def geo_tags(matrix: np.ndarray) -> list[tuple[object, ...]]:
    """Return the tags of pixels whose centres lie at ``matrix`` p on the Earth."""
    (a, b, c), (d, e, f) = matrix[:2]
    return [
        (MATRIX_TAG, DOUBLE, 16, (a, b, 0, c, d, e, 0, f, 0, 0, 0, 0, 0, 0, 0, 1), True),
        (KEYS_TAG, SHORT, 12, (1, 1, 0, 2, 1025, 0, 1, 2, 3072, 0, 1, 32633), True),
    ]


@pytest.fixture
def pair(run: Run) -> Path:
    """Write fixed.tif and moving.tif, whose georeferences are off by 6 pixels, into the working folder."""
    rng = np.random.default_rng(0)
    north_up = np.array([[10.0, 0, 5e5], [0, -10.0, 4e6], [0, 0, 1]])
    off = np.array([[1, 0, 6.0], [0, 1, -3.0], [0, 0, 1]])
    places = north_up, north_up @ np.linalg.inv(off @ TRUTH)
    for name, image, place in zip(("fixed", "moving"), Scene(0).pair(TRUTH, SHAPE), places, strict=True):
        noisy = (1000 * (image + 0.02 * rng.normal(size=SHAPE)) + 5000).astype(np.uint16)
        tifffile.imwrite(run.folder / f"{name}.tif", noisy, extratags=geo_tags(place))
    return Path(run.folder)


def aligned_error(folder: Path) -> float:
    return corner_error(np.array(json.loads((folder / "out" / "transform.json").read_text())["matrix"]), TRUTH, SHAPE)


def align(run: Run, *options: object) -> tuple[int, str]:
    got = run("zncc-align", "fixed.tif", "moving.tif", "--out", "out", "--write", "transform,report", *options)
    return got.returncode, got.stderr


def test_the_search_alone_does_not_find_the_place(run: Run, pair: Path) -> None:
    assert align(run)[0] == 3
    assert aligned_error(pair) > 20


def test_landmarks_that_are_off_by_five_pixels_lead_to_the_place(run: Run, pair: Path) -> None:
    rows = np.hstack([PLACES, clicks()])
    np.savetxt(pair / "marks.csv", rows, delimiter=",", header="fixed_x,fixed_y,moving_x,moving_y", comments="")
    code, told = align(run, "--init", "marks.csv")
    assert code == 0, told
    assert "marks.csv: the start is fitted to 4 landmarks (affine, RMS distance " in told
    assert aligned_error(pair) < 0.3  # 2 percent of noise on a small frame that is stretched; the start is off by ten


def test_points_in_two_files_lead_to_the_place_and_so_does_the_rerun(run: Run, pair: Path) -> None:
    (pair / "a.roi").write_bytes(roi(PLACES))
    (pair / "b.roi").write_bytes(roi(clicks()))
    assert align(run, "--init", "a.roi,b.roi")[0] == 0
    assert aligned_error(pair) < 0.3
    assert run("zncc-align", "--rerun", "out/report.json", "--out", "again").returncode == 0
    assert (pair / "again" / "transform.json").read_bytes() == (pair / "out" / "transform.json").read_bytes()
    (pair / "b.roi").unlink()
    got = run("zncc-align", "--rerun", "out/report.json", "--out", "other")
    assert_one_line_error(got, 1, "b.roi", "nothing there")


def test_a_grid_that_is_off_by_some_pixels_leads_to_the_place(run: Run, pair: Path) -> None:
    code, told = align(run, "--init", "grid")
    assert code == 0, told
    assert aligned_error(pair) < 0.3


@pytest.mark.parametrize(
    ("init", "words"),
    [
        ("line.csv", ("line.csv", "nearly on one line", "--model similarity")),
        ("a.roi,three.csv", ("three.csv", "as many points as in the file of the fixed image", "3, not 4")),
        ("fixed.tif", ("fixed.tif", "a transform", "or landmarks")),
        ("grid", ("bare.tif", "a georeference", "none", "--init")),
    ],
)
def test_what_gives_no_start_ends_with_one_line(run: Run, pair: Path, init: str, words: tuple[str, ...]) -> None:
    line = np.outer(range(1, 5), [10.0, 20.0, 10.0, 20.0])
    np.savetxt(pair / "line.csv", line, delimiter=",", header="fixed_x,fixed_y,moving_x,moving_y", comments="")
    np.savetxt(pair / "three.csv", PLACES[:3], delimiter=",", header="x,y", comments="")
    (pair / "a.roi").write_bytes(roi(PLACES))
    tifffile.imwrite(pair / "bare.tif", tifffile.imread(pair / "moving.tif"))
    got = run("zncc-align", "fixed.tif", "bare.tif", "--out", "out", "--init", init)
    assert_one_line_error(got, 1, *words)
    assert not (pair / "out").exists()
