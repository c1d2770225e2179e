"""Times of whole processes, as from a shell: interpreter, imports and files included."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from benchmarks.common.processes import run_python
from benchmarks.registration.pairs.error import rms_error
from benchmarks.registration.pairs.plans import Image, large_pair
from benchmarks.registration.tools.opencv import SIFT_ECC

_ALIGN = "from zncc_cli.cli.align import main; main()"
IMPORT_TORCH, ALIGN, PEER = "python -c 'import torch'", "zncc-align", f"python: {SIFT_ECC}"


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
        fixed, moving, out = folder / "fixed.tif", folder / "moving.tif", folder / "out"
        for path, image in ((fixed, pair.fixed), (moving, pair.moving)):
            tifffile.imwrite(path, _as_uint16(image), photometric="minisblack")
        files = [str(fixed), str(moving)]
        options = ["--model", pair.plan.model, "--device", device, "--out", str(out), "--overwrite"]
        commands = {IMPORT_TORCH: ["-c", "import torch"], ALIGN: ["-c", _ALIGN, *files, *options]}
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
        matrices = {ALIGN: json.loads((out / "transform.json").read_text())["matrix"]}
        if with_peer:
            matrices[PEER] = json.loads(output[PEER])
    errors = {kind: rms_error(np.array(matrix), pair.matrix, (side, side)) for kind, matrix in matrices.items()}
    return [Process(kind, tuple(seconds[kind]), errors.get(kind)) for kind in commands]


def _as_uint16(image: Image) -> np.ndarray:
    return np.rint(np.clip(image, 0, 1) * 50000 + 5000).astype(np.uint16)
