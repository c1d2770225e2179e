"""The ZNCC of a template, and the maps on an image's frame."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from tests.reference import pearson
from tests.registration.analytic import Scene
from zncc_cli import zncc_map
from zncc_cli.errors import ContentError, WindowError
from zncc_cli.registration.metric.maps import std_map, zncc_frame_map


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def test_zncc_map_is_the_correlation_coefficient_of_every_window() -> None:
    image, template = random(20, 24), random(5, 7, seed=1)
    expected = pearson(sliding_window_view(image.numpy(), (5, 7)), template.numpy())
    # eps = 1e-12 against a Var of about 35: what is left is the rounding of float64 FFTs.
    torch.testing.assert_close(zncc_map(image, template, eps=1e-12), torch.from_numpy(expected), rtol=0, atol=1e-9)


def test_zncc_map_is_one_at_the_template_and_stays_in_range() -> None:
    image = (30000 + 5 * random(64, 64)).float()
    z = zncc_map(image, image[20:31, 30:43])
    assert divmod(int(z.argmax()), z.shape[1]) == (20, 30)
    assert float(z.max()) == pytest.approx(1.0, abs=1e-4)  # float32 pixels of 30000 +- 5
    assert float(z.abs().max()) <= 1


def test_zncc_map_is_differentiable_in_both_arguments() -> None:
    image, template = random(9, 10).requires_grad_(), random(3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: zncc_map(a, b), (image, template))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_zncc_map_loses_exactly_the_windows_with_a_pixel_that_is_not_finite(bad: float) -> None:
    image, template = random(20, 24), random(5, 7, seed=1)
    expected = zncc_map(image, template)
    spoilt = image.clone()
    spoilt[10, 12] = bad
    got = zncc_map(spoilt, template)
    assert int((~got.isfinite()).sum()) == 5 * 7
    known = got.isfinite()
    torch.testing.assert_close(got[known], expected[known], rtol=0, atol=1e-9)  # the mean differs by a pixel


@pytest.mark.parametrize("value", [1.0, 0.1])
def test_zncc_map_refuses_a_constant_template(value: float) -> None:
    with pytest.raises(ContentError, match="`template`: expected texture"):
        zncc_map(random(20, 20), torch.full((7, 7), value))


def test_zncc_map_refuses_a_template_that_is_too_large() -> None:
    with pytest.raises(WindowError):
        zncc_map(random(20, 20), random(21, 5))


@pytest.mark.parametrize("window", [4, 5])
def test_std_map_is_the_population_standard_deviation_on_the_frame(window: int) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")

    image = (30000 + 5 * random(20, 23)).float()
    got = std_map(image, torch.ones(20, 23, dtype=torch.bool), window).numpy()
    expected = ndimage.generic_filter(image.double().numpy(), np.std, size=window)
    inner = np.isfinite(got)
    assert inner.sum() == (20 - window + 1) * (23 - window + 1)
    # SciPy's window spans y - window // 2 onwards, and so does ours; float32 maps.
    np.testing.assert_allclose(got[inner], expected[inner], rtol=1e-6)


@pytest.mark.parametrize("unit", [1e-20, 1e-9, 1.0, 1e20])
def test_std_map_does_not_depend_on_the_unit(unit: float) -> None:
    image, mask = random(20, 20).float(), torch.ones(20, 20, dtype=torch.bool)
    expected = std_map(image, mask, 5)
    torch.testing.assert_close(std_map(image * unit, mask, 5) / unit, expected, rtol=1e-5, atol=0, equal_nan=True)


def test_std_map_is_nan_where_the_window_leaves_the_mask() -> None:
    mask = torch.ones(20, 20, dtype=torch.bool)
    mask[10, 10] = False
    image = random(20, 20)
    image[10, 10] = torch.nan
    got = std_map(image, mask, 3)
    assert int(got.isnan().sum()) == 20 * 20 - 18 * 18 + 9
    assert got[9:12, 9:12].isnan().all()


def test_zncc_frame_map_shows_where_images_agree() -> None:
    image = torch.from_numpy(Scene(seed=0).image((40, 60)))
    other = image.clone()
    other[:, 30:] = torch.from_numpy(Scene(seed=1).image((40, 30)))
    spreads = float(image.std()), float(other.std())
    z = zncc_frame_map(image, other, torch.ones(40, 60, dtype=torch.bool), 7, spreads)
    assert float(z[3:-3, 3:26].min()) > 0.97  # eps holds back the windows with the least texture
    assert abs(float(z[3:-3, 34:-3].mean())) < 0.5
    assert z[:3].isnan().all()
