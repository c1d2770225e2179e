"""``zncc-batch DIR`` from the shell."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
import torch
from conftest import SAMPLES, Run, assert_one_line_error


def rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="") as file:
        return list(csv.DictReader(file))


def test_aligns_every_pair_of_a_folder(run: Run) -> None:
    got = run("zncc-batch", SAMPLES / "batch", "--model", "rigid", "--out", "out", fresh=True)
    assert got.returncode == 0, got.stdout + got.stderr
    assert "3 of 3 pairs aligned" in got.stdout
    table = rows(run.folder / "out" / "batch.csv")
    assert [row["name"] for row in table] == ["cells", "grains", "stars"]
    truth = json.loads((SAMPLES / "batch" / "truth.json").read_text())
    for row in table:
        assert row["status"] == "ok"
        transform = json.loads((run.folder / "out" / row["name"] / "transform.json").read_text())
        # 128 x 160 pixels with noise: a tenth of a pixel at the corners.
        np.testing.assert_allclose(
            np.array(transform["matrix"]) @ [159, 127, 1],
            np.array(truth[row["name"]]["matrix"]) @ [159, 127, 1],
            atol=0.1,
        )


def test_one_bad_pair_does_not_stop_the_rest(run: Run) -> None:
    folder = run.folder / "in"
    folder.mkdir()
    for name in ("cells_fixed.png", "cells_moving.png"):
        shutil.copy(SAMPLES / "batch" / name, folder)
    shutil.copy(SAMPLES / "batch" / "cells_fixed.png", folder / "broken_fixed.png")
    (folder / "broken_moving.png").write_text("no image")
    tifffile.imwrite(folder / "flat_fixed.tif", np.ones((64, 64), np.uint8))
    tifffile.imwrite(folder / "flat_moving.tif", np.ones((64, 64), np.uint8))
    got = run("zncc-batch", "in", "--model", "rigid", "--out", "out", "--workers", 1)
    assert got.returncode == 5, got.stdout + got.stderr
    assert "1 of 3 pairs aligned" in got.stdout
    by_name = {row["name"]: row for row in rows(run.folder / "out" / "batch.csv")}
    assert by_name["cells"]["status"] == "ok"
    assert by_name["broken"]["status"] == "error"
    assert "broken_moving.png" in by_name["broken"]["reason"]
    assert "all equal" in by_name["flat"]["reason"]
    assert sorted(p.name for p in (run.folder / "out").iterdir()) == [
        "batch.csv",
        "batch.html",
        "cells",
        "manifest.jsonl",
    ]


def test_every_image_is_aligned_to_one(run: Run) -> None:
    folder = run.folder / "in"
    folder.mkdir()
    for name in ("cells_fixed.png", "cells_moving.png"):
        shutil.copy(SAMPLES / "batch" / name, folder)
    got = run("zncc-batch", "in", "--fixed", "in/cells_fixed.png", "-m", "rigid", "-o", "out", "--json")
    assert got.returncode == 0, got.stderr
    assert [pair["name"] for pair in json.loads(got.stdout)["pairs"]] == ["cells_moving"]


def test_all_images_may_be_aligned_to_an_ome_zarr(run: Run) -> None:
    zarr = pytest.importorskip("zarr", reason="zarr is not installed: pip install 'zncc-cli[zarr]'")
    folder = run.folder / "in"
    folder.mkdir()
    fixed, moving = (imageio.imread(SAMPLES / "batch" / f"cells_{side}.png") for side in ("fixed", "moving"))
    group = zarr.open_group(folder / "ref.ome.zarr", mode="w", zarr_format=2)
    group.create_array("0", data=fixed)
    scale = [{"type": "scale", "scale": [1.0, 1.0]}]
    axes = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    tifffile.imwrite(folder / "cells.ome.tif", moving)
    got = run(
        "zncc-batch", "in", "--fixed", "in/ref.ome.zarr", "-m", "rigid", "-o", "out", "--write", "report", "--json"
    )
    assert got.returncode == 0, got.stdout + got.stderr
    assert [pair["name"] for pair in json.loads(got.stdout)["pairs"]] == ["cells"]


def test_suspect_pairs_end_with_exit_code_5_unless_accepted(run: Run) -> None:
    """A pattern that repeats itself: nothing tells by how many periods it moved."""
    y, x = np.mgrid[:200, :260]
    dots = 1000 * (np.cos(2 * np.pi * x / 20) + np.cos(2 * np.pi * y / 20))
    noise = np.random.default_rng(0).normal(0, 100, (2, *dots.shape))
    (run.folder / "in").mkdir()
    for side, image in zip(("fixed", "moving"), 30000 + dots + noise, strict=True):
        tifffile.imwrite(run.folder / "in" / f"dots_{side}.tif", image.astype(np.uint16))
    words = ("zncc-batch", "in", "-m", "translation", "-o", "out", "--write", "report", "--workers", 1)
    got = run(*words)
    assert got.returncode == 5, got.stdout + got.stderr
    assert "0 of 1 pairs aligned" in got.stdout
    # What is accepted changes no result: nothing is done again.
    before = (run.folder / "out" / "dots" / "report.json").stat().st_mtime_ns
    got = run(*words, "--resume", "--accept", "suspect")
    assert got.returncode == 0, got.stdout + got.stderr
    assert "1 of 1 pairs aligned" in got.stdout
    assert [row["status"] for row in rows(run.folder / "out" / "batch.csv")] == ["suspect"]
    assert (run.folder / "out" / "dots" / "report.json").stat().st_mtime_ns == before


def test_a_file_that_is_no_image_is_refused_at_once_in_one_line(run: Run) -> None:
    (run.folder / "in").mkdir()
    shutil.copy(SAMPLES / "batch" / "cells_fixed.png", run.folder / "in")
    os.mkfifo(run.folder / "in" / "pipe.tif")
    lines = ("name,fixed,moving", "a,in/cells_fixed.png,in/pipe.tif", f"b,in/cells_fixed.png,in/{'deep/' * 40}gone.tif")
    (run.folder / "pairs.csv").write_text("\n".join(lines))
    got = run("zncc-batch", "pairs.csv", "-o", "out", "--workers", 1)
    assert got.returncode == 5, got.stdout + got.stderr
    header, *shown, end = got.stdout.splitlines()
    assert header.split()[0] == "name"
    assert [line.split()[:2] for line in shown] == [["a", "error"], ["b", "error"]]
    assert shown[1].rstrip().endswith("found nothing there; check the name")  # whole: nobody's terminal
    assert end.startswith("0 of 2 pairs aligned")
    pipe, gone = (row["reason"] for row in rows(run.folder / "out" / "batch.csv"))
    assert pipe.endswith("found a named pipe; write its content into a file first")
    assert "pipe.tif: expected an image" in pipe
    assert gone.endswith("gone.tif: expected a file, found nothing there; check the name")
    quiet = run("zncc-batch", "pairs.csv", "-o", "out", "--workers", 1, "--resume", "--quiet")
    assert (quiet.returncode, quiet.stdout) == (5, "")
    assert quiet.stderr == "zncc-batch: 2 of 2 pairs are not aligned; see out/batch.csv\n"


def test_an_error_of_all_pairs_is_one_line_and_begins_nothing(run: Run) -> None:
    table = run.folder / "mine.csv"
    table.write_bytes(b"\x89PNG\xf0")
    (run.folder / "mine.txt").touch()
    for words, code, said in (
        ((SAMPLES / "batch", "-o", "out", "--device", "cuda"), 1, ("--device cuda: expected a CUDA GPU",)),
        ((SAMPLES / "batch", "-o", ""), 2, ("--out: expected a folder, got an empty text",)),
        ((SAMPLES / "batch", "-o", "mine.txt"), 1, ("mine.txt: expected a folder, found something else",)),
        ((table, "-o", "out"), 1, ("mine.csv: expected a folder of images, or a table", "not UTF-8 text")),
    ):
        if "cuda" not in words or not torch.cuda.is_available():
            assert_one_line_error(run("zncc-batch", *words), code, *said)
        assert sorted(path.name for path in run.folder.iterdir()) == ["mine.csv", "mine.txt"]


def test_control_characters_in_names_are_escaped_in_the_table_too(run: Run) -> None:
    (run.folder / "in").mkdir()
    for side in ("fixed", "moving"):
        shutil.copy(
            SAMPLES / "batch" / f"cells_{side}.png",
            run.folder / "in" / os.fsdecode(b"a\x1b[1m\xff_%s.png" % side.encode()),
        )
    got = run("zncc-batch", "in", "-o", "out", "--write", "report", "-m", "translation")
    assert "\x1b" not in got.stdout + got.stderr
    assert [row["name"] for row in rows(run.folder / "out" / "batch.csv")] == [r"a\x1b[1m\udcff"]
    assert (run.folder / "out" / os.fsdecode(b"a\x1b[1m\xff") / "report.json").is_file()


def test_an_incomplete_pair_is_a_row_with_a_reason(run: Run) -> None:
    folder = run.folder / "in"
    folder.mkdir()
    shutil.copy(SAMPLES / "batch" / "cells_fixed.png", folder)
    got = run("zncc-batch", "in", "-o", "out")
    assert got.returncode == 5
    (row,) = rows(run.folder / "out" / "batch.csv")
    assert (row["status"], row["reason"]) == ("error", "expected one file named cells_moving.*, found none")


def test_a_folder_without_pairs_is_refused(run: Run) -> None:
    folder = run.folder / "in"
    folder.mkdir()
    assert_one_line_error(run("zncc-batch", "in", "-o", "out"), 1, "in:", "*_fixed.*", "no pair")
    assert_one_line_error(run("zncc-batch", "in", "-o", "out", "--fixed", "missing.tif"), 1, "missing.tif", "--fixed")
    assert_one_line_error(run("zncc-batch", "nowhere", "-o", "out"), 1, "nowhere")
    assert sorted(p.name for p in run.folder.iterdir()) == ["in"]


def test_an_existing_table_is_not_overwritten(run: Run) -> None:
    (run.folder / "out").mkdir()
    (run.folder / "out" / "batch.csv").write_text("precious")
    assert_one_line_error(run("zncc-batch", SAMPLES / "batch", "-o", "out"), 1, "batch.csv", "--overwrite")
    assert (run.folder / "out" / "batch.csv").read_text() == "precious"


def test_resume_does_not_replace_a_table_of_no_batch(run: Run) -> None:
    (run.folder / "out").mkdir()
    (run.folder / "out" / "batch.csv").write_text("precious")
    assert_one_line_error(run("zncc-batch", SAMPLES / "batch", "-o", "out", "--resume"), 1, "batch.csv", "move it away")
    assert (run.folder / "out" / "batch.csv").read_text() == "precious"


def test_a_missing_scheduler_and_conflicting_options_end_with_one_line(run: Run) -> None:
    words = ("zncc-batch", SAMPLES / "batch", "-o", "out")
    got = run(*words, "--scheduler", "tcp://127.0.0.1:9", "--workers", 2)
    assert_one_line_error(got, 2, "--workers", "--scheduler")
    assert_one_line_error(run(*words, "--shard", "3"), 2, "--shard", "I/N", "3/16")
    assert_one_line_error(run(*words, "--pattern", "{id}.tif"), 2, "--pattern", "--fixed-where")
    assert not (run.folder / "out").exists()
