"""The fit of the probability of being right: a logistic regression with a ridge and weights that are not negative."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zncc_cli.registration.quality.probability import SCORES

Array = NDArray[np.float64]

# Pulls the weights towards zero, as a normal distribution of a variance of 1 / `_RIDGE` would before any pair is seen:
# figures that part all right from all wrong pairs would have infinite weights.
_RIDGE = 0.05
_MAX_STEPS = 100
_TOLERANCE = 1e-9  # of a Newton step


@dataclass(frozen=True, eq=False)
class Logistic:
    """log(p / (1 - p)) = intercept + scores . weights; ``weights`` (n,) in the order of `SCORES`."""

    intercept: float
    weights: Array

    def predict(self, scores: Array) -> Array:
        """Return the probabilities (N,) of ``scores`` (N, n)."""
        return np.asarray(1 / (1 + np.exp(-(self.intercept + scores @ self.weights))))

    def lines(self) -> Iterator[str]:
        """Yield what `zncc_cli.registration.quality.probability` holds of the fit."""
        yield f"INTERCEPT = {self.intercept:.3f}"
        yield "WEIGHTS: Mapping[str, float] = {"
        yield from (f'    "{name}": {weight:.3f},' for name, weight in zip(SCORES, self.weights, strict=True))
        yield "}"


def fit(scores: Array, right: NDArray[np.bool_]) -> Logistic:
    """Return the most likely model of ``right`` (N,) given ``scores`` (N, n).

    Weights that would fall below zero are left out one by one, the most negative first: no evidence for a result may
    speak against it.
    """
    kept = np.ones(scores.shape[1], dtype=bool)
    while True:
        found = _newton(np.column_stack((np.ones(len(scores)), scores[:, kept])), right.astype(float))
        weights = np.zeros(scores.shape[1])
        weights[kept] = found[1:]
        if not (weights < 0).any():
            return Logistic(float(found[0]), weights)
        kept[weights.argmin()] = False


def _newton(columns: Array, right: Array) -> Array:
    """Return the coefficients (k,) at the least loss: negative log-likelihood plus ridge, but for the first column."""
    ridge = np.full(columns.shape[1], _RIDGE)
    ridge[0] = 0.0

    def loss(b: Array) -> float:
        return float(np.logaddexp(0, columns @ b).sum() - right @ (columns @ b) + 0.5 * ridge @ b**2)

    b = np.zeros(columns.shape[1])
    for _ in range(_MAX_STEPS):
        p = 1 / (1 + np.exp(-columns @ b))
        gradient = columns.T @ (p - right) + ridge * b
        curvature = columns.T @ (columns * (p * (1 - p))[:, None]) + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        while loss(b - step) > loss(b):  # too long where the loss is far from a parabola
            step = step / 2
        b = b - step
        if np.abs(step).max() < _TOLERANCE:
            break
    return b
