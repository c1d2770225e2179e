"""Figures of the errors at landmarks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zncc_cli.registration.quality.landmark_error import LandmarkErrors, circular_error


def test_figures_of_known_errors() -> None:
    errors = LandmarkErrors(np.array([[3.0, 4.0], [0.0, 1.0], [0.0, 0.0], [-2.0, 0.0]]))
    np.testing.assert_allclose(errors.distances, [5, 1, 0, 2])
    assert errors.tre == (1.5, pytest.approx(2 + 0.7 * 3))  # the sorted errors are 0, 1, 2, 5
    assert errors.largest == 5
    assert errors.rms == pytest.approx(math.sqrt(30 / 4))
    assert errors.bias == (0.25, 1.25)
    assert errors.rtre((30, 40)) == (1.5 / 50, pytest.approx(4.1 / 50))


def test_circular_error_of_normal_errors() -> None:
    # Of a normal error of one pixel along either axis, 90 percent lie within sqrt(2 ln 10) = 2.146 pixels.
    vectors = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]) * math.sqrt(1.5)  # a variance of one along each axis
    assert circular_error(vectors) == pytest.approx(math.sqrt(2 * math.log(10)), rel=2e-3)


def test_circular_error_of_many_errors_is_their_percentile() -> None:
    """Errors of a wave have a bound, and normal ones of their covariance reach beyond it."""
    phase = np.linspace(0, 2 * np.pi, 400)
    vectors = np.stack([np.sin(phase), np.zeros(400)], axis=-1)
    assert circular_error(vectors) == pytest.approx(
        math.sin(0.45 * math.pi), abs=0.01
    )  # |sin| is below it in 90 percent
    assert circular_error(vectors[::5]) == pytest.approx(1.645 * math.sqrt(0.5), rel=0.02)  # of 80 the normal one


def test_circular_error_of_a_line_is_that_of_one_axis() -> None:
    vectors = np.array([[1.0, 1], [-1, -1]]) / 2  # a variance of one along the diagonal
    assert circular_error(vectors) == pytest.approx(1.6449, rel=5e-3)  # 90 percent of one normal number


def test_circular_error_of_an_error_that_is_the_same_everywhere() -> None:
    assert circular_error(np.full((5, 2), 3.0)) == pytest.approx(math.hypot(3, 3))
    assert circular_error(np.array([[0.0, 2.0]])) == pytest.approx(2)
