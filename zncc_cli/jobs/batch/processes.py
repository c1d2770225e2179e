"""Workers on this machine: plain processes, each replaced when it dies or takes too long."""

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
_START_SECONDS = 300.0  # torch from a slow disk, and a first build of the kernels
_STARTS = 3  # as many times in a row a worker may die before it is ready
_GRACE = 5.0  # seconds until a killed process is left to itself: one that waits for a dead disk cannot be killed


Events = queue.SimpleQueue["tuple[Worker, bytes | None]"]
"""Lines that workers have sent, and None where one can send no more."""


class Worker:
    """One process and the task that it does."""

    def __init__(self, command: Sequence[str], settings: Mapping[str, Any], events: Events, *, gpu: bool) -> None:
        """Start it; ``settings`` are its first line, what it sends is put into ``events``; ``gpu``: it may use one."""
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
        """Hand in a task; the clock runs from when the worker can begin."""
        self.task = task
        self.since = time.monotonic()
        self._send(task)

    def _send(self, content: Mapping[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has died: that is seen where its answer should be
            self._stdin.write(json.dumps(content).encode() + b"\n")
            self._stdin.flush()

    def _listen(self, events: Events) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                events.put((self, line))
        events.put((self, None))

    def limit(self, timeout: float) -> float:
        """Return until when it may take; for ever, where it has nothing to do."""
        if self.ready and self.task is None:
            return math.inf
        return self.since + (timeout if self.ready else _START_SECONDS)

    def end(self) -> str:
        """Kill it; return why it had died before, in words."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(0.2)
        died = self.process.poll()
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(_GRACE)
        with contextlib.suppress(OSError):
            self._stdin.close()
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 4096))
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        self._errors.close()
        return f"{_how(died)}{': ' + one_line(said[-1]) if said else ''}"


def _how(code: int | None) -> str:
    if code is None:
        return "stopped answering"
    if code >= 0:
        return f"ended with code {code}"
    with contextlib.suppress(ValueError):
        name = signal.Signals(-code).name
        return f"was killed by {name}{', perhaps for want of memory' if name == 'SIGKILL' else ''}"
    return f"was killed by signal {-code}"


class Processes:
    """An `Engine` of processes on this machine.

    Args:
        settings: of the batch, for the workers.
        workers: how many.
        timeout: seconds that a task may take.
        clear: removes what is half-written of a task whose worker was killed.
        command: starts a worker.
        on_gpu: how many of the workers may use a GPU; from the others it is hidden.
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
        self._said: set[str] = set()

    def __enter__(self) -> Processes:
        """Start the workers, which load what they need meanwhile."""
        for _ in range(self._count):
            self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Kill the workers, and remove what they have half-written."""
        for worker in self._workers:
            worker.process.kill()  # all at once, then one after the other is waited for
        for worker in self._workers:
            worker.end()
            if worker.task is not None:
                self._clear(worker.task)
        self._workers.clear()

    def kill(self) -> None:
        """Kill the workers, from another thread than the one that waits for them, which cleans up after them."""
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
        """Whether there are workers, and will be."""
        return bool(self._workers) and not self._killed

    def _check_open(self) -> None:
        if not self.open:
            raise BackendError("expected workers, found them ended; run the batch again with --resume")

    @property
    def room(self) -> int:
        """How many workers have nothing to do."""
        return sum(worker.task is None for worker in self._workers)

    def submit(self, task: Task) -> None:
        """Hand a task to a worker, one that is ready if there is one."""
        free = [worker for worker in self._workers if worker.task is None]
        max(free, key=lambda worker: worker.ready).do(task)

    def wait(self, seconds: float) -> list[Answer]:
        """Return the answers that come within some seconds.

        Raises:
            BackendError: workers die before they are ready, or another thread has killed them.
        """
        self._check_open()
        limits = [worker.limit(self._timeout) for worker in self._workers]
        seconds = max(0.0, min(seconds, min(limits) - time.monotonic()))
        answers = []
        with contextlib.suppress(queue.Empty):
            worker, line = self._events.get(timeout=seconds)
            while True:
                if worker in self._workers:  # and not one that was given up
                    answers += self._replaced(worker, late=False) if line is None else self._taken(worker, line)
                worker, line = self._events.get_nowait()
        now = time.monotonic()
        for worker in [one for one in self._workers if one.limit(self._timeout) < now]:
            answers += self._replaced(worker, late=True)
        return answers

    def _taken(self, worker: Worker, line: bytes) -> list[Answer]:
        content = json.loads(line)
        for message in content.pop("heard", ()):
            if message not in self._said:
                self._said.add(message)
                logger.warning("%s", message)
        if content.get("ready"):
            worker.ready, worker.since, self._failed_starts = True, time.monotonic(), 0
            return []
        task, worker.task = worker.task, None
        assert task is not None, "an answer without a task"
        return [Answer(task, content)]

    def _replaced(self, worker: Worker, *, late: bool) -> list[Answer]:
        """End a worker and start another; return what is to be said of its task."""
        self._check_open()
        self._workers.remove(worker)
        how = worker.end()
        task = worker.task
        if task is not None:
            self._clear(task)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                raise BackendError(f"no worker could be started; the last one {how}; try zncc doctor")
        self._start()
        if task is None:
            return []
        if not worker.ready:
            self._workers[-1].do(task)
            return []
        if late:
            return [Answer(task, reason=f"took longer than --timeout, {self._timeout:g} seconds, and was given up")]
        return [Answer(task, reason=f"its process {how}", passing=True)]

    def _start(self) -> None:
        with self._starting:
            if self._killed:
                raise BackendError("expected to start a worker, found the batch ended; run it again with --resume")
            gpu = sum(worker.gpu for worker in self._workers) < self._on_gpu
            self._workers.append(Worker(self._command, self._settings, self._events, gpu=gpu))
