"""The Python API names arguments, the commands name options: of the same error, reason or note."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import SAMPLES, Run, assert_one_line_error

from zncc_cli import read_image, register
from zncc_cli.errors import OptionError

PAIR = SAMPLES / "translation" / "fixed.tif", SAMPLES / "translation" / "moving.tif"
_NARROWED = np.diag([1e-4, 1.0, 1.0])  # is read, but cannot be a start


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"window": 1000}, "`window`"),
        ({"window": 1}, "`window`"),
        ({"min_overlap": 2.0}, "`min_overlap`"),
        ({"optimizer": "magic"}, "`optimizer`"),
        ({"init": _NARROWED}, "`init`"),
    ],
)
def test_an_error_of_the_python_api_names_the_argument(arguments: dict[str, object], name: str) -> None:
    fixed, moving = (read_image(path).luminance() for path in PAIR)
    with pytest.raises(OptionError) as error:
        register(fixed, moving, model="translation", **arguments)
    assert name in str(error.value)
    assert "--" not in str(error.value)


@pytest.mark.parametrize("option", ["--window", "--page", "--series", "--channel"])
@pytest.mark.parametrize("digits", [400, 5000])  # beyond the floats, and beyond what int() reads
def test_a_number_that_is_too_large_is_refused_by_the_options_name(run: Run, option: str, digits: int) -> None:
    assert_one_line_error(run("zncc-align", *PAIR, option, "9" * digits, "--model", "translation"), 2, option)


@pytest.mark.parametrize(
    "words", [("--window", "1000"), ("--window", "1"), ("--min-overlap", "2"), ("--init", "narrowed.txt")]
)
def test_the_error_of_a_command_names_the_option(run: Run, words: tuple[str, str]) -> None:
    np.savetxt(run.folder / "narrowed.txt", _NARROWED)
    got = run("zncc-align", *PAIR, *words)
    assert_one_line_error(got, 2, words[0])
    assert "`" not in got.stderr


def test_what_a_command_prints_and_writes_names_options(run: Run) -> None:
    """A bound that the motion exceeds: the verdict's reasons advise to raise it."""
    options = ("--max-motion", 2, "--write", "report,html", "--out", "out")
    got = run("zncc-align", *PAIR, "-m", "translation", *options)
    assert got.returncode == 3, got.stderr
    report = json.loads((run.folder / "out" / "report.json").read_text())
    html = Path(run.folder / "out" / "report.html").read_text()
    for text in (got.stdout, " ".join(report["reasons"]), html):
        assert "--max-motion" in text
    for text in (got.stdout, got.stderr, *report["reasons"], *report["notes"]):
        assert "`" not in text


@pytest.mark.parametrize("setting", ["page", "series"])
def test_of_a_number_that_a_file_lacks_the_api_names_the_argument_and_a_command_the_option(
    run: Run, setting: str
) -> None:
    with pytest.raises(OptionError, match=rf"^`{setting}` 5: expected 0, the only one"):
        read_image(PAIR[0], **{setting: 5})
    got = run("zncc-stdmap", PAIR[0], f"--{setting}", 5)
    assert_one_line_error(got, 2, f"--{setting} 5: expected 0, the only one")


@pytest.mark.parametrize("command", ["align", "stdmap", "apply"])
def test_notes_of_a_file_with_several_series_name_the_option(run: Run, command: str) -> None:
    moving = tifffile.imread(PAIR[1])
    with tifffile.TiffWriter(run.folder / "two.tif") as file:
        file.write(moving, metadata=None)
        file.write(moving[:60, :60], metadata=None)
    assert run("zncc-align", *PAIR, "--write", "transform", "--out", "earlier").returncode == 0
    lines = {
        "align": ("zncc-align", PAIR[0], "two.tif", "--write", "report"),
        "stdmap": ("zncc-stdmap", "two.tif"),
        "apply": ("zncc", "apply", "earlier/transform.json", "two.tif"),
    }
    got = run(*lines[command], "--out", "out", "--json")
    assert got.returncode == 0, got.stderr
    for text in (got.stdout, got.stderr):
        assert "two.tif: series 0 (of 0 to 1) was read; --series chooses" in text
        assert "`" not in text


def test_the_row_of_a_batch_names_the_option(run: Run) -> None:
    got = run("zncc-batch", SAMPLES / "batch", "--window", "1000", "--out", "out", "--workers", 1)
    assert got.returncode == 5, got.stderr
    table = (run.folder / "out" / "batch.csv").read_text()
    assert table.count("--window: expected at most") == 3
    assert "`" not in table + got.stdout
