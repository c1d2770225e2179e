"""A command on a real terminal: a pseudo-terminal is its stderr."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import threading
from pathlib import Path

from conftest import SCRIPTS

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_on_terminal(folder: Path, *line: object, columns: int = 120) -> tuple[int, str, str]:
    """Run a command in a folder; return its exit code, its stdout, and what the terminal showed, without colours."""
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
    command = [str(SCRIPTS / str(line[0])), *map(str, line[1:])]
    env = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    got = subprocess.run(command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=theirs, text=True, check=False)
    os.close(theirs)
    reader.join(10)
    os.close(ours)
    return got.returncode, got.stdout, _ESCAPES.sub("", b"".join(seen).decode())
