"""The linear models: their parameters, their scale in pixels, and how one starts the next."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.registration.analytic import corner_error
from zncc_cli.config import NESTED_MODELS, Model
from zncc_cli.registration.transforms import WARM_START
from zncc_cli.registration.transforms.linear import LinearTransform

SHAPE = (300, 400)


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_zero_parameters_are_the_identity(model: Model) -> None:
    transform = LinearTransform(model, SHAPE)
    matrix = transform.matrix(np.zeros(transform.size))
    np.testing.assert_allclose(matrix, np.eye(3), atol=1e-14)


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_parameters_and_matrix_are_inverse(model: Model) -> None:
    transform = LinearTransform(model, SHAPE)
    p = np.linspace(-9, 11, transform.size)
    np.testing.assert_allclose(transform.parameters(transform.matrix(p)), p, rtol=0, atol=1e-9)


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_unit_step_moves_the_corners_by_about_a_pixel(model: Model) -> None:
    transform = LinearTransform(model, SHAPE)
    for k in range(transform.size):
        p = np.zeros(transform.size)
        p[k] = 1.0
        moved = corner_error(transform.matrix(p), np.eye(3), SHAPE)
        assert 0.5 < moved < 1.1  # an entry of A moves a corner by its |x| / r or |y| / r, 0.6 at the least here


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_jacobian_is_that_of_the_matrix(model: Model) -> None:
    transform = LinearTransform(model, SHAPE)
    p, h = np.linspace(-9, 11, transform.size), 1e-3
    for k, step in enumerate(h * np.eye(transform.size)):
        # Central differences: off by h^2 of a third derivative, and by the rounding of offsets of 200 pixels over h.
        difference = (transform.matrix(p + step) - transform.matrix(p - step)).ravel() / (2 * h)
        np.testing.assert_allclose(transform.jacobian(p)[:, k], difference, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_a_richer_model_starts_where_the_simpler_ended(model: Model) -> None:
    chain = WARM_START[model]
    assert chain[-1] is model
    for simple, rich in itertools.pairwise(chain):
        start = LinearTransform(simple, SHAPE)
        matrix = start.matrix(np.linspace(-5, 7, start.size))
        transform = LinearTransform(rich, SHAPE)
        np.testing.assert_allclose(transform.matrix(transform.parameters(matrix)), matrix, atol=1e-12)


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_mirrored_transforms_have_the_parameters_and_derivatives_of_their_matrices(model: Model) -> None:
    transform = LinearTransform(model, SHAPE, mirrored=True)
    p, h = np.linspace(-9, 11, transform.size), 1e-3
    matrix = transform.matrix(p)
    assert np.linalg.det(matrix) < 0
    np.testing.assert_allclose(transform.parameters(matrix), p, rtol=0, atol=1e-9)
    for k, step in enumerate(h * np.eye(transform.size)):
        # As in the test of the Jacobian above.
        difference = (transform.matrix(p + step) - transform.matrix(p - step)).ravel() / (2 * h)
        np.testing.assert_allclose(transform.jacobian(p)[:, k], difference, rtol=1e-7, atol=1e-10)
