"""What a batch of 100,000 pairs costs beside its pairs: finding them, handing them out, manifest, table, folders.

    python benchmarks/batch_scale.py [--pairs 100000]

The engines and the manifest are the real ones, the workers real processes; only the pairs take no time. Prints a table
in Markdown.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.batch.instant import COMMAND
from benchmarks.machine import processor
from zncc_cli.config.batch import BatchConfig
from zncc_cli.jobs.batch.cluster import Cluster
from zncc_cli.jobs.batch.manifest import manifests, read_manifests
from zncc_cli.jobs.batch.pairs import Pair, find_pairs
from zncc_cli.jobs.batch.processes import Processes
from zncc_cli.jobs.batch.row import write_table
from zncc_cli.jobs.batch.run import run_batch


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    count, workers = (options := parser.parse_args()).pairs, options.workers
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {count} pairs, {workers} workers")
        print("\n| what | seconds | us a pair | our process: CPU s | MiB |\n|---|---|---|---|---|")
        _listing(folder, count)
        pairs = [Pair(f"plate{n // 384:04}/w{n % 384:03}", f"in/{n:07}_fixed.tif", f"in/{n:07}_moving.tif") for n in range(count)]  # fmt: skip
        plain, dask = folder / "processes", folder / "dask"
        _measured("processes, all", count, lambda: _run("processes", plain, pairs, workers))
        _measured("processes, --resume, all done", count, lambda: _run("processes", plain, pairs, workers, resume=True))
        _measured("dask, all", count, lambda: _run("dask", dask, pairs, workers))
        path = manifests(folder / "processes")
        size = path[0].stat().st_size
        records = _measured("reading the manifest", count, lambda: read_manifests(path))
        rows = [record.row for record in records.values()]
        _measured("writing batch.csv", count, lambda: write_table(folder / "batch.csv", rows))
        _folders(folder / "folders", count)
        table = (folder / "batch.csv").stat().st_size
        print(f"\nBytes a pair: manifest.jsonl {size / count:.0f}, batch.csv {table / count:.0f}")


def _measured(what: str, count: int, do: Callable[[], Any]) -> Any:
    process = psutil.Process()
    before, began = process.cpu_times(), time.monotonic()
    result = do()
    seconds, after = time.monotonic() - began, process.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    memory = process.memory_info().rss / 2**20
    print(f"| {what} | {seconds:.1f} | {seconds / count * 1e6:.0f} | {cpu:.1f} | {memory:.0f} |", flush=True)
    return result


def _listing(folder: Path, count: int) -> None:
    source = folder / "in"
    source.mkdir()
    for number in range(count):
        for name in ("fixed", "moving"):
            (source / f"{number:07}_{name}.tif").touch()
    config = BatchConfig(source=source, out=folder)
    _measured(f"finding *_fixed.*, *_moving.* in a folder of {2 * count} files", count, lambda: find_pairs(config))
    config = BatchConfig(source=source, out=folder, pattern="{id}_{side}.tif", fixed_where="side=fixed")
    _measured("finding them by --pattern", count, lambda: find_pairs(config))
    table = folder / "pairs.csv"
    table.write_text("fixed,moving\n" + "".join(f"in/{n:07}_fixed.tif,in/{n:07}_moving.tif\n" for n in range(count)))
    _measured("reading a table of them", count, lambda: find_pairs(BatchConfig(source=table, out=folder)))


def _run(kind: str, out: Path, pairs: list[Pair], workers: int, resume: bool = False) -> None:
    config = BatchConfig(source=out, out=out, resume=resume, write="report")
    settings = {"out": str(out)}
    if kind == "dask":
        engine: Any = Cluster(settings, None, workers, 600.0, lambda _: None, COMMAND)
    else:
        engine = Processes(settings, workers, 600.0, lambda _: None, COMMAND)
    assert len(run_batch(config, pairs, lambda *_: None, engine).pairs) == len(pairs)


def _folders(place: Path, count: int) -> None:
    names = [f"{number:07}" for number in range(count)]

    def make() -> None:
        for name in names:
            (place / name).mkdir(parents=True)

    def look() -> None:
        assert all((place / name / "report.json").exists() is False for name in names)

    _measured("making a folder each, all in one", count, make)
    _measured("looking for a file in each", count, look)
