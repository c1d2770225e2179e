"""A batch that is killed three times, one that loses a Dask worker, and pairs a second with one and two workers.

    python benchmarks/batch_survival.py [--pairs 1000] [--side 256] [--out FOLDER]

Prints a table in Markdown. Needs what `make test` installs.
"""

from __future__ import annotations

import argparse
import collections
import csv
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.batch.pairs import draw
from benchmarks.batch.runs import Timed, records, start
from benchmarks.machine import processor

PARTS = ("survival", "throughput", "dask")
_BRIEF = "aligned,transform,report"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5, help="of the throughput, each of 40 pairs")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder / "in", options.pairs, options.side)
        print(f"{processor()}, {os.cpu_count()} cores; {options.pairs} pairs of {options.side}^2, affine")
        if "survival" in options.parts:
            survival(folder, options.pairs, random.Random(options.seed))
        if "throughput" in options.parts:
            throughput(folder, options.rounds)
        if "dask" in options.parts:
            dask(folder, options.pairs)


def survival(folder: Path, count: int, chance: random.Random) -> None:
    source, out = folder / "in", folder / "survival"
    shutil.copy(source / "p0000_fixed.tif", source / "corrupt_fixed.tif")
    (source / "corrupt_moving.tif").write_bytes((source / "p0000_moving.tif").read_bytes()[:20000])
    shutil.copy(source / "p0000_fixed.tif", source / "pipe_fixed.tif")
    os.mkfifo(source / "pipe_moving.tif")  # to open it would wait for ever
    words = (source, "--out", out, "--workers", 2, "--resume")
    began = time.monotonic()
    kills = []
    for _ in range(3):
        process = start(*words)
        before, moment = len(records(out)), chance.uniform(15, 45)
        time.sleep(moment)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kills.append(f"{moment:.1f} s ({before} -> {len(records(out))} records)")
    process = start(*words)
    output, _ = process.communicate()
    seconds = time.monotonic() - began
    with (out / "batch.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    done = collections.Counter(one["name"] for one in records(out) if one["status"] != "error")
    names = {f"p{number:04}" for number in range(count)}
    print(f"\nKilled with SIGKILL (whole group) after {', '.join(kills)}; then to the end: {seconds:.0f} s in all")
    print(f"- exit code {process.returncode}; {output.strip().splitlines()[-1]}")
    print(f"- good pairs with exactly one record: {sum(done[name] == 1 for name in names)} of {count}")
    complete = sum(len(list((out / name).iterdir())) == 9 for name in names)
    print(f"- with all nine files: {complete}; half-written folders left: {len(list(out.rglob('.zncc-*')))}")
    for row in rows:
        if row["status"] == "error":
            print(f"- {row['name']}: {row['reason'].replace(str(folder), '.')}")
    for path in ("corrupt_fixed.tif", "corrupt_moving.tif", "pipe_fixed.tif", "pipe_moving.tif"):
        (source / path).unlink()


def throughput(folder: Path, rounds: int) -> None:
    cells: dict[tuple[str, int], list[Timed]] = collections.defaultdict(list)
    for turn in range(rounds):
        source = folder / f"turn{turn}"
        source.mkdir()
        for number in range(turn * 40, turn * 40 + 40):
            for side in ("fixed", "moving"):
                name = f"p{number % 1000:04}_{side}.tif"
                shutil.copy(folder / "in" / name, source)
        for write in ("all", _BRIEF):
            for workers in (1, 2):
                chosen = () if write == "all" else ("--write", write)
                out = folder / f"out{turn}{write}{workers}"
                cells[write, workers].append(Timed(workers, out, source, *chosen))
    load = os.getloadavg()[0]
    print(f"\nTurns of 40 pairs, 1 and 2 workers alternating, {rounds} rounds; load {load:.1f}; medians")
    print("| written | workers | pairs/s | CPU s/pair | register s/pair | beyond register | efficiency |")
    print("|---|---|---|---|---|---|---|")
    for (write, workers), runs in cells.items():
        rate = statistics.median(run.rate for run in runs)
        single = cells[write, 1]
        efficiency = statistics.median(run.rate / one.rate / workers for run, one in zip(runs, single, strict=True))
        cpu, inside, beyond = (
            statistics.median(getattr(run, field) for run in runs) for field in ("cpu", "registration", "beyond")
        )
        print(f"| {write} | {workers} | {rate:.2f} | {cpu:.3f} | {inside:.3f} | {beyond:.0%} | {efficiency:.0%} |")


def dask(folder: Path, count: int) -> None:
    """A scheduler and two workers as processes, as a user would start them; one worker is killed in mid-run."""
    out, pipe = folder / "dask", subprocess.DEVNULL
    scheduler_file = folder / "scheduler.json"
    base = (sys.executable, "-m", "distributed.cli.dask_scheduler")
    scheduler = subprocess.Popen(
        [*base, "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(scheduler_file)],
        stdout=pipe,
        stderr=pipe,
    )
    while not scheduler_file.exists():
        time.sleep(0.1)
    time.sleep(0.5)
    address = json.loads(scheduler_file.read_text())["address"]
    line = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny"]
    workers = [subprocess.Popen([*line, "--no-dashboard"], cwd=folder, stdout=pipe, stderr=pipe) for _ in range(2)]
    try:
        began = time.monotonic()
        process = start(folder / "in", "--out", out, "--scheduler", address, "--write", _BRIEF)
        while len(records(out)) < count // 3 and process.poll() is None:
            time.sleep(0.05)
        at = len(records(out))
        child = psutil.Process(workers[0].pid).children()[0]
        workers[0].kill()
        child.wait(10)
        output, errors = process.communicate()
        done = collections.Counter(one["name"] for one in records(out) if one["status"] == "ok")
        print(f"\nDask: scheduler and 2 workers on loopback, one killed with SIGKILL at record {at}; "
              f"{time.monotonic() - began:.0f} s")  # fmt: skip
        print(f"- exit code {process.returncode}; {(output or errors).strip().splitlines()[-1]}")
        print(f"- pairs with exactly one record: {sum(number == 1 for number in done.values())} of {count}")
    finally:
        for one in (*workers, scheduler):
            one.kill()
            one.wait()
