"""The loss of one level and its derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene, about_centre
from zncc_cli.config import NESTED_MODELS, Interpolation, Model
from zncc_cli.registration.metric.level_metric import LevelMetric
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.transforms.linear import LinearTransform

SHAPE = (72, 80)
TRUTH = about_centre([[1.01, 0.02], [-0.02, 0.99]], (2.3, -1.6), SHAPE)


def level(image: np.ndarray, mask: np.ndarray | None = None) -> Level:
    """Return a level in float64, so that finite differences of the loss mean something."""
    image = (image - image.mean()) / image.std()
    valid = torch.ones(SHAPE, dtype=torch.bool) if mask is None else torch.from_numpy(mask)
    return Level(torch.from_numpy(image)[None, None] * valid, valid, 1)


def level_metric(mask: np.ndarray | None = None) -> LevelMetric:
    fixed, moving = Scene(seed=0).pair(TRUTH, SHAPE)
    return LevelMetric(level(fixed), level(moving, mask), SHAPE, 7, 0.25, Interpolation.CUBIC)


@pytest.mark.parametrize("model", NESTED_MODELS)
@pytest.mark.parametrize("masked", [False, True])
def test_the_gradient_is_that_of_finite_differences(model: Model, masked: bool) -> None:
    mask = np.ones(SHAPE, bool)
    mask[30:40, 20:30] = not masked
    metric, transform = level_metric(mask), LinearTransform(model, SHAPE)
    p = transform.parameters(TRUTH) + np.linspace(0.3, -0.2, transform.size)
    value, gradient = metric.loss_and_gradient(transform, p)
    h = 1e-5
    for k, step in enumerate(np.eye(transform.size) * h):
        above, below = (metric.loss_and_gradient(transform, p + sign * step)[0] for sign in (1, -1))
        numeric = (above - below) / (2 * h)
        # Central differences in float64: h^2 of curvature and 1e-16 / h of rounding, both below 1e-8.
        assert gradient[k] == pytest.approx(numeric, rel=1e-4, abs=1e-7)
    assert 0 < value < 2


def test_the_curvature_is_within_a_small_factor_of_the_hessian() -> None:
    metric, transform = level_metric(), LinearTransform(Model.AFFINE, SHAPE)
    p = transform.parameters(TRUTH)
    h = 1e-4
    steps = np.eye(6) * h
    above, below = (
        np.array([metric.loss_and_gradient(transform, p + sign * step)[1] for step in steps]) for sign in (1, -1)
    )
    hessian = (above - below) / (2 * h)
    ratios = np.linalg.eigvals(np.linalg.solve(metric.curvature(transform, p), hessian)).real
    assert ratios.min() > 0.25
    assert ratios.max() < 5  # a small factor is enough for BFGS to start from


def test_the_loss_is_lowest_at_the_truth_and_near_zero() -> None:
    metric, transform = level_metric(), LinearTransform(Model.TRANSLATION, SHAPE)
    shift, affine = transform.parameters(TRUTH), LinearTransform(Model.AFFINE, SHAPE)
    shifted = metric.loss_and_gradient(affine, np.array([*shift, 0, 0, 0, 0]))
    assert shifted is not None
    assert metric.loss_and_gradient(affine, affine.parameters(TRUTH))[0] < 1e-4 < shifted[0]


def test_too_little_overlap_is_outside_the_domain() -> None:
    metric, transform = level_metric(), LinearTransform(Model.TRANSLATION, SHAPE)
    assert metric.loss_and_gradient(transform, np.array([70.0, 0.0])) is None
    assert metric.similarity(about_centre([[1, 0], [0, 1]], (70, 0), SHAPE)) is None


def test_noise_is_estimated_beside_texture() -> None:
    rng = np.random.default_rng(0)
    clean = 10 * Scene(seed=1).image((200, 200))
    noisy = torch.from_numpy(clean + rng.normal(0, 0.1, clean.shape))[None, None]
    # The texture's own second differences and 40,000 draws leave a tenth.
    assert Level(noisy, torch.ones(200, 200, dtype=torch.bool), 1).noise_sigma == pytest.approx(0.1, rel=0.1)
