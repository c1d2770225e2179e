"""``zncc apply``, ``points``, ``invert``, ``compose`` and ``convert`` with transforms that bend."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Run, assert_one_line_error

from tests.registration.spline_fields import AFFINE, pixels, random_field
from zncc_cli.config import Interpolation
from zncc_cli.files.transforms.transform_json import (
    TransformFile,
    read_transform,
    transform_content,
    write_transform,
)
from zncc_cli.registration.resampling.resample import array_reader, resample
from zncc_cli.registration.transforms.matrices import map_points
from zncc_cli.registration.transforms.spline_field import SplineField

FIXED, MOVING = (70, 95), (80, 90)
FIELD, SECOND = random_field(FIXED), random_field(MOVING, seed=1)


def written(path: Path, field: SplineField, moving_shape: tuple[int, int]) -> Path:
    shapes = {"fixed_shape": field.shape, "moving_shape": moving_shape}
    write_transform(path, model="bspline", matrix=field.matrix, **shapes, field=field, status="ok")
    return path


@pytest.fixture
def transform(run: Run) -> Path:
    return written(run.folder / "bends.json", FIELD, MOVING)


def inside(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.asarray(((points >= 0) & (points <= [shape[1] - 1, shape[0] - 1])).all(axis=1))


def said(stdout: str) -> float:
    """Return the error that a command printed."""
    match = re.search(r"largest error (\S+) px\n", stdout)
    assert match, stdout
    return float(match[1])


@pytest.mark.parametrize("interpolation", ["cubic", "nearest"])
def test_apply_resamples_by_the_spline(run: Run, transform: Path, interpolation: str) -> None:
    image = np.random.default_rng(0).random(MOVING).astype(np.float32)
    tifffile.imwrite(run.folder / "image.tif", image)
    got = run("zncc", "apply", transform, "image.tif", "--out", "out.tif", "--interpolation", interpolation)
    assert got.returncode == 0, got.stderr
    reader = array_reader(image, np.ones(MOVING, bool))
    want, defined = resample(reader, MOVING, FIELD, range(70), range(95), Interpolation(interpolation))
    out = tifffile.imread(run.folder / "out.tif")
    assert np.array_equal(out[defined], want[defined].astype(np.float32))
    assert np.isnan(out[~defined]).all()


def test_apply_moves_an_image_of_the_fixed_frame_back_and_says_how_far_it_is_off(run: Run, transform: Path) -> None:
    y, x = np.indices(FIXED, dtype=float)
    tifffile.imwrite(run.folder / "x.tif", (x + 2 * y).astype(np.float32))
    got = run("zncc", "apply", transform, "x.tif", "--inverse", "--out", "back.tif", "--interpolation", "linear")
    assert got.returncode == 0, got.stderr
    assert "bends.json: its inverse is a spline, off by at most 0.00" in got.stderr
    back = tifffile.imread(run.folder / "back.tif")
    points = pixels(FIXED)[np.random.default_rng(0).permutation(70 * 95)[:500]] + 0.25
    moved = np.rint(FIELD.map_points(points)).astype(int)
    moved = moved[inside(moved, MOVING)]
    values = back[moved[:, 1], moved[:, 0]]
    fixed = read_inverse(run, transform).map_points(moved.astype(float))
    known = np.isfinite(values) & inside(fixed, FIXED)
    assert known.sum() > 200
    np.testing.assert_allclose(values[known], (fixed @ [1, 2])[known], atol=1e-4)  # float32 of numbers up to 250


def read_inverse(run: Run, transform: Path) -> SplineField:
    assert run("zncc", "invert", transform, "inverse.json").returncode == 0
    field = read_transform(run.folder / "inverse.json").field
    assert field is not None
    return field


def test_points_go_there_and_back(run: Run, transform: Path) -> None:
    points = pixels(FIXED)[::37] + 0.3
    np.savetxt(run.folder / "p.csv", points, delimiter=",", header="x,y", comments="")
    assert run("zncc", "points", transform, "p.csv", "--out", "q.csv").returncode == 0
    moved = np.loadtxt(run.folder / "q.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(moved, FIELD.map_points(points), rtol=0, atol=1e-12)
    assert run("zncc", "points", transform, "q.csv", "--inverse", "--out", "r.csv").returncode == 0
    back = np.loadtxt(run.folder / "r.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(back, points, rtol=0, atol=1e-8)  # Newton's method ends within 1e-9 px


def test_a_point_without_an_inverse_is_refused_by_its_line(run: Run) -> None:
    homography = np.array([[1.02, 0.03, 4.0], [-0.02, 0.97, -3.0], [2e-4, -1e-4, 1.0]])
    path = written(run.folder / "bends.json", random_field(FIXED, matrix=homography), MOVING)
    (run.folder / "p.csv").write_text("x,y\n50,10\n5200,20\n")  # the second lies beyond what infinity is taken to
    got = run("zncc", "points", path, "p.csv", "--inverse")
    assert_one_line_error(got, 1, "p.csv", "in line 3", "takes no point, or where it folds")


def test_a_transform_that_folds_is_not_inverted(run: Run) -> None:
    folds = random_field(FIXED, amplitude=0.0, matrix=np.eye(3))
    folds.coefficients[0, :, 3] = 60.0
    path = written(run.folder / "folds.json", folds, MOVING)
    assert_one_line_error(run("zncc", "invert", path, "i.json"), 1, "folds.json", "one that folds at")
    assert not (run.folder / "i.json").exists()


def test_the_inverse_is_as_near_as_it_says(run: Run, transform: Path) -> None:
    got = run("zncc", "invert", transform, "inverse.json")
    assert got.returncode == 0, got.stderr
    inverse = read_transform(run.folder / "inverse.json")
    assert inverse.field is not None
    assert (inverse.fixed_shape, inverse.moving_shape, inverse.status) == (MOVING, FIXED, "ok")
    points = pixels(FIXED)
    moved = FIELD.map_points(points)
    known = inside(moved, MOVING)
    off = np.linalg.norm(inverse.field.map_points(moved[known]) - points[known], axis=1).max()
    assert off <= 0.005
    assert said(got.stdout) == pytest.approx(off, rel=0.05)  # two digits are printed


def test_compositions_are_as_near_as_they_say(run: Run, transform: Path) -> None:
    second = written(run.folder / "second.json", SECOND, FIXED)
    matrix = run.folder / "matrix.json"
    write_transform(matrix, model="affine", matrix=AFFINE, fixed_shape=MOVING, moving_shape=MOVING)
    points = pixels(FIXED)
    middle = FIELD.map_points(points)
    cases = {
        (transform, matrix): (points, map_points(AFFINE, middle), 0.0),
        (transform, second): (points[inside(middle, MOVING)], SECOND.map_points(middle[inside(middle, MOVING)]), 0.005),
    }
    starts = pixels(MOVING)
    middle = map_points(AFFINE, starts)
    known = inside(middle, MOVING)
    cases[matrix, second] = starts[known], SECOND.map_points(middle[known]), 0.005
    for number, ((a, b), (fixed, there, most)) in enumerate(cases.items()):
        got = run("zncc", "compose", a, b, f"{number}.json")
        assert got.returncode == 0, got.stderr
        field = read_transform(run.folder / f"{number}.json").field
        assert field is not None
        off = np.linalg.norm(field.map_points(fixed) - there, axis=1).max()
        assert off <= most + 1e-12
        assert said(got.stdout) == pytest.approx(off, rel=0.05, abs=1e-12)


def test_files_beside_the_transform_are_not_overwritten_unasked(run: Run, transform: Path) -> None:
    (run.folder / "new-spline.npy").write_text("mine")
    got = run("zncc", "convert", transform, "new.json")
    assert_one_line_error(got, 1, "new-spline.npy", "exists already")
    assert (run.folder / "new-spline.npy").read_text() == "mine"
    assert not (run.folder / "new.json").exists()
    assert run("zncc", "convert", transform, "new.json", "--overwrite").returncode == 0


def test_what_is_not_possible_is_refused_in_one_line(run: Run, transform: Path) -> None:
    tifffile.imwrite(run.folder / "image.tif", np.zeros(MOVING, np.uint8))
    common = run("zncc", "apply", transform, "image.tif", "--out", "o.tif", "--canvas", "common")
    assert_one_line_error(common, 2, "--canvas", "without a bend")
    assert_one_line_error(run("zncc", "convert", transform, "a.yml"), 1, "a.yml", "bends")
    assert run("zncc", "apply", transform, "image.tif", "--out", "o.tif", "--canvas", "union").returncode == 0
    union = tifffile.imread(run.folder / "o.tif")
    assert union.shape[0] >= 80
    assert union.shape[1] >= 95


def test_frames_beyond_disk_and_time_are_refused_before_memory_is_taken(run: Run) -> None:
    matrix = run.folder / "matrix.json"
    write_transform(matrix, model="affine", matrix=AFFINE, fixed_shape=(2**30, 2**30), moving_shape=(9, 9))
    for name in ("x.mha", "x.tif", "x.zarr"):
        assert_one_line_error(run("zncc", "convert", matrix, name), 1, "free disk")
    assert_one_line_error(run("zncc", "strain", matrix, "--out", "s"), 1, "free disk")
    # A few nodes, far apart: such a spline has any frame.
    shape = (2**28, 2**28)
    field = random_field((5, 5), spacing=4.0, matrix=np.eye(3))
    wide = SplineField(np.eye(3), field.coefficients, 2.0**28, shape)
    np.save(run.folder / "spline.npy", wide.coefficients)
    path = run.folder / "transform.json"
    path.write_text(transform_content(TransformFile("bspline", wide.matrix, shape, shape, field=wide), path).decode())
    assert_one_line_error(run("zncc", "invert", path, "i.json"), 1, "too many to fit")
    assert_one_line_error(run("zncc", "compose", path, path, "c.json"), 1, "too many to fit")
    assert_one_line_error(run("zncc", "convert", path, "c.json"), 1, "free disk")
    assert run("zncc", "convert", path, "x.tfm").returncode == 0


def test_a_spline_of_itk_is_converted_where_the_size_of_its_fixed_image_is_given(run: Run, transform: Path) -> None:
    assert run("zncc", "convert", transform, "t.tfm").returncode == 0
    assert_one_line_error(run("zncc", "convert", "t.tfm", "t.mha"), 1, "t.tfm", "--fixed")
    assert run("zncc", "convert", "t.tfm", "t.mha", "--fixed", "95x70").returncode == 0
    got = run("zncc", "convert", "t.tfm", "back.json", "--fixed", "95x70", "--moving", "90x80")
    assert (got.returncode, got.stdout) == (0, "back.json  zncc, bspline\n")
    back = read_transform(run.folder / "back.json").field
    assert back is not None
    np.testing.assert_allclose(back.coefficients, FIELD.coefficients, rtol=0, atol=1e-13)
    got = run("zncc", "invert", "t.tfm", "i.json", "--fixed", "90x80", "--moving", "95x70")
    assert got.returncode == 0, got.stderr
    assert said(got.stdout) <= 0.005
