"""The same command again, with --reproducible, writes the same bytes into every file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from zncc_cli.config import Model, PairConfig, RegistrationConfig
from zncc_cli.config.batch import BatchConfig
from zncc_cli.config.calibrate import CalibrateConfig
from zncc_cli.config.check import CheckConfig
from zncc_cli.config.rounds import RoundsConfig
from zncc_cli.config.stack import StackConfig
from zncc_cli.jobs.batch.engine import Answer, Task
from zncc_cli.jobs.batch.pairs import find_pairs
from zncc_cli.jobs.batch.run import run_batch
from zncc_cli.jobs.batch.worker import align_task
from zncc_cli.jobs.calibrate import calibrate
from zncc_cli.jobs.check import check_files
from zncc_cli.jobs.pair.align import align_pair
from zncc_cli.jobs.rounds.align import merge_rounds
from zncc_cli.jobs.stack.align import align_stack
from zncc_cli.jobs.summary import print_rounds, print_stack, print_summary

SAMPLES = Path(__file__).parents[2] / "sample_data"


def assert_same_bytes(first: Path, second: Path) -> None:
    names = {path.relative_to(first) for path in first.rglob("*")}
    assert names == {path.relative_to(second) for path in second.rglob("*")}
    for name in names:
        if (first / name).is_file():
            assert (first / name).read_bytes() == (second / name).read_bytes(), name


def silent(_: str) -> None:
    """Show no progress."""


def test_a_pair(tmp_path: Path, capsys: Any) -> None:
    """The second run replaces files, and took another time to load."""
    fixed, moving = (SAMPLES / "batch" / f"cells_{role}.png" for role in ("fixed", "moving"))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "report.json").write_text("{}")
    for name, seconds in (("a", 1.0), ("b", 2.0)):
        config = PairConfig(
            fixed=fixed,
            moving=moving,
            out=tmp_path / name,
            reproducible=True,
            overwrite=name == "b",
            registration=RegistrationConfig(model=Model.RIGID),
        )
        print_summary(align_pair(config, silent, seconds))
    assert_same_bytes(tmp_path / "a", tmp_path / "b")
    assert "seconds" not in capsys.readouterr().out
    assert "seconds" not in (tmp_path / "a" / "report.json").read_text()


def test_a_stack_and_a_bent_one(tmp_path: Path, capsys: Any) -> None:
    scene = np.random.default_rng(1).normal(size=(4, 90, 90)).cumsum(1).cumsum(2)[:1]
    frames = np.concatenate([scene[:, 10 + k : 70 + k, 10:74] for k in range(3)]).astype(np.float32)
    tifffile.imwrite(tmp_path / "movie.tif", frames, photometric="minisblack", metadata={"axes": "TYX"})
    for model in (Model.TRANSLATION, Model.BSPLINE):
        for name in ("a", "b"):
            folder = tmp_path / f"{model}-{name}"
            config = StackConfig(image=tmp_path / "movie.tif", out=folder, model=model, reproducible=True)
            print_stack(align_stack(config, silent, time.perf_counter()))
        assert_same_bytes(tmp_path / f"{model}-a", tmp_path / f"{model}-b")
    assert "seconds" not in capsys.readouterr().out


def test_a_check(tmp_path: Path) -> None:
    image = SAMPLES / "batch" / "cells_fixed.png"
    for name in ("a", "b"):
        check_files(CheckConfig(fixed=image, aligned=image, out=tmp_path / name, reproducible=True), silent)
    assert_same_bytes(tmp_path / "a", tmp_path / "b")


def test_rounds_and_a_calibration(tmp_path: Path, capsys: Any) -> None:
    images = tuple(SAMPLES / "batch" / f"cells_{role}.png" for role in ("fixed", "moving"))
    registration = RegistrationConfig(model=Model.RIGID)
    for name in ("a", "b"):
        common = {"images": images, "registration": registration, "reproducible": True, "overwrite": name == "b"}
        print_rounds(merge_rounds(RoundsConfig(out=tmp_path / name / "m.ome.tif", **common), silent))  # type: ignore[arg-type]
        calibrate(CalibrateConfig(out=tmp_path / name / "c.json", **common), silent)  # type: ignore[arg-type]
    assert_same_bytes(tmp_path / "a", tmp_path / "b")
    assert "seconds" not in capsys.readouterr().out
    assert str(tmp_path) not in (tmp_path / "a" / "m_report.json").read_text()


class _Here:
    """An engine without processes; ``turned`` answers in the reverse order."""

    def __init__(self, out: Path, *, turned: bool) -> None:
        self._settings, self._turned = {"out": str(out), "since": 0}, turned
        self._tasks: list[Task] = []
        self.room = 9

    def submit(self, task: Task) -> None:
        self._tasks.append(task)

    def wait(self, _: float) -> list[Answer]:
        base = PairConfig(
            fixed=Path(),
            moving=Path(),
            write="transform,report",
            reproducible=True,
            registration=RegistrationConfig(model=Model.RIGID),
        )
        tasks, self._tasks = self._tasks[:: -1 if self._turned else 1], []
        self.room = 0
        return [Answer(task, align_task(task, self._settings, base)) for task in tasks]

    def __enter__(self) -> _Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_batch_whose_pairs_end_in_another_order(tmp_path: Path) -> None:
    """And a run that continues it finds all done."""

    def run(name: str, *, turned: bool, resume: bool = False) -> int:
        out = tmp_path / name
        config = BatchConfig(
            source=SAMPLES / "batch",
            out=out,
            write="transform,report",
            reproducible=True,
            resume=resume,
            registration=RegistrationConfig(model=Model.RIGID),
        )
        return run_batch(config, find_pairs(config), lambda *_: None, _Here(out, turned=turned)).kept

    run("a", turned=False)
    run("b", turned=True)
    assert_same_bytes(tmp_path / "a", tmp_path / "b")
    assert "0.0" in (tmp_path / "a" / "manifest.jsonl").read_text()
    before = (tmp_path / "a" / "manifest.jsonl").read_bytes()
    assert run("a", turned=True, resume=True) == 3
    assert (tmp_path / "a" / "manifest.jsonl").read_bytes() == before
