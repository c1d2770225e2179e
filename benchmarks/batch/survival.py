"""A batch that is killed three times, one that loses a Dask worker, and pairs a second with one and two workers.

Needs what `make test` installs.
"""

from __future__ import annotations

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
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.batch.pairs import draw
from benchmarks.batch.runs import Timed, records, start
from benchmarks.common import machine, report
from benchmarks.common.command_line import make_parser, show_progress

PARTS = ("survival", "throughput", "dask")
_FEW_FILES = "aligned,transform,report"


def main() -> None:
    """Run the benchmark."""
    parser = make_parser("batch.survival", __doc__)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5, help="of the throughput, each of 40 pairs")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    body, files = list[str](), list[Path]()
    title = f"A batch of {options.pairs} pairs of {options.side} x {options.side}, affine"
    facts, file_name = machine.describe(), f"batch-survival-{machine.slug()}"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder / "in", options.pairs, options.side)
        parts = {
            "survival": lambda: survival(folder, options.pairs, random.Random(options.seed)),
            "throughput": lambda: throughput(folder, options.rounds),
            "dask": lambda: dask(folder, options.pairs),
        }
        for part in PARTS:
            if part in options.parts:
                show_progress(part)
                body += parts[part]()
                # After each part, should a later one fail.
                files = report.write(options.out, file_name, title, facts, body, {"lines": body})
    print(*files, sep="\n")


def survival(folder: Path, count: int, chance: random.Random) -> Iterator[str]:
    """Kill a batch three times, resume it to its end, and yield what came of good and of bad pairs."""
    source, out = folder / "in", folder / "survival"
    shutil.copy(source / "p0000_fixed.tif", source / "corrupt_fixed.tif")
    (source / "corrupt_moving.tif").write_bytes((source / "p0000_moving.tif").read_bytes()[:20000])
    shutil.copy(source / "p0000_fixed.tif", source / "pipe_fixed.tif")
    os.mkfifo(source / "pipe_moving.tif")  # opening it would wait for ever
    arguments = (source, "--out", out, "--workers", 2, "--resume")
    began = time.monotonic()
    kills = []
    for _ in range(3):
        process = start(*arguments)
        before, moment = len(records(out)), chance.uniform(15, 45)
        time.sleep(moment)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kills.append(f"{moment:.1f} s ({before} -> {len(records(out))} records)")
    process = start(*arguments)
    output, _ = process.communicate()
    seconds = time.monotonic() - began
    with (out / "batch.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    done = collections.Counter(record["name"] for record in records(out) if record["status"] != "error")
    names = {f"p{number:04}" for number in range(count)}
    yield f"Killed with SIGKILL (whole group) after {', '.join(kills)}; then to the end: {seconds:.0f} s in all"
    yield ""
    yield f"- exit code {process.returncode}; {output.strip().splitlines()[-1]}"
    yield f"- good pairs with exactly one record: {sum(done[name] == 1 for name in names)} of {count}"
    complete = sum(len(list((out / name).iterdir())) == 9 for name in names)
    yield f"- with all nine files: {complete}; half-written folders left: {len(list(out.rglob('.zncc-*')))}"
    for row in rows:
        if row["status"] == "error":
            yield f"- {row['name']}: {row['reason'].replace(str(folder), '.')}"
    for path in ("corrupt_fixed.tif", "corrupt_moving.tif", "pipe_fixed.tif", "pipe_moving.tif"):
        (source / path).unlink()
    yield ""


def throughput(folder: Path, rounds: int) -> Iterator[str]:
    """Time batches of one and two workers in turn, with all files and with the fewest, and yield a table."""
    cells: dict[tuple[str, int], list[Timed]] = collections.defaultdict(list)
    for round_number in range(rounds):
        source = folder / f"turn{round_number}"
        source.mkdir()
        for number in range(round_number * 40, round_number * 40 + 40):
            for side in ("fixed", "moving"):
                name = f"p{number % 1000:04}_{side}.tif"
                shutil.copy(folder / "in" / name, source)
        for write in ("all", _FEW_FILES):
            for workers in (1, 2):
                chosen = () if write == "all" else ("--write", write)
                out = folder / f"out{round_number}{write}{workers}"
                cells[write, workers].append(Timed(workers, out, source, *chosen))
    load = os.getloadavg()[0]
    yield f"Turns of 40 pairs, 1 and 2 workers alternating, {rounds} rounds; load {load:.1f}; medians"
    yield ""
    rows = []
    for (write, workers), runs in cells.items():
        rate = statistics.median(run.rate for run in runs)
        single = cells[write, 1]
        efficiency = statistics.median(run.rate / alone.rate / workers for run, alone in zip(runs, single, strict=True))
        cpu, inside, beyond = (
            statistics.median(getattr(run, field) for run in runs) for field in ("cpu", "registration", "beyond")
        )
        rows.append(
            (write, workers, f"{rate:.2f}", f"{cpu:.3f}", f"{inside:.3f}", f"{beyond:.0%}", f"{efficiency:.0%}")
        )
    head = ("written", "workers", "pairs/s", "CPU s/pair", "register s/pair", "beyond register", "efficiency")
    yield from report.table(head, rows)


def dask(folder: Path, count: int) -> Iterator[str]:
    """Start a scheduler and two workers as a user would, kill one worker in mid-run, and yield what came of it."""
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
        process = start(folder / "in", "--out", out, "--scheduler", address, "--write", _FEW_FILES)
        while len(records(out)) < count // 3 and process.poll() is None:
            time.sleep(0.05)
        killed_at = len(records(out))
        child = psutil.Process(workers[0].pid).children()[0]
        workers[0].kill()
        child.wait(10)
        output, errors = process.communicate()
        done = collections.Counter(record["name"] for record in records(out) if record["status"] == "ok")
        seconds = time.monotonic() - began
        yield f"Dask: scheduler and 2 workers on loopback, one killed at record {killed_at}; {seconds:.0f} s"
        yield ""
        yield f"- exit code {process.returncode}; {(output or errors).strip().splitlines()[-1]}"
        yield f"- pairs with exactly one record: {sum(number == 1 for number in done.values())} of {count}"
    finally:
        for server in (*workers, scheduler):
            server.kill()
            server.wait()


if __name__ == "__main__":
    main()
