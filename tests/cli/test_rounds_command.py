"""``zncc rounds`` and ``zncc calibrate`` from the shell."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from conftest import SAMPLES, Run, assert_one_line_error

PAIR = SAMPLES / "translation" / "fixed.tif", SAMPLES / "translation" / "moving.tif"


def test_rounds_are_merged_and_beads_calibrated(run: Run) -> None:
    got = run("zncc", "rounds", *PAIR, "--out", "merged.ome.tif", "-m", "translation", fresh=True)
    assert got.returncode == 0, got.stderr
    assert "ok: 1 of 1 rounds are aligned" in got.stdout
    assert tifffile.imread(run.folder / "merged.ome.tif").shape[0] == 2
    assert_one_line_error(run("zncc", "rounds", *PAIR, "--out", "merged.ome.tif"), 1, "exists already", "--overwrite")
    got = run("zncc", "calibrate", *PAIR, "--out", "c.json", "-m", "translation", "--json")
    assert got.returncode == 0, got.stderr
    assert json.loads(got.stdout) == json.loads((run.folder / "c.json").read_text())
    got = run("zncc", "apply", "c.json", "merged.ome.tif", "--out", "again.ome.tif")
    assert got.returncode == 0, got.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("rounds", PAIR[0], "missing.tif", "--out", "m.tif"), 1, ("missing.tif", "nothing there")),
        (("rounds", PAIR[0], "--out", "m.tif"), 2, ("ROUND", "two files")),
        (("rounds", *PAIR, "--out", "m.tif", "--channel", "DAPI"), 2, ("--channel DAPI", "fixed.tif")),
        (("rounds", *PAIR, "--out", "m.png"), 2, ("--out", "*.ome.tif")),
        (("calibrate", PAIR[0], "--out", "c.json"), 2, ("IMAGE", "one channel")),
        (("calibrate", *PAIR, "--out", "c.txt"), 2, ("--out", "*.json")),
    ],
)
def test_a_bad_input_ends_with_one_line_and_writes_nothing(
    run: Run, arguments: tuple[object, ...], code: int, words: tuple[str, ...]
) -> None:
    assert_one_line_error(run("zncc", *arguments), code, *words)
    assert not list(run.folder.iterdir())


def test_a_round_of_another_scene_ends_with_exit_code_3(run: Run) -> None:
    tifffile.imwrite(run.folder / "noise.tif", np.random.default_rng(0).integers(0, 255, (128, 128)).astype(np.uint8))
    got = run("zncc", "rounds", PAIR[0], "noise.tif", "--out", "m.tif", "-m", "translation", "-q")
    assert (got.returncode, got.stdout) == (3, "")
    assert got.stderr.startswith("zncc: failed: noise is failed: ")
