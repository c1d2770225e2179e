"""The loss of one level, the direction in which it falls, and its curvature."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene, about_centre
from zncc_cli.config import NESTED_MODELS, Interpolation, Model
from zncc_cli.operators.pair_metric import CellGrid
from zncc_cli.registration.metric.level_metric import LevelLoss, LevelMetric, block_grid, block_zncc
from zncc_cli.registration.metric.local_zncc import local_zncc
from zncc_cli.registration.metric.windows import full_windows, window_variance
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.transforms.linear import LinearTransform

SHAPE = (72, 80)
TRUTH = about_centre([[1.01, 0.02], [-0.02, 0.99]], (2.3, -1.6), SHAPE)
WINDOW = 7


def level(image: np.ndarray, mask: np.ndarray | None = None) -> Level:
    """Return a level in float64, so that finite differences of the loss mean something."""
    image = (image - image.mean()) / image.std()
    valid = torch.ones(SHAPE, dtype=torch.bool) if mask is None else torch.from_numpy(mask)
    return Level(torch.from_numpy(image)[None, None] * valid, valid, 1)


def level_metric(mask: np.ndarray | None = None) -> LevelMetric:
    fixed, moving = Scene(seed=0).pair(TRUTH, SHAPE)
    return LevelMetric(level(fixed), level(moving, mask), SHAPE, WINDOW, 0.25, Interpolation.CUBIC)


def with_a_hole() -> np.ndarray:
    mask = np.ones(SHAPE, bool)
    mask[30:40, 20:30] = False
    return mask


def at(metric: LevelMetric, transform: LinearTransform, p: np.ndarray, *, with_curvature: bool = False) -> LevelLoss:
    loss = metric.at(transform, p, with_curvature=with_curvature)
    assert loss is not None
    return loss


@pytest.mark.parametrize("shift", [(0, 0), (3, -2), (-5, 4)])
def test_the_loss_is_one_minus_the_weighted_mean_of_local_zncc(shift: tuple[int, int]) -> None:
    """By shifts of whole pixels, where the moving image needs no interpolation."""
    fixed, moving = (level(Scene(seed=0).image(SHAPE, by)) for by in (np.eye(3), TRUTH))
    metric = LevelMetric(fixed, moving, SHAPE, WINDOW, 0.25, Interpolation.LINEAR)
    dx, dy = shift
    (height, width), (top, left) = SHAPE, (max(0, -dy), max(0, -dx))
    frame = slice(top, min(height, height - dy)), slice(left, min(width, width - dx))
    there = slice(frame[0].start + dy, frame[0].stop + dy), slice(frame[1].start + dx, frame[1].stop + dx)
    f, m = fixed.image[0, 0][frame], moving.image[0, 0][there]
    # What lies on the outermost rows and columns of the moving image has no weight.
    y, x = np.mgrid[there]
    inner = torch.from_numpy((x > 0) & (x < width - 1) & (y > 0) & (y < height - 1))
    w = full_windows(inner, WINDOW)
    eps = [WINDOW**2 * 8 * plane.noise_sigma**2 for plane in (fixed, moving)]
    v = window_variance(f, WINDOW)
    expected = 1 - (w * local_zncc(f, m, WINDOW, (eps[0], eps[1]))).sum() / (w * v / (v + eps[0])).sum()
    loss = at(metric, LinearTransform(Model.TRANSLATION, SHAPE), np.array([dx, dy], float))
    assert loss.value == pytest.approx(float(expected), abs=1e-9)


@pytest.mark.parametrize("model", NESTED_MODELS)
@pytest.mark.parametrize("masked", [False, True])
def test_the_loss_falls_against_the_gradient(model: Model, masked: bool) -> None:
    metric, transform = level_metric(with_a_hole() if masked else None), LinearTransform(model, SHAPE)
    p = transform.parameters(TRUTH) + np.linspace(0.9, -0.7, transform.size)
    loss = at(metric, transform, p)
    # A twentieth of a pixel at the corners: the loss falls by about what the gradient says.
    step = -0.05 * loss.gradient / np.linalg.norm(loss.gradient)
    fall = loss.value - at(metric, transform, p + step).value
    # At this distance of about a pixel what the gradient leaves out, the contrast, adds 8 to 16 percent.
    assert fall == pytest.approx(-loss.gradient @ step, rel=0.25)
    assert 0 < loss.value < 2


def test_near_the_truth_the_gradient_is_that_of_finite_differences() -> None:
    metric, transform = level_metric(), LinearTransform(Model.AFFINE, SHAPE)
    p = transform.parameters(TRUTH) + np.linspace(0.3, -0.2, transform.size)
    h = 1e-4
    steps = h * np.eye(transform.size)
    numeric = [(at(metric, transform, p + s).value - at(metric, transform, p - s).value) / (2 * h) for s in steps]
    # A third of a pixel off, the contrast of the windows makes half a percent.
    error = np.linalg.norm(at(metric, transform, p).gradient - numeric)
    assert error < 0.02 * np.linalg.norm(numeric)


@pytest.mark.parametrize("model", [Model.AFFINE, Model.HOMOGRAPHY])
def test_the_gradient_is_zero_at_the_truth(model: Model) -> None:
    metric, transform = level_metric(), LinearTransform(model, SHAPE)
    truth = transform.parameters(TRUTH)
    here, beside = (np.linalg.norm(at(metric, transform, p).gradient) for p in (truth, truth + 0.3))
    assert here < 0.01 * beside  # 0.0015 of interpolation


def test_a_newton_step_from_a_third_of_a_pixel_leads_most_of_the_way_to_the_truth() -> None:
    metric, transform = level_metric(), LinearTransform(Model.AFFINE, SHAPE)
    truth = transform.parameters(TRUTH)
    offset = np.linspace(0.3, -0.2, transform.size)
    loss = at(metric, transform, truth + offset, with_curvature=True)
    assert loss.curvature is not None
    left = offset - np.linalg.solve(loss.curvature, loss.gradient)
    assert np.linalg.eigvalsh(loss.curvature).min() > 0
    # Gauss-Newton: a sixth of the way is left.
    assert np.linalg.norm(left) < 0.25 * np.linalg.norm(offset)


def test_the_curvature_is_computed_where_it_is_asked_for() -> None:
    metric, transform = level_metric(), LinearTransform(Model.RIGID, SHAPE)
    p = transform.parameters(TRUTH)
    plain, curved = at(metric, transform, p), at(metric, transform, p, with_curvature=True)
    assert plain.curvature is None
    assert plain.value == curved.value
    np.testing.assert_array_equal(plain.gradient, curved.gradient)


def test_the_loss_is_lowest_at_the_truth_and_near_zero() -> None:
    metric, transform = level_metric(), LinearTransform(Model.TRANSLATION, SHAPE)
    shift, affine = transform.parameters(TRUTH), LinearTransform(Model.AFFINE, SHAPE)
    shifted = at(metric, affine, np.array([*shift, 0, 0, 0, 0]))
    assert at(metric, affine, affine.parameters(TRUTH)).value < 1e-4 < shifted.value


def test_too_little_overlap_is_outside_the_domain() -> None:
    metric, transform = level_metric(), LinearTransform(Model.TRANSLATION, SHAPE)
    assert metric.at(transform, np.array([70.0, 0.0])) is None
    assert metric.similarity(about_centre([[1, 0], [0, 1]], (70, 0), SHAPE)) is None


def test_blocks_cover_the_windows_of_the_overlap() -> None:
    grid = block_grid(((5, 40), (3, 71)), (60, 72), 7)
    assert grid is not None
    cells, counts = grid
    # 30 x 63 windows, in blocks of at least a window and at most an eighth.
    assert cells == CellGrid(5, 3, 7, 8, 5, 8)
    assert counts.sum() == 30 * 63
    assert counts[0, 0] == 7 * 8
    assert counts[-1, -1] == 2 * 7
    assert block_grid(((5, 40), (3, 8)), (60, 72), 7) is None
    assert block_grid(None, (60, 72), 7) is None


def test_a_block_counts_by_the_mean_signal_of_its_windows() -> None:
    """A block at the end of a grid holds few windows, and is judged by these."""
    counts = torch.tensor([[100, 100, 10]])
    weight = torch.tensor([[90.0, 20.0, 8.0]], dtype=torch.float64)
    np.testing.assert_array_equal(block_zncc(0.5 * weight, weight, counts), [[0.5, np.nan, 0.5]])


def test_noise_is_estimated_beside_texture() -> None:
    rng = np.random.default_rng(0)
    clean = 10 * Scene(seed=1).image((200, 200))
    noisy = torch.from_numpy(clean + rng.normal(0, 0.1, clean.shape))[None, None]
    # The texture's own second differences and 40,000 draws leave a tenth.
    assert Level(noisy, torch.ones(200, 200, dtype=torch.bool), 1).noise_sigma == pytest.approx(0.1, rel=0.1)
