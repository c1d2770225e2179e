"""``zncc-align`` again: from its report, byte for byte; and what is accepted of it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import SAMPLES, SCRIPTS, Run, assert_one_line_error

FIXED, MOVING = SAMPLES / "rigid" / "fixed.tif", SAMPLES / "rigid" / "moving.tif"
TIMED = {"report.json", "report.html"}  # these say how long it took


@pytest.fixture
def report(run: Run) -> Path:
    options = ("--model", "rigid", "--window", "13", "--fill=-0", "--interpolation", "linear", "--out", "first")
    got = run("zncc-align", FIXED, MOVING, *options)
    assert got.returncode == 0, got.stderr
    return run.folder / "first" / "report.json"


def assert_same(first: Path, second: Path) -> None:
    assert {path.name for path in first.iterdir()} == {path.name for path in second.iterdir()}
    for path in first.iterdir():
        if path.name not in TIMED:
            assert path.read_bytes() == (second / path.name).read_bytes(), path.name


def test_a_rerun_writes_the_same_bytes(run: Run, report: Path) -> None:
    got = run("zncc-align", "--rerun", report, "--out", "second")
    assert got.returncode == 0, got.stderr
    assert_same(report.parent, run.folder / "second")
    first, second = (json.loads((run.folder / name / "report.json").read_text()) for name in ("first", "second"))
    for timed in ("seconds", "levels", "backend"):
        first.pop(timed), second.pop(timed)
    first["settings"]["out"] = second["settings"]["out"]
    first["command"] = second["command"]
    assert first == second


def test_a_rerun_names_an_image_that_has_changed(run: Run) -> None:
    for name, path in (("a.tif", FIXED), ("b.tif", MOVING)):
        (run.folder / name).write_bytes(path.read_bytes())
    options = ("--model", "rigid", "--write", "report")
    run("zncc-align", "a.tif", "b.tif", *options, "--out", "first")
    words = "its content is not that of the run that is repeated"
    again = ("zncc-align", "--rerun", "first/report.json", "--out", "again", "--overwrite")
    assert words not in run(*again).stderr
    (run.folder / "b.tif").write_bytes(FIXED.read_bytes())
    got = run(*again)
    assert got.returncode == 0, got.stderr
    assert f"b.tif: {words}" in got.stderr
    assert f"a.tif: {words}" not in got.stderr
    assert f"b.tif: {words}" in json.loads((run.folder / "again" / "report.json").read_text())["notes"]


def test_the_command_of_a_report_gives_the_same_bytes(run: Run, report: Path) -> None:
    command, *words = json.loads(report.read_text())["command"]
    words = [word for word in words if not word.startswith("--out")]
    line = shlex.join([str(SCRIPTS / command), *words, "--out=second"])
    got = run("zncc-align", wrap=("bash", "-c", line))
    assert got.returncode == 0, got.stderr
    assert_same(report.parent, run.folder / "second")


def test_rerun_refuses_other_settings(run: Run, report: Path) -> None:
    assert_one_line_error(run("zncc-align", "--rerun", report, "--model", "affine"), 2, "--rerun", "--model")
    assert_one_line_error(run("zncc-align", FIXED, MOVING, "--rerun", report), 2, "--rerun", "FIXED")
    assert_one_line_error(run("zncc-align", FIXED), 2, "FIXED MOVING", "two images")


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ("{}", 1, ("report.json of zncc-align", "no settings")),
        ('{"settings": {}, "image": "a.tif"}', 1, ("report.json of zncc-align", "the report of another command")),
        ("[", 1, ("report.json of zncc-align", "no valid JSON")),
        ('{"settings": {"fixed": "a.tif"}}', 2, ("--rerun", "settings", "moving")),
    ],
)
def test_a_file_that_is_no_report_ends_with_one_line(run: Run, content: str, code: int, words: tuple[str, ...]) -> None:
    (run.folder / "report.json").write_text(content)
    assert_one_line_error(run("zncc-align", "--rerun", "report.json"), code, *words)


def test_settings_of_a_wrong_type_are_refused(run: Run, report: Path) -> None:
    content = json.loads(report.read_text())
    content["settings"]["registration"]["window"] = "13; rm -rf"
    report.write_text(json.dumps(content))
    assert_one_line_error(run("zncc-align", "--rerun", report), 2, "--rerun", "settings.registration.window")


def test_a_suspect_result_ends_with_exit_code_3_unless_accepted(run: Run) -> None:
    """A pattern that repeats itself: nothing tells by how many periods it moved."""
    y, x = np.mgrid[:200, :260]
    dots = 1000 * (np.cos(2 * np.pi * x / 20) + np.cos(2 * np.pi * y / 20))
    noise = np.random.default_rng(0).normal(0, 100, (2, *dots.shape))
    for name, image in zip(("a.tif", "b.tif"), 30000 + dots + noise, strict=True):
        tifffile.imwrite(run.folder / name, image.astype(np.uint16))
    got = run("zncc-align", "a.tif", "b.tif", "--model", "translation", "--out", "out")
    assert got.returncode == 3, got.stdout
    assert got.stdout.split()[:2] == ["status", "suspect:"]
    assert "repeats itself" in got.stdout
    got = run("zncc-align", "a.tif", "b.tif", "--model", "translation", "--out", "o", "--accept", "suspect")
    assert got.returncode == 0, got.stdout
    assert got.stdout.split()[:2] == ["status", "suspect:"]


def test_an_input_is_never_overwritten(run: Run, report: Path) -> None:
    aligned = report.with_name("aligned.tif")
    before = aligned.read_bytes()
    got = run("zncc-align", FIXED, aligned, "--model", "rigid", "--out", "first", "--overwrite")
    assert_one_line_error(got, 1, "aligned.tif", "is an input, which would be overwritten")
    assert aligned.read_bytes() == before


def test_a_former_spelling_ends_with_a_line_that_names_the_new_one(run: Run) -> None:
    assert_one_line_error(run("zncc-align", "--from", "out/report.json"), 2, "--from", "use --rerun REPORT")
    assert_one_line_error(run("zncc-align", FIXED, MOVING, "--write", "aligned,page"), 2, "use --write html")
    assert "--from" not in run("zncc-align", "--help").stdout
