"""What a batch of 100,000 pairs costs beside its pairs: finding them, handing them out, manifest, table, folders.

The engines and the manifest are the real ones, the workers real processes; only the pairs take no time.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.batch.instant import COMMAND
from benchmarks.common import machine, report
from benchmarks.common.command_line import make_parser, show_progress
from zncc_cli.config.batch import BatchConfig
from zncc_cli.jobs.batch.cluster import Cluster
from zncc_cli.jobs.batch.manifest import manifests, read_manifests
from zncc_cli.jobs.batch.pairs import Pair, find_pairs
from zncc_cli.jobs.batch.processes import Processes
from zncc_cli.jobs.batch.row import write_table
from zncc_cli.jobs.batch.run import run_batch


def main() -> None:
    """Run the benchmark."""
    parser = make_parser("batch.scale", __doc__)
    parser.add_argument("--pairs", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    count, workers = options.pairs, options.workers
    title, facts = f"A batch of {count} pairs that take no time, {workers} workers", machine.describe()
    bytes_per_pair: dict[str, float] = {}

    def write(rows: list[tuple[str, ...]]) -> list[Path]:
        """Write what is there so far: a part that fails later does not cost it."""
        head = ("what", "seconds", "us a pair", "this process: CPU s", "MiB")
        sizes = [f"Bytes a pair: {', '.join(f'{name} {size:.0f}' for name, size in bytes_per_pair.items())}"]
        body = [*report.table(head, rows), *(sizes if bytes_per_pair else [])]
        content = {"rows": rows, "bytes_per_pair": bytes_per_pair}
        return report.write(options.out, f"batch-scale-{machine.slug()}", title, facts, body, content)

    timed = _Timed(count, write)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _list_pairs(timed, folder, count)
        pairs = [
            Pair(f"plate{n // 384:04}/w{n % 384:03}", f"in/{n:07}_fixed.tif", f"in/{n:07}_moving.tif")
            for n in range(count)
        ]
        plain, dask = folder / "processes", folder / "dask"
        timed("processes, all", lambda: _run("processes", plain, pairs, workers))
        timed("processes, --resume, all done", lambda: _run("processes", plain, pairs, workers, resume=True))
        timed("dask, all", lambda: _run("dask", dask, pairs, workers))
        paths = manifests(plain)
        records = timed("reading the manifest", lambda: read_manifests(paths))
        bytes_per_pair["manifest.jsonl"] = paths[0].stat().st_size / count
        table = folder / "batch.csv"
        timed("writing batch.csv", lambda: write_table(table, [record.row for record in records.values()]))
        bytes_per_pair["batch.csv"] = table.stat().st_size / count
        _make_folders(timed, folder / "folders", count)
    print(*timed.files, sep="\n")


class _Timed:
    """A caller of functions that keeps a row for each: name, seconds, us a pair, CPU seconds, resident MiB.

    ``write`` gets all rows after each call; ``files`` are those that it wrote.
    """

    def __init__(self, count: int, write: Callable[[list[tuple[str, ...]]], list[Path]]) -> None:
        self.count, self.rows, self._write = count, list[tuple[str, ...]](), write
        self.files: list[Path] = []

    def __call__(self, what: str, function: Callable[[], Any]) -> Any:
        """Call ``function`` and return its result."""
        process = psutil.Process()
        before, began = process.cpu_times(), time.monotonic()
        result = function()
        seconds, after = time.monotonic() - began, process.cpu_times()
        cpu = after.user + after.system - before.user - before.system
        memory = process.memory_info().rss / 2**20
        row = (what, f"{seconds:.1f}", f"{seconds / self.count * 1e6:.0f}", f"{cpu:.1f}", f"{memory:.0f}")
        self.rows.append(row)
        self.files = self._write(self.rows)
        show_progress(" | ".join(row))
        return result


def _list_pairs(timed: _Timed, folder: Path, count: int) -> None:
    source = folder / "in"
    source.mkdir()
    for number in range(count):
        for name in ("fixed", "moving"):
            (source / f"{number:07}_{name}.tif").touch()
    config = BatchConfig(source=source, out=folder)
    timed(f"finding *_fixed.*, *_moving.* in a folder of {2 * count} files", lambda: find_pairs(config))
    config = BatchConfig(source=source, out=folder, pattern="{id}_{side}.tif", fixed_where="side=fixed")
    timed("finding them by --pattern", lambda: find_pairs(config))
    table = folder / "pairs.csv"
    table.write_text("fixed,moving\n" + "".join(f"in/{n:07}_fixed.tif,in/{n:07}_moving.tif\n" for n in range(count)))
    timed("reading a table of them", lambda: find_pairs(BatchConfig(source=table, out=folder)))


def _run(kind: str, out: Path, pairs: list[Pair], workers: int, resume: bool = False) -> None:
    config = BatchConfig(source=out, out=out, resume=resume, write="report")
    settings = {"out": str(out)}
    if kind == "dask":
        engine: Any = Cluster(settings, None, workers, 600.0, lambda _: None, COMMAND)
    else:
        engine = Processes(settings, workers, 600.0, lambda _: None, COMMAND)
    assert len(run_batch(config, pairs, lambda *_: None, engine).pairs) == len(pairs)


def _make_folders(timed: _Timed, parent: Path, count: int) -> None:
    names = [f"{number:07}" for number in range(count)]

    def make() -> None:
        for name in names:
            (parent / name).mkdir(parents=True)

    def look() -> None:
        assert all((parent / name / "report.json").exists() is False for name in names)

    timed("making a folder each, all in one", make)
    timed("looking for a file in each", look)


if __name__ == "__main__":
    main()
