"""Times of whole processes, as from a shell: interpreter, imports and files included."""

from __future__ import annotations

import itertools
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from benchmarks.batch.runs import Timed, records
from benchmarks.common.processes import run_python
from benchmarks.registration.pairs.error import rms_error
from benchmarks.registration.pairs.plans import Image, Pair, large_pair
from benchmarks.registration.tools.opencv import SIFT_ECC

_ALIGN = "from zncc_cli.cli.align import main; main()"
_FEWEST = "aligned,transform,report"
IMPORT_TORCH, ALIGN, PEER = "python -c 'import torch'", "zncc-align", f"python: {SIFT_ECC}"
ALIGN_FEWEST = f"{ALIGN} --write {_FEWEST}"


@dataclass(frozen=True)
class Process:
    """A kind of process: the seconds of each, in turn with other kinds, and the RMS error of its result, pixels."""

    name: str
    seconds: tuple[float, ...]
    error: float | None = None


def processes(side: int, repeats: int, device: str, *, with_peer: bool) -> list[Process]:
    """Run each kind ``repeats`` times in turn, after once to warm up, on an affine pair of 16-bit TIFF files."""
    pair = large_pair(side)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = list(map(str, _write(pair, folder)))
        out = {ALIGN: folder / "all", ALIGN_FEWEST: folder / "fewest"}
        options = ["--model", pair.plan.model, "--device", device, "--overwrite", "--out"]
        commands = {
            IMPORT_TORCH: ["-c", "import torch"],
            ALIGN: ["-c", _ALIGN, *files, *options, str(out[ALIGN])],
            ALIGN_FEWEST: ["-c", _ALIGN, *files, *options, str(out[ALIGN_FEWEST]), "--write", _FEWEST],
        }
        if with_peer:
            commands[PEER] = ["-m", "benchmarks.registration.tools.opencv", *files, str(folder / "aligned.tif")]
        seconds: dict[str, list[float]] = {kind: [] for kind in commands}
        output = {}
        for round_number in range(repeats + 1):
            for kind, arguments in commands.items():
                began = time.perf_counter()
                output[kind] = run_python(arguments, {"OMP_NUM_THREADS": "1"})
                if round_number:  # the first round warms up
                    seconds[kind].append(time.perf_counter() - began)
        matrices = {kind: json.loads((each / "transform.json").read_text())["matrix"] for kind, each in out.items()}
        if with_peer:
            matrices[PEER] = json.loads(output[PEER])
    errors = {kind: rms_error(np.array(matrix), pair.matrix, (side, side)) for kind, matrix in matrices.items()}
    return [Process(kind, tuple(seconds[kind]), errors.get(kind)) for kind in commands]


@dataclass(frozen=True)
class BatchOverhead:
    """What a batch of equal pairs takes, a worker: the median seconds of a pair inside and beyond `register`."""

    pairs: int
    inside: float
    beyond: float


def batch_overhead(side: int, count: int, device: str) -> BatchOverhead:
    """Run a batch of ``count`` pairs that writes all files; the pair that a worker begins with only warms it up.

    A pair's time is that from the record before to its own.
    """
    pair = large_pair(side)
    with tempfile.TemporaryDirectory() as name:
        source, out = Path(name) / "in", Path(name) / "out"
        source.mkdir()
        for number in range(count + 1):
            _write(pair, source, f"{number:04}_")
        Timed(1, out, source, "--model", pair.plan.model, "--device", device)
        done = sorted(records(out), key=lambda record: record["time"])
        reports = [json.loads((out / each["name"] / "report.json").read_text()) for each in done]
    inside = [each["seconds"]["registration"] for each in reports]
    whole = [later["time"] - earlier["time"] for earlier, later in itertools.pairwise(done)]
    beyond = [pair - registration for pair, registration in zip(whole, inside[1:], strict=True)]
    return BatchOverhead(count, statistics.median(inside[1:]), statistics.median(beyond))


def _write(pair: Pair, folder: Path, prefix: str = "") -> tuple[Path, Path]:
    """Write a pair as 16-bit TIFF files, and return the paths of fixed and moving."""
    paths = folder / f"{prefix}fixed.tif", folder / f"{prefix}moving.tif"
    for path, image in zip(paths, (pair.fixed, pair.moving), strict=True):
        tifffile.imwrite(path, _as_uint16(image), photometric="minisblack")
    return paths


def _as_uint16(image: Image) -> np.ndarray:
    return np.rint(np.clip(image, 0, 1) * 50000 + 5000).astype(np.uint16)
