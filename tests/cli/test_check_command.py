"""``zncc check``: a pair that is said to be aligned."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import Run, assert_one_line_error

from zncc_cli.jobs.check import NAMES


def scene(shift: float = 0.0, shape: tuple[int, int] = (140, 180)) -> np.ndarray:
    """A random texture that is moved along x, as 16-bit grey values."""
    random = np.random.default_rng(4)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    angle, wavelength, phase = (random.uniform(*span, 60) for span in ((0, 2 * np.pi), (5, 25), (0, 2 * np.pi)))
    along = zip(np.cos(angle), np.sin(angle), wavelength, phase, strict=True)
    waves = sum(np.cos(2 * np.pi / length * (a * (x - shift) + b * y) + start) for a, b, length, start in along)
    return np.rint(20000 + 1000 * np.asarray(waves)).astype(np.uint16)


@pytest.fixture
def images(run: Run) -> Path:
    tifffile.imwrite(run.folder / "fixed.tif", scene(), resolution=(2, 2), resolutionunit=3)
    tifffile.imwrite(run.folder / "good.tif", scene(0.2))
    tifffile.imwrite(run.folder / "bad.tif", scene(2.5))
    return run.folder


def test_a_good_pair_is_ok_and_its_files_agree(run: Run, images: Path) -> None:
    got = run("zncc", "check", "fixed.tif", "good.tif", "--json")
    assert got.returncode == 0, got.stderr
    report = json.loads(got.stdout)
    folder = images / "good_check"
    assert {path.name for path in folder.iterdir()} == set(NAMES)
    assert json.loads((folder / "report.json").read_text()) == report
    assert report["status"] == "ok"
    assert report["metrics"]["ce90"] == pytest.approx(0.2, abs=0.01)
    assert report["metrics"]["mean_shift"] == pytest.approx([0.2, 0], abs=0.005)
    lengths = tifffile.imread(folder / "shift.tif")
    assert lengths.dtype == np.float32
    assert lengths.shape == (140, 180)
    assert np.nanmax(np.abs(lengths - 0.2)) < 0.05
    with tifffile.TiffFile(folder / "shift.tif") as tiff:
        assert tiff.pages[0].tags["XResolution"].value == (2, 1)  # the map has the pixels of the fixed image
    with (folder / "shifts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(report["windows"][status] for status in ("ok", "outside", "unclear", "outlier"))
    measured = [row for row in rows if row["status"] == "ok"]
    assert len(measured) == report["windows"]["ok"] > 60
    assert max(abs(float(row["dx"]) - 0.2) for row in measured) < 0.05
    assert all(0 < float(row["sigma_x"]) < 0.1 for row in measured)


def test_a_shifted_pair_is_refused_unless_that_is_asked_for(run: Run, images: Path) -> None:
    got = run("zncc", "check", "fixed.tif", "bad.tif", "--out", "c")
    assert got.returncode == 3
    assert "CE90 2.50 px, at most 1.00 px is asked for" in got.stdout
    assert {path.name for path in (images / "c").iterdir()} == set(NAMES)
    quiet = run("zncc", "check", "fixed.tif", "bad.tif", "--out", "c", "--overwrite", "--quiet")
    assert (quiet.returncode, quiet.stdout) == (3, "")
    assert "failed: the images lie apart" in quiet.stderr
    assert run("zncc", "check", "fixed.tif", "bad.tif", "--out", "d", "--max-ce90", 3).returncode == 0


def test_masks_leave_parts_out(run: Run, images: Path) -> None:
    half = scene(0.2)
    half[:, 90:] = scene(8.0)[:, 90:]
    mask = np.zeros(half.shape, np.uint8)
    mask[:, :90] = 255
    tifffile.imwrite(images / "half.tif", half)
    tifffile.imwrite(images / "mask.tif", mask)
    got = run("zncc", "check", "fixed.tif", "half.tif", "--aligned-mask", "mask.tif", "--json")
    report = json.loads(got.stdout)
    assert report["metrics"]["ce90"] == pytest.approx(0.2, abs=0.02)
    assert np.isnan(tifffile.imread(images / "half_check" / "shift.tif")[:, 130:]).all()


def test_what_cannot_be_checked_is_refused_in_one_line(run: Run, images: Path) -> None:
    tifffile.imwrite(images / "small.tif", scene()[:100])
    tifffile.imwrite(images / "flat.tif", np.full((140, 180), 7, np.uint16))
    check = ("zncc", "check", "fixed.tif")
    assert_one_line_error(run(*check, "small.tif"), 1, "small.tif", "180 x 140", "180 x 100", "zncc-align")
    assert_one_line_error(run(*check, "flat.tif"), 1, "flat.tif")
    assert_one_line_error(run(*check, "none.tif"), 1, "none.tif")
    assert_one_line_error(run(*check, "good.tif", "--window", 150), 2, "--window", "140")
    assert_one_line_error(run(*check, "good.tif", "--window", 8), 2, "--window", "16")
    assert_one_line_error(run(*check, "good.tif", "--max-ce90", 0), 2, "--max-ce90")
    assert not (images / "good_check").exists()
