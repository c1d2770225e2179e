"""``zncc apply TRANSFORM IMAGE...``: other images moved likewise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import SAMPLES, Run, assert_one_line_error

FIXED, MOVING = SAMPLES / "affine" / "fixed.tif", SAMPLES / "affine" / "moving.tif"


@pytest.mark.parametrize(
    "options", [(), ("--interpolation", "lanczos", "--canvas", "union", "--fill", "9"), ("--fill", "edge")]
)
def test_the_moving_image_gives_the_aligned_file_byte_for_byte(run: Run, options: tuple[str, ...]) -> None:
    """The fixed image has a pixel size and a place on the Earth, which the transform hands on."""
    place = [(33550, 12, 3, (0.5, 0.5, 0.0), True), (33922, 12, 6, (0.0, 0.0, 0.0, 5e5, 4.2e6, 0.0), True)]
    fixed = run.folder / "fixed.tif"
    tifffile.imwrite(fixed, tifffile.imread(FIXED), resolution=(300, 300), extratags=place)
    got = run("zncc-align", fixed, MOVING, "--out", "out", *options)
    assert got.returncode == 0, got.stderr
    got = run("zncc", "apply", "out/transform.json", MOVING, "--out", "again.tif", *options, fresh=not options)
    assert got.returncode == 0, got.stderr
    assert got.stdout == "again.tif\n"
    assert (run.folder / "again.tif").read_bytes() == (run.folder / "out" / "aligned.tif").read_bytes()


@pytest.fixture
def transform(run: Run) -> Path:
    """A shift by whole pixels of images of 12 x 10 pixels: moving (x, y) is fixed (x - 2, y + 1)."""
    path = run.folder / "transform.json"
    content = {
        "format": "zncc-transform",
        "version": 1,
        "model": "translation",
        "matrix": [[1, 0, 2], [0, 1, -1], [0, 0, 1]],
        "fixed_shape": [10, 12],
        "moving_shape": [10, 12],
        "direction": "fixed -> moving",
        "axis_order": "xy",
        "pixel_origin": "centre of the top-left pixel is (0, 0)",
    }
    path.write_text(json.dumps(content))
    return path


def test_stacks_and_labels_go_into_a_folder_each_in_its_own_dtype(run: Run, transform: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 2**16, (3, 10, 12)).astype(np.uint16)
    labels = np.random.default_rng(1).integers(0, 5, (10, 12)).astype(np.int32)
    tifffile.imwrite(run.folder / "stack.tif", stack, photometric="minisblack")
    tifffile.imwrite(run.folder / "labels.tif", labels)
    got = run("zncc", "apply", transform, "stack.tif", "labels.tif", "--interpolation", "nearest", "--out", "moved")
    assert got.returncode == 0, got.stderr
    for name, image in (("stack", stack), ("labels", labels)):
        moved = tifffile.imread(run.folder / "moved" / f"{name}_aligned.tif")
        expected = np.zeros_like(image)
        expected[..., 1:, :-2] = image[..., :-1, 2:]
        assert moved.dtype == image.dtype
        np.testing.assert_array_equal(moved, expected)


def test_a_transform_that_is_not_to_be_trusted_is_warned_of(run: Run, transform: Path) -> None:
    tifffile.imwrite(run.folder / "a.tif", np.ones((10, 12), np.uint8))
    transform.write_text(json.dumps({**json.loads(transform.read_text()), "status": "failed"}))
    got = run("zncc", "apply", transform, "a.tif", "--quiet")
    assert got.returncode == 0
    assert got.stdout == ""
    (line,) = got.stderr.splitlines()
    assert "transform.json: of a registration that was judged failed" in line


def test_inverse_takes_the_fixed_image_to_the_moving_one(run: Run, transform: Path) -> None:
    image = np.random.default_rng(0).integers(1, 2**8, (10, 12)).astype(np.uint8)
    tifffile.imwrite(run.folder / "a.tif", image)
    assert run("zncc", "apply", transform, "a.tif", "--out", "b.tif").returncode == 0
    assert run("zncc", "apply", transform, "b.tif", "--out", "c.tif", "--inverse").returncode == 0
    back = tifffile.imread(run.folder / "c.tif")
    np.testing.assert_array_equal(back[:-1, 2:], image[:-1, 2:])
    assert back.sum() == image[:-1, 2:].sum(dtype=int)


def test_an_image_of_another_size_is_refused_and_nothing_is_written(run: Run, transform: Path) -> None:
    tifffile.imwrite(run.folder / "a.tif", np.ones((10, 12), np.uint8))
    tifffile.imwrite(run.folder / "large.tif", np.ones((11, 12), np.uint8))
    got = run("zncc", "apply", transform, "a.tif", "large.tif", "--out", "moved")
    assert_one_line_error(got, 1, "large.tif", "12 x 10", "12 x 11")
    assert not (run.folder / "moved").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("missing.json", "a.tif"), 1, ("missing.json", "nothing there")),
        (("transform.json", "missing.tif"), 1, ("missing.tif", "nothing there")),
        (("transform.json", "a.tif", "--out", "b.jpg"), 2, ("--out", "*.tif", "b.jpg")),
        (
            ("transform.json", "a.tif", "--out", "a.tif", "--overwrite"),
            1,
            ("a.tif", "is an input, which would be overwritten"),
        ),
        (("transform.json", "a.tif", "a.tif", "--out", "moved"), 2, ("IMAGE", "several named a;")),
        (("transform.json", "a.tif", "--page", "1"), 2, ("a.tif", "--page")),
        (("transform.json", "a.tif", "b.tif", "--out", "c.tif"), 2, ("--out", "folder", "c.tif")),
    ],
)
def test_a_bad_input_ends_with_one_line(
    run: Run, transform: Path, arguments: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    tifffile.imwrite(run.folder / "a.tif", np.ones((10, 12), np.uint8))
    got = run("zncc", "apply", *arguments)
    assert_one_line_error(got, code, *words)
    assert {path.name for path in run.folder.iterdir()} == {"transform.json", "a.tif"}


@pytest.mark.parametrize(
    "matrix",
    [
        [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
        [[1, 0, 0], [1, 0, 0], [0, 0, 1]],
        [[1, 0, 1e15], [0, 1, 0], [0, 0, 1]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1e-320]],
        [[1e308, 0, 0], [0, 1e308, 0], [0, 0, 1]],
    ],
)
@pytest.mark.parametrize("inverse", [(), ("--inverse",)])
def test_a_matrix_that_shows_nothing_ends_with_one_line(
    run: Run, transform: Path, matrix: list[list[float]], inverse: tuple[str, ...]
) -> None:
    transform.write_text(json.dumps({**json.loads(transform.read_text()), "matrix": matrix}))
    tifffile.imwrite(run.folder / "a.tif", np.ones((10, 12), np.uint8))
    got = run("zncc", "apply", transform, "a.tif", "--out", "b.tif", *inverse)
    assert_one_line_error(got, 1, "transform.json", "matrix")
    assert not (run.folder / "b.tif").exists()


def test_an_existing_file_is_kept_without_overwrite(run: Run, transform: Path) -> None:
    tifffile.imwrite(run.folder / "a.tif", np.ones((10, 12), np.uint8))
    (run.folder / "b.tif").write_text("mine")
    assert_one_line_error(run("zncc", "apply", transform, "a.tif", "--out", "b.tif"), 1, "b.tif", "--overwrite")
    assert (run.folder / "b.tif").read_text() == "mine"
    assert run("zncc", "apply", transform, "a.tif", "--out", "b.tif", "--overwrite").returncode == 0
    assert tifffile.imread(run.folder / "b.tif").shape == (10, 12)


def test_a_frame_behind_the_horizon_ends_with_one_line(run: Run, transform: Path) -> None:
    behind = {**json.loads(transform.read_text()), "matrix": [[1, 0, 0], [0, 1, 0], [0, 0, -1]]}
    transform.write_text(json.dumps(behind))
    tifffile.imwrite(run.folder / "a.tif", np.ones((10, 12), np.uint8))
    assert_one_line_error(run("zncc", "apply", transform, "a.tif"), 1, "transform.json", "matrix")


def test_a_note_says_that_the_size_of_a_pixel_is_the_images(run: Run, transform: Path) -> None:
    options = {"imagej": True, "resolution": (4, 4), "metadata": {"unit": "micron"}}
    tifffile.imwrite(run.folder / "a.tif", np.ones((10, 12), np.uint8), **options)
    got = run("zncc", "apply", transform, "a.tif", "--out", "b.tif")
    assert got.returncode == 0
    assert "is that of a.tif through the transform's scale" in got.stderr
    with tifffile.TiffFile(run.folder / "b.tif") as file:
        assert file.imagej_metadata["unit"] == "micron"


def test_a_note_names_the_file_that_loses_something(run: Run, transform: Path) -> None:
    image = np.random.default_rng(0).integers(0, 2**16, (10, 12)).astype(np.uint16)
    tifffile.imwrite(run.folder / "plain.tif", image)
    tifffile.imwrite(run.folder / "private.tif", image, extratags=[(65000, 2, 0, "<Argos>", True)])
    got = run("zncc", "apply", transform, "plain.tif", "private.tif", "--out", "moved")
    assert got.returncode == 0, got.stderr
    assert "private_aligned.tif: left out: tag 65000" in got.stderr
    assert "plain_aligned.tif" not in got.stderr
