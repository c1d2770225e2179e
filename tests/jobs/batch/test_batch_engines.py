"""A batch on real worker processes, whose pairs say what becomes of them: crash, hang, break, or go well."""

from __future__ import annotations

import csv
import json
import os
import queue
import sys
from collections import Counter

import pytest

from tests.jobs.batch.fake_worker import COMMAND
from zncc_cli.config.batch import BatchConfig
from zncc_cli.errors import BackendError, OutputError
from zncc_cli.jobs.batch import run
from zncc_cli.jobs.batch.manifest import Manifest, manifests, read_manifests
from zncc_cli.jobs.batch.pairs import Pair
from zncc_cli.jobs.batch.processes import Processes, Worker
from zncc_cli.jobs.batch.run import run_batch


class Batch:
    """Pairs by what becomes of them, and how often each was begun."""

    def __init__(self, folder):
        self.folder, self.out, self.log = folder, folder / "out", folder / "log"
        self.log.touch()
        self.cleared = []

    def engine(self, config, workers, command=COMMAND):
        settings = {"log": str(self.log), "out": str(self.out)}
        return Processes(settings, workers, config.timeout, self.cleared.append, command)

    def __call__(self, verbs, workers=2, **options):
        config = BatchConfig(source=self.folder, out=self.out, write="report", **{"retries": 0, **options})
        pairs = [Pair(name, verb, "moving", "" if verb else "no pair") for name, verb in sorted(verbs.items())]
        self.told = []
        return run_batch(config, pairs, lambda *told: self.told.append(told), self.engine(config, workers))

    @property
    def begun(self):
        return Counter(self.log.read_text().split())


@pytest.fixture
def batch(tmp_path):
    return Batch(tmp_path)


def statuses(outcome):
    return {row.name: row.status for row in outcome.pairs}


def reasons(outcome):
    return {row.name: row.reason for row in outcome.pairs}


def test_all_pairs_are_done_once_and_listed_in_the_order_of_their_names(batch):
    outcome = batch({f"{n:02}": "ok" for n in range(30)})
    assert outcome.exit_code == 0
    assert [row.name for row in outcome.pairs] == [f"{n:02}" for n in range(30)]
    assert set(batch.begun.values()) == {1}
    with (batch.out / "batch.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == [f"{n:02}" for n in range(30)]
    assert len(read_manifests(manifests(batch.out))) == len(batch.told) == 30


def test_a_worker_that_dies_or_hangs_harms_no_other_pair(batch):
    verbs = {"dies": "die", "hangs": "hang", "stops": "stop", "": "ok", "broken": "content", "none": "", "b": "suspect"}
    outcome = batch({**verbs, **{f"{n}": "ok" for n in range(9)}}, timeout=2)
    assert outcome.exit_code == 5
    bad = {name: reason for name, reason in reasons(outcome).items() if statuses(outcome)[name] == "error"}
    assert bad == {
        "dies": "its process was killed by SIGKILL, perhaps because memory ran out: something was wrong",
        "hangs": "took longer than --timeout, 2 seconds, and was stopped",
        "stops": "took longer than --timeout, 2 seconds, and was stopped",
        "broken": "content",
        "none": "no pair",
    }
    assert {task["name"] for task in batch.cleared} == {"dies", "hangs", "stops"}


def test_only_transient_errors_are_tried_again(batch):
    verbs = {"a": "die-once", "b": "disk-once", "c": "content", "d": "disk", "e": "hang", "f": "failed", "g": "ok"}
    outcome = batch(verbs, retries=2, timeout=2)
    assert statuses(outcome) == {**dict.fromkeys("abg", "ok"), **dict.fromkeys("cde", "error"), "f": "failed"}
    assert batch.begun == {"a": 2, "b": 2, "c": 1, "d": 3, "e": 1, "f": 1, "g": 1}
    assert {row.name: row.attempts for row in outcome.pairs} == batch.begun


def test_fail_fast_ends_at_the_first_pair_that_fails(batch):
    verbs = {"a": "suspect", "b": "failed", **{f"c{n}": "slow" for n in range(20)}}
    outcome = batch(verbs, workers=1, fail_fast=True)
    assert statuses(outcome) == {"a": "suspect", "b": "failed"}
    assert (outcome.exit_code, outcome.left) == (5, 20)


def test_fail_fast_does_not_end_at_a_failure_of_an_earlier_run(batch):
    verbs = {"a": "failed", "b": "ok", "c": "ok"}
    assert batch(verbs, workers=1, fail_fast=True).left == 2
    outcome = batch(verbs, workers=1, fail_fast=True, resume=True)
    assert statuses(outcome) == {"a": "failed", "b": "ok", "c": "ok"}


def test_fail_fast_ends_before_any_pair_if_one_lacks_a_file(batch):
    outcome = batch({"a": "ok", "b": ""}, fail_fast=True)
    assert (statuses(outcome), outcome.left) == ({"b": "error"}, 1)


def test_resume_tries_errors_again_and_keeps_results(batch):
    verbs = {"a": "ok", "b": "failed", "c": "content", "d": "disk-once"}
    batch(verbs)
    outcome = batch(verbs, resume=True)
    assert statuses(outcome) == {"a": "ok", "b": "failed", "c": "error", "d": "ok"}
    assert {row.name for row, kept in batch.told if kept} == {"a", "b"}
    text = (batch.out / "manifest.jsonl").read_text()
    assert [text.count(f'"name":"{name}"') for name in "abcd"] == [1, 1, 2, 2]


def test_a_changed_pair_is_done_again(batch):
    batch({"a": "ok", "b": "ok"})
    assert statuses(batch({"a": "ok", "b": "suspect"}, resume=True)) == {"a": "ok", "b": "suspect"}
    assert {row.name for row, kept in batch.told if kept} == {"a"}


def test_shards_are_read_together(batch):
    batch({"a": "ok"}, shard="1/2")
    batch({"b": "ok"}, shard="2/2")
    assert sorted(p.name for p in batch.out.iterdir()) == [
        *("batch-1-of-2.csv", "batch-1-of-2.html", "batch-2-of-2.csv", "batch-2-of-2.html"),
        *("manifest-1-of-2.jsonl", "manifest-2-of-2.jsonl"),
    ]
    outcome = batch({"a": "ok", "b": "ok", "c": "ok"}, resume=True)
    assert {row.name for row, kept in batch.told if kept} == {"a", "b"}
    assert len(outcome.pairs) == 3


def test_an_existing_batch_is_refused_without_resume_or_overwrite(batch):
    batch({"a": "ok"})
    with pytest.raises(OutputError, match="--resume to continue that batch, --overwrite to begin anew"):
        batch({"a": "ok"})
    batch({"b": "ok"}, overwrite=True)
    assert list(read_manifests(manifests(batch.out))) == ["b"]


@pytest.mark.parametrize(("before", "now"), [("1/2", None), ("1/2", "1/3"), (None, "1/2"), ("1/2", "1/2")])
def test_an_existing_batch_in_other_shards_is_refused(batch, before, now):
    batch({"a": "ok"}, shard=before)
    with pytest.raises(OutputError, match="--resume to continue that batch, --overwrite to begin anew"):
        batch({"a": "ok"}, shard=now)


def test_workers_that_cannot_start_end_the_batch_with_their_last_line(batch):
    broken = (COMMAND[0], "-c", "import sys; sys.exit('no torch here')")
    config = BatchConfig(source=batch.folder, out=batch.out)
    with pytest.raises(BackendError, match="ended with code 1: no torch here"):
        run_batch(config, [Pair("a", "ok", "m")], lambda *_: None, batch.engine(config, 1, broken))
    assert not batch.out.exists()  # to be tried again without another word


def test_only_a_few_workers_see_a_gpu(tmp_path):
    # Whether there is one or not: it is hidden by a variable.
    script = "import json, os, sys; print(json.dumps({'seen': os.environ.get('CUDA_VISIBLE_DEVICES', 'all')}))"
    command = (sys.executable, "-c", script + "; sys.stdout.flush(); sys.stdin.read()")
    events = queue.SimpleQueue()
    workers = [Worker(command, {}, events, gpu=gpu) for gpu in (True, False)]
    seen = dict(events.get(timeout=60) for _ in workers)
    for worker in workers:
        worker.end()
    assert [json.loads(seen[worker])["seen"] for worker in workers] == [
        os.environ.get("CUDA_VISIBLE_DEVICES", "all"),
        "",
    ]


def test_a_worker_that_may_use_the_gpu_is_replaced_by_one_that_may(batch):
    settings = {"log": str(batch.log), "out": str(batch.out)}
    with Processes(settings, 3, 60.0, lambda _: None, COMMAND, on_gpu=2) as engine:
        assert [worker.gpu for worker in engine._workers] == [True, True, False]
        for name in ("a", "b", "c"):
            engine.submit({"name": name, "fixed": "die" if name == "a" else "ok", "moving": "moving", "key": ""})
        answers = []
        while len(answers) < 3:
            answers += engine.wait(60.0)
        assert sorted(worker.gpu for worker in engine._workers) == [False, True, True]


def test_a_pair_recorded_at_a_signal_is_in_the_table(batch, monkeypatch):
    add = Manifest.add

    def add_and_be_interrupted(manifest, row, key):
        add(manifest, row, key)
        raise KeyboardInterrupt

    monkeypatch.setattr(Manifest, "add", add_and_be_interrupted)
    with pytest.raises(KeyboardInterrupt):
        batch({"a": "ok"})
    with (batch.out / "batch.csv").open(newline="") as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["a"]


def test_a_shard_may_have_no_pairs(batch):
    assert batch({}, shard="7/9").exit_code == 0


def test_batch_html_that_fails_costs_no_row_and_leaves_no_older_one(batch, monkeypatch):
    assert batch({"a": "ok"}).exit_code == 0
    monkeypatch.setattr(run, "write_batch_html", lambda *_, **__: 1 / 0)
    outcome = batch({"a": "ok", "b": "ok"}, resume=True)
    assert outcome.exit_code == 5
    assert outcome.missing == {
        "batch.html": "ZeroDivisionError: division by zero; a defect, not your mistake: report what --debug prints"
    }
    assert statuses(outcome) == {"a": "ok", "b": "ok"}
    assert {path.name for path in batch.out.iterdir()} == {"batch.csv", "manifest.jsonl"}
