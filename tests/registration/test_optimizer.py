"""The optimiser finds minima, keeps to its domain, and names its ending."""

from __future__ import annotations

import itertools

import numpy as np

from zncc_cli.registration.optimizer import Ending, minimize

OPTIONS = {"first_step": 0.5, "max_step": 2.0, "tolerance": 1e-6, "max_iterations": 200}


def rosenbrock(p: np.ndarray) -> tuple[float, np.ndarray]:
    x, y = p
    value = (1 - x) ** 2 + 100 * (y - x**2) ** 2
    return value, np.array([-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)])


def test_finds_the_minimum_of_a_curved_valley() -> None:
    got = minimize(rosenbrock, np.array([-1.2, 1.0]), **OPTIONS)
    assert got.ending is Ending.CONVERGED
    np.testing.assert_allclose(got.parameters, [1, 1], atol=1e-4)  # the valley is flat: 1e-6 in steps, not in place


def test_never_steps_further_than_allowed() -> None:
    seen = [np.array([30.0, 0.0])]

    def bowl(p: np.ndarray) -> tuple[float, np.ndarray]:
        seen.append(p)
        return float(p @ p), 2 * p

    minimize(bowl, seen[0], **OPTIONS)
    assert max(np.linalg.norm(b - a) for a, b in itertools.pairwise(seen)) <= 2.0 + 1e-9


def test_stays_inside_the_domain() -> None:
    def slope(p: np.ndarray) -> tuple[float, np.ndarray] | None:
        return None if p[0] < 1 else (float(p[0]), np.array([1.0]))

    got = minimize(slope, np.array([3.0]), **OPTIONS)
    assert got.parameters[0] >= 1
    assert got.parameters[0] < 1.001  # as near to the edge as the tolerance lets it come


def test_start_outside_the_domain_is_a_named_ending() -> None:
    got = minimize(lambda p: None, np.array([3.0]), **OPTIONS)
    assert got.ending is Ending.OUT_OF_DOMAIN
    assert "overlap" in got.ending.advice


def test_iterations_that_run_out_are_a_named_ending() -> None:
    got = minimize(rosenbrock, np.array([-1.2, 1.0]), **{**OPTIONS, "max_iterations": 3})
    assert got.ending is Ending.MAX_ITERATIONS
    assert got.iterations == 3
    assert got.value < rosenbrock(np.array([-1.2, 1.0]))[0]


def test_minimum_at_the_start_needs_one_evaluation() -> None:
    got = minimize(lambda p: (float(p @ p), 2 * p), np.zeros(2), **OPTIONS)
    assert (got.ending, got.evaluations) == (Ending.CONVERGED, 1)
