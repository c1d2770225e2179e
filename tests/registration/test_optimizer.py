"""The optimiser finds minima, keeps to its domain, and names its ending."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from zncc_cli.config import Optimizer
from zncc_cli.registration.optimizer import OPTIMIZERS, Ending, minimize

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


def quadratic(p: np.ndarray) -> tuple[float, np.ndarray]:
    """Three parameters of the same kind, as lengths in pixels are: curvatures within a factor of ten."""
    gradient = np.array([1.0, 3.0, 10.0]) * p
    return float(p @ gradient) / 2, gradient


def test_every_method_has_its_place_in_the_table() -> None:
    assert set(OPTIMIZERS) == set(Optimizer)


@pytest.mark.parametrize("method", Optimizer)
@pytest.mark.parametrize("known", [True, False])
def test_every_method_finds_the_minimum(method: Optimizer, known: bool) -> None:
    curvature = (lambda p: np.diag([1.0, 3.0, 10.0])) if known else None
    got = minimize(quadratic, np.array([3.0, -2.0, 1.0]), method=method, curvature=curvature, **OPTIONS)
    # Of a gradient of at most ten times the error, the last step is a millionth.
    np.testing.assert_allclose(got.parameters, 0, atol=1e-4)
    assert got.ending is Ending.CONVERGED


def test_gauss_newton_asks_for_the_curvature_at_every_point_and_gradient_descent_never() -> None:
    asked = {method: list[np.ndarray]() for method in Optimizer}
    iterations = {}
    for method, at in asked.items():

        def curvature(p: np.ndarray, at: list[np.ndarray] = at) -> np.ndarray:
            at.append(p)
            return np.diag([2.0, 6.0, 20.0])  # twice what it is: steps are too short, and there are several

        start = np.array([1.0, -0.5, 0.5])
        iterations[method] = minimize(quadratic, start, method=method, curvature=curvature, **OPTIONS).iterations
    assert len(asked[Optimizer.GRADIENT_DESCENT]) == 0
    assert len(asked[Optimizer.BFGS]) == 1
    assert len(asked[Optimizer.GAUSS_NEWTON]) == 1 + iterations[Optimizer.GAUSS_NEWTON] > 3
