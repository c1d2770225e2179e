"""Workers on this machine: processes, each of which is replaced when it dies or takes too long."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import IO, Any

from zncc_cli.errors import BackendError
from zncc_cli.jobs.batch.engine import Answer, Task
from zncc_cli.text import one_line

logger = logging.getLogger("zncc_cli.batch")

# The working folder is the user's, and no place to import from.
WORKER = (
    sys.executable,
    "-c",
    "import sys; sys.path[:] = filter(None, sys.path); from zncc_cli.jobs.batch.worker import main; main()",
)
_ONE_THREAD = {
    f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMEXPR", "VECLIB_MAXIMUM", "BLIS")
}
_NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}
_START_SECONDS = 300.0  # until a worker is ready: torch from a slow disk, and a first build of the kernels
_MAX_FAILED_STARTS = 3  # in a row: workers that die before they are ready
_KILL_SECONDS = 5.0  # to wait for a killed process: one that waits for a dead disk cannot be killed


Events = queue.SimpleQueue["tuple[Worker, bytes | None]"]
"""Lines that workers have sent, and None for a worker whose output has ended."""


class Worker:
    """A process and the task that it is doing."""

    def __init__(self, command: Sequence[str], settings: Mapping[str, Any], events: Events, *, gpu: bool) -> None:
        """Start the process and send it ``settings``; put what it sends into ``events``; without ``gpu``, hide GPUs."""
        self.gpu = gpu
        self.task: Task | None = None
        self.ready = False
        self.since = time.monotonic()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **_ONE_THREAD, **({} if gpu else _NO_GPU)},
        )
        assert self.process.stdin is not None
        self._stdin = self.process.stdin
        threading.Thread(target=self._listen, args=(events,), daemon=True).start()
        self._send(settings)

    def do(self, task: Task) -> None:
        """Send a task; its time is counted from now, or from when the worker is ready."""
        self.task = task
        self.since = time.monotonic()
        self._send(task)

    def _send(self, content: Mapping[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # the process has died; `_listen` will tell
            self._stdin.write(json.dumps(content).encode() + b"\n")
            self._stdin.flush()

    def _listen(self, events: Events) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                events.put((self, line))
        events.put((self, None))

    def deadline(self, timeout: float) -> float:
        """Return the monotonic time by which it must have answered; infinity where it has nothing to do."""
        if self.ready and self.task is None:
            return math.inf
        return self.since + (timeout if self.ready else _START_SECONDS)

    def end(self) -> str:
        """Kill the process; return in words how it had died before, or that it stopped answering."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.2)
        code = self.process.poll()
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_KILL_SECONDS)
        with contextlib.suppress(OSError):
            self._stdin.close()
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 4096))
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        self._errors.close()
        return f"{_how(code)}{': ' + one_line(lines[-1]) if lines else ''}"


def _how(code: int | None) -> str:
    """Return in words how a process with this exit code ended; None for one that was still running."""
    if code is None:
        return "stopped answering"
    if code >= 0:
        return f"ended with code {code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
        return f"was killed by {name}{', perhaps because memory ran out' if name == 'SIGKILL' else ''}"
    return f"was killed by signal {-code}"


class Processes:
    """An `Engine` of processes on this machine.

    Args:
        settings: settings of the batch for the workers.
        workers: number of processes.
        timeout: seconds that a task may take.
        clear: removes the half-written files of a task whose worker was killed.
        command: starts a worker.
        on_gpu: how many of the workers may use a GPU; it is hidden from the others.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        workers: int,
        timeout: float,
        clear: Callable[[Task], None],
        command: Sequence[str] = WORKER,
        *,
        on_gpu: int = 1,
    ) -> None:
        self._settings, self._count, self._timeout = settings, workers, timeout
        self._clear, self._command, self._on_gpu = clear, command, on_gpu
        self._workers: list[Worker] = []
        self._killed, self._starting = False, threading.Lock()
        self._events: Events = queue.SimpleQueue()
        self._failed_starts = 0
        self._logged: set[str] = set()

    def __enter__(self) -> Processes:
        """Start the workers; they load torch while the first tasks are prepared."""
        for _ in range(self._count):
            self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Kill the workers, and remove their half-written files."""
        for worker in self._workers:
            worker.process.kill()  # all at once, before any is waited for
        for worker in self._workers:
            worker.end()
            if worker.task is not None:
                self._clear(worker.task)
        self._workers.clear()

    def kill(self) -> None:
        """Kill the workers from another thread than the one that waits for them, which cleans up after them."""
        with self._starting:
            self._killed = True
            workers = list(self._workers)
        for worker in workers:
            worker.process.kill()
        for worker in workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(1.0)

    @property
    def open(self) -> bool:
        """Whether the workers have been started and not ended."""
        return bool(self._workers) and not self._killed

    def _check_open(self) -> None:
        if not self.open:
            raise BackendError("the workers have ended; run the batch again with --resume")

    @property
    def room(self) -> int:
        """The number of workers that have nothing to do."""
        return sum(worker.task is None for worker in self._workers)

    def submit(self, task: Task) -> None:
        """Give a task to an idle worker, one that is ready if possible."""
        idle = [worker for worker in self._workers if worker.task is None]
        max(idle, key=lambda worker: worker.ready).do(task)

    def wait(self, seconds: float) -> list[Answer]:
        """Return the answers that have come, waiting up to ``seconds`` for the first.

        Raises:
            BackendError: workers die before they are ready, or another thread has killed them.
        """
        self._check_open()
        first_deadline = min(worker.deadline(self._timeout) for worker in self._workers)
        seconds = max(0.0, min(seconds, first_deadline - time.monotonic()))
        answers = []
        with contextlib.suppress(queue.Empty):
            worker, line = self._events.get(timeout=seconds)
            while True:
                if worker in self._workers:  # not one that was replaced
                    answers += self._replace(worker, late=False) if line is None else self._receive(worker, line)
                worker, line = self._events.get_nowait()
        now = time.monotonic()
        for worker in [worker for worker in self._workers if worker.deadline(self._timeout) < now]:
            answers += self._replace(worker, late=True)
        return answers

    def _receive(self, worker: Worker, line: bytes) -> list[Answer]:
        """Log the warnings in a line that a worker sent, once each; return the answer if it holds one."""
        content = json.loads(line)
        for message in content.pop("warnings", ()):
            if message not in self._logged:
                self._logged.add(message)
                logger.warning("%s", message)
        if content.get("ready"):
            worker.ready, worker.since, self._failed_starts = True, time.monotonic(), 0
            return []
        task, worker.task = worker.task, None
        assert task is not None, "an answer without a task"
        return [Answer(task, content)]

    def _replace(self, worker: Worker, *, late: bool) -> list[Answer]:
        """End a worker and start another; return the answer to its task, unless the new worker does it."""
        self._check_open()
        self._workers.remove(worker)
        how = worker.end()
        task = worker.task
        if task is not None:
            self._clear(task)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _MAX_FAILED_STARTS:
                raise BackendError(f"no worker could be started; the last one {how}; run zncc doctor")
        self._start()
        if task is None:
            return []
        if not worker.ready:
            self._workers[-1].do(task)
            return []
        if late:
            return [Answer(task, reason=f"took longer than --timeout, {self._timeout:g} seconds, and was stopped")]
        return [Answer(task, reason=f"its process {how}", transient=True)]

    def _start(self) -> None:
        with self._starting:
            if self._killed:
                raise BackendError("no worker can be started: the batch has ended; run it again with --resume")
            gpu = sum(worker.gpu for worker in self._workers) < self._on_gpu
            self._workers.append(Worker(self._command, self._settings, self._events, gpu=gpu))
