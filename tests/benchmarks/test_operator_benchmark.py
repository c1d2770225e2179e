"""The benchmark of the operator: every contender computes its task, and a run writes files that can be read."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from benchmarks.common.timing import interleaved
from benchmarks.operator import accuracy, memory, truth
from benchmarks.operator.cells import Clock, measure_cell
from benchmarks.operator.contenders import EPS, STD, Contender, find
from tests import reference

ROOT = Path(__file__).parents[2]
BenchmarkRun = tuple["subprocess.CompletedProcess[str]", Path]  # and the folder with its results
CPU = torch.device("cpu")
CONTENDERS, MISSING = find(threads=1)


@pytest.mark.parametrize("contender", [c for c in CONTENDERS if c.is_std], ids=lambda c: f"{c.task}-{c.name}")
def test_a_contender_agrees_with_the_truth_on_noise(contender: Contender) -> None:
    (errors,) = accuracy.errors([contender], 64, 5, CPU, ("noise",))
    assert not errors.failure
    assert contender.tolerance is not None
    assert errors.value is not None
    assert errors.value < contender.tolerance.value
    assert (errors.gradient is not None) == contender.differentiable
    assert errors.gradient is None or errors.gradient < contender.tolerance.gradient


def test_the_true_std_and_its_gradient_equal_the_naive_reference() -> None:
    random = np.random.default_rng(0)
    image, g = random.standard_normal((20, 20)) + 1000, random.standard_normal((16, 16))
    computed = truth.std(image, g, 5, EPS)
    np.testing.assert_allclose(computed.value, reference.std_map(image, 5, 5, EPS), rtol=1e-12)
    np.testing.assert_allclose(computed.gradient, reference.std_map_gradient(image, g, 5, 5, EPS), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("formula", "border"), [("zncc", "valid"), ("relative", "valid"), ("squared", "same")])
def test_the_true_gradient_of_the_loss_is_the_derivative_of_its_value(formula: str, border: str) -> None:
    random = np.random.default_rng(0)
    fixed, moving, step = random.standard_normal((3, 18, 18))

    def value(t: float) -> float:
        return float(truth.loss(fixed, moving + t * step, 5, 0.3, formula, border).value)

    slope = float((truth.loss(fixed, moving, 5, 0.3, formula, border).gradient * step).sum())
    assert (value(1e-5) - value(-1e-5)) / 2e-5 == pytest.approx(slope, rel=1e-6)


def test_slow_and_failing_contenders_are_rows_with_a_reason() -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such thing")

    clock = Clock(budget=0.01, max_samples=3, deadline=math.inf, window=5, compile_seconds=0.0)
    clock.call_seconds[(STD, "slow", "forward"), 32] = 100.0
    contenders = [
        Contender("broken", STD, "torch", fail, differentiable=False),
        Contender("slow", STD, "torch", fail, differentiable=False),
    ]
    cell = measure_cell(contenders, 64, 5, CPU, clock, limit=1.0)
    assert [row.note for row in cell.rows] == [
        "failed: no such thing",
        "not measured: about 400.0 s a call, over the limit of 1.0 s",
    ]
    assert cell.copy.samples


def test_calls_take_turns_and_slow_ones_take_fewer() -> None:
    order: list[str] = []

    def call(name: str) -> Callable[[], None]:
        return lambda: order.append(name)

    first = {"quick": 0.5, "slow": 1.0}
    timings = interleaved({name: call(name) for name in first}, first, CPU, budget=10.0, max_samples=20)
    assert (timings["quick"].samples, timings["slow"].samples) == (20, 10)
    assert order == ["quick", "quick", "slow"] * 10


def test_the_memory_of_the_specification_is_that_of_its_planes(monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("this system tells no peak of the resident memory")
    specification = next(c for c in CONTENDERS if (c.kind, c.task) == ("specification", STD))
    planes = memory.peak_mib(specification, 1024, 5, CPU, threads=1) / 4
    assert 8 < planes < 40  # two spectra and two planes of sums at least, and not the libraries


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkRun:
    """A run of the benchmark with few and small images."""
    parts = ["timing", "accuracy", "windows", "kept-heap"]
    command = [sys.executable, "-m", "benchmarks.operator", "--devices", "cpu", "--sizes", "64", "--windows", "5"]
    command += ["--rounds", "1", "--accuracy-size", "64", "--accuracy-windows", "5", "--parts", *parts]
    folder = tmp_path_factory.mktemp("run")
    done = subprocess.run(
        [*command, "--out", str(folder)], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    return done, folder


def test_a_run_writes_json_and_markdown(run: BenchmarkRun) -> None:
    done, folder = run
    assert done.returncode == 0, done.stderr
    (data,), (markdown,) = (list(folder.glob(f"operator-cpu-*.{suffix}")) for suffix in ("json", "md"))
    assert set(done.stdout.split()) == set(map(str, folder.iterdir()))
    result = json.loads(data.read_text())
    names = {contender.name for contender in CONTENDERS}
    assert {row["contender"] for row in result["cells"][0]["rows"]} == names
    assert result["missing"].keys() == MISSING.keys()
    assert all(row["timing"] and not row["note"] for cell in result["cells"] for row in cell["rows"])
    text = markdown.read_text()
    assert all(f"| {name} |" in text for name in names)
    assert all(f"- {name}: " in text for name in MISSING)


def test_a_run_draws_a_picture(run: BenchmarkRun) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib draws the pictures of the benchmarks")
    done, folder = run
    (picture,) = folder.glob("*.svg")
    assert ElementTree.fromstring(picture.read_text()).tag.endswith("svg"), done.stderr
