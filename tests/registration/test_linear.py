"""The linear families: their form, their scale in pixels, and how one starts the next."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from analytic import corner_error

from zncc_cli.config import NESTED_MODELS, Model
from zncc_cli.registration.transforms import TRANSFORMS, WARM_START

SHAPE = (300, 400)


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_zero_parameters_are_the_identity(model: Model) -> None:
    family = TRANSFORMS[model](model, SHAPE)
    matrix = family.matrix(torch.zeros(family.size, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(matrix, np.eye(3), atol=1e-14)


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_parameters_and_matrix_are_inverse(model: Model) -> None:
    family = TRANSFORMS[model](model, SHAPE)
    p = torch.linspace(-9, 11, family.size, dtype=torch.float64)
    torch.testing.assert_close(family.parameters(family.matrix(p).numpy()), p, rtol=0, atol=1e-9)


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_unit_step_moves_the_corners_by_about_a_pixel(model: Model) -> None:
    family = TRANSFORMS[model](model, SHAPE)
    for k in range(family.size):
        p = torch.zeros(family.size, dtype=torch.float64)
        p[k] = 1.0
        moved = corner_error(family.matrix(p).numpy(), np.eye(3), SHAPE)
        assert 0.5 < moved < 1.1  # an entry of A moves a corner by its |x| / r or |y| / r, 0.6 at the least here


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_matrix_is_differentiable(model: Model) -> None:
    family = TRANSFORMS[model](model, SHAPE)
    p = torch.linspace(-9, 11, family.size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(family.matrix, p)


@pytest.mark.parametrize("model", NESTED_MODELS)
def test_a_richer_model_starts_where_the_simpler_ended(model: Model) -> None:
    chain = WARM_START[model]
    assert chain[-1] is model
    for simple, rich in itertools.pairwise(chain):
        start = TRANSFORMS[simple](simple, SHAPE)
        matrix = start.matrix(torch.linspace(-5, 7, start.size, dtype=torch.float64)).numpy()
        family = TRANSFORMS[rich](rich, SHAPE)
        np.testing.assert_allclose(family.matrix(family.parameters(matrix)).numpy(), matrix, atol=1e-12)
