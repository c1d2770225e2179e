"""A command line, run in this process as the installed command would run it."""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import os
import signal
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zncc_cli.cli import align, batch, console, main, stdmap

_MAINS = {"zncc": main.main, "zncc-align": align.main, "zncc-stdmap": stdmap.main, "zncc-batch": batch.main}


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it wrote on its streams."""

    code: int
    out: str
    err: str


class _Stream(io.TextIOWrapper):
    """A stream in memory, which has bytes beneath as the real ones have."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors="surrogateescape", write_through=True)

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode("utf-8", "surrogateescape")  # type: ignore[attr-defined]


@contextlib.contextmanager
def _process(folder: Path, line: tuple[str, ...]) -> Iterator[tuple[_Stream, _Stream]]:
    """Lend what a process has to itself: streams, arguments, folder, loggers, hooks."""
    out, err = _Stream(), _Stream()
    ours, root = logging.getLogger("zncc_cli"), logging.getLogger()
    kept = sys.argv, sys.stdout, sys.stderr, sys.unraisablehook, Path.cwd(), signal.getsignal(signal.SIGTERM)
    levels, handlers, debug = (root.level, ours.level), root.handlers[:], console._debug
    sys.argv, sys.stdout, sys.stderr = list(line), out, err
    root.handlers[:], console._debug = [], False
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield out, err
    finally:
        sys.argv, sys.stdout, sys.stderr, sys.unraisablehook, cwd, terminate = kept
        os.chdir(cwd)
        signal.signal(signal.SIGTERM, terminate)
        root.handlers[:], console._debug = handlers, debug
        root.setLevel(levels[0])
        ours.setLevel(levels[1])
        gc.unfreeze()  # what the command froze when it had loaded, once a process


def run(folder: Path, *line: str) -> Ended:
    """Run a command line in ``folder``; a warning of a library is an error."""
    with _process(folder, line) as (out, err):
        try:
            _MAINS[line[0]]()
        except SystemExit as end:
            code = end.code
    return Ended(int(code or 0), out.text(), err.text())
