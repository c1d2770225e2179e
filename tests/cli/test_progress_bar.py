"""The bar on a real terminal, --verbose and --log."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import SAMPLES, Run, assert_one_line_error
from terminal import run_on_terminal

from zncc_cli.cli import progress_bar

PAIR = SAMPLES / "translation" / "fixed.tif", SAMPLES / "translation" / "moving.tif"
ALIGN = ("zncc-align", *PAIR, "-m", "translation", "--write", "transform,report")


@pytest.fixture
def large_pair(run: Run) -> tuple[Path, Path]:
    """A pair that takes seconds on any machine, most of them to write."""
    scene = np.kron(tifffile.imread(PAIR[0]), np.ones((10, 10))).astype(np.uint16)
    scene += np.random.default_rng(0).integers(0, 20, scene.shape).astype(np.uint16)
    paths = run.folder / "a.tif", run.folder / "b.tif"
    for path, image in zip(paths, (scene[7:, :-9], scene[:-7, 9:]), strict=True):
        tifffile.imwrite(path, image)
    return paths


def test_a_terminal_shows_a_bar_with_the_level_and_the_time_left(run: Run, large_pair: tuple[Path, Path]) -> None:
    code, stdout, shown = run_on_terminal(run.folder, "zncc-align", *large_pair, "-m", "affine", "-o", "out")
    assert code == 0, shown
    assert "status" in stdout
    assert "━" in shown, shown
    assert re.search(r"[0-9]+%", shown)
    assert re.search(r"[0-9] s left", shown), shown
    assert re.search(r"level [0-9] of [0-9]|refining|judging|writing", shown), shown
    shares = [int(share) for share in re.findall(r"([0-9]+)%", shown)]
    assert shares == sorted(shares)
    assert run_on_terminal(run.folder, *ALIGN, "-o", "quiet", "-q") == (0, "", "")


def test_a_bar_appears_after_a_second_and_tells_markup_as_text(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(progress_bar, "_DELAY_S", 0.05)
    with progress_bar.bar() as tell:
        tell("[red]reading[/red] \x1b[31m.tif", 0.5)
        time.sleep(1.0)
    shown = capfd.readouterr().err
    assert "[red]reading[/red] \\x1b[31m.tif" in shown
    assert "50%" in re.sub(r"\x1b\[[0-9;]*m", "", shown)
    monkeypatch.setattr(progress_bar, "_DELAY_S", 60)
    with progress_bar.bar() as tell:
        tell("quick", 0.5)
    assert capfd.readouterr().err == ""


def test_without_a_terminal_there_is_no_bar_and_verbose_says_each_step(run: Run) -> None:
    plain = run(*ALIGN, "-o", "a")
    assert (plain.returncode, plain.stderr) == (0, "")
    verbose = run(*ALIGN, "-o", "b", "-v")
    assert verbose.returncode == 0
    assert verbose.stdout.splitlines()[:3] == plain.stdout.splitlines()[:3]
    for step in ("reading fixed.tif and moving.tif", "searching, translation", "judging the result", "writing b"):
        assert step in verbose.stderr
    assert all(line.startswith("zncc-align: ") for line in verbose.stderr.splitlines())
    assert_one_line_error(run(*ALIGN, "-o", "c", "-v", "-q"), 2, "--quiet", "--verbose")


def test_a_log_holds_what_was_done_with_its_times(run: Run) -> None:
    got = run(*ALIGN, "-o", "a", "-q", "--log", "run.log")
    assert (got.returncode, got.stdout, got.stderr) == (0, "", "")
    lines = (run.folder / "run.log").read_text().splitlines()
    assert all(re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{8}\.[0-9]{3} (DEBUG|INFO) ", line) for line in lines)
    assert "--log run.log" in lines[0]
    assert any("searching, translation" in line for line in lines)
    assert lines[-1].endswith("exit code 0")
    failed = run(*ALIGN, "-o", "a", "--log", "run.log")
    assert_one_line_error(failed, 1, "exists already")
    after = (run.folder / "run.log").read_text().splitlines()[len(lines) :]
    assert any(" ERROR " in line and "exists already" in line for line in after)
    assert after[-1].endswith("exit code 1")


def test_a_log_replaces_no_other_file(run: Run) -> None:
    (run.folder / "notes.txt").write_text("mine\n")
    for path in ("notes.txt", ".", "missing/run.log"):
        assert_one_line_error(run(*ALIGN, "-o", "a", "--log", path), 1, path, "--log")
    assert (run.folder / "notes.txt").read_text() == "mine\n"
    assert not (run.folder / "a").exists()
