"""A pair larger than one would hold in memory, from the shell: peak memory, seconds, and how far off it ends.

python benchmarks/large.py                      # 20,000 x 20,000 pixels of 16 bit, affine; some minutes, 8 GB of disk
python benchmarks/large.py --side 8000 --compression zlib
"""

import sys

# Run as a script, this folder would come first on the path, and hide the standard library's operator.
sys.path[0] = __file__.rpartition("benchmarks")[0] or "."

import argparse  # noqa: E402
import datetime  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import tempfile  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402

from benchmarks import machine  # noqa: E402
from benchmarks.alignment.error import rms_error  # noqa: E402
from benchmarks.alignment.scenery import endless  # noqa: E402
from zncc_cli.files.metadata import Metadata  # noqa: E402
from zncc_cli.files.output import STRIP_ROWS, write_strips  # noqa: E402
from zncc_cli.registration.warp import corners, map_points  # noqa: E402

_ROOT = Path(__file__).resolve().parent.parent
_ALIGN = "from zncc_cli.cli.align import main; main()"
_COMPRESSIONS = {"none": 1, "lzw": 5, "zlib": 8, "zstd": 50000}  # TIFF's numbers
_NOISE = 0.02  # of the range, in both images
# A motion of a camera that was set up anew: a degree, half a percent of stretch, a fiftieth of the frame.
_LINEAR = np.array([[1.004, -0.018], [0.016, 0.997]])
_SHIFT = np.array([0.021, -0.013])


def main() -> int:
    """Run the benchmark; return the exit code of `zncc-align`."""
    parser = argparse.ArgumentParser(prog="benchmarks/large.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--side", type=int, default=20000, help="pixels")
    parser.add_argument("--compression", default="none", choices=_COMPRESSIONS, help="of both files")
    parser.add_argument("--out", type=Path, default=_ROOT / "benchmarks" / "results", help="folder of the results")
    options = parser.parse_args()
    truth = np.eye(3)
    truth[:2, :2], truth[:2, 2] = _LINEAR, _SHIFT * options.side
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed, (file, matrix) in enumerate((("fixed.tif", np.eye(3)), ("moving.tif", truth))):
            _write_frame(folder / file, options.side, matrix, seed, options.compression)
        code, peak = _align(folder)
        report = json.loads((folder / "out" / "report.json").read_text())
        found = np.array(json.loads((folder / "out" / "transform.json").read_text())["matrix"])
    shape = options.side, options.side
    apart = map_points(found, corners(shape)) - map_points(truth, corners(shape))
    rows = {
        "files": f"{options.side} x {options.side}, uint16, compression {options.compression}",
        "exit code, status": f"{code}, {report['status']}",
        "notes": "; ".join(report["notes"]),
        "peak memory of the process, GB": f"{peak / 1e9:.2f}",
        **{f"seconds, {stage}": f"{seconds:.1f}" for stage, seconds in report["seconds"].items()},
        "RMS error, px": f"{rms_error(found, truth, shape):.4f}",
        "largest corner error, px": f"{np.linalg.norm(apart, axis=1).max():.4f}",
    }
    date, device = datetime.date.today().isoformat(), torch.device("cpu")
    facts = machine.describe(device, torch.get_num_threads())
    lines = [f"# A large pair, {date}", "", "| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in facts.items()), ""]
    lines += ["| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items())]
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / f"large-{machine.slug(device)}-{options.side}-{options.compression}-{date}.md"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return code


def _write_frame(path: Path, side: int, matrix: np.ndarray, seed: int, compression: str) -> None:
    """Write what a camera sees through ``matrix``, scene to frame, with noise of its own; a strip at a time."""

    def strips() -> Iterator[np.ndarray]:
        random = np.random.default_rng(seed)
        for first in range(0, side, STRIP_ROWS):
            shape = min(STRIP_ROWS, side - first), side
            up = np.array([[1, 0, 0], [0, 1, -first], [0, 0, 1.0]])
            seen = endless(shape, up @ matrix, 0) + _NOISE * random.standard_normal(shape, np.float32)
            yield np.rint(np.clip(seen, 0, 1) * 50000 + 5000).astype(np.uint16)

    like = Metadata(path=path, format="TIFF", compression=_COMPRESSIONS[compression])
    write_strips(path, strips(), shape=(side, side), dtype=np.uint16, axes="YX", like=like, frame=None)


def _align(folder: Path) -> tuple[int, int]:
    """Return the exit code and the largest resident set, bytes."""
    files = [str(folder / name) for name in ("fixed.tif", "moving.tif")]
    arguments = [sys.executable, "-c", _ALIGN, *files, "--out", str(folder / "out"), "--quiet"]
    process = os.posix_spawn(sys.executable, arguments, {**os.environ, "PYTHONPATH": str(_ROOT)})
    _, status, usage = os.wait4(process, 0)
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    sys.exit(main())
