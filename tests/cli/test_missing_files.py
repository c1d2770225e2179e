"""What a command says, and ends with, where a picture or a map cannot be written."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile
from conftest import Run

# Bytes a file may have: aligned.tif of 320 x 320 8-bit pixels has 100 kB, a map of them 400 kB.
LIMIT = ("prlimit", "--fsize=200000")


@pytest.fixture
def images(run: Run) -> Run:
    """Two 8-bit images of 320 x 320 pixels, the second 3 pixels to the left and 2 up of the first."""
    noise = np.random.default_rng(0).random((330, 330))
    scene = sum(noise[i : i + 325, j : j + 325] for i in range(3) for j in range(3)) * 28
    tifffile.imwrite(run.folder / "a_fixed.tif", scene[:320, :320].astype(np.uint8))
    tifffile.imwrite(run.folder / "a_moving.tif", scene[2:322, 3:323].astype(np.uint8))
    return run


@pytest.mark.parametrize("options", [(), ("--quiet",), ("--json",)])
def test_a_pair_is_aligned_without_files_that_the_disk_has_no_room_for(images: Run, options: tuple[str, ...]) -> None:
    arguments = "zncc-align", "a_fixed.tif", "a_moving.tif", "-m", "translation", "-o", "out", *options
    got = images(*arguments, wrap=LIMIT)
    assert got.returncode == 5, got.stderr
    assert "Traceback" not in got.stderr
    (line,) = (line for line in got.stderr.splitlines() if "missing" in line)
    assert line.startswith("zncc-align: missing: ")
    assert line.endswith(
        "(File too large; raise the limit on the size of a file); all else is written, a run with --overwrite makes "
        "it good"
    )
    report = json.loads((images.folder / "out" / "report.json").read_text())
    assert {"report.html", "std_fixed.tif", "std_aligned.tif", "zncc.tif"} <= set(report["missing"])
    assert all(name in line for name in report["missing"])
    assert report["notes"][-1] == line.removeprefix("zncc-align: ")
    assert (got.stdout == "") == (options == ("--quiet",))
    if options == ("--json",):
        assert json.loads(got.stdout)["missing"] == report["missing"]
    there = {path.name for path in (images.folder / "out").iterdir()}
    assert {"aligned.tif", "mask.tif", "transform.json", "report.json"} <= there
    assert not there & set(report["missing"])
    assert images(*arguments, "--overwrite").returncode == 0
    assert not json.loads((images.folder / "out" / "report.json").read_text())["missing"]


def test_debug_shows_the_traceback(images: Run) -> None:
    got = images("zncc-align", "a_fixed.tif", "a_moving.tif", "-m", "translation", "--quiet", "--debug", wrap=LIMIT)
    assert got.returncode == 5
    assert "Traceback" in got.stderr
    assert "OSError: [Errno 27] File too large" in got.stderr


def test_a_batch_names_the_pair_that_lacks_files_and_resume_writes_them(images: Run) -> None:
    arguments = "zncc-batch", ".", "--out", "out", "-m", "translation", "--workers", "1", "--quiet"
    got = images(*arguments, wrap=LIMIT)
    assert got.returncode == 5, got.stderr
    assert got.stderr == (
        "zncc-batch: missing: files of 1 of 1 pairs (see out/batch.csv); all else is written, a run with --resume "
        "makes it good\n"
    )
    with (images.folder / "out" / "batch.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["status"] == "ok"
    assert {"report.html", "zncc.tif"} <= set(row["missing"].split())
    assert "missing: report.html" in row["reason"]
    assert "File too large" in row["reason"]
    assert (images.folder / "out" / "a" / "aligned.tif").exists()
    assert (images.folder / "out" / "batch.html").exists()

    again = images(*arguments, "--resume")
    assert (again.returncode, again.stderr) == (0, "")
    assert (images.folder / "out" / "a" / "report.html").exists()
    with (images.folder / "out" / "batch.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["missing"] == ""
