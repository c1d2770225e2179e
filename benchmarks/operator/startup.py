"""What a user waits for before the first pixel: the native build, its load from the cache, and a command's help.

Every figure is the median of several processes. The build and the load count from `import torch` on, and hold the
import of zncc_cli.operators; the rest are whole processes.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.common import machine, report
from benchmarks.common.command_line import make_parser
from benchmarks.common.processes import run_python
from benchmarks.common.timing import quartiles

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


_BUILD, _CACHED = "first native build, s", "cached load beyond importing torch, ms"
_PROCESSES = {
    "zncc-align --help, s": ["-c", _HELP, "--help"],
    "python -c 'import torch', s": ["-c", "import torch"],
    "python -c pass, s": ["-c", "pass"],
}


def main() -> None:
    """Run the benchmark."""
    parser = make_parser("operator.startup", __doc__, devices=True)
    parser.add_argument("--builds", type=int, default=3, help="processes that build")
    parser.add_argument("--repeats", type=int, default=9, help="processes of every other kind")
    options = parser.parse_args()
    for device in map(torch.device, options.devices):
        times, notes = _measure(device, options.builds, options.repeats)
        rows = []
        for name, values in times.items():
            low, median, high = quartiles(values)
            spread = f"{low:.3g} to {high:.3g}"
            rows.append((name, f"{median:.3g}", spread, len(values), notes.get(name, "")))
        head = ("", "median", "lower to upper quartile", "processes", "")
        facts = machine.describe(device, torch.get_num_threads())
        name, title = f"startup-{machine.slug(device)}", f"Start-up on {facts['device']}"
        content: dict[str, Any] = {"seconds_or_milliseconds": times, "notes": notes}
        print(*report.write(options.out, name, title, facts, report.table(head, rows), content), sep="\n")


def _measure(device: torch.device, builds: int, repeats: int) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Return all times by what was timed, and which kernels a build or a load gave, and why."""
    with tempfile.TemporaryDirectory() as cache:
        loads = [_load(device, Path(cache) / str(index)) for index in range(builds)]
        times = {_BUILD: [seconds for seconds, _ in loads]}
        notes = {_BUILD: loads[-1][1]}
        # Interleaved, so that the machine's noise hits all alike.
        times |= {name: [] for name in (_CACHED, *_PROCESSES)}
        for _ in range(repeats):
            seconds, notes[_CACHED] = _load(device, Path(cache) / str(builds - 1))
            times[_CACHED].append(1e3 * seconds)
            for name, arguments in _PROCESSES.items():
                started = time.perf_counter()
                run_python(arguments)
                times[name].append(time.perf_counter() - started)
    return times, notes


def _load(device: torch.device, cache: Path) -> tuple[float, str]:
    """Return the seconds beyond importing torch, which kernels compute and why, from a process of its own."""
    output = run_python(["-c", _LOAD, device.type], {"ZNCC_CACHE_DIR": str(cache)})
    seconds, used, reason = json.loads(output)
    return seconds, f"{used}: {reason}".replace(str(cache), "the cache")


if __name__ == "__main__":
    main()
