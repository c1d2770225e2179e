"""``zncc-batch`` killed at any moment, stopped, split and changed: pairs are done once, and what is wrong is named."""

from __future__ import annotations

import collections
import contextlib
import csv
import json
import os
import platform
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from conftest import SCRIPTS, Run

GOOD = 36
BRIEF = ("--model", "translation", "--write", "aligned,transform,report")


def draw_pairs(folder: Path, count: int, side: int = 64) -> None:
    """Pairs of noise, smoothed by 3 x 3 pixels and shifted by whole ones."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        noise = np.random.default_rng(number).normal(30000, 9000, (side + 18, side + 18))
        scene = sum(np.roll(noise, (y, x), (0, 1)) for x in range(3) for y in range(3)) / 9
        y, x = 8 + number % 7, 8 - number % 5
        tifffile.imwrite(folder / f"p{number:02}_fixed.tif", scene[8 : 8 + side, 8 : 8 + side].astype(np.uint16))
        tifffile.imwrite(folder / f"p{number:02}_moving.tif", scene[y : y + side, x : x + side].astype(np.uint16))


def records(out: Path) -> list[dict[str, object]]:
    found = []
    for path in out.glob("manifest*.jsonl"):
        for line in path.read_text().splitlines()[1:]:
            try:
                found.append(json.loads(line))
            except ValueError:  # the last one, where the batch was killed
                continue
    return found


def table(path: Path) -> dict[str, dict[str, str]]:
    with path.open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def start(folder: Path, *words: object) -> subprocess.Popen[str]:
    line = [str(SCRIPTS / "zncc-batch"), *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(line, cwd=folder, text=True, start_new_session=True, **pipes)


def until_done(batch: subprocess.Popen[str], out: Path, count: int) -> None:
    end = time.monotonic() + 100
    while time.monotonic() < end and batch.poll() is None and len(records(out)) < count:
        time.sleep(0.02)


def lives(group: int) -> bool:
    """Whether a process of the group is there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def half_written(out: Path) -> list[Path]:
    return list(out.rglob(".zncc-*"))


def test_killed_three_times_and_resumed_every_good_pair_is_done_once(run: Run) -> None:
    folder, out, chance = run.folder / "in", run.folder / "out", random.Random(7)
    draw_pairs(folder, GOOD)
    shutil.copy(folder / "p00_fixed.tif", folder / "corrupt_fixed.tif")
    (folder / "corrupt_moving.tif").write_bytes((folder / "p00_moving.tif").read_bytes()[:3000])
    shutil.copy(folder / "p00_fixed.tif", folder / "pipe_fixed.tif")
    os.mkfifo(folder / "pipe_moving.tif")
    words = ("in", "--out", "out", *BRIEF, "--workers", 2, "--retries", 0, "--resume")
    for share in (4, 12, 22):
        batch = start(run.folder, *words)
        until_done(batch, out, share)
        time.sleep(chance.uniform(0, 0.3))
        os.killpg(batch.pid, signal.SIGKILL)
        batch.communicate()
        assert len(records(out)) < GOOD  # it was in the midst of it
    with (out / "manifest.jsonl").open("ab") as file:
        file.write(b'{"name":"p35","status":"ok","rea')
    got = run("zncc-batch", *words)
    assert got.returncode == 5, got.stdout + got.stderr
    rows = table(out / "batch.csv")
    assert len(rows) == GOOD + 2
    assert {name for name, row in rows.items() if row["status"] != "ok"} == {"corrupt", "pipe"}
    assert "corrupt_moving.tif" in rows["corrupt"]["reason"]
    assert "pipe_moving.tif: expected an image" in rows["pipe"]["reason"]
    assert "found a named pipe" in rows["pipe"]["reason"]
    assert "36 of 38 pairs aligned" in got.stdout
    done = collections.Counter(record["name"] for record in records(out) if record["status"] == "ok")
    assert done == {f"p{number:02}": 1 for number in range(GOOD)}
    for name in done:
        assert sorted(p.name for p in (out / name).iterdir()) == ["aligned.tif", "report.json", "transform.json"]
    assert not (out / "corrupt").exists()
    assert not (out / "pipe").exists()
    assert half_written(out) == []


def test_changed_inputs_and_settings_are_done_again_and_nothing_else(run: Run) -> None:
    draw_pairs(run.folder / "in", 3)
    words = ("zncc-batch", "in", "-o", "out", *BRIEF, "--workers", 1)
    assert run(*words).returncode == 0
    one = run.folder / "in" / "p01_moving.tif"
    before = {path: path.stat().st_mtime_ns for path in (run.folder / "out").glob("*/transform.json")}
    tifffile.imwrite(one, np.flip(tifffile.imread(run.folder / "in" / "p01_fixed.tif"), 0).copy())
    os.utime(run.folder / "in" / "p02_moving.tif")  # touched, and the same
    assert run(*words, "--resume").returncode == 5
    changed = [path.parent.name for path, time_ in before.items() if path.stat().st_mtime_ns != time_]
    assert changed == ["p01"]
    one.write_bytes(b"no image")
    assert run(*words, "--resume").returncode == 5
    assert (run.folder / "out" / "p01" / "aligned.tif").exists()  # it may be all that is left; its report says of what
    got = run(*words, "--resume", "--window", 9, "--json")
    reports = {path.parent.name: json.loads(path.read_text()) for path in (run.folder / "out").glob("*/report.json")}
    windows = {name: report["settings"]["registration"]["window"] for name, report in reports.items()}
    assert (windows["p00"], windows["p02"]) == (9, 9)
    assert windows["p01"] != 9
    assert [row["status"] for row in json.loads(got.stdout)["pairs"]] == ["ok", "error", "ok"]


def test_a_pair_killed_between_files_and_record_is_not_done_again(run: Run) -> None:
    draw_pairs(run.folder / "in", 2)
    words = ("zncc-batch", "in", "-o", "out", *BRIEF, "--workers", 1)
    assert run(*words).returncode == 0
    manifest, report = run.folder / "out" / "manifest.jsonl", run.folder / "out" / "p01" / "report.json"
    manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:2]))
    before = report.stat().st_mtime_ns
    (run.folder / "out" / "p00" / "transform.json").unlink()  # while this one has lost a file
    assert run(*words, "--resume").returncode == 0
    assert report.stat().st_mtime_ns == before
    assert (run.folder / "out" / "p00" / "transform.json").is_file()
    assert sorted(str(record["name"]) for record in records(run.folder / "out")) == ["p00", "p00", "p01"]


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_leaves_no_worker_and_no_half_written_file(run: Run, sent: signal.Signals, code: int) -> None:
    draw_pairs(run.folder / "in", 30)
    batch = start(run.folder, "in", "-o", "out", "--workers", 2)
    until_done(batch, run.folder / "out", 2)
    os.killpg(batch.pid, sent)
    _, stderr = batch.communicate(timeout=30)
    assert batch.returncode == code, stderr
    assert "Traceback" not in stderr
    assert not lives(batch.pid)
    out = run.folder / "out"
    assert half_written(out) == []
    done = {str(record["name"]) for record in records(out)}
    assert done <= {p.name for p in out.iterdir() if p.is_dir()}
    assert table(out / "batch.csv").keys() == done


def test_a_pair_starts_no_process_that_could_outlive_its_worker(run: Run) -> None:
    """The name of the system is in the report; the standard library's platform.platform() runs ``uname`` for it."""
    draw_pairs(run.folder / "in", 1)
    own, began = run.folder / "own", run.folder / "began"
    own.mkdir()
    (own / "uname").write_text(f"#!/bin/sh\n: > '{began}'\n")
    (own / "uname").chmod(0o755)
    path = f"PATH={own}{os.pathsep}{os.environ['PATH']}"
    assert run("zncc-batch", "in", "-o", "out", "--workers", 1, wrap=("env", path)).returncode == 0
    report = json.loads((run.folder / "out" / "p00" / "report.json").read_text())
    assert platform.machine() in json.dumps(report["versions"])
    assert not began.exists()


def test_workers_end_when_the_main_process_is_killed(run: Run) -> None:
    draw_pairs(run.folder / "in", 30)
    batch = start(run.folder, "in", "-o", "out", *BRIEF, "--workers", 2)
    until_done(batch, run.folder / "out", 1)
    batch.kill()
    batch.communicate()
    end = time.monotonic() + 10
    while time.monotonic() < end and lives(batch.pid):
        time.sleep(0.05)
    assert not lives(batch.pid)


def test_a_pair_that_takes_too_long_is_stopped_and_named(run: Run) -> None:
    draw_pairs(run.folder / "in", 1)
    got = run("zncc-batch", "in", "-o", "out", *BRIEF, "--timeout", 0.01)  # no pair is done in that
    assert got.returncode == 5, got.stdout + got.stderr
    (row,) = table(run.folder / "out" / "batch.csv").values()
    assert (row["status"], row["attempts"]) == ("error", "1")
    assert row["reason"] == "took longer than --timeout, 0.01 seconds, and was stopped"
    assert half_written(run.folder / "out") == []


def test_shards_do_each_pair_once_and_are_merged(run: Run) -> None:
    draw_pairs(run.folder / "in", 8)
    words = ("in", "-o", "out", *BRIEF, "--workers", 1)
    shards = [start(run.folder, *words, "--shard", f"{number}/2") for number in (1, 2)]
    assert [shard.wait(timeout=100) for shard in shards] == [0, 0]
    for shard in shards:
        shard.communicate()
    names = [str(record["name"]) for record in records(run.folder / "out")]
    assert sorted(names) == [f"p{number:02}" for number in range(8)]
    got = run("zncc-batch", *words, "--resume")
    assert got.returncode == 0
    assert "8 of 8 pairs aligned" in got.stdout
    assert got.stderr == ""  # no live table off a terminal
    assert len(table(run.folder / "out" / "batch.csv")) == 8
    assert len(records(run.folder / "out")) == 8


def test_a_pattern_and_write_choose_pairs_and_files(run: Run) -> None:
    draw_pairs(run.folder / "in", 2)
    for number in range(2):
        for channel, side in enumerate(("fixed", "moving")):
            (run.folder / "in" / f"p{number:02}_{side}.tif").rename(run.folder / "in" / f"{number}_ch{channel}.tif")
    words = ("--pattern", "{id}_ch{channel}.tif", "--fixed-where", "channel=0", "--write", "transform", "--workers", 1)
    got = run("zncc-batch", "in", *words, "-o", "out", "--json")
    assert got.returncode == 0, got.stderr
    assert [row["name"] for row in json.loads(got.stdout)["pairs"]] == ["0_ch1", "1_ch1"]
    assert [p.name for p in (run.folder / "out" / "0_ch1").iterdir()] == ["transform.json"]


def test_a_real_cluster_aligns_pairs(run: Run) -> None:
    pytest.importorskip("distributed", reason="Dask distributed is not installed: pip install 'zncc-cli[dask]'")
    draw_pairs(run.folder / "in", 4)
    got = run("zncc-batch", "in", "-o", "out", *BRIEF, "--engine", "dask", "--workers", 2)
    assert got.returncode == 0, got.stdout + got.stderr
    assert "4 of 4 pairs aligned" in got.stdout
    assert got.stderr == ""


def test_a_second_cluster_prints_nothing_about_ports(run: Run) -> None:
    """Dask looks for port 8787, where another cluster's page may be."""
    pytest.importorskip("distributed", reason="Dask distributed is not installed: pip install 'zncc-cli[dask]'")
    draw_pairs(run.folder / "in", 1)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):  # another cluster has it
            taken.bind(("127.0.0.1", 8787))
            taken.listen()
        got = run("zncc-batch", "in", "-o", "out", *BRIEF, "--engine", "dask", "--workers", 1)
    assert (got.returncode, got.stderr) == (0, "")
