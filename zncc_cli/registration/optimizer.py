"""Minimise a smooth function of a few parameters by descent; this file knows nothing of images.

Steps are -M g, with g the gradient and M an approximation of the inverse Hessian. The methods of `OPTIMIZERS` differ in
M alone. Parameters are lengths in pixels; there is a bound on the length of a step, and a backtracking (Armijo) line
search that accepts no point outside the domain (Nocedal and Wright, Numerical Optimization, 2006, ch. 3; below N&W).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from zncc_cli.config import Optimizer


class Ending(StrEnum):
    """Why a minimisation ended."""

    CONVERGED = "converged"
    MAX_ITERATIONS = "max_iterations"
    OUT_OF_DOMAIN = "out_of_domain"
    UNDETERMINED = "undetermined"
    NOTHING_BETTER = "nothing_better"

    @property
    def advice(self) -> str:
        """The ending explained, for a report."""
        return _ADVICE[self]


_ADVICE = {
    Ending.CONVERGED: "no step longer than the tolerance lowers the loss any more",
    Ending.MAX_ITERATIONS: "the iterations ran out before the steps became short",
    Ending.OUT_OF_DOMAIN: "the start has too little overlap to be judged, or the steps led far from it",
    Ending.NOTHING_BETTER: "no transform was found that agrees better than the start, which is the result",
    Ending.UNDETERMINED: "the texture in the overlap does not determine every parameter of the model",
}

Curvature = Callable[[np.ndarray], "np.ndarray | None"]

# A function value with its gradient, or None outside the domain.
Objective = Callable[[np.ndarray], "tuple[float, np.ndarray] | None"]


@dataclass(frozen=True)
class OptimizerResult:
    """The best point of a minimisation.

    Attributes:
        parameters: (n,) float64.
        value: of the objective at these; NaN when the start lay outside the domain.
        ending: why the minimisation ended.
        iterations, evaluations: how many steps were accepted, and how often the objective was evaluated.
    """

    parameters: np.ndarray
    value: float
    ending: Ending
    iterations: int
    evaluations: int


_SUFFICIENT_DECREASE = 1e-4  # Armijo: share of the decrease predicted by the slope that a step must bring (N&W 3.1)
_MIN_CONDITION = 1e-8  # ratio of a Hessian's extreme eigenvalues below which its inverse is noise
_MIN_CURVATURE = 1e-10  # of |s| |y|: a pair (s, y) with less s . y would spoil the Hessian


def minimize(
    objective: Objective,
    start: np.ndarray,
    *,
    first_step: float,
    max_step: float,
    tolerance: float,
    max_iterations: int,
    method: Optimizer = Optimizer.BFGS,
    curvature: Curvature | None = None,
) -> OptimizerResult:
    """Minimise ``objective`` from ``start``.

    Args:
        objective: value and gradient (n,) at (n,) parameters, or None outside the domain.
        start: (n,).
        first_step: length of the first trial step.
        max_step: longest step, in the parameters' units.
        tolerance: a step shorter than this ends the minimisation.
        max_iterations: of accepted steps.
        method: how the inverse Hessian is approximated.
        curvature: (n, n) approximate Hessian at (n,) parameters, if there is one; not used where it is not positive
            definite.
    """
    x = np.asarray(start, dtype=np.float64)
    evaluated = objective(x)
    evaluations = 1
    if evaluated is None:
        return OptimizerResult(x, float("nan"), Ending.OUT_OF_DOMAIN, 0, evaluations)
    value, gradient = evaluated
    approximate = OPTIMIZERS[method]
    inverse = approximate(None, None, x, curvature)  # None while no curvature is known
    for iteration in range(max_iterations):
        steepest = np.linalg.norm(gradient)
        if not steepest > 0:
            return OptimizerResult(x, value, Ending.CONVERGED, iteration, evaluations)
        step = -gradient * (first_step / steepest) if inverse is None else -inverse @ gradient
        if not gradient @ step < 0:  # rounding spoilt the inverse: begin it anew
            inverse, step = None, -gradient * (first_step / steepest)
        step = step * min(1.0, max_step / np.linalg.norm(step))
        slope = gradient @ step
        fraction = 1.0
        while True:
            trial = objective(x + fraction * step)
            evaluations += 1
            if trial is not None and trial[0] <= value + _SUFFICIENT_DECREASE * fraction * slope:
                break
            # Go to the minimum of the parabola through value, slope and trial, within [0.1, 0.5] of the step.
            excess = None if trial is None else 2 * (trial[0] - value - fraction * slope)
            shrink = 0.5 if not excess or excess <= 0 else -slope * fraction / excess
            fraction *= min(max(shrink, 0.1), 0.5)
            if fraction * np.linalg.norm(step) < tolerance / 4:
                return OptimizerResult(x, value, Ending.CONVERGED, iteration, evaluations)
        s, y = fraction * step, trial[1] - gradient
        x, (value, gradient) = x + s, trial
        inverse = approximate(inverse, (s, y), x, curvature)
        if np.linalg.norm(s) < tolerance:
            return OptimizerResult(x, value, Ending.CONVERGED, iteration + 1, evaluations)
    return OptimizerResult(x, value, Ending.MAX_ITERATIONS, max_iterations, evaluations)


def safe_inverse(curvature: np.ndarray | None, min_condition: float = _MIN_CONDITION) -> np.ndarray | None:
    """Return the inverse of a symmetric matrix (n, n); None where it is not safely positive definite.

    ``min_condition``: least ratio of its smallest eigenvalue to its largest one.
    """
    if curvature is None or not np.isfinite(curvature).all():
        return None
    values, vectors = np.linalg.eigh(curvature)
    if not values[0] > min_condition * values[-1]:
        return None
    inverse: np.ndarray = (vectors / values) @ vectors.T
    return inverse


def updated_inverse(inverse: np.ndarray | None, s: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Return the BFGS update of an inverse Hessian (n, n) (N&W 6.17).

    Args:
        inverse: the inverse Hessian before the step; None to begin from the scale of N&W 6.20.
        s: the step, (n,).
        y: the change of the gradient by the step, (n,). Without enough curvature along it, ``inverse`` is returned.
    """
    if not _curved(s, y):
        return inverse
    eye = np.eye(len(s))
    rho = 1.0 / (y @ s)
    if inverse is None:
        inverse = eye * (y @ s) / (y @ y)
    left = eye - rho * np.outer(s, y)
    updated: np.ndarray = left @ inverse @ left.T + rho * np.outer(s, s)
    return updated


def _curved(s: np.ndarray, y: np.ndarray) -> bool:
    """Tell whether the objective curves upwards along the step s by enough to be learned from."""
    return bool(s @ y > _MIN_CURVATURE * np.linalg.norm(s) * np.linalg.norm(y))


# The methods ----------------------------------------------------------------------------------------------------------

# A step s (n,) and the change y (n,) of the gradient by it; None at the start.
_Change = tuple[np.ndarray, np.ndarray] | None


def _bfgs(inverse: np.ndarray | None, change: _Change, x: np.ndarray, curvature: Curvature | None) -> np.ndarray | None:
    """Return the inverse Hessian from the curvature at the start, updated by each step (N&W ch. 6)."""
    if change is None:
        return None if curvature is None else safe_inverse(curvature(x))
    return updated_inverse(inverse, *change)


def _gauss_newton(
    inverse: np.ndarray | None, change: _Change, x: np.ndarray, curvature: Curvature | None
) -> np.ndarray | None:
    """Return the inverse of the curvature at each point (N&W 10.3); None, for steepest descent, without one."""
    return None if curvature is None else safe_inverse(curvature(x))


def _gradient_descent(
    inverse: np.ndarray | None, change: _Change, x: np.ndarray, curvature: Curvature | None
) -> np.ndarray | None:
    """Return a multiple of the identity, from the last step: Barzilai and Borwein 1988, doi:10.1093/imanum/8.1.141."""
    if change is None:
        return None
    s, y = change
    return np.eye(len(s)) * (s @ y) / (y @ y) if _curved(s, y) else inverse


OPTIMIZERS = {
    Optimizer.BFGS: _bfgs,
    Optimizer.GAUSS_NEWTON: _gauss_newton,
    Optimizer.GRADIENT_DESCENT: _gradient_descent,
}
