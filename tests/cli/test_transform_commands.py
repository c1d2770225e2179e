"""``zncc convert``, ``invert``, ``compose`` and ``points``, as a user runs them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES, Run, assert_one_line_error

from zncc_cli.files.transforms.transform_json import read_transform, write_transform
from zncc_cli.registration.transforms.matrices import map_points

AFFINE = np.array([[1.02, 0.04, 12.5], [-0.03, 0.97, -7.25], [0, 0, 1]])
HOMOGRAPHY = np.array([[1.02, 0.04, 12.5], [-0.03, 0.97, -7.25], [1e-2, 0, 1]])
POINTS = np.array([[0.1, 0.2], [100, 50.5], [639, 479]])


@pytest.fixture
def affine(run: Run) -> Path:
    path: Path = run.folder / "affine.json"
    write_transform(path, model="affine", matrix=AFFINE, fixed_shape=(480, 640), moving_shape=(500, 700))
    return path


@pytest.fixture
def homography(run: Run) -> Path:
    path: Path = run.folder / "homography.json"
    write_transform(path, model="homography", matrix=HOMOGRAPHY, fixed_shape=(500, 700), moving_shape=(600, 800))
    return path


def test_a_transform_survives_every_format(run: Run, affine: Path) -> None:
    source = affine
    for name in ("a.tfm", "TransformParameters.0.txt", "a.yml", "a.npy", "a.csv", "a.txt"):
        sizes = ("--fixed", "640x480") if name.startswith("T") and source != affine else ()
        got = run("zncc", "convert", source, name, *sizes)
        assert (got.returncode, got.stderr) == (0, "")
        assert got.stdout.startswith(f"{name}  ")
        assert got.stdout.endswith(", affine\n")
        source = run.folder / name
    assert run("zncc", "convert", source, "back.json", "--fixed", "640x480", "--moving", "700x500", "-q").stdout == ""
    back = read_transform(run.folder / "back.json")
    assert back.matrix.tobytes() == AFFINE.tobytes()
    assert (back.model, back.fixed_shape, back.moving_shape) == ("affine", (480, 640), (500, 700))


def test_sizes_come_from_images(run: Run, affine: Path) -> None:
    run("zncc", "convert", affine, "a.npy")
    image = SAMPLES / "batch" / "cells_fixed.png"
    assert run("zncc", "convert", "a.npy", "b.json", "--fixed", image, "--moving", image).returncode == 0
    assert read_transform(run.folder / "b.json").fixed_shape == (128, 160)
    assert_one_line_error(run("zncc", "convert", "a.npy", "c.json", "--fixed", "no.tif"), 1, "no.tif")


def test_sizes_that_are_missing_ignored_or_wrong_are_refused(run: Run, affine: Path) -> None:
    run("zncc", "convert", affine, "a.npy")
    assert_one_line_error(
        run("zncc", "convert", "a.npy", "b.json"), 2, "--fixed", "its size WxH in pixels, width first"
    )
    assert_one_line_error(run("zncc", "convert", affine, "b.npy", "--fixed", "640x480"), 2, "--fixed", "npy")
    assert_one_line_error(
        run("zncc", "convert", affine, "b.json", "--moving", "640x480"), 2, "--moving", "700 x 500", "640 x 480"
    )


def test_points_are_written_to_the_file_out(run: Run, affine: Path) -> None:
    assert run("zncc", "convert", affine, "l.txt", "--format", "turboreg").returncode == 0
    assert run("zncc", "convert", "l.txt", "back.json").returncode == 0
    np.testing.assert_allclose(read_transform(run.folder / "back.json").matrix, AFFINE, atol=1e-11)


def test_an_existing_transform_is_not_overwritten(run: Run, affine: Path) -> None:
    (run.folder / "a.tfm").write_text("mine")
    for words in (("convert", affine), ("invert", affine), ("compose", affine, affine)):
        assert_one_line_error(run("zncc", *words, "a.tfm"), 1, "a.tfm: exists already", "--overwrite")
    assert (run.folder / "a.tfm").read_text() == "mine"
    assert run("zncc", "convert", affine, "a.tfm", "--overwrite").returncode == 0


def test_a_file_that_cannot_be_written_or_read_ends_with_one_line(run: Run, affine: Path, homography: Path) -> None:
    assert_one_line_error(run("zncc", "convert", homography, "h.tfm"), 1, "h.tfm", "homography")
    assert_one_line_error(run("zncc", "convert", affine, "a.xyz"), 2, "a.xyz", "--format")
    assert_one_line_error(run("zncc", "convert", "none.json", "a.tfm"), 1, "none.json")
    assert_one_line_error(run("zncc", "convert", affine, "a.tfm", "--from", "itk"), 1, "affine.json", "itk")
    assert not (run.folder / "a.tfm").exists()


def test_invert_swaps_the_images(run: Run, affine: Path) -> None:
    assert run("zncc", "invert", affine, "i.json").returncode == 0
    inverse = read_transform(run.folder / "i.json")
    np.testing.assert_allclose(map_points(inverse.matrix, map_points(AFFINE, POINTS)), POINTS, atol=1e-10)
    assert (inverse.model, inverse.fixed_shape, inverse.moving_shape) == ("affine", (500, 700), (480, 640))


def test_invert_refuses_a_singular_matrix(run: Run) -> None:
    path = run.folder / "s.json"
    write_transform(path, model="affine", matrix=np.diag([1.0, 0, 1]), fixed_shape=(4, 4), moving_shape=(4, 4))
    assert_one_line_error(run("zncc", "invert", path, "i.json"), 1, "s.json", "singular")


def test_compose_applies_the_first_then_the_second(run: Run, affine: Path, homography: Path) -> None:
    assert run("zncc", "compose", affine, homography, "c.json").returncode == 0
    whole = read_transform(run.folder / "c.json")
    want = map_points(HOMOGRAPHY, map_points(AFFINE, POINTS))
    np.testing.assert_allclose(map_points(whole.matrix, POINTS), want, rtol=0, atol=1e-10)
    assert (whole.model, whole.fixed_shape, whole.moving_shape) == ("homography", (480, 640), (600, 800))


def test_compose_refuses_sizes_that_do_not_agree(run: Run, affine: Path, homography: Path) -> None:
    got = run("zncc", "compose", homography, affine, "c.json")
    assert_one_line_error(got, 1, "affine.json: expected a fixed image of 800 x 600", "found 640 x 480")


def judged(folder: Path, status: str | None) -> Path:
    path = folder / f"{status}.json"
    frames = {"fixed_shape": (480, 640), "moving_shape": (480, 640)}
    write_transform(path, model="affine", matrix=AFFINE, status=status, **frames)
    return path


@pytest.mark.parametrize("words", ["convert {} a.tfm --quiet", "invert {} a.tfm", "compose {} {} b.tfm", "points {} p"])
@pytest.mark.parametrize(("status", "warned"), [("failed", True), ("suspect", True), ("ok", False), (None, False)])
def test_a_transform_that_is_not_to_be_trusted_is_warned_of(
    run: Run, words: str, status: str | None, warned: bool
) -> None:
    (run.folder / "p").write_text("1 2\n")
    got = run("zncc", *words.format(*[judged(run.folder, status)] * 2).split())
    assert got.returncode == 0, got.stderr
    lines = got.stderr.splitlines()
    assert len(lines) == words.count("{}") * warned
    assert all(f"{status}.json: of a registration that was judged {status};" in line for line in lines)


@pytest.mark.parametrize(
    ("first", "second", "whole"),
    [
        ("ok", "ok", "ok"),
        ("ok", "suspect", "suspect"),
        ("failed", "suspect", "failed"),
        ("failed", None, "failed"),
        ("ok", None, None),
        (None, None, None),
    ],
)
def test_an_inverse_is_as_good_as_its_transform_and_a_composition_as_its_worse_part(
    run: Run, first: str | None, second: str | None, whole: str | None
) -> None:
    one, other = judged(run.folder, first), judged(run.folder, second)
    assert run("zncc", "invert", one, "i.json").returncode == 0
    assert read_transform(run.folder / "i.json").status == first
    for parts in ((one, other), (other, one)):
        assert run("zncc", "compose", *parts, "c.json", "--overwrite").returncode == 0
        assert read_transform(run.folder / "c.json").status == whole


def table(text: str) -> np.ndarray:
    return np.array([[float(word) for word in line.split(",")] for line in text.splitlines()])


def test_points_are_mapped_as_the_transform_does_and_back(run: Run, affine: Path) -> None:
    np.savetxt(run.folder / "p.csv", POINTS, delimiter=",")
    there = run("zncc", "points", affine, "p.csv")
    np.testing.assert_array_equal(table(there.stdout), map_points(AFFINE, POINTS))
    assert run("zncc", "points", affine, "p.csv", "--out", "q.csv").stdout == ""
    assert (run.folder / "q.csv").read_text() == there.stdout
    back = run("zncc", "points", affine, "q.csv", "--inverse")
    np.testing.assert_allclose(table(back.stdout), POINTS, atol=1e-10)


def test_existing_points_are_not_overwritten(run: Run, affine: Path) -> None:
    (run.folder / "p.csv").write_text("1,2\n")
    assert_one_line_error(run("zncc", "points", affine, "p.csv", "-o", "p.csv"), 1, "p.csv: exists already")
    assert_one_line_error(run("zncc", "points", affine, "p.csv", "--overwrite"), 2, "--overwrite")
    assert run("zncc", "points", affine, "p.csv", "-o", "p.csv", "--overwrite").returncode == 0
    assert "," in (run.folder / "p.csv").read_text()


def test_points_print_nothing_if_one_of_them_cannot_be_mapped(run: Run, homography: Path) -> None:
    rows = [*["1,2"] * 20_000, "-200,0"]  # the horizon is x = -100
    (run.folder / "p.csv").write_text("\n".join(rows))
    assert_one_line_error(run("zncc", "points", homography, "p.csv"), 1, "p.csv", "line 20001", "horizon")
    assert_one_line_error(run("zncc", "points", homography, "p.csv", "-o", "q.csv"), 1, "line 20001")
    assert not (run.folder / "q.csv").exists()
    (run.folder / "p.csv").write_text("1,NaN\n")
    assert_one_line_error(run("zncc", "points", homography, "p.csv"), 1, "p.csv", "NaN")
