"""A process that does one pair after another: it reads tasks from stdin and writes answers to stdout, as lines of JSON.

It ends at once when stdin ends, whatever it is doing: the process that started it is gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import logging
import os
import queue
import shutil
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from zncc_cli.config import GPU_PIXELS, Backend, PairConfig
from zncc_cli.config.settings import pair_config
from zncc_cli.config.spelling import as_options
from zncc_cli.errors import ZnccError, is_memory_error
from zncc_cli.jobs.batch.key import done_before, pair_key
from zncc_cli.jobs.batch.row import ERROR, BatchRow
from zncc_cli.jobs.missing import sentence
from zncc_cli.jobs.pair.run_folder import file_names, is_of_bend, names_of_earlier_run
from zncc_cli.process import keep_freed_memory, without_collector

Content = Mapping[str, Any]
Job = Callable[[Content], dict[str, Any]]
"""Does a task and returns the answer, see `align_task`."""

# Errors of a file system that may not come again.
_TRANSIENT_ERRORS = frozenset(
    getattr(errno, name)
    for name in ("EIO", "EAGAIN", "EBUSY", "EINTR", "ENFILE", "EMFILE", "ENOMEM", "ESTALE", "ETIMEDOUT", "EREMOTEIO")
    if hasattr(errno, name)
)


def serve(prepare: Callable[[Content], Job]) -> None:
    """Answer tasks until stdin ends.

    Args:
        prepare: takes the settings, which are the first line, loads what a task needs and returns what does a task.
    """
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C goes to all processes; the one that started us decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Only answers go to stdout; what a library prints goes to stderr.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    tasks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    # Not sys.stdin: Python aborts when it ends with an error while a thread waits for that.
    lines = os.fdopen(0, "rb", closefd=False)
    threading.Thread(target=_receive, args=(lines, tasks), daemon=True).start()
    warnings = _Warnings()
    logging.getLogger().addHandler(warnings)
    job = prepare(json.loads(tasks.get()))
    _send(answers, {"ready": True, "warnings": warnings.take()})
    while True:
        answer = job(json.loads(tasks.get()))
        _send(answers, {**answer, "warnings": warnings.take()})


def _receive(lines: BinaryIO, tasks: queue.SimpleQueue[bytes]) -> None:
    """Put the lines into ``tasks``; end the process at the end of them."""
    for line in lines:
        tasks.put(line)
    os._exit(0)


def _send(answers: BinaryIO, content: Content) -> None:
    answers.write(json.dumps(content).encode() + b"\n")


class _Warnings(logging.Handler):
    """Collects warnings, which are sent with the next answer; the process that started us logs each of them once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append(record.getMessage())

    def take(self) -> list[str]:
        """Return the warnings since the last call."""
        messages, self._messages = self._messages, []
        return messages


def main() -> None:
    """Run a worker that aligns pairs."""
    serve(_prepare)


def _prepare(settings: Content) -> Job:
    """Load torch and the kernels; return what aligns a pair."""
    keep_freed_memory()
    with without_collector():
        import torch

        import zncc_cli.jobs.pair.align  # noqa: F401
        from zncc_cli.operators import native
        from zncc_cli.registration.register import resolve_device

    torch.set_num_threads(1)
    config = pair_config(settings["pair"])
    registration = config.registration
    # With the device auto, a GPU is not even looked for until a pair is large enough for it.
    pixels = GPU_PIXELS if registration.backend is Backend.NATIVE else 0
    try:  # before the first pair: an error here would come with every pair
        with native.selected(registration.backend):
            native.load(resolve_device(registration.device, pixels))
    except ZnccError as error:
        sys.exit(as_options(str(error)))
    return lambda task: align_task(task, settings, config)


def align_task(task: Content, settings: Content, base: PairConfig) -> dict[str, Any]:
    """Align one pair, unless it is done already.

    Args:
        task: ``name``, ``fixed``, ``moving``, and ``key``, the `pair_key` of an earlier run that did the pair, or "".
        settings: ``out``, the folder of the batch, and ``since``, a time in ns: files in the pair's folder that are not
            older belong to this batch.
        base: the settings of all pairs; the files are filled in here.

    Returns:
        ``name``; ``key``, "" where an input cannot be read; ``kept``, true where the pair was done already, and else
        ``row``, a `BatchRow`; ``transient``, true after an error that may not come again.
    """
    from zncc_cli.jobs.pair.align import align_pair  # loads torch, which the main process does without

    began = time.perf_counter()
    name = task["name"]

    def seconds() -> float | None:
        return None if base.reproducible else round(time.perf_counter() - began, 3)

    config = dataclasses.replace(
        base,
        fixed=Path(task["fixed"]),
        moving=Path(task["moving"]),
        out=Path(settings["out"]) / name,
    )
    folder, key = config.folder, ""
    try:
        key = pair_key(config)
        earlier = names_of_earlier_run(folder)
        names = file_names(config, bent=is_of_bend(earlier))
        own = (*names, *earlier)
        standing = {file: info for file in own if (info := _standing(folder / file)) is not None}
        ours = all(info.st_mtime_ns >= settings["since"] for info in standing.values())
        complete = ours and set(standing) == set(names)
        if complete and task["key"] == key:
            return {"name": name, "key": key, "kept": True}
        missing: Mapping[str, str] = {}
        report = done_before(folder, key) if complete else None  # killed between the files and the record
        config = dataclasses.replace(config, overwrite=base.overwrite or (ours and bool(standing)))
        if report is None:
            clear(folder)
            folder.mkdir(parents=True, exist_ok=True)  # half-written files lie in it, and nowhere else
            outcome = align_pair(config, progress=lambda _: None)
            report, missing = outcome.report, outcome.missing
        return {"name": name, "key": key, "row": dataclasses.asdict(_row(name, report, missing, seconds()))}
    except Exception as error:
        # One bad pair never stops the others; a defect of ours shows the name of its exception.
        # Files of an earlier run stay: their report.json says of which inputs and settings they are.
        clear(folder)
        reason = as_options(str(error)) if isinstance(error, ZnccError) else f"{type(error).__name__}: {error}"
        row = BatchRow(name, ERROR, " ".join(reason.split()), seconds=seconds())
        return {"name": name, "key": key, "row": dataclasses.asdict(row), "transient": is_transient(error)}


def _standing(path: Path) -> os.stat_result | None:
    """Return the status of a regular file, None where there is none."""
    try:
        info = path.stat()
    except OSError:
        return None
    return info if stat.S_ISREG(info.st_mode) else None


def _row(name: str, report: Content, missing: Mapping[str, str], seconds: float | None) -> BatchRow:
    metrics: dict[str, Any] = {
        key: _finite(report["metrics"][key]) for key in ("zncc_before", "zncc_after", "overlap", "motion")
    }
    return BatchRow(
        name,
        report["status"],
        "; ".join([*report["reasons"], *([sentence(missing, "--resume")] if missing else [])]),
        **metrics,
        probability=_finite(report.get("probability")),
        seconds=seconds,
        model=report["model"],
        missing=" ".join(missing),
    )


def _finite(value: float | None) -> float | None:
    return None if value is None or value != value or abs(value) == float("inf") else float(value)


def is_transient(error: BaseException) -> bool:
    """Tell whether another try may succeed: after some errors of the file system, and where memory ran out."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if is_memory_error(cause) or (isinstance(cause, OSError) and cause.errno in _TRANSIENT_ERRORS):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def clear(folder: Path) -> None:
    """Remove the half-written files that a killed worker left of a pair, and the folder if it is empty then."""
    with contextlib.suppress(OSError):
        for path in folder.glob(".zncc-*"):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        folder.rmdir()
