"""Child processes of this Python: their output, and what they take."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# argv[1] is the file that the peak is written to.
_WITH_PEAK = """
import re, sys
from pathlib import Path
peak_file = sys.argv.pop(1)
try:
    {body}
finally:
    Path(peak_file).write_text(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@dataclass(frozen=True)
class Usage:
    """What a process took: seconds of the processor and of the clock, and its peak resident set, KiB."""

    cpu: float
    wall: float
    peak_kib: int
    code: int
    output: str


def run_python(
    arguments: Sequence[str], environment: Mapping[str, str] | None = None, timeout: float | None = None
) -> str:
    """Run this Python on ``arguments`` from the repository's folder, and return its standard output.

    Raises:
        RuntimeError: it ended with an error; the message is its standard error.
        subprocess.TimeoutExpired: it took more than ``timeout`` seconds.
    """
    done = _run(arguments, environment or {}, timeout)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"{' '.join(arguments)} ended with exit code {done.returncode}")
    return done.stdout


def measure_python(body: str, arguments: Sequence[str] = ()) -> Usage:
    """Run the one-line program ``body`` in a process of its own, with ``arguments`` as its argv[1:] (Linux).

    Raises:
        RuntimeError: its exit code was neither 0 nor 3, which is a result that is not to be trusted.
    """
    with tempfile.TemporaryDirectory() as folder:
        peak_file = Path(folder) / "peak"
        before, began = os.times(), time.perf_counter()
        done = _run(["-c", _WITH_PEAK.format(body=body), str(peak_file), *arguments], {}, None)
        wall, after = time.perf_counter() - began, os.times()
        if done.returncode not in (0, 3):
            raise RuntimeError(done.stderr)
        cpu = after.children_user + after.children_system - before.children_user - before.children_system
        return Usage(cpu, wall, int(peak_file.read_text()), done.returncode, done.stdout)


def _run(
    arguments: Sequence[str], environment: Mapping[str, str], timeout: float | None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
