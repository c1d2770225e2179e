"""Reads damaged files of every format, and counts what becomes of them.

    python -m benchmarks.files --reads 100000 [--seed 0] [--file real.lif ...]

Each read has a file with a few bytes changed, most of them in its header, or cut off. It must end in an image or in an
`InputError` or `OptionError`. What is read of a small one is written again, on its own grid and on another, which must
end in a file, an `OutputError` or an `InputError`. Any other exception, a signal, more than `_MAX_SECONDS`, and more
memory than `_MAX_BYTES` are faults, which are printed with the seed that makes the file again (`--seed N --reads 1`).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.files.sources import sources
from zncc_cli.errors import InputError, OptionError, OutputError
from zncc_cli.files.image_output import write_image
from zncc_cli.files.images import Image, read_image
from zncc_cli.files.metadata import Metadata, PixelSize

_MAX_SECONDS = 20
_MAX_BYTES = 2 * 10**9  # of resident memory
_PIXEL_BYTES = 2**28  # that a read may hold
_WRITTEN_BYTES = 2**20  # of an image that is written again
_PART = slice(0, 64)
_SIZE = PixelSize(x=0.125, y=0.125, unit="µm")
_FRAME = Image(np.zeros((40, 56)), "YX", Metadata(path=Path("frame.tif"), format="TIFF", pixel_size=_SIZE))


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """Return ``content`` with some bytes changed: anywhere, in the first ones, and numbers set to extremes."""
    changed = bytearray(content)
    for _ in range(random.integers(1, 5)):
        changed[random.integers(len(changed))] = random.integers(256)
    for _ in range(random.integers(0, 4)):
        place = int(random.integers(min(600, len(changed))))
        value = random.choice([0, 1, 0x7F, 0x80, 0xFF])
        changed[place : place + int(random.choice([1, 2, 4]))] = bytes([value] * int(random.choice([1, 2, 4])))
    if random.random() < 0.1:
        del changed[int(random.integers(1, len(changed))) :]
    return bytes(changed)


def read(path: Path) -> str:
    """Read a part of the first plane of a file; return what became of it."""
    try:
        image = read_image(path, max_bytes=_PIXEL_BYTES)
        image.read((0,) * len(image.leading), _PART, _PART).valid()
        if image.data.nbytes <= _WRITTEN_BYTES:
            data = np.asarray(image.data)
            for frame in (image, None):
                write_image(path.with_name("written.tif"), data, like=image, frame=frame or _FRAME)
    except (InputError, OptionError, OutputError):
        return "refused"
    except Exception as error:
        return f"FAULT {type(error).__name__}: {str(error)[:120]}"
    return "read"


def work(first: int, last: int, files: list[Path], progress: Path) -> None:
    """Do the reads of seeds ``first`` to ``last``, and write what became of each into ``progress``."""
    kinds = list(sources(files))
    with tempfile.TemporaryDirectory() as folder, progress.open("a") as log:
        for seed in range(first, last):
            random = np.random.default_rng(seed)
            name, suffix, content = kinds[int(random.integers(len(kinds)))]
            path = Path(folder) / f"a{suffix}"
            path.write_bytes(damaged(content, random))
            log.write(f"{json.dumps([seed, name])}\n")
            log.flush()
            began = time.perf_counter()
            outcome = read(path)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            log.write(f"{json.dumps([seed, name, outcome, time.perf_counter() - began, peak])}\n")
            log.flush()


def main() -> None:
    """Run the reads in processes of their own, which a damaged file may end."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.files", description=__doc__)
    parser.add_argument("--reads", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--file", type=Path, action="append", default=[], help="a further file to damage")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(int(options.worker[0]), int(options.worker[1]), options.file, Path(options.worker[2]))
        return
    counts: Counter[str] = Counter()
    faults: list[str] = []
    slowest, peak, seed, last = 0.0, 0, options.seed, options.seed + options.reads
    while seed < last:
        with tempfile.NamedTemporaryFile(suffix=".jsonl") as progress:
            done, ended = _run(seed, last, options.file, Path(progress.name))
        for _, name, outcome, seconds, memory in done:
            kind = "fault" if outcome.startswith("FAULT") else outcome
            counts[kind] += 1
            is_too_large = memory > max(_MAX_BYTES, peak)  # the peak of a process never falls
            slowest, peak = max(slowest, seconds), max(peak, memory)
            if kind == "fault" or seconds > _MAX_SECONDS or is_too_large:
                faults.append(f"seed {_}: {name}: {outcome}, {seconds:.1f} s, {memory / 1e6:.0f} MB")
        if ended is not None:
            counts["fault"] += 1
            faults.append(f"seed {ended[0]}: {ended[1]}: {ended[2]}")
        seed = (ended[0] if ended is not None else last - 1) + 1
    print("\n".join(faults))
    total = sum(counts.values())
    print(f"{total} reads: {counts['read']} read, {counts['refused']} refused, {counts['fault']} faults; ", end="")
    print(f"slowest {slowest:.2f} s, most memory {peak / 1e6:.0f} MB")
    sys.exit(1 if faults else 0)


def _run(first: int, last: int, files: list[Path], progress: Path) -> tuple[list[Any], tuple[int, str, str] | None]:
    """Run a worker; return what it did, and (seed, name, why) of the read that ended it, or None."""
    line = [sys.executable, "-m", "benchmarks.files", *(f"--file={file}" for file in files)]
    with subprocess.Popen(
        [*line, "--worker", str(first), str(last), str(progress)], stderr=subprocess.DEVNULL
    ) as worker:
        size, since, why = 0, time.monotonic(), ""
        while worker.poll() is None:
            time.sleep(0.1)
            if progress.stat().st_size > size:
                size, since = progress.stat().st_size, time.monotonic()
            elif size and time.monotonic() - since > _MAX_SECONDS:
                why = f"no end after {_MAX_SECONDS} s"
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, 9)
        why = why or (f"ended by {worker.returncode}" if worker.returncode else "")
    lines = [json.loads(text) for text in progress.read_text().splitlines()]
    done = [entry for entry in lines if len(entry) > 2]
    if not why:
        return done, None
    begun = [entry for entry in lines if len(entry) == 2]
    if not begun:
        raise SystemExit(f"the worker {why} before the first read")
    return done, (begun[-1][0], begun[-1][1], why)


if __name__ == "__main__":
    main()
