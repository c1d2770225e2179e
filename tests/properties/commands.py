"""Runs a command line in this process, as the installed command would run it."""

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

_APPS = {"zncc": main.app, "zncc-align": align.app, "zncc-stdmap": stdmap.app, "zncc-batch": batch.app}


@dataclass(frozen=True)
class CommandResult:
    """The exit code of a command, and the text of its streams."""

    code: int
    out: str
    err: str


class _Stream(io.TextIOWrapper):
    """A text stream in memory, with a byte buffer beneath as the real streams have."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", errors="surrogateescape", write_through=True)

    def text(self) -> str:
        self.flush()
        return self.buffer.getvalue().decode("utf-8", "surrogateescape")  # type: ignore[attr-defined]


@contextlib.contextmanager
def _process(folder: Path, line: tuple[str, ...]) -> Iterator[tuple[_Stream, _Stream]]:
    """Replace the global state of a process (streams, arguments, folder, loggers, hooks), and restore it at the end."""
    out, err = _Stream(), _Stream()
    package, root = logging.getLogger("zncc_cli"), logging.getLogger()
    saved = sys.argv, sys.stdout, sys.stderr, sys.unraisablehook, Path.cwd(), signal.getsignal(signal.SIGTERM)
    levels, handlers, debug = (root.level, package.level), root.handlers[:], console._debug
    sys.argv, sys.stdout, sys.stderr = list(line), out, err
    root.handlers[:], console._debug = [], False
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield out, err
    finally:
        sys.argv, sys.stdout, sys.stderr, sys.unraisablehook, cwd, on_terminate = saved
        os.chdir(cwd)
        signal.signal(signal.SIGTERM, on_terminate)
        root.handlers[:], console._debug = handlers, debug
        root.setLevel(levels[0])
        package.setLevel(levels[1])
        gc.unfreeze()  # a command freezes the objects that it has loaded, once in a process


def run(folder: Path, *line: str) -> CommandResult:
    """Run a command line in ``folder``; a warning of a library counts as an error."""
    with _process(folder, line) as (out, err):
        code = console.exit_code(_APPS[line[0]], line[0])
    return CommandResult(code, out.text(), err.text())
