"""``zncc-batch`` as a process of its own, and what its manifest and reports say afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-c", "from zncc_cli.cli.batch import main; main()")


def start(*words: object) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    line = [*COMMAND, *map(str, words)]
    return subprocess.Popen(line, text=True, stdout=pipe, stderr=pipe, start_new_session=True)


def records(out: Path) -> list[dict[str, Any]]:
    """The records of all manifests, but for a last line that is cut off."""
    found = []
    for path in out.glob("manifest*.jsonl"):
        for line in path.read_bytes().splitlines(keepends=True)[1:]:
            if line.endswith(b"\n"):
                found.append(json.loads(line))
    return found


def cpu_seconds() -> float:
    """Of all children that have ended."""
    times = os.times()
    return times.children_user + times.children_system


class Timed:
    """One run to its end.

    ``rate``: pairs a second from the first record to the last; ``cpu``: seconds a pair, start-up included;
    ``registration``: seconds a pair inside `register`, by its reports; ``seconds``: in all.
    """

    def __init__(self, workers: int, out: Path, *words: object) -> None:
        before, began = cpu_seconds(), time.monotonic()
        process = start(*words, "--out", out, "--workers", workers)
        self.output, errors = process.communicate()
        if process.returncode not in (0, 5):
            raise RuntimeError(errors)
        self.seconds, self.workers = time.monotonic() - began, workers
        found = records(out)
        times = sorted(record["time"] for record in found)
        self.cpu = (cpu_seconds() - before) / len(found)
        self.rate = (len(times) - 1) / (times[-1] - times[0])
        reports = [json.loads(path.read_text())["seconds"] for path in out.glob("*/report.json")]
        self.registration = sum(one["registration"] for one in reports) / len(reports)

    @property
    def beyond(self) -> float:
        """What a pair takes beyond `register`, as a share of it."""
        return self.workers / self.rate / self.registration - 1
