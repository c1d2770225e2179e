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


def test_the_minimum_of_a_curved_valley_is_found() -> None:
    result = minimize(rosenbrock, np.array([-1.2, 1.0]), **OPTIONS)
    assert result.ending is Ending.CONVERGED
    np.testing.assert_allclose(result.parameters, [1, 1], atol=1e-4)  # the valley is flat: 1e-6 in steps, not in place


def test_no_step_is_longer_than_the_bound() -> None:
    seen = [np.array([30.0, 0.0])]

    def bowl(p: np.ndarray) -> tuple[float, np.ndarray]:
        seen.append(p)
        return float(p @ p), 2 * p

    minimize(bowl, seen[0], **OPTIONS)
    assert max(np.linalg.norm(b - a) for a, b in itertools.pairwise(seen)) <= 2.0 + 1e-9


def test_the_result_lies_inside_the_domain() -> None:
    def slope(p: np.ndarray) -> tuple[float, np.ndarray] | None:
        return None if p[0] < 1 else (float(p[0]), np.array([1.0]))

    result = minimize(slope, np.array([3.0]), **OPTIONS)
    assert result.parameters[0] >= 1
    assert result.parameters[0] < 1.001  # as near to the edge as the tolerance lets it come


def test_start_outside_the_domain_is_a_named_ending() -> None:
    result = minimize(lambda p: None, np.array([3.0]), **OPTIONS)
    assert result.ending is Ending.OUT_OF_DOMAIN
    assert "overlap" in result.ending.advice


def test_iterations_that_run_out_are_a_named_ending() -> None:
    result = minimize(rosenbrock, np.array([-1.2, 1.0]), **{**OPTIONS, "max_iterations": 3})
    assert result.ending is Ending.MAX_ITERATIONS
    assert result.iterations == 3
    assert result.value < rosenbrock(np.array([-1.2, 1.0]))[0]


def test_minimum_at_the_start_needs_one_evaluation() -> None:
    result = minimize(lambda p: (float(p @ p), 2 * p), np.zeros(2), **OPTIONS)
    assert (result.ending, result.evaluations) == (Ending.CONVERGED, 1)


def quadratic(p: np.ndarray) -> tuple[float, np.ndarray]:
    """Three parameters of the same kind, as lengths in pixels are: curvatures within a factor of ten."""
    gradient = np.array([1.0, 3.0, 10.0]) * p
    return float(p @ gradient) / 2, gradient


def test_every_method_has_its_place_in_the_table() -> None:
    assert set(OPTIMIZERS) == set(Optimizer)


@pytest.mark.parametrize("method", Optimizer)
@pytest.mark.parametrize("with_curvature", [True, False])
def test_every_method_finds_the_minimum(method: Optimizer, with_curvature: bool) -> None:
    curvature = (lambda p: np.diag([1.0, 3.0, 10.0])) if with_curvature else None
    result = minimize(quadratic, np.array([3.0, -2.0, 1.0]), method=method, curvature=curvature, **OPTIONS)
    # Of a gradient of at most ten times the error, the last step is a millionth.
    np.testing.assert_allclose(result.parameters, 0, atol=1e-4)
    assert result.ending is Ending.CONVERGED


def test_gauss_newton_asks_for_the_curvature_at_every_point_and_gradient_descent_never() -> None:
    asked = {method: list[np.ndarray]() for method in Optimizer}
    iterations = {}
    for method, points in asked.items():

        def curvature(p: np.ndarray, points: list[np.ndarray] = points) -> np.ndarray:
            points.append(p)
            return np.diag([2.0, 6.0, 20.0])  # twice what it is: steps are too short, and there are several

        start = np.array([1.0, -0.5, 0.5])
        iterations[method] = minimize(quadratic, start, method=method, curvature=curvature, **OPTIONS).iterations
    assert len(asked[Optimizer.GRADIENT_DESCENT]) == 0
    assert len(asked[Optimizer.BFGS]) == 1
    assert len(asked[Optimizer.GAUSS_NEWTON]) == 1 + iterations[Optimizer.GAUSS_NEWTON] > 3
