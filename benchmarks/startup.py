"""What a user waits for before the first pixel: the native build, its load from the cache, and a command's help.

    python benchmarks/startup.py

Every figure is the median of several processes. The build and the load count from `import torch` on, and hold the
import of zncc_cli.operators; the rest are whole processes.
"""

import sys

# Run as a script, this folder would come first on the path, and hide the standard library's operator.
sys.path[0] = __file__.rpartition("benchmarks")[0] or "."

import argparse  # noqa: E402
import datetime  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import torch  # noqa: E402

from benchmarks import machine  # noqa: E402

_ROOT = Path(__file__).resolve().parent.parent
_LOAD = """
import json, sys, time
import torch
device = torch.device(sys.argv[1])
if device.type == "cuda":
    torch.zeros(1, device=device)  # the driver's own start is not ours
started = time.perf_counter()
import zncc_cli.operators.local_std
from zncc_cli.operators import native
loaded = native.load(device)
print(json.dumps([time.perf_counter() - started, loaded.used, loaded.reason]))
"""
_HELP = "import sys; sys.argv[0] = 'zncc-align'; from zncc_cli.cli.align import main; main()"


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks/startup.py", description=__doc__.partition("\n")[0])
    parser.add_argument("--devices", nargs="+", choices=("cpu", "cuda"), help="default: all that are here")
    parser.add_argument("--builds", type=int, default=3, help="processes that build")
    parser.add_argument("--repeats", type=int, default=9, help="processes of every other kind")
    parser.add_argument("--out", type=Path, default=_ROOT / "benchmarks" / "results", help="folder of the results")
    options = parser.parse_args()
    present = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for name in options.devices or present:
        if name not in present:
            print(f"--devices: {name} is not here; there is {', '.join(present)}", file=sys.stderr)
            return 2
        for file in _write(_measure(torch.device(name), options.builds, options.repeats), options.out):
            print(file)
    return 0


def _measure(device: torch.device, builds: int, repeats: int) -> dict[str, Any]:
    rows, notes = {}, {}
    with tempfile.TemporaryDirectory() as cache:
        loads = [_load(device, Path(cache) / str(index)) for index in range(builds)]
        rows["first native build, s"] = [seconds for seconds, _, _ in loads]
        notes["first native build, s"] = f"{loads[-1][1]}: {loads[-1][2]}"
        # Interleaved, so that the machine's noise hits all alike.
        timed: dict[str, list[float]] = {name: [] for name in ("cached load beyond importing torch, ms", *_PROCESSES)}
        for _ in range(repeats):
            seconds, used, reason = _load(device, Path(cache) / str(builds - 1))
            timed["cached load beyond importing torch, ms"].append(1e3 * seconds)
            notes["cached load beyond importing torch, ms"] = f"{used}: {reason}"
            for name, arguments in _PROCESSES.items():
                started = time.perf_counter()
                _python(arguments, {})
                timed[name].append(time.perf_counter() - started)
    return {
        "format": "zncc-startup-benchmark",
        "version": 1,
        "date": datetime.date.today().isoformat(),
        "device": machine.slug(device),
        "machine": machine.describe(device, torch.get_num_threads()),
        "seconds_or_milliseconds": rows | timed,
        "notes": notes,
    }


_PROCESSES = {
    "zncc-align --help, s": ["-c", _HELP, "--help"],
    "python -c 'import torch', s": ["-c", "import torch"],
    "python -c pass, s": ["-c", "pass"],
}


def _load(device: torch.device, cache: Path) -> tuple[float, str, str]:
    """Return the seconds beyond importing torch, what computes, and why, from a process of its own."""
    seconds, used, reason = json.loads(_python(["-c", _LOAD, device.type], {"ZNCC_CACHE_DIR": str(cache)}))
    return seconds, used, reason.replace(str(cache), "the cache")


def _python(arguments: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(_ROOT), **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout


def _write(result: dict[str, Any], folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"startup-{result['device']}-{result['date']}"
    lines = [f"# Start-up on {result['machine']['device']}, {result['date']}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {fact} |" for name, fact in result["machine"].items()]
    lines += ["", "| | median | lower to upper quartile | processes | |", "|---|--:|--:|--:|---|"]
    for name, values in result["seconds_or_milliseconds"].items():
        low, _, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
        note = result["notes"].get(name, "")
        lines.append(f"| {name} | {statistics.median(values):.3g} | {low:.3g} to {high:.3g} | {len(values)} | {note} |")
    markdown, data = stem.with_suffix(".md"), stem.with_suffix(".json")
    markdown.write_text("\n".join(lines) + "\n", encoding="utf-8")
    data.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return [markdown, data]


if __name__ == "__main__":
    sys.exit(main())
