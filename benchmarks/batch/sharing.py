"""Small pairs where there is a GPU: pairs a second of processes that share it, beside a process a core without it.

Each row is one `zncc-batch`, from the record with which every worker has had a pair until --seconds later; the rows
take turns. The default of --workers should be what this machine does best (docs/batch.md).
"""

from __future__ import annotations

import collections
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.batch.pairs import draw
from benchmarks.batch.runs import records, start
from benchmarks.common import machine, report
from benchmarks.common.command_line import make_parser
from zncc_cli.process import usable_cores

_MAX_START_SECONDS = 40.0
_DRAWN_COUNT, _MIN_DRAWN_COUNT = 40, 4  # different pairs, of 256 x 256 and of any size
_PAIRS_PER_CORE = 100  # more than a core aligns while it is watched
Row = tuple[str, int]


def main() -> None:
    """Run the benchmark."""
    parser = make_parser("batch.sharing", __doc__, devices=True)
    parser.add_argument("--side", type=int, default=256, help="of the pairs, in pixels")
    parser.add_argument("--pairs", type=int, help=f"default: {_PAIRS_PER_CORE} a core, which no row ends")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 4, 16], help="that share the GPU")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=6.0, help="that a row is watched")
    options = parser.parse_args()
    # Where `timeout` ends this process, the batch under way has to end, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    cores = usable_cores()
    rows: list[Row] = [("cuda", count) for count in options.processes if "cuda" in options.devices]
    rows += [("cpu", cores)] if "cpu" in options.devices else []
    rates = collections.defaultdict(list)
    device = torch.device("cuda" if "cuda" in options.devices else "cpu")
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "in"
        _draw_pairs(source, options.pairs or _PAIRS_PER_CORE * cores, options.side)
        for round_number in range(options.rounds):
            for kind, count in rows:
                out = Path(name) / f"{kind}{count}-{round_number}"
                rates[kind, count].append(rate(source, out, kind, count, options.seconds))
                files = write(dict(rates), options.side, device, options.out)  # each time, should the time run out
    print(*files, sep="\n")


def _draw_pairs(folder: Path, count: int, side: int) -> None:
    """Draw a few pairs, the fewer the larger, and give each of them many names."""
    drawn = min(count, max(_MIN_DRAWN_COUNT, _DRAWN_COUNT * 256**2 // side**2))
    draw(folder, drawn, side)
    for number in range(drawn, count):
        for image in ("fixed", "moving"):
            os.link(folder / f"p{number % drawn:04}_{image}.tif", folder / f"p{number:04}_{image}.tif")


def rate(source: Path, out: Path, device: str, workers: int, seconds: float) -> float:
    """Return the pairs a second of a batch, which is watched for ``seconds`` and then ended."""
    line = ("--device", device, "--workers", workers, "--write", "aligned,transform,report")
    process = start(source, "--out", out, *line)
    try:
        _wait(process, lambda: len(_times(out)) >= workers, _MAX_START_SECONDS)
        _wait(process, lambda: False, seconds)
        watched = _times(out)[workers - 1 :]
    finally:
        process.terminate()
        _, errors = process.communicate()
    if len(watched) < 2:
        raise RuntimeError(f"--device {device} --workers {workers}: {len(watched)} records; {errors.strip()[-500:]}")
    return (len(watched) - 1) / (watched[-1] - watched[0])


def _wait(process: subprocess.Popen[str], until: Callable[[], bool], seconds: float) -> None:
    """Wait until ``until()`` is true, the process has ended, or ``seconds`` are over."""
    end = time.monotonic() + seconds
    while not until() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)


def _times(out: Path) -> list[float]:
    return sorted(record["time"] for record in records(out))


def write(rates: dict[Row, list[float]], side: int, device: torch.device, folder: Path) -> list[Path]:
    """Write the table and the figures; return the files."""
    facts = machine.describe(device)
    rows = [
        (name, count, f"{statistics.median(values):.2f}", f"{min(values):.2f} to {max(values):.2f}")
        for (name, count), values in rates.items()
    ]
    body = report.table(("device", "processes", "pairs/s, median", "least to most"), rows)
    pairs_per_second = {f"{name}, {count} processes": values for (name, count), values in rates.items()}
    title = f"Pairs of {side} x {side} in a batch on {facts['device']}"
    content = {"side": side, "pairs_per_second": pairs_per_second}
    return report.write(folder, f"batch-{machine.slug(device)}-{side}", title, facts, body, content)


if __name__ == "__main__":
    main()
