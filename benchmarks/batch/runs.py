"""Runs of ``zncc-batch`` in processes of their own, and the records and figures that they leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

_COMMAND = (sys.executable, "-c", "from zncc_cli.cli.batch import main; main()")


def start(*arguments: object) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    line = [*_COMMAND, *map(str, arguments)]
    return subprocess.Popen(line, text=True, stdout=pipe, stderr=pipe, start_new_session=True)


def records(out: Path) -> list[dict[str, Any]]:
    """Return the records of all manifests in ``out``, less a last line that is cut off."""
    complete = []
    for path in out.glob("manifest*.jsonl"):
        for line in path.read_bytes().splitlines(keepends=True)[1:]:
            if line.endswith(b"\n"):
                complete.append(json.loads(line))
    return complete


def _cpu_seconds() -> float:
    """Return the processor seconds of all children that have ended."""
    times = os.times()
    return times.children_user + times.children_system


class Timed:
    """A batch that has run to its end.

    Attributes:
        rate: pairs a second from the first record to the last.
        cpu: processor seconds a pair, start-up included.
        registration: seconds a pair inside `register`, by its reports.
    """

    def __init__(self, workers: int, out: Path, *arguments: object) -> None:
        before = _cpu_seconds()
        process = start(*arguments, "--out", out, "--workers", workers)
        _, errors = process.communicate()
        if process.returncode not in (0, 5):
            raise RuntimeError(errors)
        self.workers = workers
        times = sorted(record["time"] for record in records(out))
        self.cpu = (_cpu_seconds() - before) / len(times)
        self.rate = (len(times) - 1) / (times[-1] - times[0])
        reports = [json.loads(path.read_text())["seconds"] for path in out.glob("*/report.json")]
        self.registration = sum(seconds["registration"] for seconds in reports) / len(reports)

    @property
    def beyond(self) -> float:
        """The time of a pair beyond `register`, as a share of the time inside it."""
        return self.workers / self.rate / self.registration - 1
