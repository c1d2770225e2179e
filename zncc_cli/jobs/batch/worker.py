"""A process that does one pair after the other: tasks come as lines of JSON on stdin, answers go back on stdout.

It ends at once, whatever it does, when stdin ends: who started it has gone.
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
from zncc_cli.errors import ZnccError, is_memory_error
from zncc_cli.jobs.batch.key import done_before, pair_key
from zncc_cli.jobs.batch.row import ERROR, BatchRow
from zncc_cli.jobs.missing import sentence
from zncc_cli.jobs.pair.run_folder import file_names, names_of_earlier_run
from zncc_cli.process import keep_freed_memory

Content = Mapping[str, Any]
Job = Callable[[Content], dict[str, Any]]
"""task -> answer, see `align_task`."""

# What a file system says that may say something else the next time.
_PASSING = frozenset(
    getattr(errno, name)
    for name in ("EIO", "EAGAIN", "EBUSY", "EINTR", "ENFILE", "EMFILE", "ENOMEM", "ESTALE", "ETIMEDOUT", "EREMOTEIO")
    if hasattr(errno, name)
)


def serve(prepare: Callable[[Content], Job]) -> None:
    """Answer tasks until stdin ends.

    Args:
        prepare: settings, the first line, -> what does a task; it loads what that needs.
    """
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C goes to all; who started us decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # Answers alone go where they are read; what a library prints goes to stderr.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    tasks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, tasks), daemon=True).start()
    heard = _Heard()
    logging.getLogger().addHandler(heard)
    job = prepare(json.loads(tasks.get()))
    _send(answers, {"ready": True, "heard": heard.taken()})
    while True:
        answer = job(json.loads(tasks.get()))
        _send(answers, {**answer, "heard": heard.taken()})


def _receive(lines: BinaryIO, tasks: queue.SimpleQueue[bytes]) -> None:
    for line in lines:
        tasks.put(line)
    os._exit(0)


def _send(answers: BinaryIO, content: Content) -> None:
    answers.write(json.dumps(content).encode() + b"\n")


class _Heard(logging.Handler):
    """Warnings, to be sent with the next answer: who started us says each but once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._messages.append(record.getMessage())

    def taken(self) -> list[str]:
        messages, self._messages = self._messages, []
        return messages


def main() -> None:
    """Run a worker that aligns pairs."""
    serve(_prepare)


def _prepare(settings: Content) -> Job:
    keep_freed_memory()
    import torch

    import zncc_cli.jobs.pair.align  # noqa: F401
    from zncc_cli.operators import native
    from zncc_cli.registration.register import resolve_device

    torch.set_num_threads(1)
    config = pair_config(settings["pair"])
    asked = config.registration
    # A GPU that nobody insists on is not even looked for until a pair is large enough for it.
    pixels = GPU_PIXELS if asked.backend is Backend.NATIVE else 0
    try:  # once, before the first pair: what is wrong with it is wrong for all
        with native.selected(asked.backend):
            native.load(resolve_device(asked.device, pixels))
    except ZnccError as error:
        sys.exit(str(error))
    return lambda task: align_task(task, settings, config)


def align_task(task: Content, settings: Content, base: PairConfig) -> dict[str, Any]:
    """Do one pair, unless it is done.

    Args:
        task: ``name``, ``fixed``, ``moving``, and ``key``, of the inputs and settings it was done with before or "".
        settings: ``out``, the folder of the batch, and ``since``, in ns: files in it that are no older are our own.
        base: the `PairConfig` of all pairs but for the files.

    Returns:
        ``name``; ``key``, "" if an input cannot be read; ``kept``: it is done, and ``row`` left out; else ``row``, a
        `BatchRow`; ``passing``: an error that may not come again.
    """
    from zncc_cli.jobs.pair.align import align_pair  # torch: not where a worker is only looked after

    began = time.perf_counter()
    name = task["name"]
    config = dataclasses.replace(
        base,
        fixed=Path(task["fixed"]),
        moving=Path(task["moving"]),
        out=Path(settings["out"]) / name,
    )
    folder, names, key = config.folder, file_names(config), ""
    try:
        key = pair_key(config)
        own = (*names, *names_of_earlier_run(folder))
        standing = {file: info for file in own if (info := _standing(folder / file)) is not None}
        ours = all(info.st_mtime_ns >= settings["since"] for info in standing.values())
        complete = ours and set(standing) == set(names)
        if complete and task["key"] == key:
            return {"name": name, "key": key, "kept": True}
        missing: Mapping[str, str] = {}
        report = done_before(folder, key) if complete else None  # killed after the files, before the record
        config = dataclasses.replace(config, overwrite=base.overwrite or (ours and bool(standing)))
        if report is None:
            clear(folder)
            folder.mkdir(parents=True, exist_ok=True)  # what is half-written lies in it, and nowhere else
            outcome = align_pair(config, progress=lambda _: None)
            report, missing = outcome.report, outcome.missing
        return {"name": name, "key": key, "row": dataclasses.asdict(_row(name, report, missing, began))}
    except Exception as error:
        # One bad pair does not stop the rest, whatever is bad about it; a defect is told apart by its name.
        # What stood there stays: its report.json says of which inputs and settings it is.
        clear(folder)
        reason = str(error) if isinstance(error, ZnccError) else f"{type(error).__name__}: {error}"
        row = BatchRow(name, ERROR, " ".join(reason.split()), seconds=_since(began))
        return {"name": name, "key": key, "row": dataclasses.asdict(row), "passing": may_pass(error)}


def _standing(path: Path) -> os.stat_result | None:
    try:
        info = path.stat()
    except OSError:
        return None
    return info if stat.S_ISREG(info.st_mode) else None


def _row(name: str, report: Content, missing: Mapping[str, str], began: float) -> BatchRow:
    before, after, overlap, motion = (
        _finite(report["metrics"][key]) for key in ("zncc_before", "zncc_after", "overlap", "motion")
    )
    reason = "; ".join([*report["reasons"], *([sentence(missing, "--resume")] if missing else [])])
    return BatchRow(
        name,
        report["status"],
        reason,
        before,
        after,
        overlap,
        motion,
        seconds=_since(began),
        model=report["model"],
        missing=" ".join(missing),
    )


def _finite(value: float | None) -> float | None:
    return None if value is None or value != value or abs(value) == float("inf") else float(value)


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 3)


def may_pass(error: BaseException) -> bool:
    """Tell whether the same pair may do better the next time: after an error of the file system, or of memory."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        if is_memory_error(one) or (isinstance(one, OSError) and one.errno in _PASSING):
            return True
        one = one.__cause__ or one.__context__
    return False


def clear(folder: Path) -> None:
    """Remove what a killed worker has left of a pair, and the folder where nothing is left."""
    with contextlib.suppress(OSError):
        for left in folder.glob(".zncc-*"):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)
        folder.rmdir()
