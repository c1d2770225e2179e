"""Workers of a Dask cluster: the user's own cluster, or one that is started on this machine.

Each thread of a Dask worker looks after a process of its own (`processes.Worker`), so that a pair that hangs or crashes
harms no other. Tasks and answers are text; images are read and written by the workers, on paths that all share.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import queue
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from zncc_cli.errors import BackendError
from zncc_cli.jobs.batch.engine import Answer, Task
from zncc_cli.jobs.batch.processes import WORKER, Processes
from zncc_cli.jobs.batch.worker import clear
from zncc_cli.text import one_line

logger = logging.getLogger("zncc_cli.batch")

_TASKS_PER_THREAD = 4  # submitted for each thread of the cluster: no thread waits for us, and the scheduler holds few
_MIN_TASKS = 16  # submitted while the cluster has no worker yet
_RECOUNT_SECONDS = 5.0  # until the threads are counted again: clusters grow and shrink
_CONNECT_SECONDS = 30.0  # to find a scheduler
_END_SECONDS = 10.0  # for the workers to end their processes

# On a worker: this thread's engine, the engines of all threads by their run, and the runs that are over.
_here = threading.local()
_engines: dict[str, list[Processes]] = {}
_over: set[str] = set()


def do_task(run: str, command: Sequence[str] | None, settings: str, task: str, timeout: float) -> str:
    """Do one task in this thread's own process. This runs on the workers of the cluster.

    Args:
        run: identifies the run of the batch.
        command: starts the process; None for a worker that aligns pairs.
        settings, task: JSON, see `worker.align_task`.
        timeout: seconds that the task may take.

    Returns:
        JSON: the answer, or ``reason`` and ``transient`` where the process died or took too long.
    """
    engine = _engine(run, command, settings, timeout)
    engine.submit(json.loads(task))
    answers: list[Answer] = []
    try:
        while not answers:
            answers = engine.wait(60.0)
    except BaseException:
        engine.__exit__(None, None, None)  # an engine that was interrupted is of no further use
        raise
    answer = answers[0]
    if answer.content is not None:
        return json.dumps(answer.content)
    return json.dumps({"reason": answer.reason, "transient": answer.transient})


def _engine(run: str, command: Sequence[str] | None, settings: str, timeout: float) -> Processes:
    """Return this thread's engine of one process for a run; end the engine of an earlier run."""
    engine: Processes | None = getattr(_here, "engine", None)
    if engine is not None and engine.open and _here.run == run:
        return engine
    if engine is not None:
        engine.__exit__(None, None, None)
    out = Path(json.loads(settings)["out"])
    line = (sys.executable, *WORKER[1:]) if command is None else command
    engine = Processes(json.loads(settings), 1, timeout, lambda lost: clear(out / lost["name"]), line)
    engine.__enter__()
    _here.engine, _here.run = engine, run
    _engines.setdefault(run, []).append(engine)
    if run in _over:  # the task began while the run was being ended
        end_run(run)
    return engine


def end_run(run: str) -> None:
    """End the processes of a run. This runs on the workers, beside the threads that wait for the processes."""
    _over.add(run)
    for engine in _engines.pop(run, []):
        engine.kill()


class Cluster:
    """An `Engine` of the workers of a Dask cluster.

    Args:
        settings: settings of the batch for the workers, with absolute paths.
        scheduler: address of the scheduler; None starts a cluster on this machine.
        workers: number of workers of the cluster that is started on this machine.
        timeout: seconds that a task may take.
        clear: removes the half-written files of a task whose worker was lost.
        command: starts a worker's process; None for one that aligns pairs.

    Raises:
        BackendError: Dask is not installed, or the scheduler cannot be reached.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        scheduler: str | None,
        workers: int,
        timeout: float,
        clear: Callable[[Task], None],
        command: Sequence[str] | None = None,
    ) -> None:
        self._run, self._settings, self._timeout = secrets.token_hex(8), json.dumps(settings), timeout
        self._address, self._count, self._clear = scheduler, workers, clear
        self._command = command
        self._pending: dict[Any, Task] = {}
        self._ready: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._threads, self._counted = 0, 0.0
        try:
            self._dask: Any = importlib.import_module("distributed")
        except ImportError:
            raise BackendError(
                '--engine dask: expected Dask distributed, which is not installed; run: pip install "zncc-cli[dask]"'
            ) from None

    def __enter__(self) -> Cluster:
        """Connect to the scheduler, or start a cluster."""
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # it reports every worker that comes and goes
        self._cluster = None
        try:
            if self._address is None:
                # The pairs themselves watch their memory; the nannies of Dask would count only their own process.
                self._cluster = self._dask.LocalCluster(
                    n_workers=self._count,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",  # any free port: of two clusters at once one would complain
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,
                )
            address = self._cluster or self._address
            self._client = self._dask.Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            if self._cluster is not None:
                self._cluster.close()
            where = self._address or "a cluster on this machine"
            raise BackendError(
                f"--scheduler: expected a Dask scheduler at {where}, found none ({one_line(error)}); check its address"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Cancel the tasks that are not done and end their processes; end a cluster that was started here."""
        self._client.cancel(list(self._pending), force=True)
        if self._cluster is None:
            # In a thread of its own: a worker that is stopped never answers; its processes are stopped, too.
            ending = threading.Thread(target=self._end_run, daemon=True)
            ending.start()
            ending.join(_END_SECONDS)
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()
            for task in self._pending.values():
                self._clear(task)
        self._pending.clear()

    def _end_run(self) -> None:
        # A worker that is lost meanwhile has taken its processes with it.
        with contextlib.suppress(Exception):
            self._client.run(end_run, self._run, on_error="ignore")

    @property
    def room(self) -> int:
        """How many further tasks keep the cluster busy."""
        now = time.monotonic()
        if self._counted == 0 or now - self._counted > _RECOUNT_SECONDS:
            threads = sum(self._client.nthreads().values())
            if threads == 0 and self._counted == 0:
                logger.warning("the cluster has no worker yet; waiting for one")
            self._threads, self._counted = threads, now
        return max(0, max(_MIN_TASKS, _TASKS_PER_THREAD * self._threads) - len(self._pending))

    def submit(self, task: Task) -> None:
        """Submit a task to the cluster, which gives it to another worker if one is lost."""
        future = self._client.submit(
            do_task, self._run, self._command, self._settings, json.dumps(task), self._timeout, pure=False, retries=0
        )
        self._pending[future] = task
        future.add_done_callback(self._ready.put)

    def wait(self, seconds: float) -> list[Answer]:
        """Return the answers that have come, waiting up to ``seconds`` for the first.

        Raises:
            BackendError: the workers cannot run zncc-cli.
        """
        done = []
        with contextlib.suppress(queue.Empty):
            done.append(self._ready.get(timeout=seconds))
            while True:
                done.append(self._ready.get_nowait())
        done = [future for future in done if future in self._pending]
        # In one exchange with the scheduler: one by one they would take a millisecond each.
        finished = [future for future in done if future.status == "finished"]
        contents = dict(zip(finished, self._client.gather(finished), strict=True)) if finished else {}
        return [self._answer(future, contents.get(future)) for future in done]

    def _answer(self, future: Any, text: str | None) -> Answer:
        task = self._pending.pop(future)
        if text is not None:
            content = json.loads(text)
            if "reason" not in content:
                return Answer(task, content)
            # Workers of another version may send other keys.
            return Answer(task, reason=content["reason"], transient=content.get("transient", False))
        error = None if future.status == "cancelled" else future.exception()
        if isinstance(error, ImportError | BackendError):
            raise BackendError(
                f"--scheduler: expected this version of zncc-cli on the workers, found: {one_line(error)}; install it"
            )
        return Answer(
            task, reason=f"its worker was lost ({type(error).__name__ if error else 'cancelled'})", transient=True
        )
