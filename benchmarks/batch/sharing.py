"""Small pairs where there is a GPU: pairs a second of processes that share it, beside a process a core without it.

    python benchmarks/batch_gpu.py

Each row is one `zncc-batch`, from the record with which every worker has had a pair until --seconds later; the rows
take turns. What this machine does best is what the default of --workers should be (docs/batch.md).
"""

from __future__ import annotations

import argparse
import collections
import datetime
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks import machine
from benchmarks.batch.pairs import draw
from benchmarks.batch.runs import records, start
from zncc_cli.process import usable_cores

_RESULTS = Path(__file__).resolve().parent.parent / "results"
_START_SECONDS = 40.0
_DRAWN = 40  # of 256 x 256
_LEAST_DRAWN = 4
_PAIRS_PER_CORE = 100  # more than a core aligns while it is watched
Row = tuple[str, int]


def main() -> int:
    """Run the benchmark; return the exit code."""
    present = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    parser = argparse.ArgumentParser(prog="benchmarks/batch_gpu.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", nargs="+", choices=("cpu", "cuda"), default=present)
    parser.add_argument("--side", type=int, default=256, help="of the pairs, in pixels")
    parser.add_argument("--pairs", type=int, help=f"default: {_PAIRS_PER_CORE} a core, which no row ends")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 4, 16], help="that share the GPU")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=6.0, help="that a row is watched")
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the results")
    options = parser.parse_args()
    for name in options.devices:
        if name not in present:
            print(f"--devices: {name} is not here; there is {', '.join(present)}", file=sys.stderr)
            return 2
    # Ended by `timeout`, the batch under way has to end, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    cores = usable_cores()
    rows: list[Row] = [("cuda", count) for count in options.processes if "cuda" in options.devices]
    rows += [("cpu", cores)] if "cpu" in options.devices else []
    rates = collections.defaultdict(list)
    device = torch.device("cuda" if "cuda" in options.devices else "cpu")
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "in"
        _pairs(source, options.pairs or _PAIRS_PER_CORE * cores, options.side)
        for turn in range(options.rounds):
            for kind, count in rows:
                out = Path(name) / f"{kind}{count}-{turn}"
                rates[kind, count].append(rate(source, out, kind, count, options.seconds))
                files = write(dict(rates), options.side, device, options.out)  # each time, should the time run out
    print(*files, sep="\n")
    return 0


def _pairs(folder: Path, count: int, side: int) -> None:
    """Draw a few pairs, the fewer the larger, and give each of them many names."""
    drawn = min(count, max(_LEAST_DRAWN, _DRAWN * 256**2 // side**2))
    draw(folder, drawn, side)
    for number in range(drawn, count):
        for image in ("fixed", "moving"):
            os.link(folder / f"p{number % drawn:04}_{image}.tif", folder / f"p{number:04}_{image}.tif")


def rate(source: Path, out: Path, device: str, workers: int, seconds: float) -> float:
    """Return pairs a second of a batch that is ended when it has been watched for long enough."""
    line = ("--device", device, "--workers", workers, "--write", "aligned,transform,report")
    process = start(source, "--out", out, *line)
    try:
        _wait(process, lambda: len(_times(out)) >= workers, _START_SECONDS)
        _wait(process, lambda: False, seconds)
        watched = _times(out)[workers - 1 :]
    finally:
        process.terminate()
        _, errors = process.communicate()
    if len(watched) < 2:
        raise RuntimeError(f"--device {device} --workers {workers}: {len(watched)} records; {errors.strip()[-500:]}")
    return (len(watched) - 1) / (watched[-1] - watched[0])


def _wait(process: subprocess.Popen[str], until: Callable[[], bool], seconds: float) -> None:
    """Return when ``until`` says so, the process has ended, or the time is over."""
    end = time.monotonic() + seconds
    while not until() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)


def _times(out: Path) -> list[float]:
    return sorted(record["time"] for record in records(out))


def write(rates: dict[Row, list[float]], side: int, device: torch.device, folder: Path) -> list[Path]:
    """Write the table and the figures; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    date, facts = datetime.date.today().isoformat(), machine.describe(device, 1)
    stem = folder / f"batch-{machine.slug(device)}-{side}-{date}"
    lines = [f"# Pairs of {side} x {side} in a batch on {facts['device']}, {date}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {fact} |" for name, fact in facts.items()]
    lines += ["", "| device | processes | pairs/s, median | least to most |", "|---|--:|--:|--:|"]
    for (name, count), values in rates.items():
        lines.append(f"| {name} | {count} | {statistics.median(values):.2f} | {min(values):.2f} to {max(values):.2f} |")
    content: dict[str, Any] = {
        "format": "zncc-batch-benchmark",
        "version": 1,
        "date": date,
        "machine": facts,
        "side": side,
        "pairs_per_second": {f"{name}, {count} processes": values for (name, count), values in rates.items()},
    }
    markdown, data = stem.with_suffix(".md"), stem.with_suffix(".json")
    markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")
    data.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return [markdown, data]
