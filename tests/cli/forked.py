"""Runs commands in processes that are forked from one that has imported torch: 1.2 CPU seconds each instead of 2.9.

A forked process is a real one: it has arguments, environment, folder, streams, signals and exit code of its own, and
runs the installed script from the beginning. Only libraries are imported already. `python forked.py` is the parent.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

_TORCH_COMMANDS = ("align", "stdmap", "apply", "stack", "doctor", "build")
_NO_TORCH_FLAGS = ("-h", "--help", "--version")


def loads_torch(command: str, arguments: list[str]) -> bool:
    """Tell whether a command line gets as far as importing torch; others start faster by themselves."""
    name = arguments[0] if command == "zncc" and arguments else command.removeprefix("zncc-")
    return name in _TORCH_COMMANDS and not set(arguments) & set(_NO_TORCH_FLAGS)


class ForkServer:
    """The parent of the forked processes, which lives as long as the test session."""

    def __init__(self) -> None:
        line = [sys.executable, __file__]
        self._process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._replies = self._process.stdin, self._process.stdout

    def run(self, line: list[str], folder: Path, env: dict[str, str], timeout: int) -> subprocess.CompletedProcess[str]:
        """Run a Python script with arguments; SIGALRM kills it after ``timeout`` seconds."""
        with tempfile.TemporaryDirectory(prefix="zncc-forked-") as name:
            out, err = Path(name, "out"), Path(name, "err")
            request = {"line": line, "folder": str(folder), "env": env, "timeout": timeout}
            self._requests.write(json.dumps({**request, "out": str(out), "err": str(err)}) + "\n")
            self._requests.flush()
            return subprocess.CompletedProcess(line, int(self._replies.readline()), out.read_text(), err.read_text())

    def close(self) -> None:
        """End the parent."""
        with contextlib.suppress(BrokenPipeError):
            self._requests.close()
        self._process.wait()
        self._replies.close()


def _serve() -> None:
    """Fork for each request; a child returns from here with the process set up, and runs the script."""
    import tifffile  # noqa: F401
    import torch  # noqa: F401
    import typer  # noqa: F401

    gc.freeze()  # a child would copy every page of torch that its collector looks at
    replies = os.fdopen(os.dup(1), "w")
    for text in iter(sys.stdin.readline, ""):
        if (child := os.fork()) == 0:
            _become(json.loads(text))
            return
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=replies, flush=True)
    sys.exit()


def _become(request: dict[str, object]) -> None:
    """Give this process the streams, folder, environment and arguments of a request."""
    for descriptor, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, request["out"], os.O_WRONLY | os.O_CREAT),
        (2, request["err"], os.O_WRONLY | os.O_CREAT),
    ):
        os.dup2(os.open(str(path), flags, 0o600), descriptor)
    os.chdir(str(request["folder"]))
    os.environ.clear()
    os.environ.update(request["env"])  # type: ignore[arg-type]
    sys.argv[:] = request["line"]  # type: ignore[call-overload]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    signal.alarm(int(str(request["timeout"])))


if __name__ == "__main__":
    _serve()
    runpy.run_path(sys.argv[0], run_name="__main__")
