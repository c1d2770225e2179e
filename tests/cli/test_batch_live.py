"""The live table of a batch, on a real terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import threading

import pytest
from conftest import SAMPLES, SCRIPTS, Run

from zncc_cli.jobs.batch.live import span


def test_a_terminal_shows_what_is_done_and_the_rest_goes_to_stdout(run: Run) -> None:
    ours, theirs = pty.openpty()
    seen: list[bytes] = []

    def watch() -> None:
        try:
            while part := os.read(ours, 4096):
                seen.append(part)
        except OSError:  # the terminal has gone
            return

    reader = threading.Thread(target=watch)
    reader.start()
    line = [str(SCRIPTS / "zncc-batch"), str(SAMPLES / "batch"), "-o", "out", "-m", "rigid"]
    env = {**os.environ, "COLUMNS": "120", "TERM": "xterm"}
    got = subprocess.run(line, cwd=run.folder, env=env, stdout=subprocess.PIPE, stderr=theirs, text=True, check=False)
    os.close(theirs)
    reader.join(10)
    os.close(ours)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", b"".join(seen).decode())
    assert got.returncode == 0
    assert "3 of 3 pairs aligned" in got.stdout
    for word in ("done", "suspect", "failed", "pairs/s", "time left", "3/3"):
        assert word in shown, shown


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (187, "3:07 min"), (45900, "12:45 h")]
)
def test_time_left_in_words(seconds: float, text: str) -> None:
    assert span(seconds) == text
