"""A batch on a real Dask cluster of this machine: what its workers lose is done by others."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import time
from collections import Counter

import pytest

from tests.jobs.batch.fake_worker import COMMAND
from zncc_cli.config.batch import BatchConfig
from zncc_cli.errors import BackendError
from zncc_cli.jobs.batch.cluster import Cluster
from zncc_cli.jobs.batch.engine import Answer
from zncc_cli.jobs.batch.pairs import Pair
from zncc_cli.jobs.batch.run import run_batch

pytest.importorskip("distributed", reason="Dask distributed is not installed: pip install 'zncc-cli[dask]'")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


def test_no_pair_is_lost_when_one_of_two_workers_is_killed(tmp_path):
    log = tmp_path / "log"
    log.touch()
    settings = {"log": str(log), "out": str(tmp_path / "out")}
    verbs = {**{f"{n:02}": "slow" for n in range(30)}, "hangs": "hang", "dies": "die"}
    cluster = Cluster(settings, None, 2, 2.0, lambda _: None, COMMAND)
    killed = []

    def kill_one(row, kept):
        if not killed and row.status == "ok":
            killed.append(next(iter(cluster._cluster.workers.values())).pid)
            os.kill(killed[0], signal.SIGKILL)

    config = BatchConfig(source=tmp_path, out=tmp_path / "out", write="report", retries=0)
    pairs = [Pair(name, verb, "moving") for name, verb in sorted(verbs.items())]
    outcome = run_batch(config, pairs, kill_one, cluster)
    assert killed
    by_name = {row.name: row for row in outcome.pairs}
    assert Counter(row.status for row in outcome.pairs) == {"ok": 30, "error": 2}
    assert "took longer than --timeout" in by_name["hangs"].reason
    assert "killed by SIGKILL" in by_name["dies"].reason
    # What was under way on the worker that was lost, and no more, was begun twice.
    again = [name for name, count in Counter(log.read_text().split()).items() if count > 1]
    assert len(again) <= 2


class UsersCluster:
    """A scheduler and one worker of some threads, and which processes the worker has beside those it began with."""

    def __init__(self, folder, threads):
        import psutil  # as Dask does
        from distributed import LocalCluster

        how = {"n_workers": 1, "threads_per_worker": threads, "host": "127.0.0.1", "memory_limit": 0}
        self.cluster = LocalCluster(dashboard_address="127.0.0.1:0", **how)
        self.worker = psutil.Process(self.cluster.workers[0].pid)
        self._before = set(self.worker.children(recursive=True))
        self._dead = psutil.STATUS_ZOMBIE
        (folder / "log").touch()

    def engine(self, out, command=COMMAND):
        settings = {"log": str(out.parent / "log"), "out": str(out)}
        return Cluster(settings, self.cluster.scheduler_address, 1, 60.0, lambda _: None, command)

    @property
    def processes(self):
        children = set(self.worker.children(recursive=True)) - self._before
        return {child for child in children if child.is_running() and child.status() != self._dead}

    def until_processes(self, count):
        """Whether it comes to so many within a time that is long for any machine."""
        end = time.monotonic() + 60
        while len(self.processes) != count and time.monotonic() < end:
            time.sleep(0.05)
        return len(self.processes) == count


@pytest.fixture
def users(tmp_path, request):
    made = UsersCluster(tmp_path, request.param)
    with made.cluster:
        yield made


@pytest.mark.parametrize("users", [1], indirect=True)
def test_the_users_own_cluster_is_left_as_it_was_by_good_and_bad_batches(users, tmp_path):
    """One thread does all: what cannot start leaves it fit for the next batch, and no process stays behind."""
    broken = (COMMAND[0], "-c", "import sys; sys.exit('no torch here')")
    for number, command in enumerate((COMMAND, broken, COMMAND)):
        out = tmp_path / f"out{number}"
        config = BatchConfig(source=tmp_path, out=out, write="report", retries=0)
        pairs = [Pair(name, "ok", "moving") for name in "abc"]
        if command is broken:
            with pytest.raises(BackendError):
                run_batch(config, pairs, lambda *_: None, users.engine(out, command))
        else:
            assert run_batch(config, pairs, lambda *_: None, users.engine(out, command)).exit_code == 0
        assert users.until_processes(0)


@pytest.mark.parametrize("users", [2], indirect=True)
@pytest.mark.parametrize("stopped", [False, True])
def test_tasks_under_way_end_with_the_batch(users, tmp_path, monkeypatch, stopped):
    """On ^C, say. A worker that answers no more is not waited for."""
    monkeypatch.setattr("zncc_cli.jobs.batch.cluster._END_SECONDS", 3.0)
    with users.engine(tmp_path / "out") as cluster:
        for number in range(5):
            cluster.submit({"name": str(number), "fixed": "hang", "moving": "", "key": ""})
        assert users.until_processes(2)
        if stopped:
            users.worker.suspend()
    if stopped:
        users.worker.resume()
    assert users.until_processes(0)


@pytest.mark.parametrize(
    ("keys", "transient"), [({"transient": True}, True), ({}, False), ({"passing": True}, False), ({"more": 1}, False)]
)
def test_what_a_worker_of_another_version_says_of_a_lost_process_is_read(keys, transient):
    class Future:
        status = "finished"

    cluster, future = Cluster({"out": "out"}, None, 1, 5.0, lambda _: None), Future()
    cluster._pending[future] = {"name": "a"}
    assert cluster._answer(future, json.dumps({"reason": "killed", **keys})) == Answer(
        {"name": "a"}, reason="killed", transient=transient
    )


def test_a_scheduler_that_cannot_be_reached_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("zncc_cli.jobs.batch.cluster._CONNECT_SECONDS", 1.0)
    cluster = Cluster({"out": "out"}, "tcp://127.0.0.1:9", 1, 5.0, lambda _: None)
    with pytest.raises(BackendError, match=r"--scheduler: expected a Dask scheduler at tcp://127.0.0.1:9"), cluster:
        pass


def test_without_dask_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(BackendError, match=r'run: pip install "zncc-cli\[dask\]"'):
        Cluster({"out": "out"}, None, 1, 5.0, lambda _: None)


def test_a_cluster_gets_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []

    class Engine:
        room = 9

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, task):
            seen.append(task)

        def wait(self, seconds):
            from zncc_cli.jobs.batch.row import BatchRow

            row = dataclasses.asdict(BatchRow("a", "ok", "as told"))
            return [Answer(seen[0], {"name": "a", "key": "k", "row": row})]

    config = BatchConfig(source=tmp_path, out="out", scheduler="tcp://a:1", write="report")
    config = dataclasses.replace(config, out=tmp_path / "out")
    run_batch(config, [Pair("a", "in/f.tif", "in/m.tif")], lambda *_: None, Engine())
    assert (seen[0]["fixed"], seen[0]["moving"]) == (str(tmp_path / "in/f.tif"), str(tmp_path / "in/m.tif"))
