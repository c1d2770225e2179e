"""``zncc stack``: movies from the shell."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
import tifffile
from conftest import Run, assert_one_line_error

from benchmarks.stack.movie import DriftMovie


def save(run: Run, name: str = "movie.tif", blanks: int = 1) -> DriftMovie:
    made = DriftMovie.walk(12, 96, blanks=blanks, jump=(0, 0))
    frames = np.array(list(made.frames()))
    tifffile.imwrite(run.folder / name, frames, photometric="minisblack", metadata={"axes": "TYX"})
    return made


def test_a_movie_is_aligned_into_a_folder_of_its_own(run: Run) -> None:
    made = save(run)
    got = run("zncc", "stack", "movie.tif", fresh=True)
    assert got.returncode == 0, got.stderr
    assert "ok: 11 of 12 frames agree; blank: frame 6" in got.stdout
    files = {path.name for path in (run.folder / "movie_stack").iterdir()}
    assert files == {"stack.tif", "drift.csv", "drift.svg", "transforms.json", "report.json", "report.html"}
    last = (run.folder / "movie_stack" / "drift.csv").read_text().splitlines()[-1].split(",")
    assert abs(float(last[1]) - made.drift[-1, 0]) < 0.1


def test_json_prints_the_report_and_quiet_prints_nothing(run: Run) -> None:
    save(run)
    got = run("zncc", "stack", "movie.tif", "--json", "--to", "mean", "--crop", "common")
    assert got.returncode == 0, got.stderr
    report = json.loads(got.stdout)
    assert (report["frames"], report["blank"], report["to"]) == (12, [6], "mean")
    assert report == json.loads((run.folder / "movie_stack" / "report.json").read_text())
    got = run("zncc", "stack", "movie.tif", "--quiet", "--overwrite")
    assert (got.returncode, got.stdout, got.stderr) == (0, "", "")
    got = run("zncc", "stack", "movie.tif", "--quiet", "--json", "--overwrite")
    assert (json.loads(got.stdout)["frames"], got.stderr) == (12, "")


def test_control_characters_in_a_file_name_are_escaped(run: Run) -> None:
    save(run, os.fsdecode(b"a\x1b[1m[red]\xff.tif"))
    got = run("zncc", "stack", os.fsdecode(b"a\x1b[1m[red]\xff.tif"))
    assert got.returncode == 0, got.stderr
    assert "\x1b" not in got.stdout + got.stderr
    assert r"a\x1b[1m[red]\udcff_stack/" in got.stdout
    (picture,) = run.folder.rglob("drift.svg")
    assert r"a\x1b[1m[red]\udcff.tif: drift of 12 frames" in picture.read_text()


def test_too_many_blank_frames_end_with_exit_code_3(run: Run) -> None:
    save(run, blanks=3)
    quiet = run("zncc", "stack", "movie.tif", "--out", "quiet", "-q")
    assert (quiet.returncode, quiet.stdout, quiet.stderr.count("\n")) == (3, "", 1)
    assert quiet.stderr.startswith("zncc: suspect: 9 of 12 frames agree; ")  # and what speaks against it
    got = run("zncc", "stack", "movie.tif", "--out", "out")
    assert got.returncode == 3, got.stderr
    assert "suspect: 9 of 12 frames agree" in got.stdout
    assert (run.folder / "out" / "stack.tif").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("missing.tif",), 1, ("missing.tif", "nothing there")),
        (("movie.tif", "--to", "last"), 2, ("--to", "first, previous or mean", "last")),
        (("movie.tif", "--axis", "C"), 2, ("--axis", "no channel")),
        (("movie.tif", "--model", "auto"), 2, ("--model", "translation")),
        (("movie.tif", "--fill", "-1"), 2, ("--fill", "uint16")),
    ],
)
def test_a_bad_input_ends_with_one_line_and_writes_nothing(
    run: Run, arguments: tuple[str, ...], code: int, words: tuple[str, ...]
) -> None:
    save(run)
    assert_one_line_error(run("zncc", "stack", *arguments), code, *words)
    assert {path.name for path in run.folder.iterdir()} == {"movie.tif"}


def test_existing_files_are_not_overwritten(run: Run) -> None:
    save(run)
    assert run("zncc", "stack", "movie.tif", "--quiet").returncode == 0
    assert_one_line_error(run("zncc", "stack", "movie.tif"), 1, "exists already", "--overwrite")
