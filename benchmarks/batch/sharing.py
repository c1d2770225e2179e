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
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks import machine
from benchmarks.batch.pairs import draw
from benchmarks.batch.runs import records, start

_RESULTS = Path(__file__).resolve().parent.parent / "results"
_START_SECONDS = 120.0
Row = tuple[str, int]


def main() -> int:
    """Run the benchmark; return the exit code."""
    present = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    parser = argparse.ArgumentParser(prog="benchmarks/batch_gpu.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", nargs="+", choices=("cpu", "cuda"), default=present)
    parser.add_argument("--side", type=int, default=256, help="of the pairs, in pixels")
    parser.add_argument("--pairs", type=int, default=400, help="enough that no row does them all")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 4, 16], help="that share the GPU")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=6.0, help="that a row is watched")
    parser.add_argument("--out", type=Path, default=_RESULTS, help="folder of the results")
    options = parser.parse_args()
    for name in options.devices:
        if name not in present:
            print(f"--devices: {name} is not here; there is {', '.join(present)}", file=sys.stderr)
            return 2
    cores = len(os.sched_getaffinity(0))
    rows: list[Row] = [("cuda", count) for count in options.processes if "cuda" in options.devices]
    rows += [("cpu", cores)] if "cpu" in options.devices else []
    rates = collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "in"
        draw(source, options.pairs, options.side)
        for turn in range(options.rounds):
            for device, count in rows:
                out = Path(name) / f"{device}{count}-{turn}"
                rates[device, count].append(rate(source, out, device, count, options.seconds))
                print(f"{device}, {count} processes: {rates[device, count][-1]:.2f} pairs/s", flush=True)
    for file in write(dict(rates), options.side, torch.device(options.devices[-1]), options.out):
        print(file)
    return 0


def rate(source: Path, out: Path, device: str, workers: int, seconds: float) -> float:
    """Return pairs a second of a batch that is ended when it has been watched for long enough."""
    line = ("--device", device, "--workers", workers, "--write", "aligned,transform,report")
    process = start(source, "--out", out, *line)
    try:
        times = _times(out)
        began = time.monotonic()
        while len(times) < workers and process.poll() is None and time.monotonic() - began < _START_SECONDS:
            time.sleep(0.05)
            times = _times(out)
        if process.poll() is None:
            time.sleep(seconds)
        watched = _times(out)[max(workers, 1) - 1 :]
    finally:
        process.terminate()
        _, errors = process.communicate()
    if len(watched) < 2:
        raise RuntimeError(f"--device {device} --workers {workers}: {len(watched)} records; {errors.strip()[-500:]}")
    return (len(watched) - 1) / (watched[-1] - watched[0])


def _times(out: Path) -> list[float]:
    return sorted(record["time"] for record in records(out))


def write(rates: dict[Row, list[float]], side: int, device: torch.device, folder: Path) -> list[Path]:
    """Write the table and the figures; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    date, facts = datetime.date.today().isoformat(), machine.describe(device, 1)
    stem = folder / f"batch-{machine.slug(device)}-{date}"
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
