"""The linear families: their form, their scale in pixels, and how one starts the next."""

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
    family = LinearTransform(model, SHAPE)
    matrix = family.matrix(np.zeros(family.size))
    np.testing.assert_allclose(matrix, np.eye(3), atol=1e-14)


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_parameters_and_matrix_are_inverse(model: Model) -> None:
    family = LinearTransform(model, SHAPE)
    p = np.linspace(-9, 11, family.size)
    np.testing.assert_allclose(family.parameters(family.matrix(p)), p, rtol=0, atol=1e-9)


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_unit_step_moves_the_corners_by_about_a_pixel(model: Model) -> None:
    family = LinearTransform(model, SHAPE)
    for k in range(family.size):
        p = np.zeros(family.size)
        p[k] = 1.0
        moved = corner_error(family.matrix(p), np.eye(3), SHAPE)
        assert 0.5 < moved < 1.1  # an entry of A moves a corner by its |x| / r or |y| / r, 0.6 at the least here


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_jacobian_is_that_of_the_matrix(model: Model) -> None:
    family = LinearTransform(model, SHAPE)
    p, h = np.linspace(-9, 11, family.size), 1e-3
    for k, step in enumerate(h * np.eye(family.size)):
        # Central differences: off by h^2 of a third derivative, and by the rounding of offsets of 200 pixels over h.
        difference = (family.matrix(p + step) - family.matrix(p - step)).ravel() / (2 * h)
        np.testing.assert_allclose(family.jacobian(p)[:, k], difference, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_a_richer_model_starts_where_the_simpler_ended(model: Model) -> None:
    chain = WARM_START[model]
    assert chain[-1] is model
    for simple, rich in itertools.pairwise(chain):
        start = LinearTransform(simple, SHAPE)
        matrix = start.matrix(np.linspace(-5, 7, start.size))
        family = LinearTransform(rich, SHAPE)
        np.testing.assert_allclose(family.matrix(family.parameters(matrix)), matrix, atol=1e-12)
