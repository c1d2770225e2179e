"""Runs commands in processes that are forked from one that has imported all modules: 0.3 CPU seconds instead of 2.9.

A forked process is a real one: it has arguments, environment, folder, streams, signals and exit code of its own, and
runs the installed script from the beginning. Only torch, our own modules and what they import are there already.
`python forked.py` is the parent.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

_NO_TORCH_FLAGS = ("-h", "--help", "--version")
# What commands import when they are called, so that --help loads no torch.
_JOBS = ("apply", "batch.live", "batch.run", "bigwarp", "build", "calibrate", "check", "doctor", "evaluate")
_JOBS += ("pair.align", "pair.rerun", "rounds.align", "stack.align", "stdmap", "strain", "summary", "transforms")
_TIMED_OUT = "timed out"  # the reply for a child that was killed after its time


def may_be_forked(arguments: list[str]) -> bool:
    """Tell whether a command may find all modules imported: not where that it imports few is part of what it does."""
    return not set(arguments) & set(_NO_TORCH_FLAGS)


class ForkServer:
    """The parent of the forked processes: it starts with the first command, and lives as long as the test session."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(self, line: list[str], folder: Path, env: dict[str, str], timeout: int) -> subprocess.CompletedProcess[str]:
        """Run a Python script with arguments, as `subprocess.run` does that captures text.

        Raises:
            subprocess.TimeoutExpired: the script took longer than ``timeout`` seconds; its process group is killed.
            RuntimeError: the parent has ended.
        """
        if self._process is None:
            command = [sys.executable, __file__]
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        requests, replies = self._process.stdin, self._process.stdout
        assert requests is not None
        assert replies is not None
        with tempfile.TemporaryDirectory(prefix="zncc-forked-") as name:
            out, err = Path(name, "out"), Path(name, "err")
            request = {"line": line, "folder": str(folder), "env": env, "timeout": timeout}
            with contextlib.suppress(BrokenPipeError):  # the reply is empty then
                requests.write(json.dumps({**request, "out": str(out), "err": str(err)}) + "\n")
                requests.flush()
            reply = replies.readline().strip()
            if not reply:
                raise RuntimeError(f"the fork server has ended with exit code {self._process.wait()}; see its stderr")
            if reply == _TIMED_OUT:
                raise subprocess.TimeoutExpired(line, timeout, out.read_bytes(), err.read_bytes())
            return subprocess.CompletedProcess(line, int(reply), out.read_text(), err.read_text())

    def close(self) -> None:
        """End the parent, if it was started."""
        if self._process is not None:
            self._process.communicate()


def _serve() -> None:
    """Fork for each request; a child returns from here with the process set up, and runs the script."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an import prints is no reply

    for name in ("torch", "jinja2", "PIL.Image", "zncc_cli.cli.main", "zncc_cli.report.pair_html"):
        importlib.import_module(name)
    for name in _JOBS:
        importlib.import_module(f"zncc_cli.jobs.{name}")

    gc.freeze()  # a child would copy every page of torch that its collector looks at
    for text in iter(sys.stdin.readline, ""):
        request = json.loads(text)
        for name in ("out", "err"):
            Path(request[name]).touch()  # they are read even if the child is killed before it opens them
        if (child := os.fork()) == 0:
            replies.close()
            _become(request)
            return
        print(_wait(child, request["timeout"]), file=replies, flush=True)
    sys.exit()


def _wait(child: int, seconds: float) -> str:
    """Return the exit code of a child, or, where it took too long and was killed with its group, that it did."""
    timed_out = False

    def kill(*_: object) -> None:
        nonlocal timed_out
        timed_out = True
        for end in (os.killpg, os.kill):  # it has no group of its own before it calls setsid
            with contextlib.suppress(ProcessLookupError):
                end(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, kill)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    status = os.waitpid(child, 0)[1]
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # the next child inherits it
    return _TIMED_OUT if timed_out else str(os.waitstatus_to_exitcode(status))


def _become(request: dict[str, object]) -> None:
    """Give this process a group, and the streams, folder, environment and arguments of a request."""
    os.setsid()
    for descriptor, path, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, request["out"], os.O_WRONLY),
        (2, request["err"], os.O_WRONLY),
    ):
        opened = os.open(str(path), flags)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(str(request["folder"]))
    os.environ.clear()
    os.environ.update(request["env"])  # type: ignore[arg-type]
    sys.argv[:] = request["line"]  # type: ignore[call-overload]
    sys.path[0] = str(Path(sys.argv[0]).parent)


if __name__ == "__main__":
    _serve()
    runpy.run_path(sys.argv[0], run_name="__main__")
