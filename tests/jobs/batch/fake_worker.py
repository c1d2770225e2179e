"""A worker whose pairs say what becomes of them: the name of the fixed image is what is done."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys
import time
from pathlib import Path

from zncc_cli.errors import InputError
from zncc_cli.jobs.batch.row import BatchRow
from zncc_cli.jobs.batch.worker import is_transient, serve

COMMAND = (sys.executable, __file__)


def prepare(settings):
    log = Path(settings["log"])

    def job(task):
        name, verb = task["name"], Path(task["fixed"]).name
        with log.open("a") as file:
            file.write(f"{name}\n")
        seen = log.read_text().split().count(name)
        key = f"key-{verb}"
        if task["key"] == key:
            return {"name": name, "key": key, "kept": True}
        status = "ok"
        if verb == "hang":
            time.sleep(3600)
        if verb == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        if verb == "die" or (verb == "die-once" and seen == 1):
            print("something was wrong", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if verb in ("content", "disk", "disk-once") and not (verb == "disk-once" and seen > 1):
            error = InputError(verb)
            error.__cause__ = OSError(5, "input/output error") if verb.startswith("disk") else None
            row = BatchRow(name, "error", verb)
            return {"name": name, "key": key, "row": dataclasses.asdict(row), "transient": is_transient(error)}
        if verb in ("failed", "suspect"):
            status = verb
        if verb == "slow":
            time.sleep(0.2)
        print("what a library prints is no answer")
        return {"name": name, "key": key, "row": dataclasses.asdict(BatchRow(name, status, "as told"))}

    return job


if __name__ == "__main__":
    serve(prepare)
