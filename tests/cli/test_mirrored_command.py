"""A mirrored pair through the commands: aligned, told, applied, inverted, converted, and taken as a start."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Run, assert_one_line_error

from tests.registration.analytic import Scene, about_centre, corner_error, rotation
from zncc_cli.files.transforms.formats import read_linear
from zncc_cli.files.transforms.transform_json import read_transform
from zncc_cli.registration.transforms.matrices import map_points, mirror

SHAPE = (120, 140)
TRUTH = mirror(SHAPE[1]) @ about_centre(rotation(12), (3.2, -2.4), SHAPE)
CLEAN_PX = 0.05  # what interpolation leaves on a clean scene, and 16 bits of grey


@pytest.fixture
def pair(run: Run) -> tuple[str, str]:
    for name, image in zip(("fixed.tif", "moving.tif"), Scene(1).pair(TRUTH, SHAPE), strict=True):
        tifffile.imwrite(run.folder / name, (30000 + 20000 * image).astype(np.uint16))
    return "fixed.tif", "moving.tif"


@pytest.fixture
def aligned(run: Run, pair: tuple[str, str]) -> Path:
    got = run("zncc-align", *pair, "-m", "rigid", "-o", "out")
    assert got.returncode == 0, got.stderr
    assert "mirrored the moving image shows the scene mirrored" in " ".join(got.stdout.split())
    folder: Path = run.folder / "out"
    return folder


def test_files_and_report_of_a_mirrored_pair_say_so_and_fit(run: Run, aligned: Path) -> None:
    transform = json.loads((aligned / "transform.json").read_text())
    report = json.loads((aligned / "report.json").read_text())
    assert transform["mirrored"] is report["mirrored"] is True
    assert transform["model"] == "rigid"
    assert corner_error(np.array(transform["matrix"]), TRUTH, SHAPE) < CLEAN_PX
    assert any("the moving image is mirrored" in note for note in report["notes"])
    assert "the moving image is mirrored" in (aligned / "report.html").read_text()
    fixed, moved = (tifffile.imread(path) for path in (run.folder / "fixed.tif", aligned / "aligned.tif"))
    inner = slice(30, -30), slice(30, -30)
    # Thousandths of a pixel on slopes of some thousand grey levels a pixel, and rounding.
    assert np.abs(fixed[inner].astype(float) - moved[inner]).max() < 100


def test_a_mirrored_transform_is_applied_inverted_and_mapped(run: Run, aligned: Path) -> None:
    matrix = read_transform(aligned / "transform.json").matrix
    assert run("zncc", "apply", aligned / "transform.json", "moving.tif", "-o", "again.tif").returncode == 0
    np.testing.assert_array_equal(tifffile.imread(run.folder / "again.tif"), tifffile.imread(aligned / "aligned.tif"))
    assert run("zncc", "invert", aligned / "transform.json", "back.json").returncode == 0
    back = json.loads((run.folder / "back.json").read_text())
    assert back["mirrored"] is True
    np.testing.assert_allclose(np.array(back["matrix"]) @ matrix, np.eye(3), atol=1e-12)
    # Mirrored twice is not mirrored.
    assert run("zncc", "compose", aligned / "transform.json", "back.json", "none.json").returncode == 0
    assert "mirrored" not in json.loads((run.folder / "none.json").read_text())
    np.savetxt(run.folder / "points.csv", [[3.5, 7.25]], delimiter=",", header="x,y", comments="")
    got = run("zncc", "points", aligned / "transform.json", "points.csv")
    mapped = np.array(got.stdout.split()[1].split(","), float)
    np.testing.assert_allclose(mapped, map_points(matrix, np.array([3.5, 7.25])), atol=1e-9)


@pytest.mark.parametrize("kind", ["itk", "elastix", "turboreg", "multistackreg", "opencv", "npy", "text"])
def test_every_format_holds_a_mirrored_transform_as_an_affine_one(run: Run, aligned: Path, kind: str) -> None:
    got = run("zncc", "convert", aligned / "transform.json", "other", "--format", kind)
    assert (got.returncode, got.stderr) == (0, "")
    # Kinds of a rotation alone, which a mirror image is not, are not written.
    text = (run.folder / "other").read_bytes()
    assert not any(name in text for name in (b"RIGID_BODY", b"SCALED_ROTATION", b"Euler", b"Similarity"))
    matrix = read_transform(aligned / "transform.json").matrix
    # Landmarks are read back to rounding, matrices bit for bit.
    np.testing.assert_allclose(read_linear(run.folder / "other").matrix, matrix, atol=1e-10)


def test_a_mirrored_transform_is_a_start(run: Run, aligned: Path, pair: tuple[str, str]) -> None:
    start = aligned / "transform.json"
    got = run("zncc-align", *pair, "-m", "rigid", "--init", start, "-o", "again", "--write", "transform")
    assert got.returncode == 0, got.stderr
    assert corner_error(read_transform(run.folder / "again" / "transform.json").matrix, TRUTH, SHAPE) < CLEAN_PX
    got = run("zncc-align", *pair, "-m", "rigid", "--init", start, "-o", "no", "--flip", "no")
    assert_one_line_error(got, 2, "--init", "not mirrored with --flip no")
    assert run("zncc-align", *pair, "-m", "rigid", "-o", "no", "--flip", "no", "-q").returncode == 3


def test_pixel_sizes_of_ome_tiffs_tell_a_scale_of_six(run: Run) -> None:
    truth = about_centre(rotation(25, 6.0), (2.0, -5.0), (300, 300))
    to_scene = np.diag([1 / 6, 1 / 6, 1.0])
    for name, matrix, micron in (("fixed.ome.tif", to_scene @ truth, 1.3), ("moving.ome.tif", to_scene, 1.3 / 6)):
        image = (30000 + 20000 * Scene(2).image((300, 300), matrix)).astype(np.uint16)
        sizes = {"PhysicalSizeX": micron, "PhysicalSizeY": micron, "PhysicalSizeXUnit": "µm", "PhysicalSizeYUnit": "µm"}
        tifffile.imwrite(run.folder / name, image, ome=True, metadata={"axes": "YX", **sizes})
    got = run("zncc-align", "fixed.ome.tif", "moving.ome.tif", "-m", "similarity", "-o", "out", "--write", "transform")
    assert got.returncode == 0, got.stdout + got.stderr
    matrix = read_transform(run.folder / "out" / "transform.json").matrix
    # In pixels of the fixed image, which is the coarser one: noise of 16 bits alone.
    assert corner_error(np.linalg.inv(matrix), np.linalg.inv(truth), (300, 300)) < CLEAN_PX
