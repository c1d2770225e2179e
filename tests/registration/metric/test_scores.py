"""What scores and curvature of the pair metric mean: how a small change of the transform changes the agreement.

Near the truth and without noise the scores are the derivative of the weighted sum of local ZNCC but for what they leave
out on purpose: how a change of the windows' contrast pulls, and that a pixel near the border lies in few windows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene, about_centre
from zncc_cli.config import Interpolation, Model
from zncc_cli.operators import native
from zncc_cli.operators.pair_metric import MetricWeights, Wanted
from zncc_cli.registration.metric.pair_metric import PairMetric
from zncc_cli.registration.transforms.linear import LinearTransform
from zncc_cli.registration.warp import Sampler

SHAPE = (110, 120)
WINDOW = 9
TRUTH = about_centre([[1.01, 0.02], [-0.02, 0.99]], (2.3, -1.6), SHAPE)
WANTED = Wanted(scores=True, curvature=True)


@pytest.fixture(params=["native", "reference"])
def metric(request: pytest.FixtureRequest) -> Iterator[PairMetric]:
    """The metric of a clean pair, of windows that stay inside both images: none of them gains or loses weight."""
    planes = [(image - image.mean()) / image.std() for image in Scene(seed=0).pair(TRUTH, SHAPE)]
    fixed, moving = (torch.from_numpy(plane) for plane in planes)
    n = WINDOW**2
    weights = MetricWeights(1e-6 * n, 1e-6 * n, 1.0, 0.01 * n, 1e-6 * n, 1e-6 * n, 1e-4 * n)
    windows = torch.zeros(SHAPE[0] - WINDOW + 1, SHAPE[1] - WINDOW + 1, dtype=torch.bool)
    windows[8:-8, 8:-8] = True
    with native.selected(request.param):
        sampler = Sampler(moving[None, None], Interpolation.CUBIC)
        yield PairMetric(fixed, None, sampler, WINDOW, weights).among(windows)


class Along:
    """The agreement as a function of a model's parameters."""

    def __init__(self, metric: PairMetric, model: Model) -> None:
        self.metric, self.transform = metric, LinearTransform(model, SHAPE)

    def value(self, p: np.ndarray) -> float:
        sums = self.metric.at(self.transform.matrix(p), Wanted())
        assert sums is not None
        return sums.totals.weighted_zncc

    def scores(self, p: np.ndarray) -> np.ndarray:
        return self.with_curvature(p)[0]

    def with_curvature(self, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sums = self.metric.at(self.transform.matrix(p), WANTED, projective=self.transform.projective)
        assert sums is not None
        assert sums.scores is not None
        assert sums.curvature is not None
        J = self.transform.jacobian(p)
        return J.T @ sums.scores.sum(dim=1).numpy(), J.T @ sums.curvature.numpy() @ J


def offset(size: int, seed: int) -> np.ndarray:
    """Return a change of the parameters, which each move the corners by about a pixel, by some tenths of a pixel."""
    return 0.3 * np.random.default_rng(seed).uniform(-1, 1, size)


@pytest.mark.parametrize("model", [Model.AFFINE, Model.HOMOGRAPHY])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_scores_are_nearly_the_derivative_near_the_truth(metric: PairMetric, model: Model, seed: int) -> None:
    along = Along(metric, model)
    truth = along.transform.parameters(TRUTH)
    p = truth + offset(len(truth), seed)
    h = 1e-4
    numeric = np.array([(along.value(p + s) - along.value(p - s)) / (2 * h) for s in h * np.eye(len(p))])
    # Up to 8 percent: a pixel at the border of these windows lies in few of them, and counts as much as one inside.
    assert np.linalg.norm(along.scores(p) - numeric) < 0.15 * np.linalg.norm(numeric)


@pytest.mark.parametrize("model", [Model.AFFINE, Model.HOMOGRAPHY])
def test_scores_are_zero_at_the_truth(metric: PairMetric, model: Model) -> None:
    along = Along(metric, model)
    truth = along.transform.parameters(TRUTH)
    here, beside = (np.linalg.norm(along.scores(p)) for p in (truth, truth + offset(len(truth), 0)))
    assert here < 1e-3 * beside  # a tenth of that: of interpolation


@pytest.mark.parametrize("model", [Model.AFFINE, Model.HOMOGRAPHY])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_curvature_times_a_displacement_predicts_the_scores(metric: PairMetric, model: Model, seed: int) -> None:
    along = Along(metric, model)
    truth = along.transform.parameters(TRUTH)
    change = offset(len(truth), seed)
    scores, curvature = along.with_curvature(truth + change)
    # Gauss-Newton, a third of a pixel off: 10 to 15 percent.
    assert np.linalg.norm(scores + curvature @ change) < 0.25 * np.linalg.norm(scores)
    assert np.linalg.eigvalsh(curvature).min() > 0
