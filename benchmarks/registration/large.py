"""A pair larger than one would hold in memory, from the shell: peak memory, seconds, error.

By default 20,000 x 20,000 pixels of 16 bit, affine: some minutes, 8 GB of disk.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from benchmarks.common import machine, report
from benchmarks.common.command_line import make_parser
from benchmarks.common.processes import measure_python
from benchmarks.registration.pairs.error import corner_error, rms_error
from benchmarks.registration.pairs.scenery import endless
from zncc_cli.files.image_output import STRIP_ROWS, write_strips
from zncc_cli.files.metadata import Metadata

_ALIGN = "from zncc_cli.cli.align import main; main()"
_COMPRESSIONS = {"none": 1, "lzw": 5, "zlib": 8, "zstd": 50000}  # TIFF's numbers
_NOISE_STD = 0.02  # of the range, in both images
# The motion of a camera that was set up again: a degree, half a percent of stretch, a fiftieth of the frame.
_LINEAR = np.array([[1.004, -0.018], [0.016, 0.997]])
_SHIFT = np.array([0.021, -0.013])


def main() -> None:
    """Run the benchmark."""
    parser = make_parser("registration.large", __doc__)
    parser.add_argument("--side", type=int, default=20000, help="pixels")
    parser.add_argument("--compression", default="none", choices=_COMPRESSIONS, help="of both files")
    options = parser.parse_args()
    side, truth = options.side, np.eye(3)
    truth[:2, :2], truth[:2, 2] = _LINEAR, _SHIFT * side
    with tempfile.TemporaryDirectory() as name:
        fixed, moving, out = (Path(name) / part for part in ("fixed.tif", "moving.tif", "out"))
        _write_frame(fixed, side, np.eye(3), 0, options.compression)
        _write_frame(moving, side, truth, 1, options.compression)
        usage = measure_python(_ALIGN, [str(fixed), str(moving), "--out", str(out), "--quiet"])
        result = json.loads((out / "report.json").read_text())
        estimate = np.array(json.loads((out / "transform.json").read_text())["matrix"])
    shape = side, side
    rows = {
        "files": f"{side} x {side}, uint16, compression {options.compression}",
        "exit code, status": f"{usage.code}, {result['status']}",
        "notes": "; ".join(result["notes"]),
        "peak memory of the process, GB": f"{usage.peak_kib * 1024 / 1e9:.2f}",
        **{f"seconds, {stage}": f"{seconds:.1f}" for stage, seconds in result["seconds"].items()},
        "RMS error, px": f"{rms_error(estimate, truth, shape):.4f}",
        "largest corner error, px": f"{corner_error(estimate, truth, shape):.4f}",
    }
    facts = machine.describe(threads=torch.get_num_threads())
    name = f"large-{machine.slug()}-{side}-{options.compression}"
    body = report.table(("", ""), rows.items())
    print(*report.write(options.out, name, "A large pair", facts, body, {"results": rows}), sep="\n")


def _write_frame(path: Path, side: int, matrix: np.ndarray, seed: int, compression: str) -> None:
    """Write a frame strip by strip: the scene under ``matrix``, scene to frame, with noise drawn by ``seed``."""

    def strips() -> Iterator[np.ndarray]:
        random = np.random.default_rng(seed)
        for first in range(0, side, STRIP_ROWS):
            shape = min(STRIP_ROWS, side - first), side
            to_strip = np.array([[1, 0, 0], [0, 1, -first], [0, 0, 1.0]])
            strip = endless(shape, to_strip @ matrix, 0) + _NOISE_STD * random.standard_normal(shape, np.float32)
            yield np.rint(np.clip(strip, 0, 1) * 50000 + 5000).astype(np.uint16)

    like = Metadata(path=path, format="TIFF", compression=_COMPRESSIONS[compression])
    write_strips(path, strips(), shape=(side, side), dtype=np.uint16, axes="YX", like=like, frame=None)


if __name__ == "__main__":
    main()
